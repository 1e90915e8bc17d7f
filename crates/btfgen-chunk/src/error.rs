//! The crate's error type.

use std::io;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes are not a chunk.
    NotChunk,
    /// The chunk has a version that this crate does not know.
    Version,
    /// The chunk is cut off, a checksum is wrong, or it contradicts itself.
    Damaged,
    /// A BTF is larger than the caller allows, or a chunk has no room for it.
    TooLarge,
    /// A kernel of that release was added before.
    DuplicateRelease,
    /// The release is not one component of a path, as a kernel's release is.
    InvalidRelease,
    /// The file could not be read, or there is no memory: a failure of the machine, not of the chunk.
    Io,
}

/// An error of this crate. The message does not name the file, because the caller knows it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<io::Error>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn damaged(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged, message)
    }

    pub(crate) fn io(message: impl Into<String>, source: io::Error) -> Self {
        Self {
            kind: ErrorKind::Io,
            message: message.into(),
            source: Some(source),
        }
    }

    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}
