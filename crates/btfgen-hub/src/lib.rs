//! Creates and maintains a hub: the folder of kernels' BTFs that `btfgen pack` reads.
//!
//! - [`Fetch`] brings published BTFs from git repositories, such as btfhub-archive.
//! - [`Add`] adds the user's own kernels from images, packages, or debug information.
//! - [`Status`] says what a hub contains; [`Verify`] checks its files.

#![forbid(unsafe_code)]

mod add;
mod error;
mod fetch;
mod folder;
mod record;
mod seen;
mod status;
mod verify;

use btfgen::KernelId;

pub use crate::add::{Add, Added, Change};
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::fetch::{
    BTFHUB_ARCHIVE, Collision, Fetch, FetchProgress, Fetched, FetchedRepository, LeftOut, Preview,
    PreviewedRepository, Transfer, Transport, Waiting,
};
pub use crate::status::{KernelCount, RecordedRepository, Status};
pub use crate::verify::{Broken, Fate, Verified, Verify};

/// The endings of kernels' files in a hub. The first is that of btfhub-archive.
const ENDINGS: [&str; 3] = [".btf.tar.xz", ".btf.xz", ".btf"];

/// A kernel's id in JSON.
fn text<S: serde::Serializer>(kernel: &KernelId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(kernel)
}
