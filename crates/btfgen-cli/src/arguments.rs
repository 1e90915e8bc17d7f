//! Arguments that several subcommands share.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use btfgen::{
    KernelFilter, LoadedBtf, Minimized, Minimizer, Needs, Pack, StoreUse, join_modules,
    load_kernel, modules_beside,
};

use crate::amount::parse_bytes;
use crate::explain::Advised;

/// The options that select kernels.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Kernels")]
pub(crate) struct FilterArguments {
    /// Take only kernels of this architecture, for example x86_64 or arm64; repeatable
    #[arg(long, value_name = "ARCH")]
    arch: Vec<String>,

    /// Take only kernels of this distribution, for example ubuntu or ubuntu/20.04; repeatable
    #[arg(long, value_name = "ID[/VERSION]")]
    distro: Vec<String>,

    /// Take only kernels whose ID/VERSION/ARCH/RELEASE matches GLOB; * also matches slashes; repeatable
    #[arg(long, value_name = "GLOB", value_parser = glob)]
    only: Vec<String>,
}

impl FilterArguments {
    /// The filter for these options.
    pub(crate) fn filter(&self) -> Result<KernelFilter> {
        let filter = self
            .arch
            .iter()
            .fold(KernelFilter::new(), |f, arch| f.arch(arch));
        let filter = self.distro.iter().fold(filter, |f, d| f.distro(d));
        Ok(self.only.iter().try_fold(filter, |f, glob| f.only(glob))?)
    }
}

/// The hubs to read.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Kernels")]
pub(crate) struct HubArguments {
    /// Hub to read: a folder with files ID/VERSION/ARCH/RELEASE.btf.tar.xz (or .btf.xz, .btf), or chunks ID/VERSION/ARCH.btfs;
    /// repeatable, the first hub that has a kernel wins [default: $BTFGEN_HUB, else $BTFHUB_CACHE_DIR, else $BTFHUB_CACHE, else ~/.cache/btfgen/btfhub]
    #[arg(long, value_name = "DIR")]
    hub: Vec<PathBuf>,
}

impl HubArguments {
    /// The hubs, at least one.
    pub(crate) fn folders(&self) -> Result<Vec<PathBuf>> {
        if !self.hub.is_empty() {
            return Ok(self.hub.clone());
        }
        Ok(vec![default_hub()?])
    }
}

/// The one hub that a command works on.
#[derive(Debug, clap::Args)]
pub(crate) struct TargetHubArguments {
    /// Folder of the hub [default: $BTFGEN_HUB, else $BTFHUB_CACHE_DIR, else $BTFHUB_CACHE, else ~/.cache/btfgen/btfhub]
    #[arg(long, value_name = "DIR")]
    hub: Option<PathBuf>,
}

impl TargetHubArguments {
    /// The hub.
    pub(crate) fn folder(&self) -> Result<PathBuf> {
        let folder = match &self.hub {
            Some(folder) => folder.clone(),
            None => default_hub()?,
        };
        btfgen::refuse_parent_of_hub(&folder)?;
        Ok(folder)
    }
}

fn default_hub() -> Result<PathBuf> {
    btfgen::default_hub().ok_or_else(|| {
        Advised::new(
            "no hub is named, and there is no home folder for the default hub",
            "name one with --hub, or set BTFGEN_HUB",
        )
        .into()
    })
}

/// The limit on a kernel's memory.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Kernels")]
pub(crate) struct LimitArguments {
    /// Refuse kernels whose unpacked BTF is larger than this; suffixes K, M, G and T are allowed
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, default_value = "256M")]
    pub(crate) max_btf_size: u64,
}

/// The modules of one kernel.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Kernels")]
pub(crate) struct ModulesArguments {
    /// The BTFs of the kernel's modules: a RELEASE.modules.tar.zst of a hub, or a folder with a split BTF for each module, such as
    /// /sys/kernel/btf [default: RELEASE.modules.tar.zst beside the kernel, if there is one]
    #[arg(long, value_name = "PATH")]
    modules: Option<PathBuf>,

    /// Take types that the kernel itself does not have only from this module; repeatable [default: from all modules]
    #[arg(long, value_name = "NAME")]
    module: Vec<String>,
}

impl ModulesArguments {
    /// What the objects need of a kernel, as libbpf finds it with these modules loaded, and whether modules were looked at. That is
    /// done only if the kernel itself lacks a type.
    pub(crate) fn minimize(
        &self,
        needs: &Needs,
        kernel: &Path,
        btf: &LoadedBtf<'_>,
        max_btf_size: u64,
    ) -> Result<(Minimized, bool)> {
        let minimizer = Minimizer::new(needs).modules(&self.module);
        let failed = || format!("{}: cannot be minimized", kernel.display());
        let minimized = minimizer.minimize(btf).with_context(failed)?;
        let modules = self.modules.clone().or_else(|| modules_beside(kernel));
        let Some(modules) = modules.filter(|_| !minimized.absent.is_empty()) else {
            return Ok((minimized, false));
        };
        let all = join_modules(kernel, btf, &modules, max_btf_size)?;
        let all = load_kernel(&modules, all)?;
        Ok((minimizer.minimize(&all).with_context(failed)?, true))
    }
}

/// Objects, kernels, and how to work on them: what `pack` and `check` have in common.
#[derive(Debug, clap::Args)]
pub(crate) struct WorkArguments {
    /// BPF object files
    #[arg(required = true, value_name = "OBJ")]
    objects: Vec<PathBuf>,

    /// Number of threads [default: the number of processors]
    #[arg(short, long, value_name = "N", value_parser = threads)]
    jobs: Option<usize>,

    /// Take types that the kernel itself does not have only from this module; repeatable [default: from all modules that the hub
    /// has]
    #[arg(long, value_name = "NAME")]
    pub(crate) module: Vec<String>,

    /// Trust no type store: read every kernel, ask its full BTF everything, and write a new store
    #[arg(long)]
    cold: bool,

    /// Neither read nor write the hub's type store
    #[arg(long, conflicts_with = "cold")]
    no_store: bool,

    #[command(flatten)]
    hub: HubArguments,

    #[command(flatten)]
    filter: FilterArguments,

    #[command(flatten)]
    limit: LimitArguments,
}

impl WorkArguments {
    /// The objects.
    pub(crate) fn objects(&self) -> &[PathBuf] {
        &self.objects
    }

    /// A pack of these objects and kernels.
    pub(crate) fn pack<'p>(&self) -> Result<Pack<'p>> {
        let mut pack = Pack::new()
            .filter(self.filter.filter()?)
            .threads(self.jobs.unwrap_or(0))
            .store(match (self.cold, self.no_store) {
                (true, _) => StoreUse::Cold,
                (false, true) => StoreUse::None,
                (false, false) => StoreUse::Kept,
            })
            .max_btf_bytes(self.limit.max_btf_size);
        for object in &self.objects {
            pack = pack.object(object);
        }
        for module in &self.module {
            pack = pack.module(module);
        }
        for hub in self.hub.folders()? {
            pack = pack.hub(hub);
        }
        Ok(pack)
    }
}

/// Parses a number of threads.
pub(crate) fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=1024) => Ok(number),
        Ok(_) => Err("not from 1 to 1024".to_owned()),
        // With -j, bpf-compatible's script names the file for package.json.
        Err(_) => Err("not a number; --package-json FILE adds a file as package.json".to_owned()),
    }
}

fn glob(text: &str) -> Result<String, String> {
    match KernelFilter::new().only(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(e) => Err(crate::explain::chain(&e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that the help shows the engine's default.
    #[test]
    fn default_limit() {
        assert_eq!(parse_bytes("256M"), Ok(btfgen::DEFAULT_MAX_BTF_BYTES));
    }
}
