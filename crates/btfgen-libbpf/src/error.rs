//! The crate's error type.

/// What went wrong, without the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes are no BTF that can be read.
    InvalidBtf,
    /// A type that libbpf must not be let loose on: endless nesting, an impossible bitfield, a size beyond
    /// any kernel's.
    UnsafeType,
    /// A CO-RE relocation record that does not fit its object's BTF.
    InvalidRelocation,
    /// The system has no memory for what libbpf wants to keep. It says nothing about the bytes.
    OutOfMemory,
}

/// An error of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    pub(crate) fn unsafe_type(id: impl std::fmt::Display, message: impl std::fmt::Display) -> Self {
        Self::new(ErrorKind::UnsafeType, format!("type [{id}]: {message}"))
    }

    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<btfgen_btf::Error> for Error {
    fn from(error: btfgen_btf::Error) -> Self {
        Self::new(ErrorKind::InvalidBtf, error.to_string())
    }
}
