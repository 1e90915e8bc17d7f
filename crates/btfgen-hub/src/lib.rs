//! A hub: the folder of kernels' BTFs that `btfgen pack` reads, in btfhub-archive's layout.
//!
//! - [`Hub`] lists the kernels; [`KernelFilter`] selects some; [`HubKernel`] and [`read_kernel_file`] read them.
//! - [`LockedHub`] is the lock of a process that changes a hub. A [`Hub`] has the lock of its readers.
//! - With the feature `write`: the record of what was fetched, `Status` says what a hub contains, `Verify` checks its
//!   files, `Compact` puts kernels into chunks, and `Expand` makes files of them again.
//! - With the feature `add`: `Add` adds the user's own kernels from images, packages, or debug information.

#![forbid(unsafe_code)]

#[cfg(feature = "add")]
mod add;
mod arch;
mod build_id;
mod chunk_file;
#[cfg(feature = "write")]
mod compact;
mod default_hub;
mod error;
#[cfg(feature = "write")]
mod expand;
mod folder;
mod hub;
mod hub_kernel;
mod index;
mod kernel_file;
mod kernel_filter;
mod kernel_source;
mod listing;
mod lock;
mod modules;
mod progress;
#[cfg(feature = "write")]
pub mod record;
pub mod seen;
#[cfg(feature = "write")]
mod status;
#[cfg(feature = "write")]
mod tar_xz;
mod threads;
mod type_store;
#[cfg(feature = "write")]
mod verify;

pub use btfgen_chunk::{Digest, ENDING as CHUNK_ENDING, Entry as ChunkEntry};

#[cfg(feature = "add")]
pub use crate::add::{Add, Added, AddedModules, Change, ModulesChange};
pub use crate::arch::{arch_fits, hub_arch, hub_id, other_ids};
pub use crate::build_id::{forget_build_id, forget_build_ids_of_chunk};
pub use crate::chunk_file::{ChunkFile, ChunkPlace, is_chunk};
#[cfg(feature = "write")]
pub use crate::compact::{ChunkChange, Compact, Compacted, CompactedChunk};
pub use crate::default_hub::{HUB_VARIABLES, default_hub};
pub use crate::error::{Error, ErrorKind, ROOM_HELP, Result};
#[cfg(feature = "write")]
pub use crate::expand::{Expand, Expanded, ExpandedChunk};
pub use crate::folder::hub_folder;
pub use crate::hub::{Hub, refuse_parent_of_hub};
pub use crate::hub_kernel::HubKernel;
pub use crate::index::{Index, Indexed};
pub use crate::kernel_file::{
    DEFAULT_MAX_BTF_BYTES, ENDINGS, has_ending, load_kernel, parse_kernel, without_ending,
};
pub use crate::kernel_filter::{Codenames, KernelFilter, nearest};
pub use crate::kernel_source::{kernel_source, read_kernel_file};
pub use crate::lock::{Exclusion, LockedHub, OWN_FOLDER, Waiting};
#[cfg(feature = "write")]
pub use crate::modules::write_modules;
pub use crate::modules::{MODULES_ENDING, Module, is_modules_file, join_modules, modules_beside};
pub use crate::progress::Progress;
#[cfg(feature = "write")]
pub use crate::status::{
    ChunkCount, KernelCount, ModulesCount, RecordedRepository, Status, StoreStatus,
};
pub use crate::threads::in_pool;
pub use crate::type_store::{Ingested, TypeStore};
#[cfg(feature = "write")]
pub use crate::verify::{Broken, Fate, Verified, Verify};
