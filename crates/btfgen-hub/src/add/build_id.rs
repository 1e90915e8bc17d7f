//! Records the build ids of kernels that [`Add`](crate::Add) puts into a hub.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use btfgen_archive::{BuildId, KernelId};
use btfgen_files::{TempFile, remove_stale};

use crate::build_id::{beside, of_chunk, read};
use crate::chunk_file::is_chunk;
use crate::error::{Error, ErrorKind, Result};
use crate::folder::{MadeFolders, absolute};

/// The running kernel's own BTF.
const RUNNING_BTF: &str = "/sys/kernel/btf/vmlinux";

/// What `uname -r` prints.
const RUNNING_RELEASE: &str = "/proc/sys/kernel/osrelease";

/// Whether a file is the running kernel's own BTF, and is added under this kernel's release.
pub(super) fn is_of_running_kernel(path: &Path, kernel: &KernelId) -> bool {
    path.canonicalize()
        .is_ok_and(|path| path == Path::new(RUNNING_BTF))
        && std::fs::read_to_string(RUNNING_RELEASE)
            .is_ok_and(|release| release.trim_end() == kernel.release())
}

/// The path of the id of a kernel that is in this file or chunk of a hub.
fn place(there: &Path, kernel: &KernelId) -> Option<PathBuf> {
    if is_chunk(there) {
        return Some(of_chunk(there, kernel.release()));
    }
    beside(there)
}

/// Whether a build id replaces another one of a kernel whose BTF stays the same.
///
/// # Errors
/// [`ErrorKind::Exists`] without `force`, those of reading the id in the hub.
pub(super) fn replaces(
    there: &Path,
    kernel: &KernelId,
    id: Option<BuildId>,
    force: bool,
) -> Result<bool> {
    let (Some(path), Some(id)) = (place(there, kernel).filter(|path| path.exists()), id) else {
        return Ok(false);
    };
    match read(&path) {
        Ok(recorded) if recorded == id => Ok(false),
        Ok(_) | Err(_) if force => Ok(true),
        Ok(recorded) => {
            let message = format!(
                "the hub has another build of this kernel, with the same BTF: its build id is {recorded}, not {id}"
            );
            Err(Error::new(ErrorKind::Exists, kernel, message)
                .with_help("--force replaces it; with --id you can give another name"))
        }
        Err(e) => Err(e),
    }
}

/// Writes the id of a kernel that is in this file or chunk now, in one step. Without an id, the hub's stays.
///
/// # Errors
/// If the file cannot be written.
pub(super) fn record(there: &Path, kernel: &KernelId, id: Option<BuildId>) -> Result<()> {
    let (Some(path), Some(id)) = (place(there, kernel), id) else {
        return Ok(());
    };
    if read(&path).is_ok_and(|recorded| recorded == id) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    // A kernel in a chunk may have no folder.
    let _made = MadeFolders::make(&absolute(folder)?)?;
    remove_stale(folder);
    let write = || -> io::Result<()> {
        let mut file = TempFile::create_in(folder)?;
        file.as_file_mut().write_all(format!("{id}\n").as_bytes())?;
        file.sync()?;
        file.persist(&path)
    };
    write().map_err(|e| Error::io(&path, "cannot be written", e))
}
