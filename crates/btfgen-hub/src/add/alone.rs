//! Modules without their kernel: [`Add`] puts them beside the kernel with their release that the hub has.

use std::path::{Path, PathBuf};

use btfgen_archive::KernelId;
use btfgen_btf::Btf;

use super::modules::{BUILD_HELP, Given};
use super::named::{Named, agree, host_kernel};
use super::{Add, Added, Change};
use crate::arch::hub_arch;
use crate::error::{Error, ErrorKind, Result};
use crate::hub::Hub;
use crate::hub_kernel::HubKernel;
use crate::lock::{LockedHub, Waiting};

/// Modules without a kernel, from consecutive files.
struct Group {
    paths: Vec<PathBuf>,
    given: Given,
}

impl Add<'_> {
    pub(super) fn files_in_order(&self, paths: &[PathBuf]) -> Vec<(Vec<PathBuf>, Result<Added>)> {
        let mut results = Vec::new();
        let mut group: Option<Group> = None;
        for path in paths {
            if self.is_cancelled() {
                results.push((vec![path.clone()], Err(Error::cancelled("add"))));
                return results;
            }
            let mut contents = match self.contents(path) {
                Ok(contents) => contents,
                Err(e) => {
                    results.push((vec![path.clone()], Err(e)));
                    continue;
                }
            };
            let given = Given::take(&mut contents);
            match (&mut group, contents.kernel) {
                (Some(group), None) if group.given.release() == given.release() => {
                    group.paths.push(path.clone());
                    group.given.append(given);
                }
                (_, None) => {
                    let paths = vec![path.clone()];
                    results.extend(group.replace(Group { paths, given }).map(|g| self.group(g)));
                }
                (_, Some(vmlinux)) => {
                    results.extend(group.take().map(|group| self.group(group)));
                    let added = self.kernel_and_modules(path, &vmlinux, given);
                    results.push((vec![path.clone()], added));
                }
            }
        }
        results.extend(group.map(|group| self.group(group)));
        results
    }

    fn group(&self, group: Group) -> (Vec<PathBuf>, Result<Added>) {
        let first = group.paths.first().cloned().unwrap_or_default();
        let added = self.modules_alone(&first, group.given);
        (group.paths, added)
    }

    /// Adds modules to the kernel that the hub has of their release.
    pub(super) fn modules_alone(&self, path: &Path, given: Given) -> Result<Added> {
        let named = self.modules_kernel(path, &given)?;
        let hub = LockedHub::lock(&self.hub, || self.wait(Waiting::Writer))?;
        let (kernel, btf) = self.find_kernel(path, &named, &given)?;
        let present = self.present(&kernel)?;
        let place = present.path().unwrap_or(path).to_owned();
        let modules = self.write(&hub, &kernel, &btf, Change::Unchanged, &present, given)?;
        Ok(Added {
            kernel,
            path: place,
            change: Change::Unchanged,
            origin: "the hub".to_owned(),
            btf_bytes: btf.len(),
            build_id: None,
            modules,
        })
    }

    /// What is known of the kernel of some modules. The release is known.
    fn modules_kernel(&self, path: &Path, given: &Given) -> Result<Named> {
        let mut named = self.named.clone();
        let told = given.release().map(str::to_owned);
        if !self.force {
            agree(path, "release", named.release.as_deref(), told.as_deref())?;
        }
        named.release = named.release.or(told);
        if self.from_host {
            let host = host_kernel(path)?;
            named.distro.get_or_insert(host.distro().to_owned());
            named.version.get_or_insert(host.version().to_owned());
            named.release.get_or_insert(host.release().to_owned());
        }
        if named.release.is_none() && !given.modules.is_empty() {
            let message = "has modules, but does not say of which kernel";
            return Err(
                Error::new(ErrorKind::InvalidName, path.display(), message).with_help(
                    "give --id ID/VERSION/ARCH/RELEASE, or --from-host if it is this host's kernel",
                ),
            );
        }
        Ok(named)
    }

    /// The kernel of the hub whose BTF some modules continue, and its BTF.
    fn find_kernel(
        &self,
        path: &Path,
        named: &Named,
        given: &Given,
    ) -> Result<(KernelId, Vec<u8>)> {
        let refused = |kind, message: String| Error::new(kind, path.display(), message);
        if given.modules.is_empty() {
            let mut left_out = given.left_out.iter();
            let message = match left_out.next() {
                Some(first) => format!("has no module that can be read: {first}"),
                None => "has only modules without BTF".to_owned(),
            };
            return Err(refused(ErrorKind::InvalidKernel, message));
        }
        let hub = Hub::open_waiting(&[&self.hub], || self.go_on())?;
        let same = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|w| w == is);
        let arch = named.arch.as_deref().map(|arch| hub_arch(arch).to_owned());
        let of_release = hub.kernels().iter().filter(|kernel| {
            let id = kernel.id();
            same(&named.release, id.release())
                && same(&named.distro, id.distro())
                && same(&named.version, id.version())
                && same(&arch, hub_arch(id.arch()))
        });
        let of_release: Vec<&HubKernel> = of_release.collect();
        let (mut fitting, mut first_name) = (Vec::new(), None);
        for kernel in of_release {
            let btf = kernel.read(self.max_btf_bytes)?;
            first_name.get_or_insert_with(|| kernel.id().to_string());
            let fits = match Btf::parse(&btf) {
                Ok(base) => given.fitting(&base) > 0,
                Err(_) => false,
            };
            if fits {
                fitting.push((kernel.id().clone(), btf));
            }
        }
        let release = named.release.as_deref().unwrap_or_default();
        match (fitting.pop(), first_name) {
            (Some(one), _) if fitting.is_empty() => Ok(one),
            (Some((one, _)), _) => {
                let ids = fitting.iter().map(|(id, _)| id.to_string());
                let ids: Vec<String> = ids.chain([one.to_string()]).collect();
                let message = format!("its modules belong to several kernels: {}", ids.join(", "));
                Err(refused(ErrorKind::InvalidName, message)
                    .with_help("choose one with --id ID/VERSION/ARCH/RELEASE"))
            }
            (None, Some(kernel)) => {
                let message = format!(
                    "its modules do not continue the BTF of {kernel}: they are of another build of this kernel"
                );
                Err(refused(ErrorKind::InvalidKernel, message).with_help(BUILD_HELP))
            }
            (None, None) => {
                let message =
                    format!("its modules are of the kernel {release}, which the hub does not have");
                Err(refused(ErrorKind::NoKernels, message).with_help(
                    "name the kernel's own package, image or BTF, too (linux-image-…, kernel-core-…); with --id, both need the same name",
                ))
            }
        }
    }
}
