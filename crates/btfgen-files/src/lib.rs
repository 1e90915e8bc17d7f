//! The rules by which btfgen opens and replaces files, and classifies errors. Every crate that touches a file uses them.
//!
//! - [`open_regular`], [`read_regular`]: only regular files are read, and only up to a limit. A pipe would block the caller, and
//!   a device may have no end.
//! - [`is_machine_fault`]: after a failure of the machine (a failing disk, no memory, no descriptors) a file may be sound.
//! - [`TempFile`], [`TempFolder`], [`remove_stale`], [`rename_new`] (feature `write`): a file gets its name when it is complete.
//!   The next process that writes to a folder removes the temporary files that a killed process left there.

#![forbid(unsafe_code)]

mod fault;
mod regular;
#[cfg(feature = "write")]
mod temporary;

pub use crate::fault::{causes, is_machine_fault};
pub use crate::regular::{open_regular, read_regular};
#[cfg(feature = "write")]
pub use crate::temporary::{TempFile, TempFolder, remove_stale, rename_new};
