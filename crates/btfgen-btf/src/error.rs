//! The crate's error type.

use std::fmt::Display;

use crate::header::HeaderFault;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes are not BTF.
    NotBtf,
    /// The version of the BTF is not 1, or the length of a type is unknown.
    Unsupported,
    /// The BTF contradicts itself, or is cut off.
    Damaged,
    /// A name or a type is beyond the end: the BTF is damaged, or needs a base, as a module's does.
    Dangling,
    /// The BTF needs a base, as a module's does: its strings do not begin with the empty string.
    Split,
    /// A split BTF was made with another base.
    OtherBase,
    /// A type that the format cannot express.
    Inexpressible,
}

/// An error of this crate. The message does not name the file, because the caller knows it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message }
    }

    pub(crate) fn of_type(kind: ErrorKind, id: u32, message: impl Display) -> Self {
        Self::new(kind, format!("type [{id}] {message}"))
    }

    pub(crate) fn of_module(self, name: &str) -> Self {
        let message = format!("module {name}: {}", self.message);
        Self { message, ..self }
    }

    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl From<HeaderFault> for Error {
    fn from(fault: HeaderFault) -> Self {
        let kind = match fault {
            HeaderFault::Magic(_) => ErrorKind::NotBtf,
            HeaderFault::Version(_) => ErrorKind::Unsupported,
            HeaderFault::Empty | HeaderFault::Short(_) | HeaderFault::Sections(_) => {
                ErrorKind::Damaged
            }
        };
        Self::new(kind, fault.to_string())
    }
}
