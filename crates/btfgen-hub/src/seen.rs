//! Whether a file is still the one that was looked at. Only btfgen's commands keep to a hub's lock, so it is looked at again
//! before it is replaced or deleted.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What is at a path, links not followed; `None` for nothing.
///
/// # Errors
/// Where that cannot be known.
pub(crate) fn look(path: &Path) -> io::Result<Option<Metadata>> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(e) if is_missing(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether a path leads to nothing.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Whether both are one file, which nobody has written to in between.
pub(crate) fn is_same(one: &Metadata, other: &Metadata) -> bool {
    let of = |m: &Metadata| (m.dev(), m.ino(), m.len(), m.mtime(), m.mtime_nsec());
    of(one) == of(other)
}

/// Whether a path still has what it had: this file, or nothing.
pub(crate) fn is_as_seen(path: &Path, seen: Option<&Metadata>) -> io::Result<bool> {
    Ok(match (seen, look(path)?) {
        (None, None) => true,
        (Some(seen), Some(now)) => is_same(seen, &now),
        _ => false,
    })
}
