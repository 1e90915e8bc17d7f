//! Writes a kernel that is added, and its modules.

use std::io;
use std::path::{Path, PathBuf};

use btfgen_archive::KernelId;
use btfgen_files::{TempFile, remove_stale};

use super::modules::{AddedModules, Given, Plan};
use super::present::{Present, PresentFile};
use super::{Add, Change};
use crate::build_id::forget_build_id;
use crate::error::{Error, ErrorKind, Result};
use crate::folder::{MadeFolders, absolute};
use crate::kernel_file::{ENDINGS, read_kernel};
use crate::lock::{LockedHub, Waiting};
use crate::modules::MODULES_ENDING;
use crate::seen::is_as_seen;
use crate::tar_xz;

/// What is written of a kernel.
struct Writing<'w> {
    kernel: &'w KernelId,
    /// The folder `ID/VERSION/ARCH`.
    folder: &'w Path,
    btf: &'w [u8],
    /// Whether the kernel's own file is written.
    with_kernel: bool,
    present: &'w Present,
    modules: &'w Plan,
}

impl Add<'_> {
    /// Writes a kernel's file if it has changed, and that of its modules, and removes the files that they replace.
    pub(super) fn write(
        &self,
        hub: &LockedHub,
        kernel: &KernelId,
        btf: &[u8],
        change: Change,
        present: &Present,
        given: Given,
    ) -> Result<AddedModules> {
        let with_kernel = change != Change::Unchanged;
        let target = self.hub.join(format!("{kernel}{}", ENDINGS[0]));
        let folder = match present.folder() {
            // Beside the kernel's file, or where it would be without the chunk.
            Some(folder) if !with_kernel => folder,
            _ => target.parent().unwrap_or(Path::new(".")).to_owned(),
        };
        let base = read_kernel(&target, btf)?;
        let (there, limit) = (present.modules.as_ref(), self.max_btf_bytes);
        let mut modules = Plan::of(given, kernel, &base, there, self.force, limit)?;
        drop(base);
        let writing = Writing {
            kernel,
            folder: &folder,
            btf,
            with_kernel,
            present,
            modules: &modules,
        };
        if with_kernel || modules.is_change() {
            let path = self.write_files(hub, &writing)?;
            modules.added.path = path.or(modules.added.path);
        }
        Ok(modules.added)
    }

    /// Returns the path of the modules' file, if it was written.
    fn write_files(&self, hub: &LockedHub, writing: &Writing<'_>) -> Result<Option<PathBuf>> {
        let Writing {
            kernel,
            folder,
            btf,
            with_kernel,
            present,
            modules,
        } = *writing;
        let _made = MadeFolders::make(&absolute(folder)?)?;
        let target = folder.join(format!("{}{}", kernel.release(), ENDINGS[0]));
        let modules_target = folder.join(format!("{}{MODULES_ENDING}", kernel.release()));
        let failed = |path: &Path, e: io::Error| match e.kind() {
            _ if self.is_cancelled() => Error::cancelled("add"),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Error::new(ErrorKind::Hub, folder.display(), "cannot be written to")
                    .with_source(e)
                    .with_help("name a writable hub with --hub")
            }
            io::ErrorKind::AlreadyExists => changed(path),
            _ => Error::io(path, "cannot be written", e),
        };
        remove_stale(folder);
        let file = match with_kernel {
            true => Some(
                tar_xz::write(folder, kernel.release(), btf, &|| self.is_cancelled())
                    .map_err(|e| failed(&target, e))?,
            ),
            false => None,
        };
        let modules_file = modules.write(folder, kernel, btf);
        let modules_file = modules_file.map_err(|e| failed(&modules_target, e))?;
        self.go_on()?;
        let replaced: Vec<&PresentFile> = match with_kernel {
            true => present.files.iter().collect(),
            false => Vec::new(),
        };
        let old_modules = present.modules.as_ref().filter(|_| modules.replaces());
        let _alone = match !replaced.is_empty() || old_modules.is_some() {
            true => Some(hub.exclude_readers(|| self.wait(Waiting::Readers))?),
            false => None,
        };
        // Only btfgen's commands respect the lock.
        let seen = replaced.iter().map(|p| (&p.path, &p.metadata));
        for (path, metadata) in seen.chain(old_modules.map(|m| (&m.path, &m.metadata))) {
            if !is_as_seen(path, Some(metadata)).map_err(|e| failed(path, e))? {
                return Err(changed(path));
            }
        }
        // The kernel comes first. If the machine stops between the two, its digest is not that in the modules' file.
        let kernels = replaced.iter().map(|p| &p.path);
        if let Some(file) = file {
            for path in kernels.clone().chain([&target]) {
                forget_build_id(path).map_err(|e| failed(path, e))?;
            }
            take_name(file, &target, kernels).map_err(|(path, e)| failed(&path, e))?;
        }
        let old = old_modules.map(|m| &m.path);
        match modules_file {
            Some(file) => {
                take_name(file, &modules_target, old.into_iter())
                    .map_err(|(path, e)| failed(&path, e))?;
                return Ok(Some(modules_target));
            }
            None => {
                if let Some(old) = old {
                    std::fs::remove_file(old)
                        .map_err(|e| Error::io(old, "cannot be removed", e))?;
                }
            }
        }
        Ok(None)
    }
}

/// Gives a file its name, and removes the files that it replaces, which may have other names.
fn take_name<'p>(
    file: TempFile,
    target: &Path,
    replaced: impl Iterator<Item = &'p PathBuf> + Clone,
) -> Result<(), (PathBuf, io::Error)> {
    let named = match replaced.clone().any(|path| path == target) {
        true => file.persist(target),
        false => file.persist_new(target),
    };
    named.map_err(|e| (target.to_owned(), e))?;
    for path in replaced.filter(|path| *path != target) {
        std::fs::remove_file(path).map_err(|e| (path.clone(), e))?;
    }
    Ok(())
}

fn changed(path: &Path) -> Error {
    Error::new(
        ErrorKind::Exists,
        path.display(),
        "another program changed this file meanwhile",
    )
    .with_help("nothing was replaced; run the command again")
}
