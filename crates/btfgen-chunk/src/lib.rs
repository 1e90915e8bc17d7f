//! The chunk of a compact hub: the full BTFs of all kernels of one distribution, version and architecture in one small file.
//!
//! [`Encoder`] writes a chunk, and [`Chunk`] reads one kernel of it, byte for byte as it was added.
//!
//! ```
//! use btfgen_chunk::{Chunk, Digest, Encoder};
//!
//! let mut encoder = Encoder::new();
//! encoder.add("5.4.0-42-generic", b"another BTF")?;
//! encoder.add("5.4.0-26-generic", b"a BTF")?;
//! let bytes = encoder.finish()?;
//!
//! let chunk = Chunk::from_bytes(bytes)?;
//! let entry = &chunk.entries()[0];
//! assert_eq!(entry.release, "5.4.0-26-generic");
//! assert_eq!(entry.digest, Digest::of(b"a BTF"));
//! assert_eq!(chunk.read(0, 64 << 20)?, b"a BTF");
//! # Ok::<(), btfgen_chunk::Error>(())
//! ```

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
