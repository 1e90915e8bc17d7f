//! The rules by which btfgen opens, blames, locks and replaces files. Every crate that touches a file follows them, so they
//! are said once, here.
//!
//! - [`open_regular`], [`read_regular`]: only regular files are read, and only up to a limit. A pipe would keep the caller
//!   waiting, and a device may have no end.
//! - [`is_machine_fault`]: an error of the machine (a failing disk, no memory, no descriptors) says nothing about a file.
//! - [`TempFile`], [`TempFolder`], [`remove_stale`], [`rename_new`] (feature `write`): a file takes its name when it is whole. What a killed
//!   process left is removed by the next one that writes to the same folder.
//! - [`HubReader`], [`HubWriter`] (feature `write`): who may read and who may change a hub.

#![forbid(unsafe_code)]

mod fault;
#[cfg(feature = "write")]
mod hub_lock;
mod regular;
#[cfg(feature = "write")]
mod temporary;

pub use crate::fault::{causes, is_machine_fault};
#[cfg(feature = "write")]
pub use crate::hub_lock::{Exclusion, HubReader, HubWriter, LockError, OWN_FOLDER};
pub use crate::regular::{open_regular, read_regular};
#[cfg(feature = "write")]
pub use crate::temporary::{TempFile, TempFolder, remove_stale, rename_new};
