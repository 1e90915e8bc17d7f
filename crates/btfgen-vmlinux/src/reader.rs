//! Finds the BTF in a file: peels off one layer after the other.

use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::banner;
use crate::boot;
use crate::btf::{self, Fault};
use crate::budget::Budget;
use crate::compression::{Codec, Followed};
use crate::content::{Content, MAX_FILE_BYTES, MAX_KERNEL_BYTES};
use crate::elf;
use crate::error::{Error, ErrorKind, Result};
use crate::form::{Form, HEAD_BYTES};
use crate::package;
use crate::pahole;
use crate::place::Place;
use crate::scan::{self, Hunted};
use crate::vmlinux::Vmlinux;

/// The default limit for a BTF: 256 MiB, thirty times the size of a distribution's.
pub const DEFAULT_MAX_BTF_BYTES: u64 = 256 << 20;

/// The default limit for unpacking one file: 16 GiB. The largest packages, with the debug symbols of all modules, need half of
/// it.
pub const DEFAULT_MAX_UNPACKED_BYTES: u64 = 16 << 30;

pub(crate) const NO_BTF: &str = "the kernel has no BTF: it was built without CONFIG_DEBUG_INFO_BTF";
pub(crate) const NO_BTF_HELP: &str = "use the kernel's package of debug symbols (linux-image-…-dbg, \
     linux-image-…-dbgsym, kernel-debuginfo, kernel-default-debuginfo) and install pahole (package dwarves or pahole)";

const DECOMPRESS_HELP: &str =
    "decompress it first; for a boot image, use the kernel's scripts/extract-vmlinux";

/// Reads a kernel's BTF from a file of any supported type.
///
/// Only the BTF and some buffers are in memory: unpacked data goes to temporary files without a name. Each of them has at most
/// 8 GiB, or 512 MiB for a boot image; see also [`Reader::max_unpacked_bytes`].
#[derive(Debug, Clone)]
pub struct Reader {
    pub(crate) max_btf_bytes: u64,
    max_unpacked_bytes: u64,
    pub(crate) pahole: Option<PathBuf>,
    temp_dir: Option<PathBuf>,
    cancel: Option<Arc<AtomicBool>>,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Reader {
    /// Creates a reader that finds `pahole` on the PATH and uses the system's folder for temporary files.
    pub fn new() -> Self {
        Self {
            max_btf_bytes: DEFAULT_MAX_BTF_BYTES,
            max_unpacked_bytes: DEFAULT_MAX_UNPACKED_BYTES,
            pahole: None,
            temp_dir: None,
            cancel: None,
        }
    }

    /// Refuses a larger BTF. The default is [`DEFAULT_MAX_BTF_BYTES`].
    #[must_use]
    pub fn max_btf_bytes(mut self, bytes: u64) -> Self {
        self.max_btf_bytes = bytes;
        self
    }

    /// Limits the decompressed bytes of one file, all its layers and members together. The default is
    /// [`DEFAULT_MAX_UNPACKED_BYTES`]; set a lower limit for untrusted files. Skipped data counts, too, for example the files
    /// of a package before the kernel.
    #[must_use]
    pub fn max_unpacked_bytes(mut self, bytes: u64) -> Self {
        self.max_unpacked_bytes = bytes;
        self
    }

    /// The `pahole` to run for kernels that have debug information but no BTF.
    #[must_use]
    pub fn pahole(mut self, path: impl Into<PathBuf>) -> Self {
        self.pahole = Some(path.into());
        self
    }

    /// The folder for unpacked files. A package of debug symbols may need some GiB. Only `pahole` needs files with names; if a
    /// killed process left such files, the next run of `pahole` removes them.
    #[must_use]
    pub fn temp_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.temp_dir = Some(path.into());
        self
    }

    /// Ends a reading with [`ErrorKind::Cancelled`] about a tenth of a second after another thread or a signal handler sets this
    /// flag. Kills a running `pahole`, and removes unpacked files.
    #[must_use]
    pub fn cancel(mut self, flag: Arc<AtomicBool>) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Reads the BTF of the kernel in a file: bare BTF (`/sys/kernel/btf/vmlinux`), a vmlinux, a boot image, any of these
    /// compressed, a package (.deb, .rpm), or a tar with a kernel or one `.btf`. The content decides the type, not the name.
    ///
    /// If a package has several files of a kernel, the first one with BTF is used. Only if none has BTF, pahole makes it from
    /// debug information.
    ///
    /// Only regular files are read, because a pipe without a writer would block the caller.
    ///
    /// # Errors
    /// Any [`ErrorKind`].
    pub fn read(&self, path: &Path) -> Result<Vmlinux> {
        let budget = Budget::new(self.max_unpacked_bytes, self.cancel.clone());
        let place = Place::of(path, budget);
        let content = Content::open(path, &place)?;
        match self.peel(content, place)? {
            Peeled::Btf(vmlinux) => Ok(vmlinux),
            Peeled::Dwarf { content, place } => pahole::make_btf(self, &content, place),
        }
    }

    /// Peels off the layers around the BTF.
    pub(crate) fn peel(&self, content: Content, mut place: Place) -> Result<Peeled> {
        let head = content
            .read(0, HEAD_BYTES)
            .map_err(|e| place.unreadable(e))?;
        if head.is_empty() {
            return Err(place.error(ErrorKind::Damaged, "is empty"));
        }
        match Form::of(&head) {
            Form::Btf => self.peel_btf(content, place),
            Form::Elf => elf::read(self, content, place),
            Form::Compressed(codec) => self.peel_compressed(&content, codec, place),
            Form::Deb => package::deb::read(self, &content, place),
            Form::Rpm => package::rpm::read(self, &content, place),
            Form::Tar => package::tar::read(self, content.all(), place),
            Form::BzImage => boot::read_bzimage(self, content, place),
            Form::Zboot => boot::read_zboot(self, content, place),
            Form::Kernel(arch) => {
                place.is_kernel = true;
                place.image.arch.get_or_insert_with(|| arch.to_owned());
                self.peel_unknown(content, place)
            }
            Form::Unknown => self.peel_unknown(content, place),
        }
    }

    fn peel_btf(&self, content: Content, place: Place) -> Result<Peeled> {
        let btf = self.take_btf(content.to_the_end(), 0..content.len(), &place)?;
        Ok(Peeled::Btf(place.found(btf, "bare BTF")))
    }

    fn peel_compressed(&self, content: &Content, codec: Codec, place: Place) -> Result<Peeled> {
        let inner = place.inside(codec.name())?;
        let mut decoder = self.decoder(codec, content.all(), Followed::ByMore, &inner)?;
        let mut head = Vec::new();
        decoder
            .by_ref()
            .take(HEAD_BYTES as u64)
            .read_to_end(&mut head)
            .map_err(|e| inner.unreadable(e))?;
        let limit = match Form::of(&head) {
            // Only its first stream matters.
            Form::Tar => return package::tar::read(self, head.chain(decoder), inner),
            Form::Elf | Form::Deb | Form::Rpm | Form::Compressed(_) => MAX_FILE_BYTES,
            Form::Btf | Form::BzImage | Form::Zboot | Form::Kernel(_) | Form::Unknown => {
                MAX_KERNEL_BYTES
            }
        };
        let unpacked = Content::unpack(head.chain(decoder), limit, &inner, &self.unpack_dir())?;
        self.peel(unpacked, inner)
    }

    /// Handles an image whose header does not say where the BTF or the compressed kernel is.
    pub(crate) fn peel_unknown(&self, content: Content, mut place: Place) -> Result<Peeled> {
        if let Some(btf) = scan::find_btf(self, &content, &place)? {
            if place.image.release.is_none() {
                place.image.release = banner::release(&content, 0..content.len(), &place)?;
            }
            return Ok(Peeled::Btf(place.found(btf, "BTF by its header")));
        }
        let mut has_kernel = banner::release(&content, 0..MAX_KERNEL_BYTES, &place)?.is_some();
        if !place.hunted {
            match scan::find_in_streams(self, &content, &place)? {
                Hunted::Kernel(peeled) => return Ok(*peeled),
                Hunted::KernelWithoutBtf => has_kernel = true,
                Hunted::Nothing => {}
            }
        }
        Err(if has_kernel {
            place.error(ErrorKind::NoBtf, NO_BTF).with_help(NO_BTF_HELP)
        } else if place.is_kernel {
            place
                .error(
                    ErrorKind::Unsupported,
                    "found no kernel in this kernel image: its compression may be unsupported",
                )
                .with_help(DECOMPRESS_HELP)
        } else {
            place
                .error(ErrorKind::Unrecognized, "unrecognized file type")
                .with_help("name a BTF, a vmlinux, a boot image, or a package with one of them")
        })
    }

    /// The decoder of a stream, within the budget, or an error for an unsupported compression.
    pub(crate) fn decoder<'r>(
        &self,
        codec: Codec,
        from: impl Read + 'r,
        followed: Followed,
        place: &Place,
    ) -> Result<Box<dyn Read + 'r>> {
        let decoder = codec
            .decoder(from, followed)
            .ok_or_else(|| {
                let message = format!(
                    "is compressed with {}, which is not supported",
                    codec.name()
                );
                place
                    .error(ErrorKind::Unsupported, message)
                    .with_help(DECOMPRESS_HELP)
            })?
            .map_err(|e| place.unreadable(e))?;
        Ok(Box::new(place.budget.meter(decoder)))
    }

    /// Reads a BTF and checks it.
    pub(crate) fn take_btf(
        &self,
        from: impl Read,
        range: Range<u64>,
        place: &Place,
    ) -> Result<Vec<u8>> {
        let len = range.end - range.start;
        if len > self.max_btf_bytes {
            return Err(self.btf_too_large(place, len));
        }
        let mut btf = Vec::new();
        btf.try_reserve_exact(len as usize)
            .map_err(|e| place.unreadable(io::Error::from(e)))?;
        from.take(self.max_btf_bytes.saturating_add(1))
            .read_to_end(&mut btf)
            .map_err(|e| place.unreadable(e))?;
        if btf.len() as u64 > self.max_btf_bytes {
            return Err(self.btf_too_large(place, btf.len() as u64));
        }
        match btf::check(&btf) {
            Ok(()) => Ok(btf),
            Err(Fault::Damaged) => {
                Err(place.error(ErrorKind::Damaged, "the BTF is damaged or truncated"))
            }
            Err(Fault::Split) => Err(place
                .error(
                    ErrorKind::Module,
                    "is the BTF of a kernel module, not of a kernel",
                )
                .with_help(
                    "use the kernel's own BTF, /sys/kernel/btf/vmlinux on a machine that runs it",
                )),
        }
    }

    pub(crate) fn btf_too_large(&self, place: &Place, len: u64) -> Error {
        place.error(
            ErrorKind::TooLarge,
            format!(
                "its BTF has {len} bytes, the limit is {}",
                self.max_btf_bytes
            ),
        )
    }

    pub(crate) fn unpack_dir(&self) -> PathBuf {
        self.temp_dir.clone().unwrap_or_else(std::env::temp_dir)
    }
}

/// The content below all layers.
#[derive(Debug)]
pub(crate) enum Peeled {
    Btf(Vmlinux),
    /// A vmlinux with debug information but without BTF. pahole makes the BTF if no other file has it.
    Dwarf {
        content: Content,
        place: Place,
    },
}
