//! The crate's error type.

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes are not BTF, or cannot be read.
    InvalidBtf,
    /// libbpf cannot safely walk a type: endless nesting, an impossible bitfield, or a size beyond any kernel's.
    UnsafeType,
    /// A CO-RE relocation record does not fit its object's BTF.
    InvalidRelocation,
    /// The system has no memory for libbpf's data. The error says nothing about the bytes.
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
