//! The result of a lookup.

use std::path::{Path, PathBuf};

use btfgen_archive::KernelId;

use crate::btf_file::BtfFile;
use crate::step::Step;

/// The origin of the BTF.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The kernel has its own BTF, which libbpf finds by itself.
    Kernel,
    /// A file that the program or the environment named: BTF, or an ELF file with BTF.
    File(PathBuf),
    /// The archive's entry with this name.
    Archive(KernelId),
}

/// The BTF for a kernel, and how it was found.
///
/// Keep this value until the BPF object is loaded: `drop` removes the file of [`path`](Self::path).
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
    /// The origin of the BTF.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The value for libbpf's `btf_custom_path`; `None` for the kernel's own BTF.
    ///
    /// For an archive's entry it is `/proc/self/fd/N`, which is valid only in this process, or else a file in a private folder.
    pub fn path(&self) -> Option<&Path> {
        match (&self.origin, &self.entry) {
            (Origin::Kernel, _) => None,
            (Origin::File(path), _) => Some(path),
            (Origin::Archive(_), entry) => entry.as_ref().map(|e| e.file.path()),
        }
    }

    /// The BTF, if it is an archive's entry.
    pub fn bytes(&self) -> Option<&[u8]> {
        self.entry.as_ref().map(|e| &*e.bytes)
    }

    /// The name of the archive's entry, if the BTF is from an archive.
    pub fn kernel(&self) -> Option<&KernelId> {
        match &self.origin {
            Origin::Archive(kernel) => Some(kernel),
            Origin::Kernel | Origin::File(_) => None,
        }
    }

    /// The steps that were tried, in order. The last step found the BTF.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}
