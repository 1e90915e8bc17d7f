#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod compact;
mod compare;
mod definitions;
mod error;
mod files;
mod functions;
mod image;
mod ingest;
mod kernel;
mod lists;
mod node;
mod sequences;
mod stored;
mod synthesize;
mod tables;
#[cfg(feature = "testing")]
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;

pub use crate::compare::Difference;
pub use crate::definitions::{Candidate, Definition, Definitions, Key};
pub use crate::error::{Error, Result};
pub use crate::files::{Files, Stamp};
pub use crate::functions::Function;
pub use crate::kernel::{Digest, Kernel, Machine};
pub use crate::lists::List;
pub use crate::node::is_root;
pub use crate::stored::{Stored, stored_bytes};
pub use crate::synthesize::Synthesized;
pub use crate::tables::Tables;
