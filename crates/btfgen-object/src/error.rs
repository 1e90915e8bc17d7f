//! The crate's one error type.

/// What went wrong, for a program to act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The bytes are no ELF file.
    NotElf,
    /// The bytes are LLVM bitcode, which `clang -flto` writes.
    Bitcode,
    /// The ELF file is for another machine.
    NotBpf,
    /// The object was compiled without BTF.
    NoBtf,
    /// The object contradicts itself, or uses what is not known here.
    Damaged,
    /// The types are nested deeper, or expand to more, than those of any program: see [`Walk`](crate::Walk).
    TooLarge,
}

/// Why the bytes are not a usable BPF object.
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

    /// For the content of a `.BTF` section.
    pub(crate) fn btf(error: btfgen_btf::Error) -> Self {
        Self::damaged(format!(".BTF: {error}"))
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;
