#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod arch;
mod banner;
mod boot;
mod btf;
mod budget;
mod build_id;
mod compression;
mod content;
mod dwarf_modules;
mod elf;
mod error;
mod folder;
mod form;
mod layer;
mod lz4;
mod modules;
mod package;
mod pahole;
mod place;
mod reader;
mod scan;
mod search;
mod vmlinux;

pub use btfgen_archive::BuildId;

pub use crate::budget::{DEFAULT_MAX_BTF_BYTES, DEFAULT_MAX_UNPACKED_BYTES};
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::modules::{Contents, ModuleBtf};
pub use crate::reader::Reader;
pub use crate::vmlinux::Vmlinux;
