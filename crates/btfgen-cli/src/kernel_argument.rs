//! Kernels that the user names: each by a file, or by its name in a hub.

use std::cell::OnceCell;
use std::path::Path;

use anyhow::Result;
use btfgen::{Claims, Hub, KernelId, LoadedBtf, parse_kernel, read_kernel_file};
use btfgen_hub::kernel_source;

use crate::arguments::HubArguments;
use crate::console::Console;
use crate::explain::Advised;
use crate::kernel_name::kernel_name;

/// Reads kernels that the user names, from files or from the hubs, which are opened once.
pub(crate) struct Kernels<'a> {
    pub(crate) hubs: &'a HubArguments,
    pub(crate) max_btf_size: u64,
    pub(crate) console: Console,
    opened: OnceCell<Hub>,
}

/// A kernel that was read.
pub(crate) struct NamedKernel {
    /// Its name in the hub, or its file.
    pub(crate) name: String,
    pub(crate) btf: LoadedBtf<'static>,
}

impl<'a> Kernels<'a> {
    pub(crate) fn new(hubs: &'a HubArguments, max_btf_size: u64, console: Console) -> Self {
        Self {
            hubs,
            max_btf_size,
            console,
            opened: OnceCell::new(),
        }
    }

    /// Reads a kernel, and claims its file or the hubs. An existing file goes before a kernel of the hubs.
    pub(crate) fn read(&self, text: &str, claims: &mut Claims) -> Result<NamedKernel> {
        let path = Path::new(text);
        let source = kernel_source(path);
        if path.exists() || source != path {
            claims.reads("the kernel", &source)?;
            let btf = parse_kernel(path, read_kernel_file(path, self.max_btf_size)?)?;
            let name = text.to_owned();
            return Ok(NamedKernel { name, btf });
        }
        let name = kernel_name(text).map_err(|e| {
            let message = format!("{text}: is neither a file nor the name of a kernel");
            Advised::new(
                message,
                "name a BTF file, or a kernel of the hub as ID/VERSION/ARCH/RELEASE or RELEASE",
            )
            .with_source(e)
        })?;
        let hub = self.hub()?;
        claims.reads_hub(hub)?;
        let kernels: Vec<&KernelId> = hub.kernels().iter().map(|k| k.id()).collect();
        let read = |n: usize| Ok(hub.kernels()[n].read(self.max_btf_size)?);
        let folders: Vec<String> = hub.folders().map(|f| f.display().to_string()).collect();
        let found = name.find(&folders.join(", "), &kernels, None, read);
        if found.is_err() {
            // The kernel may be in one of them.
            self.console.left_out("file", hub.rejected());
        }
        let (n, btf) = found?;
        Ok(NamedKernel {
            name: kernels[n].to_string(),
            btf: parse_kernel(hub.kernels()[n].path(), btf)?,
        })
    }

    fn hub(&self) -> Result<&Hub> {
        if let Some(hub) = self.opened.get() {
            return Ok(hub);
        }
        let hub = Hub::open(&self.hubs.folders()?)?;
        Ok(self.opened.get_or_init(|| hub))
    }
}
