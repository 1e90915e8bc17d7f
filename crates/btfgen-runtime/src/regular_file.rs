//! Opening what somebody named, whatever it is: a pipe would keep the caller waiting, and a device may do something.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file and nothing else, to be read.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    // Opening a device may already do something to it.
    require_regular(&fs::metadata(path)?)?;
    // Should it have become a pipe since, this does not wait for a writer.
    let no_wait = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(no_wait.bits().cast_signed())
        .open(path)?;
    require_regular(&file.metadata()?)?;
    Ok(file)
}

fn require_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        Ok(())
    } else {
        let message = "not a regular file";
        Err(io::Error::new(io::ErrorKind::InvalidData, message))
    }
}
