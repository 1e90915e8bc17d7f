//! Tells which file a path leads to, and whether it is still the same. Only btfgen's commands respect a hub's lock, so a
//! command checks a file again before it replaces or deletes it.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The system's identity of a file: its device and its inode.
pub type FileId = (u64, u64);

/// The identity of a file.
pub fn file_id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

/// The metadata of a path, without following links; `None` if nothing exists there.
///
/// # Errors
/// If the metadata cannot be read.
pub fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(e) if is_missing(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether the error says that the path does not exist.
pub fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Whether both are the same file, and nobody wrote to it in between.
pub fn is_same(one: &Metadata, other: &Metadata) -> bool {
    let of = |m: &Metadata| (file_id(m), m.len(), m.mtime(), m.mtime_nsec());
    of(one) == of(other)
}

/// Whether a path is unchanged: it still has this file, or still does not exist.
pub fn is_as_seen(path: &Path, seen: Option<&Metadata>) -> io::Result<bool> {
    Ok(match (seen, look(path)?) {
        (None, None) => true,
        (Some(seen), Some(now)) => is_same(seen, &now),
        _ => false,
    })
}
