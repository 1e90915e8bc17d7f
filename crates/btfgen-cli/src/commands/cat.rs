//! `btfgen hub cat`: writes the full BTF of a hub's kernel.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use btfgen::{Btf, Claims, Hub, HubKernel};

use crate::amount::bytes;
use crate::arguments::{LimitArguments, TargetHubArguments};
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::Advised;
use crate::interrupt;
use crate::kernel_name::{KernelName, kernel_name};
use crate::sink::{self, Sink};

const EXAMPLES: &str = "\
EXAMPLES
  btfgen hub cat ubuntu/20.04/x86_64/5.4.0-26-generic -o vmlinux.btf
  btfgen hub cat ubuntu/20.04/x86_64/5.4.0-26-generic --module nf_conntrack -o nf_conntrack.btf
  bpftool -B vmlinux.btf btf dump file nf_conntrack.btf
  btfgen hub cat \"$(uname -r)\" --arch \"$(uname -m)\" | bpftool btf dump file /dev/stdin";

/// Write the full BTF of a kernel in the hub, byte for byte
///
/// The kernel may be a file of any form, or be in a chunk. With --module, the split BTF of one of its modules is written instead,
/// which continues the kernel's BTF.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The kernel as ID/VERSION/ARCH/RELEASE, or RELEASE if unambiguous
    #[arg(value_parser = kernel_name)]
    kernel: KernelName,

    /// Write the BTF of this module, for example nf_conntrack
    #[arg(long, value_name = "NAME")]
    module: Option<String>,

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
        let (n, mut btf) = found?;
        let module = self.module.as_ref().map(|name| name.replace('-', "_"));
        if let Some(name) = &module {
            btf = self.module(&hub.kernels()[n], &btf, name)?;
        }
        interrupt::check(&stop)?;
        sink.write(&btf)?;
        let kernel = kernels[n];
        if let Sink::File(output) = sink {
            let (path, size) = (output.path().display(), bytes(btf.len() as u64));
            let module = module.iter().map(|name| format!("module {name} of "));
            let module = module.collect::<String>();
            console.say(format_args!("{path}: {size} of {module}{kernel}"));
        }
        if console.json {
            sink::json(&serde_json::json!({
                "kernel": kernel.to_string(),
                "module": module,
                "path": self.output.to_string_lossy(),
                "bytes": btf.len(),
            }))?;
        }
        Ok(Exit::Done)
    }

    /// The BTF of a module of a kernel with this BTF.
    fn module(&self, kernel: &HubKernel, btf: &[u8], name: &str) -> Result<Vec<u8>> {
        let base = Btf::parse(btf).with_context(|| format!("{}: not a usable BTF", kernel.id()))?;
        let modules = kernel.read_modules(&base, self.limit.max_btf_size)?;
        let like = |other: &str| strsim::normalized_damerau_levenshtein(name, other);
        let names = modules.iter().map(|module| &*module.name);
        let help = match names.max_by(|a, b| like(a).total_cmp(&like(b))) {
            Some(near) => format!("perhaps you mean {near}"),
            None => "`btfgen add` adds the modules of a package, or of /lib/modules/RELEASE".into(),
        };
        let found = modules.into_iter().find(|module| module.name == name);
        found.map(|module| module.btf).ok_or_else(|| {
            let message = format!("{}: the hub does not have its module {name}", kernel.id());
            Advised::new(message, help).into()
        })
    }
}
