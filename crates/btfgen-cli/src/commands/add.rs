//! `btfgen add`: puts the user's own kernels into a hub.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use btfgen::KernelId;
use btfgen_hub::{Add, Added, Change, ErrorKind};
use serde::Serialize;

use crate::amount::{bytes, count};
use crate::arguments::{LimitArguments, TargetHubArguments};
use crate::commands::index;
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::{Advised, printable};
use crate::interrupt;
use crate::progress::WaitNote;
use crate::report::{Failure, LeftOut};
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
///
/// If the file or the running kernel gives the build id, it is written beside that, to RELEASE.build-id. With it, a lookup tells
/// the kernel from another build of the same release.
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

    /// Do not add the kernels to the hub's type store; the next pack does it
    #[arg(long)]
    no_store: bool,

    #[command(flatten)]
    hub: TargetHubArguments,

    #[command(flatten)]
    limit: LimitArguments,
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let note = WaitNote::default();
        let waiting = |for_whom| note.say(console, for_whom);
        let hub = self.hub.folder()?;
        let cancel = interrupt::flag(console, None);
        let mut add = Add::to_hub(&hub)
            .waiting(&waiting)
            .cancel(Arc::clone(&cancel))
            .from_host(self.from_host)
            .force(self.force)
            .max_btf_bytes(self.limit.max_btf_size);
        if let Some(id) = &self.id {
            if id.split('/').count() > 2 && self.files.len() > 1 {
                return Err(Advised::usage(
                    "--id names one kernel, but there are several files",
                    "give only --id ID/VERSION, or add one file at a time",
                ));
            }
            add = add.id(id)?;
        }
        let index = |added: &[Added]| {
            let changed = added.iter().filter(|one| one.change != Change::Unchanged);
            let changed: Vec<KernelId> = changed.map(|one| one.kernel.clone()).collect();
            if !self.no_store && !changed.is_empty() {
                index::add_new(console, &hub, Some(&changed), &cancel);
            }
        };
        if let [file] = &*self.files {
            let added = [add.file(file)?];
            index(&added);
            return tell(console, &added, Vec::new());
        }
        let mut added = Vec::new();
        let mut left_out = Vec::new();
        for file in &self.files {
            match add.file(file) {
                Ok(one) => added.push(one),
                Err(e) if e.kind() == ErrorKind::Cancelled => return Err(e.into()),
                Err(e) => {
                    left_out.push(LeftOut::named(file, &e));
                    console.error(&e.into());
                }
            }
        }
        index(&added);
        tell(console, &added, left_out)
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'r> {
    added: &'r [Added],
    left_out: Vec<LeftOut>,
    #[serde(flatten)]
    failure: Failure,
}

fn tell(console: Console, added: &[Added], left_out: Vec<LeftOut>) -> Result<Exit> {
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
            if let Some(id) = one.build_id {
                console.say(format_args!("  build id {id}"));
            }
        }
    }
    let failed = left_out.len();
    if console.json {
        let failure = match failed {
            0 => Failure::default(),
            _ => Failure::told(format!("{} not added", count(failed, "file"))),
        };
        sink::json(&Report {
            added,
            left_out,
            failure,
        })?;
    }
    Ok(Exit::from(failed == 0))
}
