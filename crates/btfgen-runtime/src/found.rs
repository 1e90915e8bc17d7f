//! What a lookup comes to.

use std::path::{Path, PathBuf};

use btfgen_archive::KernelId;

use crate::btf_file::BtfFile;
use crate::step::Step;

/// Where the BTF comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The kernel has its own, and libbpf finds it by itself.
    Kernel,
    /// A file that the program or the environment named: a BTF, or an ELF file with one.
    File(PathBuf),
    /// The archive's entry of this name.
    Archive(KernelId),
}

/// The BTF for a kernel, and how it was found.
///
/// What [`path`](Self::path) leads to is removed when this is dropped, so keep it until the BPF object is loaded.
#[derive(Debug)]
pub struct Found {
    pub(crate) origin: Origin,
    pub(crate) entry: Option<Entry>,
    pub(crate) steps: Vec<Step>,
}

/// An archive's entry.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) bytes: Vec<u8>,
    pub(crate) file: BtfFile,
}

impl Found {
    /// Where the BTF comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What libbpf's `btf_custom_path` is to be; `None` where the kernel's own BTF will do.
    ///
    /// For an entry of an archive it is `/proc/self/fd/N`, good within this process, or a file in a private folder
    /// where that is impossible.
    pub fn path(&self) -> Option<&Path> {
        match (&self.origin, &self.entry) {
            (Origin::Kernel, _) => None,
            (Origin::File(path), _) => Some(path),
            (Origin::Archive(_), entry) => entry.as_ref().map(|e| e.file.path()),
        }
    }

    /// The BTF, where it is an entry of an archive.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.entry.as_ref().map(|e| &*e.bytes)
    }

    /// The name of the archive's entry, where it is one.
    pub fn kernel(&self) -> Option<&KernelId> {
        match &self.origin {
            Origin::Archive(kernel) => Some(kernel),
            Origin::Kernel | Origin::File(_) => None,
        }
    }

    /// What was tried, in order; the last one was taken.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}
