//! Reads the contents of files from a repository.

use btfgen_hub::{Error, ErrorKind, Result};
use git2::{Oid, Repository};

use crate::session::Session;

/// The largest file to read from a repository, in bytes.
const MAX_FILE_BYTES: usize = 512 << 20;

/// Receives a content. `None` means that the file is larger than [`MAX_FILE_BYTES`].
pub(crate) type Take<'t> = dyn FnMut(Oid, Option<&[u8]>) -> Result<()> + 't;

/// Passes blobs of a repository to `take`.
pub(crate) fn read(
    repository: &Repository,
    wanted: &[Oid],
    address: &str,
    session: &Session<'_>,
    take: &mut Take<'_>,
) -> Result<()> {
    let unreadable = |e: git2::Error| {
        Error::new(
            ErrorKind::Repository,
            address,
            "does not have all files of its list",
        )
        .with_source(e.message())
        .with_help("it may have just changed, or is incomplete: run the command again, or name another repository")
    };
    let odb = repository.odb().map_err(unreadable)?;
    for &blob in wanted {
        session.check()?;
        let (size, _) = odb.read_header(blob).map_err(unreadable)?;
        if size > MAX_FILE_BYTES {
            take(blob, None)?;
        } else {
            take(blob, Some(odb.read(blob).map_err(unreadable)?.data()))?;
        }
        session.advance(1, size as u64);
    }
    Ok(())
}
