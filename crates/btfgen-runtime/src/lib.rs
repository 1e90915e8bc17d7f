//! Runs on the target host: finds the BTF of the running kernel, and gives libbpf a path to it.
//!
//! A program embeds the archive that `btfgen pack` made, and starts a lookup before it loads its BPF object. If the kernel has
//! its own BTF, libbpf uses it. Otherwise the lookup finds the kernel's entry with os-release(5) and uname(2), and puts its
//! bytes where libbpf can open them, without a file on disk:
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
//! [`Lookup`] documents the order of the steps. The modules, in the order of the data flow: `environment` (whether to read the
//! environment), `host` (distribution and kernel), `ladder` (which BTF), `inspect` (whether the BTF is usable), `btf_file` (a
//! path to the BTF). Each reports [`Step`]s.
//!
//! The only unsafe code is in `auxv`: it asks the C library whether the program has more privileges than its caller.
//!
//! With the feature `libbpf-rs`, `Found::set_custom_path` sets the BTF of an `ObjectBuilder`; with `aya`, `Found::aya_btf`
//! makes the argument for `EbpfLoader::btf`.

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
