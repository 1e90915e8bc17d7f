//! The crate's error type.

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The reason why a store cannot be used or extended. A caller who can make a new store does so without a word.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is not a store of this version and of this machine's byte order.
    #[error("not a type store of this version")]
    Version,
    /// The file contradicts itself, or is cut off; the text says where.
    #[error("the type store is damaged: {0}")]
    Damaged(&'static str),
    /// The definitions do not fit into 32-bit numbers.
    #[error("there are too many definitions for one type store")]
    Full,
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
