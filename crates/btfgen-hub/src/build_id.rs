//! The build ids of a hub's kernels: beside the kernel's file `RELEASE.btf.tar.xz` is `RELEASE.build-id`, a line with the id in
//! lower case hexadecimal digits. A kernel in the chunk `ARCH.btfs` has it in the folder `ARCH`.
//!
//! [`Add`](crate::Add) writes the file. An id must never be beside another kernel's BTF, so whatever replaces or deletes a BTF first
//! removes the id, and a new id comes after the new BTF. After a crash in between, the BTF has no id, which is always right.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use btfgen_archive::BuildId;
use btfgen_files::read_regular;

use crate::error::{Error, ErrorKind, Result};
use crate::hub_kernel::HubKernel;
use crate::kernel_file::{ENDINGS, without_ending};
use crate::seen::{is_missing, look};

/// The ending of a file with a build id.
pub(crate) const ENDING: &str = ".build-id";

/// The largest file: forty digits and a line feed, of any system.
const MAX_BYTES: u64 = 64;

/// Whether a file has the name of one with a build id.
pub(crate) fn has_ending(path: &Path) -> bool {
    let name = path.as_os_str().as_encoded_bytes();
    name.ends_with(ENDING.as_bytes())
}

/// The path of the build id of the kernel with this file. `None` if the file has no kernel's name.
pub(crate) fn beside(kernel: &Path) -> Option<PathBuf> {
    let stem = without_ending(kernel.to_str()?)?;
    Some(format!("{stem}{ENDING}").into())
}

/// The path of the build id of a kernel in the chunk of this path.
pub(crate) fn of_chunk(chunk: &Path, release: &str) -> PathBuf {
    chunk.with_extension("").join(format!("{release}{ENDING}"))
}

/// Reads a file with a build id.
///
/// # Errors
/// [`ErrorKind::InvalidKernel`] if it has another content; [`ErrorKind::Io`], [`ErrorKind::Machine`].
pub(crate) fn read(path: &Path) -> Result<BuildId> {
    let invalid = || {
        Error::new(
            ErrorKind::InvalidKernel,
            path.display(),
            "is not a build id",
        )
        .with_help("remove the file, and add the kernel again to record its id")
    };
    let bytes = read_regular(path, MAX_BYTES).map_err(|e| match e.kind() {
        io::ErrorKind::FileTooLarge => invalid(),
        _ => Error::io(path, "cannot be read", e),
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| invalid())?;
    let id: BuildId = text.trim_ascii_end().parse().map_err(|_| invalid())?;
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(invalid());
    }
    Ok(id)
}

/// Removes the build id of a kernel, if there is one, before the kernel's file in a hub is replaced or deleted.
///
/// # Errors
/// If the file is there and cannot be removed.
pub fn forget_build_id(kernel_file: &Path) -> io::Result<()> {
    match beside(kernel_file) {
        Some(path) => remove(&path),
        None => Ok(()),
    }
}

/// Removes the build ids of a chunk's kernels whose BTF another chunk replaces: `is_same` says which BTFs stay. Those of kernels with
/// a file of their own stay.
///
/// # Errors
/// If a file cannot be removed, or the hub cannot be read.
pub fn forget_build_ids_of_chunk(chunk: &Path, is_same: impl Fn(&str) -> bool) -> io::Result<()> {
    let folder = chunk.with_extension("");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if is_missing(&e) => return Ok(()),
        Err(e) => return Err(e),
    };
    for entry in entries {
        let path = entry?.path();
        let release = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(ENDING));
        let Some(release) = release.filter(|release| !is_same(release)) else {
            continue;
        };
        let mut has_file = false;
        for ending in ENDINGS {
            has_file |= look(&folder.join(format!("{release}{ending}")))?.is_some();
        }
        if !has_file {
            remove(&path)?;
        }
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if !is_missing(&e) => Err(e),
        _ => Ok(()),
    }
}

/// The files with build ids that a listing of a hub found.
#[derive(Debug, Default)]
pub(crate) struct BuildIdFiles(BTreeSet<PathBuf>);

impl BuildIdFiles {
    pub(crate) fn insert(&mut self, path: PathBuf) {
        self.0.insert(path);
    }

    /// Tells the kernels which of them have an id, and keeps only the files that belong to none of them.
    pub(crate) fn assign(&mut self, kernels: &mut [HubKernel]) {
        if self.0.is_empty() {
            return;
        }
        for kernel in kernels {
            kernel.has_build_id = of_kernel(kernel).is_some_and(|path| self.0.remove(&path));
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(PathBuf::as_path)
    }
}

/// The errors of all files with build ids in a hub, for [`Verify`](crate::Verify).
///
/// # Errors
/// [`ErrorKind::Machine`].
#[cfg(feature = "write")]
pub(crate) fn check_all(hub: &crate::Hub) -> Result<Vec<Error>> {
    let mut errors: Vec<Error> = hub.orphan_build_ids().map(orphan).collect();
    for kernel in hub {
        match kernel.build_id() {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::Machine => return Err(e),
            Err(e) => errors.push(e),
        }
    }
    Ok(errors)
}

#[cfg(feature = "write")]
fn orphan(path: &Path) -> Error {
    let message = "is the build id of a kernel that the hub does not have";
    Error::new(ErrorKind::InvalidName, path.display(), message)
        .with_help("remove the file, because another build that gets this name would have this id")
}

/// The path of a kernel's build id.
fn of_kernel(kernel: &HubKernel) -> Option<PathBuf> {
    match kernel.chunk() {
        None => beside(kernel.path()),
        Some(chunk) => Some(of_chunk(chunk.path(), kernel.id().release())),
    }
}

impl HubKernel {
    /// The kernel's build id; `None` if the hub does not have it. The file is read at each call.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidKernel`] if the file has another content, [`ErrorKind::Io`], [`ErrorKind::Machine`].
    pub fn build_id(&self) -> Result<Option<BuildId>> {
        let path = self.has_build_id.then(|| of_kernel(self)).flatten();
        let read = path.map(|path| read(&path)).transpose();
        read.map_err(|e| e.with_kernel(self.id()))
    }

    /// Whether the hub has a build id of the kernel, without reading it.
    pub fn has_build_id(&self) -> bool {
        self.has_build_id
    }
}
