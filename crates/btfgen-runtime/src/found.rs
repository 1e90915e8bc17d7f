//! The result of a lookup.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use btfgen_archive::KernelId;

use crate::btf_file::BtfFile;
use crate::environment::Environment;
use crate::error::{Error, ErrorKind, Result};
use crate::host_facts::HostFacts;
use crate::loader::Loader;
use crate::source::Source;
use crate::step::Step;

/// The origin of the BTF.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The kernel has its own BTF, which loaders find by themselves.
    Kernel,
    /// A file that the program or the environment named, or a vmlinux on disk: BTF, or an ELF file with BTF.
    File(PathBuf),
    /// The archive's entry with this name.
    Archive(KernelId),
}

/// The BTF for a kernel, and how it was found.
///
/// A loader that takes a path gets [`path`](Self::path); a loader that takes bytes gets [`bytes`](Self::bytes).
/// Keep this value until the BPF object is loaded: `drop` removes the file of [`path`](Self::path).
#[derive(Debug)]
pub struct Found {
    pub(crate) origin: Origin,
    pub(crate) content: Content,
    pub(crate) steps: Vec<Step>,
    pub(crate) kernel_btf: KernelBtf,
    /// `None` if the lookup was not asked for them.
    pub(crate) facts: Option<HostFacts>,
}

/// Whether the kernel's own BTF may be used, as the lookup decided.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KernelBtf {
    /// It may, if this loader can read it.
    IfReadable(Option<Loader>),
    /// The lookup is for another host, or the program or its environment forbids it.
    Forbidden,
}

/// Where the bytes are.
#[derive(Debug)]
pub(crate) enum Content {
    /// In this file.
    File(PathBuf),
    /// In memory.
    Entry(Entry),
}

/// An archive's entry.
#[derive(Debug)]
pub(crate) struct Entry {
    bytes: Vec<u8>,
    /// Decides in which folders a file may be made.
    environment: Environment,
    /// Made for the first call of [`Found::path`].
    file: OnceLock<BtfFile>,
}

impl Entry {
    pub(crate) fn new(bytes: Vec<u8>, environment: Environment) -> Self {
        let file = OnceLock::new();
        Self {
            bytes,
            environment,
            file,
        }
    }

    fn path(&self) -> Result<&Path> {
        if self.file.get().is_none() {
            let file = BtfFile::new(&self.bytes, self.environment).map_err(|e| {
                let message = "there is no place to put the BTF where libbpf can open it";
                Error::new(ErrorKind::NoPlace, message).with_source(e)
            })?;
            // If another thread was faster, its file counts, and this one is removed.
            let _ = self.file.set(file);
        }
        let file = self.file.get();
        Ok(file.map_or(Path::new(""), BtfFile::path))
    }
}

impl Found {
    /// The origin of the BTF.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The value for libbpf's `btf_custom_path`; `None` for the kernel's own BTF, which libbpf finds by itself.
    ///
    /// For an archive's entry, the first call makes the file: `/proc/self/fd/N`, which is valid only in this process, or else
    /// a file in a private folder. It exists until this value is dropped. For a file, the value is its own path; the file may
    /// be ELF.
    ///
    /// # Errors
    /// [`ErrorKind::NoPlace`] if there is neither a memfd nor a folder for the file.
    pub fn path(&self) -> Result<Option<&Path>> {
        match &self.content {
            Content::File(_) if self.origin == Origin::Kernel => Ok(None),
            Content::File(path) => Ok(Some(path)),
            Content::Entry(entry) => match entry.path() {
                Ok(path) => Ok(Some(path)),
                Err(e) => Err(e.with_steps(self.steps.clone())),
            },
        }
    }

    /// The BTF as bytes, for each origin: the archive's entry, the content of a file (of an ELF file: its section `.BTF`),
    /// or the kernel's own BTF.
    ///
    /// An archive's entry is borrowed. A file is read by each call, up to 256 MiB. No call makes a file.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the file cannot be read or is larger; [`ErrorKind::InvalidBtf`] if it is no longer BTF. An
    /// archive's entry never gives an error.
    pub fn bytes(&self) -> Result<Cow<'_, [u8]>> {
        match &self.content {
            Content::File(path) => match Source::open(path).and_then(|source| source.read()) {
                Ok(bytes) => Ok(Cow::Owned(bytes)),
                Err(unusable) => Err(unusable.of_file(path).with_steps(self.steps.clone())),
            },
            Content::Entry(entry) => Ok(Cow::Borrowed(&entry.bytes)),
        }
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
