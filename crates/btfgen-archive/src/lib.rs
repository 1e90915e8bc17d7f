#![cfg_attr(feature = "write", doc = include_str!("../README.md"))]
// The README's example writes an archive.
#![cfg_attr(
    not(feature = "write"),
    doc = "The reading half of the archive of BTFs: see [`Archive`]."
)]
#![forbid(unsafe_code)]

mod architecture;
mod build_id;
mod build_ids;
#[cfg(feature = "write")]
mod deflate;
mod error;
mod facts;
mod gzip;
mod index;
mod inflate;
mod kernel;
mod manifest;
#[cfg(feature = "write")]
mod order;
mod read;
mod scan;
mod ustar;
#[cfg(feature = "write")]
mod write;

pub use architecture::{ARCHITECTURES, Architecture};
pub use build_id::BuildId;
pub use build_ids::BuildIds;
pub use error::{Error, ErrorKind, Result};
pub use facts::ArchiveFacts;
pub use kernel::KernelId;
pub use manifest::Manifest;
pub use read::{Archive, ArchiveEntry, ArchiveOptions};
#[cfg(feature = "write")]
pub use write::{Builder, Summary};
