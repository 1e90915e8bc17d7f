//! Reads a kernel by a path: its file, or the chunk that a hub has instead.

use std::path::{Path, PathBuf};

use btfgen_archive::KernelId;

use crate::chunk_file::{ChunkFile, ChunkPlace};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel_file::{read, without_ending};
use crate::seen::is_missing;

/// Reads a BTF from a file of any form that a hub may contain. The name gives the form: `.btf.tar.xz`, `.btf.xz`, else
/// plain.
///
/// If there is no such file, but the hub has a chunk with the kernel instead, `ID/VERSION/ARCH.btfs`, the BTF comes from there.
///
/// # Errors
/// Those of [`HubKernel::read`](crate::HubKernel::read).
pub fn read_kernel_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let source = kernel_source(path);
    if source == path {
        return Ok(read(path, max_bytes)?.btf);
    }
    let missing = || {
        let message = "is no file, and its chunk does not have this kernel";
        Error::new(ErrorKind::Io, path.display(), message)
    };
    let (place, release) = in_chunk(path).ok_or_else(missing)?;
    let chunk = ChunkFile::open(&source, place)?;
    chunk.read(chunk.find(&release).ok_or_else(missing)?, max_bytes)
}

/// The file that [`read_kernel_file`] reads for a path: the path, or the chunk that a hub has instead.
pub fn kernel_source(path: &Path) -> PathBuf {
    let chunk = path.parent().map(|folder| {
        let mut chunk = folder.as_os_str().to_owned();
        chunk.push(btfgen_chunk::ENDING);
        PathBuf::from(chunk)
    });
    let is_missing = path.symlink_metadata().is_err_and(|e| is_missing(&e));
    match chunk {
        Some(chunk) if is_missing && chunk.is_file() && in_chunk(path).is_some() => chunk,
        _ => path.to_owned(),
    }
}

/// The place of the chunk that may have the kernel of this path, and the kernel's release.
fn in_chunk(path: &Path) -> Option<(ChunkPlace, String)> {
    let path = std::path::absolute(path).ok()?;
    let path = path.to_str()?;
    let stem = without_ending(path).unwrap_or(path);
    let (start, _) = stem.rmatch_indices('/').nth(3)?;
    let id: KernelId = stem[start + 1..].parse().ok()?;
    Some((ChunkPlace::of(&id), id.release().to_owned()))
}
