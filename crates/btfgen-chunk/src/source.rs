//! Where the bytes of a chunk are: in a file, or in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::{Error, Result};

/// The bytes of a chunk, of which several threads may read parts at once.
#[derive(Debug)]
pub(crate) enum Source {
    File(File),
    Memory(Vec<u8>),
}

impl Source {
    /// The number of bytes.
    pub(crate) fn len(&self) -> Result<u64> {
        match self {
            Self::File(file) => {
                let metadata = file.metadata();
                let metadata =
                    metadata.map_err(|error| Error::io("its length is unknown", error))?;
                Ok(metadata.len())
            }
            Self::Memory(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// This part. The caller has compared its place with the [`len`](Self::len), so memory is bounded by the file.
    pub(crate) fn read(&self, at: u64, len: usize) -> Result<Vec<u8>> {
        let cut_off = || Error::damaged("it is cut off");
        match self {
            Self::File(file) => {
                let mut bytes = vec![0; len];
                match file.read_exact_at(&mut bytes, at) {
                    Ok(()) => Ok(bytes),
                    // Another program has truncated the file in the meantime.
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(cut_off()),
                    Err(error) => Err(Error::io("it cannot be read", error)),
                }
            }
            Self::Memory(bytes) => {
                let start = usize::try_from(at).ok();
                let part = start.and_then(|start| bytes.get(start..)?.get(..len));
                part.map(<[u8]>::to_vec).ok_or_else(cut_off)
            }
        }
    }
}
