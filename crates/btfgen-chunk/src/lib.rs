#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod choices;
mod chunk;
mod columns;
mod digest;
mod encoder;
mod error;
mod express;
mod index;
mod numbering;
mod own_parts;
mod part;
mod raw;
mod restore;
mod shape;
mod source;
mod store;
mod stream;
mod tables;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
mod varint;

/// The ending of a chunk's name in a hub: `ID/VERSION/ARCH.btfs`.
pub const ENDING: &str = ".btfs";

pub use crate::chunk::Chunk;
pub use crate::digest::Digest;
pub use crate::encoder::Encoder;
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::index::Entry;
