//! One kernel's file: from what lies in a hub to the bytes of a BTF.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use btfgen_btf::Btf;
use btfgen_files::{causes, is_machine_fault, open_regular};
use btfgen_libbpf::LoadedBtf;
use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use crate::error::{Error, ErrorKind, Result};

/// The largest BTF that is taken unless the caller says otherwise: 256 MiB, five times the largest known.
pub const DEFAULT_MAX_BTF_BYTES: u64 = 256 << 20;

/// What the xz decoder may use. The dictionary of `xz -9` takes 65 MiB; a file that asks for more is no kernel's.
const XZ_MEMORY: u64 = 96 << 20;

/// Tar's own share beside the BTF: headers, padding, names.
const TAR_OVERHEAD: u64 = 1 << 20;

/// How a kernel's file holds the BTF, by its name's ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Packing {
    /// `.btf.tar.xz`, btfhub's own.
    TarXz,
    /// `.btf.xz`
    Xz,
    /// `.btf`
    Plain,
}

impl Packing {
    /// The packing that a file's name tells, and the name without its ending, in bytes: names are not always UTF-8.
    pub(crate) fn of(name: &OsStr) -> Option<(Self, &[u8])> {
        [
            (Self::TarXz, ".btf.tar.xz"),
            (Self::Xz, ".btf.xz"),
            (Self::Plain, ".btf"),
        ]
        .into_iter()
        .find_map(|(packing, ending)| {
            let stem = name.as_encoded_bytes().strip_suffix(ending.as_bytes())?;
            Some((packing, stem))
        })
    }
}

/// Reads a BTF from a file of any form that a hub may hold, told by its name: `.btf.tar.xz`, `.btf.xz`, else plain.
///
/// # Errors
/// As [`HubKernel::read`](crate::HubKernel::read).
pub fn read_kernel_file(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    let packing = Packing::of(path.as_os_str()).map_or(Packing::Plain, |(packing, _)| packing);
    Ok(read(path, packing, max_bytes)?.btf)
}

/// What a kernel's file holds.
pub(crate) struct KernelFile {
    pub(crate) btf: Vec<u8>,
    /// Its name inside a tar.
    pub(crate) name: Option<PathBuf>,
}

pub(crate) fn read(path: &Path, packing: Packing, max_bytes: u64) -> Result<KernelFile> {
    let unreadable = |e| Error::io(path, "cannot be read", e);
    let file = open_regular(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let unpack = Unpack { path, max_bytes };
    let (btf, name) = match packing {
        // A size of 0 is also what the kernel's own /sys/kernel/btf tells before it is read.
        Packing::Plain => (unpack.read(file, metadata.len())?, None),
        Packing::Xz => (unpack.read(unpack.xz(file, 0)?, 0)?, None),
        Packing::TarXz if metadata.len() == 0 => return Err(unpack.invalid("the file is empty")),
        Packing::TarXz => {
            let (btf, name) = unpack.tar(unpack.xz(file, TAR_OVERHEAD)?)?;
            (btf, Some(name))
        }
    };
    if btf.is_empty() {
        return Err(unpack.invalid("the BTF is empty"));
    }
    Ok(KernelFile { btf, name })
}

/// Parses a kernel's BTF, with errors that name its file.
///
/// # Errors
/// [`ErrorKind::InvalidKernel`], [`ErrorKind::Unsupported`] for a version or a type that cannot be read, or
/// [`ErrorKind::Machine`].
pub fn parse_kernel<'d>(path: &Path, bytes: impl Into<Cow<'d, [u8]>>) -> Result<LoadedBtf<'d>> {
    let unusable = |kind| Error::new(kind, path.display(), "not a usable BTF");
    let btf = Btf::parse(bytes).map_err(|e| match e.kind() {
        btfgen_btf::ErrorKind::Unsupported => unusable(ErrorKind::Unsupported).with_source(e),
        btfgen_btf::ErrorKind::Split | btfgen_btf::ErrorKind::Dangling => {
            unusable(ErrorKind::InvalidKernel)
                .with_source(e)
                .with_help("a module's BTF cannot be read without its kernel's; give the kernel's own, /sys/kernel/btf/vmlinux")
        }
        _ => unusable(ErrorKind::InvalidKernel).with_source(e),
    })?;
    LoadedBtf::new(btf).map_err(|e| match e.kind() {
        btfgen_libbpf::ErrorKind::OutOfMemory => {
            Error::new(ErrorKind::Machine, path.display(), "cannot be parsed").with_source(e)
        }
        _ => unusable(ErrorKind::InvalidKernel).with_source(e),
    })
}

struct Unpack<'p> {
    path: &'p Path,
    max_bytes: u64,
}

impl Unpack<'_> {
    fn invalid(&self, message: &str) -> Error {
        Error::new(ErrorKind::InvalidKernel, self.path.display(), message)
    }

    fn other_form(&self, message: &str) -> Error {
        Error::new(ErrorKind::OtherForm, self.path.display(), message)
    }

    fn too_large(&self) -> Error {
        Error::new(
            ErrorKind::TooLarge,
            self.path.display(),
            format!("holds more than {} bytes", self.max_bytes),
        )
        .with_help("raise the limit if the kernel's BTF really is so large")
    }

    /// What a reader of the bytes found wrong: in the bytes, unless the machine failed it.
    fn damaged(&self, e: io::Error) -> Error {
        // The one error of the machine that comes from a decoder, and so without a number.
        let no_memory = causes(&e).any(|e| e.downcast_ref() == Some(&liblzma::stream::Error::Mem));
        let e = if no_memory {
            io::ErrorKind::OutOfMemory.into()
        } else {
            e
        };
        if is_machine_fault(&e) {
            return Error::io(self.path, "cannot be read", e);
        }
        self.invalid("is damaged or truncated").with_source(e)
    }

    /// The decompressed bytes, one more than is allowed at the most.
    fn xz(&self, file: File, overhead: u64) -> Result<impl Read> {
        let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)
            .map_err(|e| self.damaged(e.into()))?;
        let decoder = XzDecoder::new_stream(BufReader::with_capacity(128 << 10, file), stream);
        Ok(decoder.take(self.max_bytes.saturating_add(overhead).saturating_add(1)))
    }

    fn read(&self, mut from: impl Read, expected: u64) -> Result<Vec<u8>> {
        if expected > self.max_bytes {
            return Err(self.too_large());
        }
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(usize::try_from(expected).unwrap_or(usize::MAX))
            .map_err(|e| self.damaged(e.into()))?;
        let limit = self.max_bytes.saturating_add(1);
        from.by_ref()
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|e| self.damaged(e))?;
        if bytes.len() as u64 > self.max_bytes {
            return Err(self.too_large());
        }
        Ok(bytes)
    }

    /// The one `.btf` of a tar, and its name.
    fn tar(&self, from: impl Read) -> Result<(Vec<u8>, PathBuf)> {
        let mut archive = tar::Archive::new(from);
        let mut found = None;
        for entry in archive.entries().map_err(|e| self.damaged(e))? {
            let entry = entry.map_err(|e| self.damaged(e))?;
            let name = entry.path().map_err(|e| self.damaged(e))?.into_owned();
            let climbs = name.components().any(|c| {
                matches!(
                    c,
                    Component::ParentDir | Component::RootDir | Component::Prefix(_)
                )
            });
            if climbs {
                return Err(self.other_form(&format!(
                    "the tar's entry {} leads out of its folder",
                    name.display()
                )));
            }
            if name.extension().is_none_or(|e| e != "btf") {
                continue;
            }
            if !entry.header().entry_type().is_file() {
                return Err(self.other_form(&format!(
                    "the tar's entry {} is no regular file",
                    name.display()
                )));
            }
            if found.is_some() {
                return Err(self.other_form("the tar holds more than one .btf"));
            }
            let size = entry.size();
            let bytes = self.read(entry, size)?;
            if bytes.len() as u64 != size {
                return Err(self.invalid("is truncated within the BTF"));
            }
            found = Some((bytes, name));
        }
        found.ok_or_else(|| self.other_form("the tar holds no .btf"))
    }
}
