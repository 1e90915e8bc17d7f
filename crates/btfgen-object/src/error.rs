//! The crate's error type.

/// The kind of an error, for a program to act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes are not an ELF file.
    NotElf,
    /// The bytes are LLVM bitcode, which `clang -flto` writes.
    Bitcode,
    /// The ELF file is for another machine.
    NotBpf,
    /// The object was compiled without BTF.
    NoBtf,
    /// The object contradicts itself, or uses something that this crate does not know.
    Damaged,
    /// The types are nested more deeply, or expand to more, than those of any program: see [`Walk`](crate::Walk).
    TooLarge,
}

/// The reason why the bytes are not a usable BPF object.
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

    pub(crate) fn damaged(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged, message)
    }

    /// An error in the content of a `.BTF` section.
    pub(crate) fn btf(error: btfgen_btf::Error) -> Self {
        Self::damaged(format!(".BTF: {error}"))
    }

    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
