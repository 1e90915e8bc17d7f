//! The error type of this crate.

#[cfg(feature = "write")]
use std::io;

/// The kind of an error, for a program to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The name of a kernel, a prefix or a file is invalid.
    InvalidName,
    /// A name is too long for a ustar header.
    NameTooLong,
    /// The same kernel or file was added twice, or two facts have one name.
    Duplicate,
    /// An entry or the whole archive exceeds a limit: see [`ArchiveOptions`](crate::ArchiveOptions).
    TooLarge,
    /// The bytes are not gzip.
    NotGzip,
    /// The archive ends in the middle of something.
    Truncated,
    /// The archive contradicts itself: a checksum, a header or the compressed data is wrong.
    Corrupt,
    /// The archive uses an unsupported feature of gzip or tar.
    Unsupported,
    /// A hard link does not lead to a regular file.
    BrokenLink,
    /// The manifest cannot be parsed.
    InvalidManifest,
    /// The archive has no manifest.
    NoManifest,
    /// A text is not a build id, or the archive's file of build ids cannot be parsed.
    InvalidBuildId,
    /// The archive's file of facts cannot be parsed, or a kernel's answers are not as many as the facts.
    InvalidFacts,
    /// The bytes are not a usable BPF object.
    InvalidObject,
    /// The writer's sink failed.
    Io,
}

/// An error of reading or writing an archive.
///
/// The message names the kernel, entry or offset. The [`source`](std::error::Error::source) is the cause, if there is one.
///
/// ```
/// use btfgen_archive::{Archive, ErrorKind};
///
/// let error = Archive::from_bytes(b"no gzip").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotGzip);
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    #[cfg(feature = "write")]
    pub(crate) fn io(message: impl Into<String>, source: io::Error) -> Self {
        Self {
            kind: ErrorKind::Io,
            message: message.into(),
            source: Some(Box::new(source)),
        }
    }

    pub(crate) fn object(source: btfgen_object::Error) -> Self {
        Self {
            kind: ErrorKind::InvalidObject,
            message: "not a usable BPF object".to_owned(),
            source: Some(Box::new(source)),
        }
    }

    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// The results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
