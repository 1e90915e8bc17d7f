//! Reads one kernel's file of a hub, and unpacks the BTF.

use std::borrow::Cow;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use btfgen_btf::Btf;
use btfgen_files::{causes, is_machine_fault, read_regular};
use btfgen_libbpf::LoadedBtf;
use btfgen_store::Stamp;
use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use crate::error::{Error, ErrorKind, Result};

/// The default limit for the size of a BTF: 256 MiB, five times the largest known BTF.
pub const DEFAULT_MAX_BTF_BYTES: u64 = 256 << 20;

/// The memory limit of the xz decoder. The dictionary of `xz -9` takes 65 MiB; no kernel's file needs more.
const XZ_MEMORY: u64 = 96 << 20;

/// The most bytes that the tar needs besides the BTF: headers, padding, names.
const TAR_OVERHEAD: u64 = 1 << 20;

/// The endings of kernels' files in a hub. The first is that of btfhub-archive.
pub const ENDINGS: [&str; 3] = [".btf.tar.xz", ".btf.xz", ".btf"];

/// Whether a file's name, which need not be UTF-8, has the ending of a kernel's file.
pub fn has_ending(path: &Path) -> bool {
    ENDINGS.iter().any(|ending| ends_with(path, ending))
}

/// The path of a kernel's file without its ending: below a hub, the kernel's id. `None` for other files.
pub fn without_ending(path: &str) -> Option<&str> {
    ENDINGS.iter().find_map(|ending| path.strip_suffix(ending))
}

fn ends_with(path: &Path, ending: &str) -> bool {
    let path = path.as_os_str().as_encoded_bytes();
    path.ends_with(ending.as_bytes())
}

/// The content of a kernel's file.
pub(crate) struct KernelFile {
    pub(crate) btf: Vec<u8>,
    /// Its name inside a tar.
    pub(crate) name: Option<PathBuf>,
}

pub(crate) fn read(path: &Path, max_bytes: u64) -> Result<KernelFile> {
    Packed::read(path, max_bytes)?.unpack(path, max_bytes)
}

/// Reads a file as one of [`ENDINGS`], whatever its name.
#[cfg(feature = "write")]
pub(crate) fn read_as(ending: &str, path: &Path, max_bytes: u64) -> Result<KernelFile> {
    Packed::read(path, max_bytes)?.unpack_as(ending, path, max_bytes)
}

/// The bytes of a kernel's file, and its stamp before they were read.
pub(crate) struct Packed {
    pub(crate) bytes: Vec<u8>,
    pub(crate) stamp: Stamp,
}

impl Packed {
    pub(crate) fn read(path: &Path, max_bytes: u64) -> Result<Self> {
        let unreadable = |e| Error::io(path, "cannot be read", e);
        let stamp = Stamp::of(&std::fs::metadata(path).map_err(unreadable)?);
        // No compression makes a file this much larger than its content.
        let bytes = read_regular(path, max_bytes.saturating_add(TAR_OVERHEAD));
        let bytes = bytes.map_err(|e| match e.kind() {
            io::ErrorKind::FileTooLarge => Unpack { path, max_bytes }.too_large(),
            _ => unreadable(e),
        })?;
        Ok(Self { bytes, stamp })
    }

    /// The content of the file. The name gives the form.
    pub(crate) fn unpack(&self, path: &Path, max_bytes: u64) -> Result<KernelFile> {
        let ending = ENDINGS.iter().find(|ending| ends_with(path, ending));
        self.unpack_as(ending.copied().unwrap_or_default(), path, max_bytes)
    }

    fn unpack_as(&self, ending: &str, path: &Path, max_bytes: u64) -> Result<KernelFile> {
        unpack(ending, path, &self.bytes, max_bytes)
    }
}

fn unpack(ending: &str, path: &Path, file: &[u8], max_bytes: u64) -> Result<KernelFile> {
    let unpack = Unpack { path, max_bytes };
    let [tar_xz, xz, _] = ENDINGS;
    let (btf, name) = if ending == tar_xz {
        if file.is_empty() {
            return Err(unpack.invalid("the file is empty"));
        }
        let (btf, name) = unpack.tar(unpack.xz(file, TAR_OVERHEAD)?)?;
        (btf, Some(name))
    } else if ending == xz {
        (unpack.read(unpack.xz(file, 0)?, 0)?, None)
    } else {
        (unpack.read(file, file.len() as u64)?, None)
    };
    if btf.is_empty() {
        return Err(unpack.invalid("the BTF is empty"));
    }
    Ok(KernelFile { btf, name })
}

/// Parses a kernel's BTF. Errors name its file.
///
/// # Errors
/// [`ErrorKind::InvalidKernel`], [`ErrorKind::Unsupported`] for an unknown version or an unknown kind of type,
/// [`ErrorKind::Machine`].
pub fn parse_kernel<'d>(path: &Path, bytes: impl Into<Cow<'d, [u8]>>) -> Result<LoadedBtf<'d>> {
    load_kernel(path, read_kernel(path, bytes)?)
}

/// Reads a kernel's BTF without libbpf.
pub(crate) fn read_kernel<'d>(path: &Path, bytes: impl Into<Cow<'d, [u8]>>) -> Result<Btf<'d>> {
    let unusable = |kind| Error::new(kind, path.display(), "not a usable BTF");
    Btf::parse(bytes).map_err(|e| match e.kind() {
        btfgen_btf::ErrorKind::Unsupported => unusable(ErrorKind::Unsupported).with_source(e),
        btfgen_btf::ErrorKind::Split | btfgen_btf::ErrorKind::Dangling => {
            unusable(ErrorKind::InvalidKernel)
                .with_source(e)
                .with_help("a module's BTF needs its kernel's BTF; give the kernel's BTF instead, /sys/kernel/btf/vmlinux")
        }
        _ => unusable(ErrorKind::InvalidKernel).with_source(e),
    })
}

/// Loads a kernel's BTF into libbpf. Errors name the kernel's file.
///
/// # Errors
/// [`ErrorKind::InvalidKernel`], [`ErrorKind::Machine`].
pub fn load_kernel<'d>(path: &Path, btf: Btf<'d>) -> Result<LoadedBtf<'d>> {
    LoadedBtf::new(btf).map_err(|e| match e.kind() {
        btfgen_libbpf::ErrorKind::OutOfMemory => {
            Error::new(ErrorKind::Machine, path.display(), "cannot be parsed").with_source(e)
        }
        _ => {
            Error::new(ErrorKind::InvalidKernel, path.display(), "not a usable BTF").with_source(e)
        }
    })
}

pub(crate) struct Unpack<'p> {
    pub(crate) path: &'p Path,
    pub(crate) max_bytes: u64,
}

impl Unpack<'_> {
    fn invalid(&self, message: &str) -> Error {
        Error::new(ErrorKind::InvalidKernel, self.path.display(), message)
    }

    fn other_form(&self, message: &str) -> Error {
        Error::new(ErrorKind::OtherForm, self.path.display(), message)
    }

    pub(crate) fn too_large(&self) -> Error {
        Error::new(
            ErrorKind::TooLarge,
            self.path.display(),
            format!("has more than {} bytes", self.max_bytes),
        )
        .with_help("raise the limit if the kernel's BTF really is so large")
    }

    /// An error of a reader of the bytes: the bytes are damaged, unless the machine failed.
    fn damaged(&self, e: io::Error) -> Error {
        // The only error of the machine that a decoder reports without an error number.
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
    fn xz<R: Read>(&self, file: R, overhead: u64) -> Result<impl Read + use<R>> {
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

    /// The only `.btf` file of a tar, and its name.
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
                    "the tar's entry {} is not a regular file",
                    name.display()
                )));
            }
            if found.is_some() {
                return Err(self.other_form("the tar contains more than one .btf file"));
            }
            let size = entry.size();
            let bytes = self.read(entry, size)?;
            if bytes.len() as u64 != size {
                return Err(self.invalid("is truncated within the BTF"));
            }
            found = Some((bytes, name));
        }
        found.ok_or_else(|| self.other_form("the tar contains no .btf file"))
    }
}
