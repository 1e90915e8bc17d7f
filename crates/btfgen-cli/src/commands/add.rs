//! `btfgen add`: puts the user's own kernels into a hub.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use btfgen::KernelId;
use btfgen_hub::{Add, Added, AddedModules, Change, ErrorKind, ModulesChange};
use serde::Serialize;

use crate::amount::{bytes, count};
use crate::arguments::{LimitArguments, TargetHubArguments};
use crate::commands::index;
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::{Advised, chain, printable};
use crate::interrupt;
use crate::progress::WaitNote;
use crate::report::{Failure, LeftOut};
use crate::sink;
use crate::style::STRONG;

const EXAMPLES: &str = "\
EXAMPLES
  btfgen add linux-image-6.1.0-47-cloud-amd64_6.1.170-3_amd64.deb --id debian/12
  btfgen add *.rpm --id rhel/8
  btfgen add linux-image-5.15.0-71-generic.deb linux-modules-5.15.0-71-generic.deb --id ubuntu/22.04
  btfgen add /lib/modules/$(uname -r) --from-host
  btfgen add linux-image-6.1.0-47-686-dbg_6.1.170-3_i386.deb --id debian/12 --dwarf-modules overlay,nf_conntrack
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
/// The BTFs of the kernel's modules come along, as far as FILE has them. A package of modules (linux-modules-…,
/// kernel-modules-…), a folder (/lib/modules/RELEASE), a module (.ko, .ko.xz, .ko.zst, .ko.gz) or the BTF of one
/// (/sys/kernel/btf/NAME) may be a FILE of its own; its kernel is in the hub, or another FILE. With /sys/kernel/btf/vmlinux come
/// the modules beside it. A module whose BTF does not continue that of the kernel is left out, and the exit code is then 1.
///
/// If the hub has the kernel, and FILE is its BTF with the types of modules merged into it, the rest becomes the module
/// `merged`.
///
/// The file gives the kernel's release and architecture if it contains them; --id or --from-host gives the rest. btfgen checks
/// the BTF, and then writes ID/VERSION/ARCH/RELEASE.btf.tar.xz into the hub, and beside it RELEASE.modules.tar.zst and, if the
/// file or the running kernel gives the build id, RELEASE.build-id. With the id, a lookup tells the kernel from another build of
/// the same release. btfgen creates a missing hub, and replaces a different BTF of the same kernel only with --force. The hub may
/// be inside your own git repository.
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

    /// Leave out the BTFs of modules
    #[arg(long)]
    no_modules: bool,

    /// Make the BTFs of these modules from the debug information in a -dbg package, with pahole; `all` makes all, in minutes
    #[arg(
        long,
        value_name = "NAME,…",
        value_delimiter = ',',
        conflicts_with = "no_modules"
    )]
    dwarf_modules: Vec<String>,

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
            .modules(!self.no_modules)
            .dwarf_modules(self.dwarf_modules.clone())
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
            let changed = added.iter().filter(|one| is_change(one));
            let changed: Vec<KernelId> = changed.map(|one| one.kernel.clone()).collect();
            if !self.no_store && !changed.is_empty() {
                index::add_new(console, &hub, Some(&changed), &cancel);
            }
        };
        let mut added = Vec::new();
        let mut left_out = Vec::new();
        for (files, result) in add.files(&self.files) {
            match result {
                Ok(one) => added.push(one),
                Err(e) if e.kind() == ErrorKind::Cancelled => return Err(e.into()),
                Err(e) if self.files.len() == 1 => return Err(e.into()),
                Err(e) => {
                    left_out.extend(files.iter().map(|file| LeftOut::named(file, &e)));
                    console.error(&e.into());
                }
            }
        }
        index(&added);
        tell(console, &added, left_out)
    }
}

/// Whether the hub's kernel or its modules changed.
fn is_change(added: &Added) -> bool {
    let modules = added.modules.change;
    added.change != Change::Unchanged
        || modules.is_some_and(|change| change != ModulesChange::Unchanged)
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'r> {
    added: &'r [Added],
    left_out: Vec<LeftOut>,
    #[serde(flatten)]
    failure: Failure,
}

fn tell(console: Console, added: &[Added], mut left_out: Vec<LeftOut>) -> Result<Exit> {
    for one in added {
        let change = match one.change {
            Change::New => "added",
            Change::Unchanged => "unchanged",
            Change::Replaced => "replaced",
        };
        console.say(format_args!(
            "{STRONG}{}{STRONG:#} {change}, {}{}",
            one.kernel,
            bytes(one.btf_bytes as u64),
            modules(&one.modules)
        ));
        if console.verbose {
            console.say(format_args!("  {}", printable(&one.origin)));
            console.say(format_args!("  {}", one.path.display()));
            if let Some(id) = one.build_id {
                console.say(format_args!("  build id {id}"));
            }
            if let Some(path) = &one.modules.path {
                console.say(format_args!("  {}", path.display()));
            }
            if one.modules.without_btf > 0 {
                let without = count(one.modules.without_btf, "module");
                console.say(format_args!("  {without} without BTF"));
            }
        }
    }
    let files = left_out.len();
    let errors = || added.iter().flat_map(|one| &one.modules.left_out);
    let modules = errors().count();
    if modules > 0 {
        console.failure(format_args!("{} not added:", count(modules, "module")));
        let lines: Vec<String> = errors().map(|e| chain(e)).collect();
        console.details(lines.into_iter());
        left_out.extend(errors().map(LeftOut::of));
    }
    let failed = match (files, modules) {
        (0, 0) => None,
        (0, modules) => Some(count(modules, "module")),
        (files, _) => Some(count(files, "file")),
    };
    let is_done = failed.is_none();
    if console.json {
        let failure = match failed {
            None => Failure::default(),
            Some(failed) => Failure::told(format!("{failed} not added")),
        };
        sink::json(&Report {
            added,
            left_out,
            failure,
        })?;
    }
    Ok(Exit::from(is_done))
}

/// What was done with the modules of a kernel.
fn modules(modules: &AddedModules) -> String {
    let Some(change) = modules.change else {
        return String::new();
    };
    let change = match change {
        ModulesChange::New => "",
        ModulesChange::Unchanged => " (unchanged)",
        ModulesChange::Changed => " (changed)",
        ModulesChange::Replaced => " (replaced)",
        ModulesChange::Removed => {
            return "; its modules belonged to the other BTF and are removed".into();
        }
    };
    format!(" and {}{change}", count(modules.count, "module"))
}
