//! Finds the BTF in a file: peels off one layer after the other.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::boot;
use crate::btf;
use crate::budget::{Budget, Options};
use crate::compression::{Codec, Followed};
use crate::content::{Content, MAX_FILE_BYTES, MAX_KERNEL_BYTES};
use crate::elf;
use crate::error::{ErrorKind, Result};
use crate::folder;
use crate::form::{Form, HEAD_BYTES};
use crate::layer::{Layer, Peeled};
use crate::modules::{Contents, Modules, canonical};
use crate::package::{deb, rpm, tar};
use crate::pahole;
use crate::place::Place;
use crate::scan;
use crate::vmlinux::Vmlinux;

/// Reads a kernel's BTF from a file of any supported type.
///
/// Only the BTF and some buffers are in memory: unpacked data goes to temporary files without a name. Each of them has at most
/// 8 GiB, or 512 MiB for a boot image; see also [`Reader::max_unpacked_bytes`].
#[derive(Debug, Clone, Default)]
pub struct Reader {
    options: Options,
}

impl Reader {
    /// Creates a reader that finds `pahole` on the PATH and uses the system's folder for temporary files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses a larger BTF. The default is [`DEFAULT_MAX_BTF_BYTES`](crate::DEFAULT_MAX_BTF_BYTES).
    #[must_use]
    pub fn max_btf_bytes(mut self, bytes: u64) -> Self {
        self.options.max_btf_bytes = bytes;
        self
    }

    /// Limits the decompressed bytes of one file, all its layers and members together. The default is
    /// [`DEFAULT_MAX_UNPACKED_BYTES`](crate::DEFAULT_MAX_UNPACKED_BYTES); set a lower limit for untrusted files. Skipped data
    /// counts, too, for example the files of a package before the kernel.
    #[must_use]
    pub fn max_unpacked_bytes(mut self, bytes: u64) -> Self {
        self.options.max_unpacked_bytes = bytes;
        self
    }

    /// The `pahole` to run for kernels that have debug information but no BTF.
    #[must_use]
    pub fn pahole(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.pahole = path.into();
        self
    }

    /// The modules whose BTF [`Reader::read_all`] makes from the debug information in a package of debug symbols, if the package
    /// also has the kernel; `all` stands for all. `pahole` takes a tenth of a second for a small module, and seconds for a large
    /// one.
    #[must_use]
    pub fn dwarf_modules(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.options.dwarf_modules = names.into_iter().map(|name| canonical(&name)).collect();
        self
    }

    /// The folder for unpacked files. A package of debug symbols may need some GiB. Only `pahole` needs files with names; if a
    /// killed process left such files, the next run of `pahole` removes them.
    #[must_use]
    pub fn temp_dir(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.temp_dir = path.into();
        self
    }

    /// Ends a reading with [`ErrorKind::Cancelled`] about a tenth of a second after another thread or a signal handler sets this
    /// flag. Kills a running `pahole`, and removes unpacked files.
    #[must_use]
    pub fn cancel(mut self, flag: Arc<AtomicBool>) -> Self {
        self.options.cancel = Some(flag);
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
        let place = self.place(path);
        finish(peel(Content::open(path, &place)?, place)?)
    }

    /// Reads the BTFs of a kernel and of its modules, whatever of them is there: in a file that [`Reader::read`] accepts, in a
    /// package with only modules, in a module's own file, in the bare BTF of a module, or in a folder with any of the last two,
    /// such as `/lib/modules/RELEASE` and `/sys/kernel/btf`. The folder's kernel is only a bare BTF `vmlinux`. With
    /// `/sys/kernel/btf/vmlinux` come the modules beside it.
    ///
    /// The modules are read on several threads, while the package is unpacked once. Their BTFs together may be as large as
    /// [`Reader::max_btf_bytes`]. Debug information of
    /// modules is read only for [`Reader::dwarf_modules`].
    ///
    /// # Errors
    /// Any [`ErrorKind`]. A module that cannot be read is in [`Contents::left_out`].
    pub fn read_all(&self, path: &Path) -> Result<Contents> {
        let (peeled, mut contents, dwarf) = Modules::collect(|modules| {
            let mut place = self.place(path);
            place.modules = Some(Arc::clone(modules));
            if path.is_dir() {
                return folder::read(path, &place, peel);
            }
            if path == Path::new(folder::RUNNING_KERNEL) {
                return folder::read(path.parent().unwrap_or(path), &place, peel);
            }
            let content = Content::open(path, &place)?;
            match peel(content, place.clone()) {
                Ok(peeled) => Ok(Some(peeled)),
                Err(e) if e.kind() == ErrorKind::NoKernel && !modules.is_empty() => Ok(None),
                Err(e) if e.kind() == ErrorKind::Module => {
                    modules.offer_file(path, place).map(|()| None)
                }
                Err(e) => Err(e),
            }
        })?;
        contents.kernel = peeled.map(finish).transpose()?;
        dwarf.make_btfs(&mut contents)?;
        let missing = self.options.dwarf_modules.iter().filter(|name| {
            let mut found = contents.modules.iter().map(|module| &module.name);
            *name != "all" && dwarf.is_debug_package() && !found.any(|found| found == *name)
        });
        let missing = missing.map(|name| {
            let message = format!("has no debug information of a module {name}");
            self.place(path).error(ErrorKind::NoKernel, message).with_help("take the module's name from /proc/modules, or from the package's list of files")
        });
        contents.left_out.extend(missing);
        Ok(contents)
    }

    fn place(&self, path: &Path) -> Place {
        Place::of(path, Budget::new(self.options.clone()))
    }
}

fn finish(peeled: Peeled) -> Result<Vmlinux> {
    match peeled {
        Peeled::Btf(vmlinux) => Ok(vmlinux),
        Peeled::Dwarf(content, place) => pahole::make_btf(&content, place),
    }
}

/// Peels off all layers around the BTF.
fn peel(mut content: Content, mut place: Place) -> Result<Peeled> {
    loop {
        let head = content.read(0, HEAD_BYTES, &place)?;
        if head.is_empty() {
            return Err(place.error(ErrorKind::Damaged, "is empty"));
        }
        let layer = match Form::of(&head) {
            Form::Btf => {
                let btf = btf::read(content.to_the_end(), content.len(), &place)?;
                return Ok(Peeled::Btf(place.found(btf, "bare BTF")));
            }
            Form::Elf => elf::read(content, place)?,
            Form::Compressed(codec) => unpack(&content, codec, &place)?,
            Form::BzImage => boot::read_bzimage(&content, place, peel)?,
            Form::Zboot => boot::read_zboot(&content, place)?,
            Form::Deb => return deb::read(&content, place, peel),
            Form::Rpm => return rpm::read(&content, place, peel),
            Form::Tar => return tar::read(content.all(), place, peel),
            Form::Kernel(arch) => {
                place.is_kernel = true;
                place.image.arch.get_or_insert_with(|| arch.to_owned());
                return scan::read(&content, place, peel);
            }
            Form::Unknown => return scan::read(&content, place, peel),
        };
        match layer {
            Layer::Inner(inner, inside) => (content, place) = (inner, inside),
            Layer::Peeled(peeled) => return Ok(peeled),
        }
    }
}

/// Unpacks a compressed file.
fn unpack(content: &Content, codec: Codec, place: &Place) -> Result<Layer> {
    let inner = place.inside(codec.name())?;
    let mut decoder = codec.unpack(content.all(), Followed::ByMore, &inner)?;
    let mut head = Vec::new();
    decoder
        .by_ref()
        .take(HEAD_BYTES as u64)
        .read_to_end(&mut head)
        .map_err(|e| inner.unreadable(e))?;
    let limit = match Form::of(&head) {
        // A tar is read as a stream: only its kernels need room on the disk.
        Form::Tar => return tar::read(head.chain(decoder), inner, peel).map(Layer::Peeled),
        Form::Elf | Form::Deb | Form::Rpm | Form::Compressed(_) => MAX_FILE_BYTES,
        Form::Btf | Form::BzImage | Form::Zboot | Form::Kernel(_) | Form::Unknown => {
            MAX_KERNEL_BYTES
        }
    };
    let unpacked = Content::unpack(head.chain(decoder), limit, &inner)?;
    Ok(Layer::Inner(unpacked, inner))
}
