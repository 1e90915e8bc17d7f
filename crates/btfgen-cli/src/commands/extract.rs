//! `btfgen extract`: takes one kernel's BTF out of an archive.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use btfgen::archive::Archive;
use btfgen::{Btf, Claims, KernelId};
use btfgen_files::read_regular;

use crate::amount::bytes;
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::Advised;
use crate::interrupt;
use crate::kernel_name::{KernelName, kernel_name};
use crate::sink::{self, Sink};

const EXAMPLES: &str = "\
EXAMPLES
  btfgen extract btfs.tar.gz ubuntu/20.04/x86_64/5.4.0-26-generic
  btfgen extract btfs.tar.gz \"$(uname -r)\" --arch \"$(uname -m)\" -o vmlinux.btf
  btfgen extract btfs.tar.gz 5.4.0-26-generic -o - | bpftool btf dump file /dev/stdin";

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
        let kernels = archive.kernels().with_context(unreadable)?;
        let kernels: Vec<&KernelId> = kernels.iter().collect();
        let container = self.archive.display().to_string();
        self.kernel
            .find(&container, &kernels, self.arch.as_deref(), |n| {
                let kernel = kernels[n];
                let btf = archive.get(kernel).with_context(unreadable)?;
                btf.with_context(|| format!("{kernel} is listed, but missing"))
            })
            .map(|(n, btf)| (kernels[n].clone(), btf))
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
