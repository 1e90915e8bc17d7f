//! `btfgen add`: puts the user's own kernels into a hub.

use std::path::PathBuf;

use anyhow::Result;
use btfgen_hub::{Add, Added, Change, ErrorKind};

use crate::amount::bytes;
use crate::arguments::{LimitArguments, TargetHubArguments};
use crate::console::{Advised, Console, printable};
use crate::exit::Exit;
use crate::interrupt;
use crate::progress::WaitNote;
use crate::sink;
use crate::style::STRONG;

const EXAMPLES: &str = "\
EXAMPLES
  btfgen add linux-image-6.1.0-47-cloud-amd64_6.1.170-3_amd64.deb --id debian/12
  btfgen add *.rpm --id rhel/8
  btfgen add /sys/kernel/btf/vmlinux --from-host
  btfgen add /boot/vmlinuz-$(uname -r) --from-host --hub ./btfhub
  btfgen add vmlinux --id ubuntu/22.04/x86_64/5.15.0-71-generic";

/// Put your own kernels into a hub
///
/// FILE is a BTF (also /sys/kernel/btf/vmlinux), a vmlinux with a .BTF section, a boot image (x86 bzImage, arm64 and riscv64
/// Image, EFI zboot, s390x, POWER), a package (.deb, .ddeb, .rpm) that contains one of these, or any of them compressed with
/// gzip, xz, zstd, lz4 or lzma. btfgen detects the type from the content. If a vmlinux has only debug information, btfgen
/// makes the BTF with pahole (1.22 or newer), which must be on the PATH.
///
/// The file gives the kernel's release and architecture if it contains them; --id or --from-host gives the rest. btfgen checks
/// the BTF, and then writes ID/VERSION/ARCH/RELEASE.btf.tar.xz into the hub in one step. It creates a missing hub, and replaces
/// a different BTF of the same kernel only with --force. The hub may be inside your own git repository.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Kernel images, packages or BTFs
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The kernel's name; ID/VERSION is enough if the file gives architecture and release
    #[arg(long, value_name = "ID/VERSION[/ARCH/RELEASE]")]
    id: Option<String>,

    /// Take what neither the file nor --id gives from this host's os-release and uname
    #[arg(long)]
    from_host: bool,

    /// Replace a different BTF of the same kernel, and let --id override the file
    #[arg(short, long)]
    force: bool,

    /// Print JSON: an array with an object for each added file
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    hub: TargetHubArguments,

    #[command(flatten)]
    limit: LimitArguments,
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let note = WaitNote::default();
        let waiting = |for_whom| note.say(console, for_whom);
        let mut add = Add::to_hub(self.hub.folder()?)
            .waiting(&waiting)
            .cancel(interrupt::flag(console, None))
            .from_host(self.from_host)
            .force(self.force)
            .max_btf_bytes(self.limit.max_btf_size);
        if let Some(id) = &self.id {
            if id.split('/').count() > 2 && self.files.len() > 1 {
                return Err(Advised::new(
                    "--id names one kernel, but there are several files",
                    "give only --id ID/VERSION, or add one file at a time",
                )
                .into());
            }
            add = add.id(id)?;
        }
        if let [file] = &*self.files {
            let added = add.file(file)?;
            return self.tell(console, &[added], Exit::Done);
        }
        let mut added = Vec::new();
        let mut failed: usize = 0;
        for file in &self.files {
            match add.file(file) {
                Ok(one) => added.push(one),
                Err(e) if e.kind() == ErrorKind::Cancelled => return Err(e.into()),
                Err(e) => {
                    failed += 1;
                    console.error(&e.into());
                }
            }
        }
        let exit = if failed == 0 {
            Exit::Done
        } else {
            Exit::Failed
        };
        self.tell(console, &added, exit)
    }

    fn tell(&self, console: Console, added: &[Added], exit: Exit) -> Result<Exit> {
        for one in added {
            let change = match one.change {
                Change::New => "added",
                Change::Unchanged => "unchanged",
                Change::Replaced => "replaced",
            };
            console.say(format_args!(
                "{STRONG}{}{STRONG:#} {change}, {}",
                one.kernel,
                bytes(one.btf_bytes as u64)
            ));
            if console.verbose {
                console.say(format_args!("  {}", printable(&one.origin)));
                console.say(format_args!("  {}", one.path.display()));
            }
        }
        if self.json {
            sink::json(&added)?;
        }
        Ok(exit)
    }
}
