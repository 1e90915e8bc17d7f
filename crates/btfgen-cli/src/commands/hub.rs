//! `btfgen hub`: shows a hub, and checks its files.

use anyhow::Result;
use btfgen_hub::{Broken, Fate, Status, Verify};
use serde::Serialize;

use crate::amount::{bytes, count};
use crate::arguments::{FilterArguments, LimitArguments, TargetHubArguments};
use crate::commands::cat;
use crate::commands::compact::{CompactArguments, ExpandArguments};
use crate::commands::index;
use crate::commands::list::{self, Count};
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::{chain, printable};
use crate::interrupt;
use crate::progress::{Bar, WaitNote};
use crate::report::{Failure, LeftOut};
use crate::sink;

const EXAMPLES: &str = "\
EXAMPLES
  btfgen hub status
  btfgen hub index
  btfgen hub verify --distro ubuntu --delete
  btfgen hub compact --replace
  btfgen hub cat ubuntu/20.04/x86_64/5.4.0-26-generic -o vmlinux.btf
  du -sh \"$(btfgen hub path)\"";

const STATUS_EXAMPLES: &str = "\
EXAMPLES
  btfgen hub status --hub ~/btfhub-archive
  btfgen hub status --json | jq .repositories";

const VERIFY_EXAMPLES: &str = "\
EXAMPLES
  btfgen hub verify
  btfgen hub verify --delete --dry-run
  btfgen hub verify --delete && btfgen fetch
  btfgen hub verify --json | jq -r '.broken[].path'";

const PATH_EXAMPLES: &str = "\
EXAMPLES
  ls \"$(btfgen hub path)\"";

/// Show what a hub contains, check its files, and make it small
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Status(StatusArguments),
    Index(index::Arguments),
    Verify(VerifyArguments),
    Compact(CompactArguments),
    Expand(ExpandArguments),
    Cat(cat::Arguments),
    Path(PathArguments),
}

/// Show the hub's repositories, their commits, the kernels, and the disk space
#[derive(Debug, clap::Args)]
#[command(after_help = STATUS_EXAMPLES)]
struct StatusArguments {
    #[command(flatten)]
    hub: TargetHubArguments,
}

/// Check that every file is readable, is a kernel's BTF, and has the right name
///
/// The modules of a kernel must continue its BTF. verify names the broken files. The exit code is 1 if a broken file remains, and 0 if --delete deleted all. --delete deletes
/// only damaged files with the right name, files that a fetch brought, and chunks without a sound kernel; it waits until no
/// other command uses the hub. An
/// error of the machine, such as a failing disk or too little memory, ends the check: the file that was being read does not
/// count as broken.
#[derive(Debug, clap::Args)]
#[command(after_help = VERIFY_EXAMPLES)]
struct VerifyArguments {
    /// Delete damaged files; afterwards `btfgen fetch` can bring the published ones again
    #[arg(long)]
    delete: bool,

    /// With --delete: print what would be deleted, and delete nothing
    #[arg(short = 'n', long, requires = "delete")]
    dry_run: bool,

    #[command(flatten)]
    hub: TargetHubArguments,

    #[command(flatten)]
    filter: FilterArguments,

    #[command(flatten)]
    limit: LimitArguments,
}

/// Print the path of the default hub
#[derive(Debug, clap::Args)]
#[command(after_help = PATH_EXAMPLES)]
struct PathArguments {
    #[command(flatten)]
    hub: TargetHubArguments,
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        match self.command {
            Command::Status(arguments) => arguments.run(console),
            Command::Index(arguments) => arguments.run(console),
            Command::Verify(arguments) => arguments.run(console),
            Command::Compact(arguments) => arguments.run(console),
            Command::Expand(arguments) => arguments.run(console),
            Command::Cat(arguments) => arguments.run(console),
            Command::Path(arguments) => arguments.run(console),
        }
    }
}

impl PathArguments {
    fn run(self, console: Console) -> Result<Exit> {
        use std::os::unix::ffi::OsStrExt as _;
        let folder = self.hub.folder()?;
        if console.json {
            sink::json(&serde_json::json!({ "path": folder.to_string_lossy() }))?;
            return Ok(Exit::Done);
        }
        sink::data(|out| {
            out.write_all(folder.as_os_str().as_bytes())?;
            writeln!(out)
        })?;
        Ok(Exit::Done)
    }
}

impl StatusArguments {
    fn run(self, console: Console) -> Result<Exit> {
        let status = Status::of(self.hub.folder()?)?;
        if status.unfinished > 0 {
            console.note(format_args!(
                "{} of an interrupted fetch; the next fetch continues with them",
                count(status.unfinished, "file")
            ));
        }
        console.left_out("file", &status.rejected);
        if console.json {
            sink::json(&StatusReport {
                status: &status,
                left_out: LeftOut::all(&status.rejected),
            })?;
        } else {
            print(&status)?;
        }
        Ok(Exit::Done)
    }
}

/// What `status --json` prints.
#[derive(Serialize)]
struct StatusReport<'s> {
    #[serde(flatten)]
    status: &'s Status,
    left_out: Vec<LeftOut>,
}

fn print(status: &Status) -> Result<()> {
    let counts = status.kernels.iter().map(|count| Count {
        distro: &count.distro,
        version: &count.version,
        arch: &count.arch,
        kernels: count.kernels,
        bytes: count.bytes,
    });
    let table = list::table(&counts.collect::<Vec<_>>());
    sink::text(|out| {
        writeln!(out, "{}", status.folder.display())?;
        for repository in &status.repositories {
            writeln!(
                out,
                "{} at {}: {}",
                printable(&repository.address),
                printable(&repository.commit),
                count(repository.kernels, "kernel")
            )?;
        }
        let kept = match status.kept_bytes {
            0 => String::new(),
            kept => format!(", and {} for later fetches", bytes(kept)),
        };
        let chunks = match status.chunks.chunks {
            0 => String::new(),
            chunks => format!(
                ", of which {} in {} with {}",
                bytes(status.chunks.bytes),
                count(chunks, "chunk"),
                count(status.chunks.kernels, "kernel")
            ),
        };
        let disk = bytes(status.kernel_bytes);
        writeln!(out, "{disk} on the disk{chunks}{kept}")?;
        if status.modules.kernels > 0 {
            let kernels = count(status.modules.kernels, "kernel");
            let size = bytes(status.modules.bytes);
            writeln!(out, "modules of {kernels}: {size}")?;
        }
        let store = &status.store;
        let missing = match store.missing {
            0 => String::new(),
            missing => format!("; the next pack reads {}", count(missing, "kernel")),
        };
        let (size, kernels) = (bytes(store.bytes), count(store.kernels, "kernel"));
        if status.build_ids > 0 {
            writeln!(out, "build ids of {}", count(status.build_ids, "kernel"))?;
        }
        writeln!(out, "type store: {kernels} in {size}{missing}")?;
        table.print(out, |_| Vec::new())
    })
}

/// What `verify --json` prints.
#[derive(Serialize)]
struct Report {
    /// Number of sound kernels.
    sound: usize,
    broken: Vec<ReportedFile>,
    #[serde(flatten)]
    failure: Failure,
}

#[derive(Serialize)]
struct ReportedFile {
    #[serde(flatten)]
    file: LeftOut,
    /// Whether --delete deletes the file.
    deletable: bool,
    deleted: bool,
}

impl VerifyArguments {
    fn run(self, console: Console) -> Result<Exit> {
        let folder = self.hub.folder()?;
        let bar = Bar::new(console);
        let cancel = interrupt::flag(console, Some(bar.screen()));
        let (note, screen) = (WaitNote::default(), bar.screen());
        let waiting = |for_whom| screen.suspend(|| note.say(console, for_whom));
        let verified = Verify::hub(&folder)
            .filter(self.filter.filter()?)
            .max_btf_bytes(self.limit.max_btf_size)
            .delete(self.delete)
            .dry_run(self.dry_run)
            .waiting(&waiting)
            .progress(&bar)
            .cancel(&cancel)
            .run();
        bar.clear();
        let verified = verified?;
        console.say(format_args!(
            "{}: {} sound",
            folder.display(),
            count(verified.sound, "kernel")
        ));
        let broken = &verified.broken;
        let all_deleted = broken.iter().all(|b| b.fate == Fate::Deleted);
        if !broken.is_empty() {
            let text = format_args!("{} broken:", count(broken.len(), "file"));
            if all_deleted {
                console.warning(text);
            } else {
                console.failure(text);
            }
            console.details(broken.iter().map(|b| {
                let fate = match b.fate {
                    Fate::Deleted => " (deleted)",
                    Fate::Deletable if self.dry_run => " (would be deleted)",
                    _ if self.delete => " (kept)",
                    _ => "",
                };
                format!("{}{fate}", chain(&b.error))
            }));
        }
        if console.json {
            let failure = match all_deleted {
                true => Failure::default(),
                false => Failure::told(format!("{} broken", count(broken.len(), "file"))),
            };
            sink::json(&Report {
                sound: verified.sound,
                broken: broken.iter().map(reported).collect(),
                failure,
            })?;
        }
        Ok(Exit::from(all_deleted))
    }
}

fn reported(broken: &Broken) -> ReportedFile {
    ReportedFile {
        file: LeftOut::of(&broken.error),
        deletable: broken.fate != Fate::Stays,
        deleted: broken.fate == Fate::Deleted,
    }
}
