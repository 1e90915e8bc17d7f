//! The names of kernels that are added.

use std::path::Path;

use btfgen_archive::KernelId;
use btfgen_runtime::Lookup;
use btfgen_vmlinux::Vmlinux;

use super::Add;
use crate::arch::hub_arch;
use crate::error::{Error, ErrorKind, Result};

/// The known parts of a kernel's id.
#[derive(Debug, Clone, Default)]
pub(super) struct Named {
    pub(super) distro: Option<String>,
    pub(super) version: Option<String>,
    pub(super) arch: Option<String>,
    pub(super) release: Option<String>,
}

impl Add<'_> {
    /// A kernel's name: by [`Add::id`], by the file, and by this host if that is allowed.
    pub(super) fn kernel(&self, path: &Path, vmlinux: &Vmlinux) -> Result<KernelId> {
        let Named {
            distro,
            version,
            arch,
            release,
        } = self.named.clone();
        let told_arch = vmlinux.arch().map(|arch| hub_arch(arch).to_owned());
        let told_release = vmlinux.release().map(str::to_owned);
        let arch = arch.map(|arch| hub_arch(&arch).to_owned());
        if !self.force {
            // An image does not tell which of two architectures it is for, if both have its ELF header.
            let told = told_arch.as_deref();
            let can_be = arch.as_deref().is_some_and(|arch| vmlinux.can_be(arch));
            agree(
                path,
                "architecture",
                arch.as_deref(),
                told.filter(|_| !can_be),
            )?;
            agree(path, "release", release.as_deref(), told_release.as_deref())?;
        }
        let (arch, release) = (arch.or(told_arch), release.or(told_release));
        let known = Named {
            distro,
            version,
            arch,
            release,
        };
        known.complete(path, self.from_host)
    }
}

impl Named {
    pub(super) fn complete(self, path: &Path, from_host: bool) -> Result<KernelId> {
        let Self {
            distro,
            version,
            arch,
            release,
        } = self;
        if let (Some(distro), Some(version), Some(arch), Some(release)) =
            (&distro, &version, &arch, &release)
        {
            return KernelId::new(distro, version, arch, release).map_err(|e| {
                Error::new(
                    ErrorKind::InvalidName,
                    path.display(),
                    "its name is not valid in a hub",
                )
                .with_source(e)
                .with_help("give a name with --id ID/VERSION/ARCH/RELEASE")
            });
        }
        if from_host {
            let host = host_kernel(path)?;
            let host = Self {
                distro: distro.or(Some(host.distro().to_owned())),
                version: version.or(Some(host.version().to_owned())),
                arch: arch.or(Some(hub_arch(host.arch()).to_owned())),
                release: release.or(Some(host.release().to_owned())),
            };
            return host.complete(path, false);
        }
        let missing: Vec<&str> = [
            (distro.is_none(), "distribution"),
            (version.is_none(), "its version"),
            (arch.is_none(), "its architecture"),
            (release.is_none(), "its release"),
        ]
        .into_iter()
        .filter_map(|(is_missing, what)| is_missing.then_some(what))
        .collect();
        let missing = match &*missing {
            [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
            one => one.concat(),
        };
        let help = if arch.is_none() || release.is_none() {
            "give --id ID/VERSION/ARCH/RELEASE, or --from-host if it is this host's kernel"
        } else {
            "give for example --id ubuntu/22.04, or --from-host if it is a kernel of this host's distribution"
        };
        let message = format!("does not contain the kernel's {missing}");
        Err(Error::new(ErrorKind::InvalidName, path.display(), message).with_help(help))
    }
}

/// The kernel that this host runs.
pub(super) fn host_kernel(path: &Path) -> Result<KernelId> {
    Lookup::new().kernel_id().map_err(|e| {
        let message = e.message().to_owned();
        Error::new(ErrorKind::InvalidName, path.display(), message)
            .with_help("give a name with --id ID/VERSION/ARCH/RELEASE")
    })
}

pub(super) fn bad_id(id: &str) -> Error {
    Error::new(ErrorKind::InvalidName, format!("{id:?}"), "is not a kernel's id")
        .with_help("write ID/VERSION/ARCH/RELEASE, for example ubuntu/22.04/x86_64/5.15.0-71-generic, or only ID/VERSION")
}

pub(super) fn agree(
    path: &Path,
    what: &str,
    named: Option<&str>,
    told: Option<&str>,
) -> Result<()> {
    match (named, told) {
        (Some(named), Some(told)) if named != told => {
            let message = format!("its {what} is {told}, not {named}");
            Err(Error::new(ErrorKind::InvalidName, path.display(), message)
                .with_help("give only --id ID/VERSION, or override the file with --force"))
        }
        _ => Ok(()),
    }
}
