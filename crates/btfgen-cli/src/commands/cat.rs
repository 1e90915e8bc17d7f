//! `btfgen hub cat`: writes the full BTF of a hub's kernel.

use std::path::PathBuf;

use anyhow::Result;
use btfgen::{Claims, Hub};

use crate::amount::bytes;
use crate::arguments::{LimitArguments, TargetHubArguments};
use crate::console::Console;
use crate::exit::Exit;
use crate::interrupt;
use crate::kernel_name::{KernelName, kernel_name};
use crate::sink::{self, Sink};

const EXAMPLES: &str = "\
EXAMPLES
  btfgen hub cat ubuntu/20.04/x86_64/5.4.0-26-generic -o vmlinux.btf
  btfgen hub cat \"$(uname -r)\" --arch \"$(uname -m)\" | bpftool btf dump file /dev/stdin";

/// Write the full BTF of a kernel in the hub, byte for byte
///
/// The kernel may be a file of any form, or be in a chunk.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The kernel as ID/VERSION/ARCH/RELEASE, or RELEASE if unambiguous
    #[arg(value_parser = kernel_name)]
    kernel: KernelName,

    /// The BTF to write; - is stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,

    /// The kernel's architecture, for example x86_64 or arm64
    #[arg(long)]
    arch: Option<String>,

    #[command(flatten)]
    hub: TargetHubArguments,

    #[command(flatten)]
    limit: LimitArguments,
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let stop = interrupt::flag(console, None);
        let mut claims = Claims::default();
        let sink = Sink::claim(&self.output, "the BTF", &mut claims, console)?;
        let folder = self.hub.folder()?;
        let hub = Hub::open_waiting(&[&folder], || interrupt::check(&stop))?;
        claims.reads_hub(&hub)?;
        let kernels: Vec<_> = hub.kernels().iter().map(|k| k.id()).collect();
        let read = |n: usize| Ok(hub.kernels()[n].read(self.limit.max_btf_size)?);
        let container = folder.display().to_string();
        let found = self
            .kernel
            .find(&container, &kernels, self.arch.as_deref(), read);
        if found.is_err() {
            // The kernel may be in one of them.
            console.left_out("file", hub.rejected());
        }
        let (n, btf) = found?;
        interrupt::check(&stop)?;
        sink.write(&btf)?;
        let kernel = kernels[n];
        if let Sink::File(output) = sink {
            let (path, size) = (output.path().display(), bytes(btf.len() as u64));
            console.say(format_args!("{path}: {size} of {kernel}"));
        }
        if console.json {
            sink::json(&serde_json::json!({
                "kernel": kernel.to_string(),
                "path": self.output.to_string_lossy(),
                "bytes": btf.len(),
            }))?;
        }
        Ok(Exit::Done)
    }
}
