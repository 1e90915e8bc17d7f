//! Opens the archive of a lookup.

use std::path::Path;

use btfgen_archive::Archive;

use crate::error::{Error, ErrorKind, Result};
use crate::host;
use crate::lookup::ArchiveSource;
use crate::step::{Rung, Steps};

/// The largest archive file to read. An archive of thousands of kernels has a few megabytes.
const MAX_ARCHIVE_BYTES: u64 = 1 << 30;

/// Opens an archive. The content of a file goes to `from_file`.
pub(crate) fn open_archive<'a>(
    source: &'a ArchiveSource<'_>,
    from_file: &'a mut Vec<u8>,
    steps: &mut Steps,
) -> Result<Archive<'a>> {
    let bytes = match source {
        ArchiveSource::Bytes(bytes) => bytes,
        ArchiveSource::File(path) => {
            *from_file = read_archive(path, steps)?;
            from_file.as_slice()
        }
    };
    Archive::from_bytes(bytes).map_err(|e| damaged(e, steps))
}

fn read_archive(path: &Path, steps: &mut Steps) -> Result<Vec<u8>> {
    btfgen_files::read_regular(path, MAX_ARCHIVE_BYTES).map_err(|e| {
        steps.passed(Rung::Exact, path.display(), host::describe_error(&e));
        let message = format!("{}: the archive cannot be read", path.display());
        Error::new(ErrorKind::Archive, message).with_source(e)
    })
}

pub(crate) fn damaged(error: btfgen_archive::Error, steps: &mut Steps) -> Error {
    steps.passed(Rung::Exact, "archive", &error);
    Error::new(ErrorKind::Archive, "the archive of BTFs cannot be read").with_source(error)
}
