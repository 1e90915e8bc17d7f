#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod definitions;
mod error;
mod ingest;
mod kernel;
mod lists;
mod node;
mod sequences;
mod synthesize;
mod tables;

pub use crate::definitions::{Definition, Definitions, Key};
pub use crate::error::{Error, Result};
pub use crate::kernel::{Digest, Kernel, Machine};
pub use crate::lists::List;
pub use crate::node::is_root;
pub use crate::synthesize::Synthesized;
pub use crate::tables::Tables;
