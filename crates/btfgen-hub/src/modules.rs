//! The BTFs of a kernel's modules: one file beside the kernel's, `ID/VERSION/ARCH/RELEASE.modules.tar.zst`.
//!
//! It is a ustar archive compressed with zstd, which `tar --zstd -xf` unpacks. The first member is the text `base`, with lines
//! of a word and its value: `digest`, the [`Digest`] of the kernel's BTF that the modules continue, and `release`. Each other
//! member is the split BTF of one module, `NAME.btf`, byte for byte, sorted by name. The name is that of /sys/kernel/btf.
//!
//! Other readers of a hub look only at names with `.btf`, so the file does not disturb them.

#[cfg(all(test, feature = "write"))]
mod tests;
#[cfg(feature = "write")]
mod write;

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use btfgen_btf::Btf;
use btfgen_chunk::Digest;
use btfgen_files::{is_machine_fault, read_regular};
use btfgen_store::Stamp;
use tar::EntryType;
use zstd::zstd_safe::{self, zstd_sys::ZSTD_ErrorCode};

use crate::error::{Error, ErrorKind, Result};
use crate::kernel_file::without_ending;

#[cfg(feature = "write")]
pub use self::write::write_modules;

/// The ending of the file with the BTFs of a kernel's modules.
pub const MODULES_ENDING: &str = ".modules.tar.zst";

/// The name of the member that binds the modules to the kernel's BTF.
pub(crate) const BASE: &str = "base";

/// The ending of a module's member.
pub(crate) const MEMBER_ENDING: &str = ".btf";

/// The kernel's own BTF in /sys/kernel/btf.
const VMLINUX: &str = "vmlinux";

/// The largest window of zstd, and the largest that `zstd -d` reads without options.
pub(crate) const WINDOW_LOG: u32 = 27;

/// The most modules of a kernel. Distributions have up to 8,000.
pub(crate) const MAX_MODULES: usize = 1 << 15;

/// The most bytes of the tar for each member besides its content: the header and the padding.
const MEMBER_OVERHEAD: u64 = 1024;

/// The largest `base`.
const MAX_BASE_BYTES: u64 = 4 << 10;

/// The longest name of a module: `MODULE_NAME_LEN` of the kernel.
const MAX_NAME_LEN: usize = 64;

/// The BTF of one of a kernel's modules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The module's name, with underscores, as in /sys/kernel/btf: `nf_conntrack`.
    pub name: String,
    /// Its split BTF, which continues the kernel's.
    pub btf: Vec<u8>,
}

/// The file with the BTFs of a kernel's modules.
#[derive(Debug, Clone)]
pub(crate) struct ModulesFile {
    pub(crate) path: PathBuf,
    pub(crate) file_bytes: u64,
}

/// The bytes of a modules file, and its stamp before they were read.
pub(crate) struct Packed<'f> {
    path: &'f Path,
    pub(crate) bytes: Vec<u8>,
    pub(crate) stamp: Stamp,
}

impl ModulesFile {
    pub(crate) fn read(&self, max_bytes: u64) -> Result<Packed<'_>> {
        let path = &*self.path;
        let metadata = std::fs::metadata(path);
        let stamp = Stamp::of(&metadata.map_err(|e| Error::io(path, "cannot be read", e))?);
        let bytes = read_packed(path, max_bytes)?;
        Ok(Packed { path, bytes, stamp })
    }
}

/// The content of a modules file.
pub(crate) struct ModulesContent {
    /// The digest of the kernel's BTF that the modules continue, as text.
    pub(crate) base: String,
    /// Sorted by name.
    pub(crate) modules: Vec<Module>,
}

/// Whether a file's name, which need not be UTF-8, has the ending of a file with modules' BTFs.
pub fn is_modules_file(path: &Path) -> bool {
    let path = path.as_os_str().as_encoded_bytes();
    path.ends_with(MODULES_ENDING.as_bytes())
}

/// Whether a module may have this name: letters, digits, underscores, and dots or pluses behind the first character.
pub(crate) fn is_module_name(name: &str) -> bool {
    let is_safe = |b: u8| b.is_ascii_alphanumeric() || b"_.+".contains(&b);
    (1..=MAX_NAME_LEN).contains(&name.len())
        && name.bytes().all(is_safe)
        && !name.starts_with(['.', '+'])
}

/// The file with the modules of a kernel, by the path of the kernel's file or of its place in a chunk. `None` if there is none.
pub fn modules_beside(kernel: &Path) -> Option<PathBuf> {
    let kernel = kernel.to_str()?;
    let path = without_ending(kernel).unwrap_or(kernel).to_owned() + MODULES_ENDING;
    let path = PathBuf::from(path);
    path.is_file().then_some(path)
}

/// A kernel's BTF together with those of its modules ([`Btf::with_modules`]). `kernel` is the path of the BTF, for errors.
/// `modules` is a hub's file with the modules, or a folder with a split BTF for each module, such as /sys/kernel/btf: a file
/// called `NAME` or `NAME.btf`.
///
/// # Errors
/// Those of [`HubKernel::read_modules`](crate::HubKernel::read_modules).
pub fn join_modules(
    kernel: &Path,
    base: &Btf<'_>,
    modules: &Path,
    max_bytes: u64,
) -> Result<Btf<'static>> {
    if modules.is_dir() {
        let all = in_folder(modules, max_bytes)?;
        check_all(modules, &all, base)?;
        return join(modules, base, &all);
    }
    let file_bytes = 0;
    let path = modules.to_owned();
    let file = ModulesFile { path, file_bytes };
    file.read(max_bytes)?.join(kernel, base, max_bytes)
}

/// The BTFs in a folder with a file for each module.
fn in_folder(folder: &Path, max_bytes: u64) -> Result<Vec<Module>> {
    let unreadable = |e| Error::io(folder, "cannot be read", e);
    let mut modules = Vec::new();
    let mut left = max_bytes;
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let name = name.strip_suffix(MEMBER_ENDING).unwrap_or(name);
        let name = name.replace('-', "_");
        if name == VMLINUX || !is_module_name(&name) || !path.is_file() {
            continue;
        }
        let btf = read_regular(&path, left).map_err(|e| match e.kind() {
            io::ErrorKind::FileTooLarge => too_large(folder, max_bytes),
            _ => Error::io(&path, "cannot be read", e),
        })?;
        left -= btf.len() as u64;
        modules.push(Module { name, btf });
    }
    modules.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(modules)
}

fn join(path: &Path, base: &Btf<'_>, modules: &[Module]) -> Result<Btf<'static>> {
    let modules = modules.iter().map(|module| (&*module.name, &*module.btf));
    base.with_modules(modules).map_err(|e| {
        let message = "cannot be used with the kernel's BTF";
        Error::new(ErrorKind::InvalidKernel, path.display(), message).with_source(e)
    })
}

impl Packed<'_> {
    pub(crate) fn join(
        &self,
        kernel: &Path,
        base: &Btf<'_>,
        max_bytes: u64,
    ) -> Result<Btf<'static>> {
        join(self.path, base, &self.unpack(kernel, base, max_bytes)?)
    }

    /// The modules, which continue this kernel's BTF.
    pub(crate) fn unpack(
        &self,
        kernel: &Path,
        base: &Btf<'_>,
        max_bytes: u64,
    ) -> Result<Vec<Module>> {
        let path = self.path;
        let content = unpack(path, &self.bytes, max_bytes)?;
        if content.base != Digest::of(base.bytes()).to_string() {
            let message = format!(
                "its modules do not belong to the BTF in {}",
                kernel.display()
            );
            return Err(
                Error::new(ErrorKind::InvalidName, path.display(), message).with_help(
                    "add the kernel's modules again with `btfgen add --force`, or delete the file",
                ),
            );
        }
        check_all(path, &content.modules, base)?;
        Ok(content.modules)
    }
}

/// Requires that all modules of a file or folder continue the kernel's BTF.
fn check_all(path: &Path, modules: &[Module], base: &Btf<'_>) -> Result<()> {
    modules.iter().try_for_each(|module| {
        check_module(&module.btf, base).map_err(|e| {
            let kind = match e.kind() {
                btfgen_btf::ErrorKind::Unsupported => ErrorKind::Unsupported,
                _ => ErrorKind::InvalidKernel,
            };
            let message = format!("the BTF of the module {} is not usable", module.name);
            Error::new(kind, path.display(), message).with_source(e)
        })
    })
}

/// Requires that a module's BTF can be read, and continues the kernel's.
pub(crate) fn check_module(btf: &[u8], base: &Btf<'_>) -> Result<(), btfgen_btf::Error> {
    Btf::parse_split(btf, base)?.check_base()
}

/// Reads a modules file whose BTFs together have at most `max_bytes`, without a look at the BTFs.
#[cfg(feature = "add")]
pub(crate) fn read(path: &Path, max_bytes: u64) -> Result<ModulesContent> {
    unpack(path, &read_packed(path, max_bytes)?, max_bytes)
}

fn tar_limit(max_bytes: u64) -> u64 {
    max_bytes.saturating_add(MAX_MODULES as u64 * MEMBER_OVERHEAD)
}

fn read_packed(path: &Path, max_bytes: u64) -> Result<Vec<u8>> {
    read_regular(path, tar_limit(max_bytes)).map_err(|e| match e.kind() {
        io::ErrorKind::FileTooLarge => too_large(path, max_bytes),
        _ => Error::io(path, "cannot be read", e),
    })
}

/// Unpacks a modules file.
fn unpack(path: &Path, packed: &[u8], max_bytes: u64) -> Result<ModulesContent> {
    let limit = tar_limit(max_bytes);
    let damaged = |e| damaged(path, e);
    let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).map_err(damaged)?;
    decoder.window_log_max(WINDOW_LOG).map_err(damaged)?;
    let mut tar = tar::Archive::new(decoder);
    let content = Members {
        path,
        max_bytes,
        left: max_bytes,
    }
    .read(&mut tar)?;
    // The checksum is at the end of the stream.
    let mut rest = tar.into_inner().take(limit);
    io::copy(&mut rest, &mut io::sink()).map_err(damaged)?;
    Ok(content)
}

fn invalid(path: &Path, message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidKernel, path.display(), message)
        .with_help("add the kernel's modules again, or delete the file")
}

fn too_large(path: &Path, max_bytes: u64) -> Error {
    let message = format!("its modules have more than {max_bytes} bytes");
    Error::new(ErrorKind::TooLarge, path.display(), message)
        .with_help("raise the limit if the modules' BTFs really are so large")
}

/// An error of a reader of the bytes: the bytes are damaged, unless the machine failed.
fn damaged(path: &Path, e: io::Error) -> Error {
    // The decoder gives the text of zstd's error, and not its number.
    let number = (ZSTD_ErrorCode::ZSTD_error_memory_allocation as usize).wrapping_neg();
    let no_memory = e.to_string() == zstd_safe::get_error_name(number);
    let e = if no_memory {
        io::ErrorKind::OutOfMemory.into()
    } else {
        e
    };
    if is_machine_fault(&e) {
        return Error::io(path, "cannot be read", e);
    }
    invalid(path, "is damaged or truncated").with_source(e)
}

/// Reads the members of a modules file.
struct Members<'p> {
    path: &'p Path,
    max_bytes: u64,
    /// How many bytes of BTF may still come.
    left: u64,
}

impl Members<'_> {
    fn read(mut self, tar: &mut tar::Archive<impl Read>) -> Result<ModulesContent> {
        let path = self.path;
        let mut base = None;
        let mut modules: Vec<Module> = Vec::new();
        // Raw entries, because the crate would read a long name of any length into memory.
        let entries = tar.entries().map_err(|e| damaged(path, e))?.raw(true);
        for entry in entries {
            let entry = entry.map_err(|e| damaged(path, e))?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let header = entry.header();
            if header.entry_type() != EntryType::Regular {
                return Err(invalid(
                    path,
                    format!("{name:?} in it is not a regular file"),
                ));
            }
            let size = entry.size();
            if base.is_none() {
                base = Some(self.base(&name, size, entry)?);
                continue;
            }
            let module = name
                .strip_suffix(MEMBER_ENDING)
                .filter(|name| is_module_name(name));
            let Some(module) = module else {
                return Err(invalid(
                    path,
                    format!("{name:?} in it is not a module's name"),
                ));
            };
            if modules.last().is_some_and(|last| *last.name >= *module) {
                return Err(invalid(path, format!("{name:?} in it is not in order")));
            }
            if modules.len() == MAX_MODULES {
                return Err(invalid(
                    path,
                    format!("has more than {MAX_MODULES} modules"),
                ));
            }
            self.left = self
                .left
                .checked_sub(size)
                .ok_or_else(|| too_large(path, self.max_bytes))?;
            let btf = self.content(size, entry)?;
            modules.push(Module {
                name: module.to_owned(),
                btf,
            });
        }
        let base = base.ok_or_else(|| invalid(path, "is empty"))?;
        Ok(ModulesContent { base, modules })
    }

    /// The digest in the first member.
    fn base(&self, name: &str, size: u64, from: impl Read) -> Result<String> {
        if name != BASE || size > MAX_BASE_BYTES {
            let message =
                format!("does not begin with the file {BASE:?}, so it is not a hub's modules");
            return Err(invalid(self.path, message));
        }
        let text = self.content(size, from)?;
        let text = String::from_utf8_lossy(&text);
        let digest = text.lines().find_map(|line| line.strip_prefix("digest "));
        digest
            .map(|digest| digest.trim().to_owned())
            .ok_or_else(|| invalid(self.path, "does not say which BTF its modules continue"))
    }

    /// The whole content of a member with this size.
    fn content(&self, size: u64, mut from: impl Read) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let room = usize::try_from(size).unwrap_or(usize::MAX);
        bytes
            .try_reserve_exact(room)
            .map_err(|e| damaged(self.path, e.into()))?;
        from.read_to_end(&mut bytes)
            .map_err(|e| damaged(self.path, e))?;
        match bytes.len() == room {
            true => Ok(bytes),
            false => Err(invalid(self.path, "is truncated")),
        }
    }
}
