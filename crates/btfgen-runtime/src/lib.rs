//! Runs on the target host: finds the BTF of the running kernel, and gives a loader its path or its bytes.
//!
//! A program embeds the archive that `btfgen pack` made, and starts a lookup before it loads its BPF object. If the kernel has
//! its own BTF, the loader uses it. Otherwise the lookup finds the kernel's entry with os-release(5) and uname(2).
//! [`Found::bytes`] has its bytes. [`Found::path`] puts them where libbpf can open them, without a file on disk:
//!
//! ```no_run
//! use btfgen_runtime::Lookup;
//! # let ARCHIVE: &[u8] = &[];
//! // static ARCHIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/btfs.tar.gz"));
//! let btf = Lookup::new().archive_bytes(ARCHIVE).find()?;
//! for step in btf.steps() {
//!     eprintln!("{step}");
//! }
//! if let Some(path) = btf.path()? {
//!     println!("libbpf's btf_custom_path: {}", path.display());
//! }
//! // Keep `btf` until the object is loaded: the path ends with it.
//! # Ok::<(), btfgen_runtime::Error>(())
//! ```
//!
//! [`Lookup`] documents the order of the steps. The modules, in the order of the data flow: `environment` (whether to read the
//! environment), `ladder` (which BTF), `own` (the kernel's own), `source` and `inspect` (whether a file is BTF), `features` and
//! `loader` (whether the loader can read it), `host` (distribution and kernel), `build_id` (which build of it), `found` and `btf_file` (bytes and path), `unloadable` (which
//! programs cannot be loaded), `facts` (what the kernel answers to the archive's facts).
//!
//! The only unsafe code is in `auxv`: it asks the C library whether the program has more privileges than its caller.
//!
//! # With libbpf-rs
//! `ObjectBuilder` has `btf_custom_path` since libbpf-rs 0.26; the README has a way for older versions. For a skeleton, the
//! builder is `SkelBuilder::object_builder_mut`.
//!
//! ```no_run
//! use btfgen_runtime::{Loader, Lookup};
//! use libbpf_rs::ObjectBuilder;
//! # let (ARCHIVE, OBJECT): (&[u8], &[u8]) = (&[], &[]);
//!
//! let loader = Loader::libbpf(1, 7); // as in libbpf-sys 1.7
//! let btf = Lookup::new().archive_bytes(ARCHIVE).loader(loader).find()?;
//! let mut builder = ObjectBuilder::default();
//! if let Some(path) = btf.path()? {
//!     builder.btf_custom_path(path)?;
//! }
//! let object = builder.open_memory(OBJECT)?.load()?;
//! drop(btf);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # With aya
//! `Btf::parse` takes the bytes, also of the kernel's own BTF.
//!
//! ```no_run
//! use aya::{Btf, EbpfLoader, Endianness};
//! use btfgen_runtime::{Loader, Lookup};
//! # let (ARCHIVE, OBJECT): (&[u8], &[u8]) = (&[], &[]);
//!
//! let loader = Loader::aya(0, 14);
//! let found = Lookup::new().archive_bytes(ARCHIVE).loader(loader).find()?;
//! let btf = Btf::parse(&found.bytes()?, Endianness::default())?;
//! let ebpf = EbpfLoader::new().btf(Some(&btf)).load(OBJECT)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]

mod archive;
mod auxv;
mod btf_file;
mod build_id;
mod distribution;
mod elf;
mod environment;
mod error;
mod facts;
mod features;
#[cfg(test)]
mod forge;
mod found;
mod host;
mod host_facts;
mod inspect;
mod ladder;
mod loader;
mod lookup;
mod machine;
mod os_release;
mod own;
mod source;
mod step;
mod unloadable;

pub use btfgen_archive::{Archive, ArchiveOptions, BuildId, KernelId};
pub use btfgen_facts::{Answer, Answered, Fact, Missing, Number};

pub use crate::build_id::running_build_id;
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::found::{Found, Origin};
pub use crate::loader::{Loader, ParseLoaderError};
pub use crate::lookup::Lookup;
pub use crate::os_release::OsRelease;
pub use crate::step::{Rung, Step};
pub use crate::unloadable::Unloadable;

/// The README's example compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
