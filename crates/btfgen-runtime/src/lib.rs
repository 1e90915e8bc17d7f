//! On the target host: which kernel is this, which BTF fits, and a path for libbpf.
//!
//! A program embeds the archive that `btfgen pack` made and asks at its start. Where the kernel has BTF of its own there is
//! nothing to do; else the kernel's entry is found by os-release(5) and uname(2), and its bytes are put where libbpf
//! can open them, without a file on disk:
//!
//! ```no_run
//! use btfgen_runtime::Lookup;
//! # let ARCHIVE: &[u8] = &[];
//! // static ARCHIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/btfs.tar.gz"));
//! let btf = Lookup::new().archive_bytes(ARCHIVE).find()?;
//! for step in btf.steps() {
//!     eprintln!("{step}");
//! }
//! if let Some(path) = btf.path() {
//!     println!("libbpf's btf_custom_path: {}", path.display());
//! }
//! // Keep `btf` until the object is loaded: the path ends with it.
//! # Ok::<(), btfgen_runtime::Error>(())
//! ```
//!
//! [`Lookup`] says in which order what is tried. The way of the data: `environment` (may the caller have a say), `host` (who
//! are we), `ladder` (which BTF), `inspect` (can it be used), `btf_file` (a path for it), all told as [`Step`]s.
//!
//! The only unsafe code is in `auxv`: it asks the C library whether the caller is to be trusted.
//!
//! With the feature `libbpf-rs`, `Found::set_custom_path` prepares an `ObjectBuilder`; with `aya`, `Found::aya_btf`
//! gives what `EbpfLoader::btf` takes.

#![deny(unsafe_code)]

mod auxv;
#[cfg(feature = "aya")]
mod aya;
mod btf_file;
mod distribution;
mod environment;
mod error;
mod found;
mod host;
mod inspect;
mod ladder;
#[cfg(feature = "libbpf-rs")]
mod libbpf_rs;
mod lookup;
mod os_release;
mod step;

pub use btfgen_archive::{Archive, ArchiveOptions, KernelId};

pub use crate::error::{Error, ErrorKind, Result};
pub use crate::found::{Found, Origin};
pub use crate::lookup::Lookup;
pub use crate::os_release::OsRelease;
pub use crate::step::{Rung, Step};

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
