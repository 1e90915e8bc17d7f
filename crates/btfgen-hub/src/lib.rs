//! Creates and maintains a hub: the folder of kernels' BTFs that `btfgen pack` reads.
//!
//! - [`Add`] adds the user's own kernels from images, packages, or debug information.
//! - [`Status`] says what a hub contains; [`Verify`] checks its files.

#![forbid(unsafe_code)]

mod add;
mod error;
mod folder;
pub mod record;
pub mod seen;
mod status;
mod verify;

use btfgen::KernelId;

pub use crate::add::{Add, Added, Change};
pub use crate::error::{Error, ErrorKind, ROOM_HELP, Result};
pub use crate::folder::{LockedHub, OWN_FOLDER, STAGING, Waiting, hub_folder};
pub use crate::status::{KernelCount, RecordedRepository, Status};
pub use crate::verify::{Broken, Fate, Verified, Verify};

/// The endings of kernels' files in a hub. The first is that of btfhub-archive.
pub const ENDINGS: [&str; 3] = [".btf.tar.xz", ".btf.xz", ".btf"];

/// A kernel's id in JSON.
fn text<S: serde::Serializer>(kernel: &KernelId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(kernel)
}
