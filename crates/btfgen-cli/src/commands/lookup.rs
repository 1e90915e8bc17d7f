//! `btfgen lookup`: shows which BTF a program with this archive uses on a host.

use std::path::{Path, PathBuf};

use anyhow::Result;
use btfgen_runtime::{
    Answered, BuildId, ErrorKind, Fact, Found, Loader, Lookup, Origin, Rung, Step,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::amount::bytes;
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::{Advised, caused};
use crate::report::Failure;
use crate::sink;
use crate::style::STRONG;

const EXAMPLES: &str = "\
EXAMPLES
  btfgen lookup btfs.tar.gz
  btfgen lookup btfs.tar.gz --quiet
  btfgen lookup btfs.tar.gz --require-custom
  btfgen lookup btfs.tar.gz --loader libbpf:0.8
  btfgen lookup btfs.tar.gz --os-release focal/etc/os-release --release 5.4.0-26-generic --arch x86_64
  btfgen lookup btfs.tar.gz --facts
  btfgen lookup btfs.tar.gz --json | jq -r '.steps[] | .subject + \": \" + .outcome'";

/// Where a kernel shows its own BTF.
const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Show step by step which BTF a program with this archive uses on this host or another one
///
/// lookup runs the code of btfgen-runtime and libbtfgen, and reads the same environment variables. The first match wins: the
/// BTF file that BTFGEN_BTF names; the kernel's own BTF and then a vmlinux on disk, if the loader can read it and
/// BTFGEN_REQUIRE_CUSTOM is not set; the archive's entry for this architecture and release with the kernel's build id, from
/// /sys/kernel/notes; the entry ID/VERSION_ID/ARCH/RELEASE, from os-release and uname; the same entry under other names of
/// distribution, version and architecture; any entry with this architecture and release, if all of them are equal. An entry with
/// another build id is refused. Without --loader, a BTF that is too new for some loader of 2022 or later is taken only if the
/// archive has none.
/// With --quiet, lookup prints only the result: the archive's kernel, or the path of the BTF file.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The archive
    archive: PathBuf,

    /// The host's os-release file [default: $BTFGEN_OS_RELEASE, else this host's file]
    #[arg(long, value_name = "FILE")]
    os_release: Option<PathBuf>,

    /// The host's kernel release, as `uname -r` prints it [default: this host's]
    #[arg(long)]
    release: Option<String>,

    /// The host's architecture, as `uname -m` prints it [default: this host's]
    #[arg(long)]
    arch: Option<String>,

    /// The build id of the host's kernel, as in its /sys/kernel/notes [default: this host's, without --release and --arch]
    #[arg(long, value_name = "HEX")]
    build_id: Option<BuildId>,

    /// The program's loader: libbpf:MAJOR.MINOR, cilium:MAJOR.MINOR or aya:MAJOR.MINOR [default: unknown]
    #[arg(long, value_name = "NAME:VERSION")]
    loader: Option<Loader>,

    /// Skip the kernel's own BTF, also in a vmlinux on disk
    #[arg(long)]
    require_custom: bool,

    /// Also show the answers to the archive's facts, which `pack --fact` put there
    #[arg(long)]
    facts: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'f> {
    /// Where the BTF is from: `kernel`, `file` or `archive`; null if there is no BTF.
    origin: Option<&'static str>,
    /// The file, or the name of the archive's entry.
    name: Option<String>,
    /// Size of the archive's entry.
    bytes: Option<usize>,
    steps: Vec<Value>,
    /// With --facts: the answers to the archive's facts.
    #[serde(skip_serializing_if = "Option::is_none")]
    facts: Option<Vec<AnsweredFact<'f>>>,
    #[serde(flatten)]
    failure: Failure,
}

/// A fact, and what the kernel answers.
#[derive(Serialize)]
struct AnsweredFact<'f> {
    name: &'f str,
    fact: String,
    #[serde(flatten)]
    answered: &'f Answered,
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let found = self.lookup().find();
        let steps = found.as_ref().map_or_else(|e| e.steps(), Found::steps);
        let error = found.as_ref().err().map(|e| advised(e, &self.archive));
        let found = found.as_ref().ok();
        let facts = found.map(Found::facts).transpose()?.unwrap_or_default();
        if console.json {
            let report = Report::new(found, steps, error.as_ref());
            let facts = self.facts.then(|| AnsweredFact::all(&facts));
            sink::json(&Report { facts, ..report })?;
        } else if !console.quiet {
            sink::text(|out| steps.iter().try_for_each(|step| writeln!(out, "{step}")))?;
            if let Some(found) = found {
                console.say(format_args!("{STRONG}{}{STRONG:#}", describe(found)));
            }
            if self.facts && facts.is_empty() {
                console.note("the archive has no facts; `btfgen pack --fact` adds them");
            }
            sink::text(|out| {
                let mut lines = facts.iter();
                lines.try_for_each(|(fact, answered)| writeln!(out, "{fact}: {}", answered.answer))
            })?;
        } else if let Some(found) = found {
            sink::data(|out| writeln!(out, "{}", name(found)))?;
        }
        if let Some(error) = &error {
            console.error(error);
        }
        Ok(Exit::from(error.is_none()))
    }

    fn lookup(&self) -> Lookup<'static> {
        let mut lookup = Lookup::new()
            .archive_file(&self.archive)
            .require_custom(self.require_custom)
            .facts(self.facts);
        if let Some(loader) = self.loader {
            lookup = lookup.loader(loader);
        }
        if let Some(path) = &self.os_release {
            lookup = lookup.os_release(path);
        }
        if let Some(release) = &self.release {
            lookup = lookup.release(release);
        }
        if let Some(arch) = &self.arch {
            lookup = lookup.arch(arch);
        }
        if let Some(id) = self.build_id {
            lookup = lookup.build_id(id);
        }
        lookup
    }
}

fn describe(found: &Found) -> String {
    match (found.origin(), entry_len(found)) {
        (Origin::Archive(kernel), Some(len)) => {
            format!("the archive's {kernel}, {}", bytes(len as u64))
        }
        (Origin::File(path), _) => format!("the file {}", path.display()),
        _ => "the kernel's own BTF".to_owned(),
    }
}

/// The archive's kernel, or the file with the BTF.
fn name(found: &Found) -> String {
    match found.origin() {
        Origin::Archive(kernel) => kernel.to_string(),
        Origin::File(path) => path.display().to_string(),
        _ => KERNEL_BTF.to_owned(),
    }
}

/// The size of the archive's entry, if the BTF is from an archive.
fn entry_len(found: &Found) -> Option<usize> {
    found.kernel()?;
    Some(found.bytes().ok()?.len())
}

/// The error without the steps. It names the file at fault, which is not always the archive.
fn advised(error: &btfgen_runtime::Error, archive: &Path) -> anyhow::Error {
    let rung = error.steps().last().map(|step| step.rung);
    let archive = archive.display().to_string();
    let mut message = caused(error.message(), error);
    let names_file = matches!(
        (error.kind(), rung),
        (ErrorKind::Io, _)
            | (
                ErrorKind::InvalidBtf,
                Some(Rung::Explicit | Rung::Environment)
            )
    );
    if !names_file && !message.starts_with(&archive) {
        message = format!("{archive}: {message}");
    }
    let help = match (rung, error.kind()) {
        (Some(Rung::Environment), _) => {
            "BTFGEN_BTF names this file: unset it, or set it to a kernel's BTF"
        }
        (_, ErrorKind::NotFound) => {
            "`btfgen list ARCHIVE` shows its kernels; pack it again from a hub that has this kernel"
        }
        _ => return anyhow::Error::msg(message),
    };
    Advised::new(message, help).into()
}

impl<'f> AnsweredFact<'f> {
    fn all(facts: &[(&'f Fact, &'f Answered)]) -> Vec<Self> {
        let facts = facts.iter().map(|(fact, answered)| Self {
            name: fact.name(),
            fact: fact.to_string(),
            answered,
        });
        facts.collect()
    }
}

impl Report<'_> {
    fn new(found: Option<&Found>, steps: &[Step], error: Option<&anyhow::Error>) -> Self {
        let (origin, name) = match found.map(Found::origin) {
            None => (None, None),
            Some(Origin::Kernel) => (Some("kernel"), None),
            Some(Origin::File(path)) => (Some("file"), Some(path.display().to_string())),
            Some(Origin::Archive(kernel)) => (Some("archive"), Some(kernel.to_string())),
            Some(_) => (Some("other"), None),
        };
        Self {
            origin,
            name,
            bytes: found.and_then(entry_len),
            steps: steps
                .iter()
                .map(|step| {
                    json!({
                        "rung": step.rung.name(),
                        "subject": step.subject,
                        "outcome": step.outcome,
                        "taken": step.taken,
                    })
                })
                .collect(),
            facts: None,
            failure: error.map(Failure::of).unwrap_or_default(),
        }
    }
}
