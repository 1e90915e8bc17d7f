//! `btfgen extract`: takes one kernel's BTF out of an archive.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use btfgen::archive::Archive;
use btfgen::{Btf, Claims, KernelFilter, KernelId};
use btfgen_files::read_regular;

use crate::amount::bytes;
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::Advised;
use crate::interrupt;
use crate::sink::{self, Sink};

const EXAMPLES: &str = "\
EXAMPLES
  btfgen extract btfs.tar.gz ubuntu/20.04/x86_64/5.4.0-26-generic
  btfgen extract btfs.tar.gz \"$(uname -r)\" --arch \"$(uname -m)\" -o vmlinux.btf
  btfgen extract btfs.tar.gz 5.4.0-26-generic -o - | bpftool btf dump file /dev/stdin";

/// How many names an error suggests.
const SUGGESTIONS: usize = 3;

/// Take one kernel's BTF out of an archive
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The archive
    archive: PathBuf,

    /// The kernel as ID/VERSION/ARCH/RELEASE, or RELEASE if unambiguous
    #[arg(value_parser = kernel_name)]
    kernel: KernelName,

    /// The BTF to write; - is stdout [default: RELEASE.btf]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// The kernel's architecture, for example x86_64 or arm64
    #[arg(long)]
    arch: Option<String>,
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let output = match &self.output {
            Some(path) => path.clone(),
            None => format!("{}.btf", self.kernel.release()).into(),
        };
        let stop = interrupt::flag(console, None);
        let mut claims = Claims::default();
        claims.reads("the archive", &self.archive)?;
        let sink = Sink::claim(&output, "the BTF", &mut claims, console)?;
        let archive = open(&self.archive)?;
        let (kernel, btf) = self.find(&archive)?;
        interrupt::check(&stop)?;
        sink.write(&btf)?;
        // `void` is not stored.
        let types = Btf::parse(&btf).map_or(0, |btf| btf.type_count() - 1);
        if types == 0 {
            console.warning(format_args!("{kernel}: its BTF holds no types"));
        }
        if let Sink::File(output) = sink {
            let (path, size) = (output.path().display(), bytes(btf.len() as u64));
            console.say(format_args!("{path}: {size} of {kernel}"));
        }
        if console.json {
            sink::json(&serde_json::json!({
                "kernel": kernel.to_string(),
                "path": output.to_string_lossy(),
                "bytes": btf.len(),
                "types": types,
            }))?;
        }
        Ok(Exit::Done)
    }

    /// Finds the named kernel. If several kernels have the release and their BTFs are equal, it returns the first one.
    fn find(&self, archive: &Archive<'_>) -> Result<(KernelId, Vec<u8>)> {
        let unreadable = || format!("{}: cannot be read", self.archive.display());
        let filter = self
            .arch
            .iter()
            .fold(KernelFilter::new(), |f, arch| f.arch(arch));
        let kernels = archive.kernels().with_context(unreadable)?;
        let mut found: Option<(KernelId, Vec<u8>)> = None;
        for kernel in kernels
            .iter()
            .filter(|k| self.kernel.is(k) && filter.matches(k))
        {
            let btf = archive.get(kernel).with_context(unreadable)?;
            let btf = btf.with_context(|| format!("{kernel} is listed, but missing"))?;
            match &found {
                Some((_, other)) if *other != btf => return Err(self.ambiguous(&kernels, &filter)),
                Some(_) => {}
                None => found = Some((kernel.clone(), btf)),
            }
        }
        found.ok_or_else(|| self.missing(&kernels))
    }

    fn ambiguous(&self, kernels: &[KernelId], filter: &KernelFilter) -> anyhow::Error {
        let meant = kernels
            .iter()
            .filter(|k| self.kernel.is(k) && filter.matches(k));
        Advised::new(
            format!(
                "{}: {} is ambiguous, these kernels have different BTFs: {}",
                self.archive.display(),
                self.kernel,
                listed(meant)
            ),
            "give the full name of one of them, or its --arch if that is unambiguous",
        )
        .into()
    }

    fn missing(&self, kernels: &[KernelId]) -> anyhow::Error {
        let mut near: Vec<&KernelId> = kernels
            .iter()
            .filter(|k| k.release() == self.kernel.release())
            .collect();
        if near.is_empty() {
            near = kernels.iter().collect();
            // A stable sort: kernels that are equally near keep their order.
            near.sort_by(|a, b| self.kernel.likeness(b).total_cmp(&self.kernel.likeness(a)));
            near.truncate(SUGGESTIONS);
        }
        let arch = self.arch.iter().map(|a| format!(" of {a}"));
        let message = format!(
            "{}: has no kernel {}{}",
            self.archive.display(),
            self.kernel,
            arch.collect::<String>()
        );
        let help = if near.is_empty() {
            "the archive is empty".to_owned()
        } else {
            format!("the nearest kernels are {}", listed(near.into_iter()))
        };
        Advised::new(message, help).into()
    }
}

/// The largest archive to read. An archive of thousands of kernels has a few megabytes.
const MAX_ARCHIVE_BYTES: u64 = 1 << 30;

/// Opens an archive, with an error that names it.
pub(crate) fn open(path: &Path) -> Result<Archive<'static>> {
    let named = || format!("{}: cannot be read", path.display());
    let bytes = read_regular(path, MAX_ARCHIVE_BYTES).with_context(named)?;
    let archive = Archive::from_vec(bytes).map_err(|e| match e.kind() {
        btfgen::archive::ErrorKind::NotGzip => Advised::new(
            format!("{}: not an archive", path.display()),
            "name a .tar.gz that `btfgen pack` wrote",
        )
        .with_source(e)
        .into(),
        _ => anyhow::Error::new(e).context(named()),
    })?;
    Ok(archive)
}

/// A kernel as the user names it.
#[derive(Debug, Clone)]
enum KernelName {
    Id(KernelId),
    Release(String),
}

fn kernel_name(text: &str) -> Result<KernelName, btfgen::archive::Error> {
    if text.contains('/') {
        return Ok(KernelName::Id(text.parse()?));
    }
    // The other parts do not matter: this only checks that `text` is a valid release.
    let id = KernelId::new("any", "any", "any", text)?;
    Ok(KernelName::Release(id.release().to_owned()))
}

impl KernelName {
    fn is(&self, kernel: &KernelId) -> bool {
        match self {
            Self::Id(id) => id == kernel,
            Self::Release(release) => release == kernel.release(),
        }
    }

    fn release(&self) -> &str {
        match self {
            Self::Id(id) => id.release(),
            Self::Release(release) => release,
        }
    }

    /// How similar a kernel's name is to this one, from 0 to 1.
    fn likeness(&self, kernel: &KernelId) -> f64 {
        let (mine, other) = match self {
            Self::Id(id) => (id.to_string(), kernel.to_string()),
            Self::Release(release) => (release.clone(), kernel.release().to_owned()),
        };
        strsim::normalized_damerau_levenshtein(&mine, &other)
    }
}

impl fmt::Display for KernelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Release(release) => f.write_str(release),
        }
    }
}

fn listed<'k>(kernels: impl Iterator<Item = &'k KernelId>) -> String {
    kernels
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}
