//! The modules of a kernel: reads their split BTFs, on all processors, while the package is unpacked.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SendError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use btfgen_btf::Header;

use crate::banner;
use crate::btf::limit;
use crate::compression::{Codec, Followed, MAGIC_BYTES};
use crate::content::Content;
use crate::dwarf_modules::DwarfModules;
use crate::elf;
use crate::error::{Error, ErrorKind, Result};
use crate::place::Place;
use crate::vmlinux::Vmlinux;

/// The largest file of a module, unpacked: the largest ones with debug information have 600 MB.
const MAX_MODULE_BYTES: u64 = 1 << 30;

/// The most modules of a file. Distributions have up to 8,000.
const MAX_MODULES: usize = 1 << 15;

/// The most threads. To unpack the package itself takes one thread.
const MAX_THREADS: usize = 8;

/// The largest `.modinfo` to read.
const MAX_MODINFO_BYTES: u64 = 1 << 20;

/// The split BTF of one module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModuleBtf {
    /// The module's name, with underscores, as in /sys/kernel/btf. It may have any characters.
    pub name: String,
    /// The release of the module's kernel: by the module itself (`vermagic`), or by the path `lib/modules/RELEASE`. `None` for
    /// bare BTF.
    pub release: Option<String>,
    /// The BTF, byte for byte. It continues that of its kernel, which is needed to read it.
    pub btf: Vec<u8>,
    /// The file, as text for people: `linux.deb:lib/modules/6.1.0-47-cloud-amd64/kernel/fs/xfs/xfs.ko`.
    pub subject: String,
}

/// What a file or folder has of a kernel and its modules.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Contents {
    /// The kernel; `None` if there are only modules.
    pub kernel: Option<Vmlinux>,
    /// The modules with BTF, sorted by name. A name comes once.
    pub modules: Vec<ModuleBtf>,
    /// The number of modules without BTF of their own.
    pub without_btf: usize,
    /// The modules that cannot be read, with the reasons.
    pub left_out: Vec<Error>,
}

impl From<Vmlinux> for Contents {
    fn from(kernel: Vmlinux) -> Self {
        Self {
            kernel: Some(kernel),
            ..Self::default()
        }
    }
}

/// The file of a module, by its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ModuleFile<'p> {
    /// The path without leading `./`.
    pub(crate) path: &'p str,
    pub(crate) release: Option<&'p str>,
}

impl<'p> ModuleFile<'p> {
    /// Recognizes `lib/modules/RELEASE/…/NAME.ko`, also compressed, but not the debug symbols in `usr/lib/debug`.
    pub(crate) fn of(path: &'p str) -> Option<Self> {
        let path = path.trim_start_matches(['.', '/']);
        let installed = path.strip_prefix("usr/").unwrap_or(path);
        let (release, _) = installed.strip_prefix("lib/modules/")?.split_once('/')?;
        let shown = is_module_file(path) && path.chars().all(|c| !c.is_control());
        shown.then_some(Self {
            path,
            release: banner::is_release(release).then_some(release),
        })
    }

    /// Recognizes the debug symbols of a module: `usr/lib/debug/lib/modules/RELEASE/…/NAME.ko`, also with `.debug` appended.
    pub(crate) fn with_debug_info(path: &'p str) -> Option<Self> {
        let path = path.trim_start_matches(['.', '/']);
        let symbols = path.strip_prefix("usr/lib/debug/")?;
        let file = Self::of(without_debug(symbols))?;
        Some(Self { path, ..file })
    }
}

fn without_debug(path: &str) -> &str {
    path.strip_suffix(".debug").unwrap_or(path)
}

/// Whether a file has a module's ending.
pub(crate) fn is_module_file(path: &str) -> bool {
    stem(path).is_some()
}

/// `nf_conntrack` of `a/nf-conntrack.ko.xz`
fn stem(path: &str) -> Option<String> {
    let name = path.rsplit('/').next()?;
    let stem = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"]
        .iter()
        .find_map(|ending| name.strip_suffix(ending))?;
    Some(canonical(stem))
}

/// The name that the kernel gives to a module: `KBUILD_MODNAME` in the kernel's `scripts/Makefile.lib`.
pub(crate) fn canonical(name: &str) -> String {
    name.replace(['-', ','], "_")
}

/// A module that waits for a thread.
struct Job {
    source: Source,
    place: Place,
    name: String,
}

enum Source {
    Content(Content),
    Path(PathBuf),
}

/// The modules that were found so far, and the threads' queue.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    /// `None` without threads.
    queue: Mutex<Option<SyncSender<Job>>>,
    found: Mutex<Found>,
    dwarf: Mutex<DwarfModules>,
}

#[derive(Debug, Default)]
struct Found {
    contents: Contents,
    seen: usize,
    /// An error that ends the reading.
    fatal: Option<Error>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Modules {
    /// Runs `read`, which gives modules to [`Modules::offer`]. Returns what `read` returns, and the modules.
    pub(crate) fn collect<T>(
        read: impl FnOnce(&Arc<Self>) -> Result<T>,
    ) -> Result<(T, Contents, DwarfModules)> {
        let modules = Arc::new(Self::default());
        let threads = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(MAX_THREADS);
        let (sender, receiver) = sync_channel(threads);
        let receiver = Mutex::new(receiver);
        let read = thread::scope(|scope| {
            let (modules, receiver) = (&modules, &receiver);
            for _ in 0..threads {
                let worker = move || modules.work(receiver);
                // If threads cannot be started, the work goes on without them.
                if thread::Builder::new().spawn_scoped(scope, worker).is_ok() {
                    *lock(&modules.queue) = Some(sender.clone());
                }
            }
            drop(sender);
            let _end = EndOfQueue(modules);
            read(modules)
        })?;
        let found = std::mem::take(&mut *lock(&modules.found));
        match found.fatal {
            Some(error) => Err(error),
            None => {
                let dwarf = std::mem::take(&mut *lock(&modules.dwarf));
                Ok((read, sorted(found.contents), dwarf))
            }
        }
    }

    fn work(&self, jobs: &Mutex<Receiver<Job>>) {
        loop {
            // The lock ends before the work begins.
            let job = lock(jobs).recv();
            match job {
                Ok(job) => self.take(job),
                Err(_) => return,
            }
        }
    }

    /// Takes a module's file from a package. `place` is that of the file.
    ///
    /// # Errors
    /// The error of another module that ended the work.
    pub(crate) fn offer(&self, path: &str, content: Content, place: Place) -> Result<()> {
        let name = stem(path).unwrap_or_else(|| canonical(path));
        self.queue(Job {
            source: Source::Content(content),
            place,
            name,
        })
    }

    /// Takes the debug information of a module from a package, if the caller wants its BTF. `place` is that of the file.
    ///
    /// # Errors
    /// If it cannot be unpacked.
    pub(crate) fn offer_dwarf(&self, path: &str, body: &mut dyn Read, place: Place) -> Result<()> {
        let name = stem(without_debug(path)).unwrap_or_else(|| canonical(path));
        let wanted = &place.budget.options().dwarf_modules;
        let is_wanted = wanted
            .iter()
            .any(|wanted| *wanted == name || wanted == "all");
        let mut dwarf = lock(&self.dwarf);
        dwarf.note_debug_package();
        if !is_wanted {
            return Ok(());
        }
        lock(&self.found).seen += 1;
        dwarf.unpack(name, body, place)
    }

    /// Takes a module's file or bare BTF, which a thread opens.
    ///
    /// # Errors
    /// The error of another module that ended the work.
    pub(crate) fn offer_file(&self, path: &Path, place: Place) -> Result<()> {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let bare = file.strip_suffix(".btf").unwrap_or(&file);
        let name = stem(&file).unwrap_or_else(|| canonical(bare));
        self.queue(Job {
            source: Source::Path(path.to_owned()),
            place,
            name,
        })
    }

    /// Whether any module was seen.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.found).seen == 0
    }

    fn queue(&self, job: Job) -> Result<()> {
        let mut found = lock(&self.found);
        if let Some(error) = found.fatal.take() {
            return Err(error);
        }
        found.seen += 1;
        if found.seen > MAX_MODULES {
            let message = format!("has more than {MAX_MODULES} modules");
            return Err(job.place.error(ErrorKind::TooLarge, message));
        }
        drop(found);
        let queue = lock(&self.queue).clone();
        // Without threads, the work is done here.
        let left = match queue {
            Some(queue) => queue.send(job).err().map(|SendError(job)| job),
            None => Some(job),
        };
        if let Some(job) = left {
            self.take(job);
        }
        Ok(())
    }

    fn take(&self, job: Job) {
        let Job {
            source,
            place,
            name,
        } = job;
        let content = match source {
            Source::Content(content) => Ok(content),
            Source::Path(path) => Content::open(&path, &place),
        };
        let read = content.and_then(|content| read(content, &place, name));
        let mut found = lock(&self.found);
        match read {
            Ok(Some(module)) if !place.budget.take_module(module.btf.len() as u64) => {
                found.fatal = Some(too_large(&place));
            }
            Ok(Some(module)) => found.contents.modules.push(module),
            Ok(None) => found.contents.without_btf += 1,
            Err(e) if e.is_machine_fault() || e.kind() == ErrorKind::Cancelled => {
                found.fatal.get_or_insert(e);
            }
            Err(e) => found.contents.left_out.push(e),
        }
    }
}

/// Closes the queue, also if the reading panics. The threads end when they have emptied it.
struct EndOfQueue<'m>(&'m Modules);

impl Drop for EndOfQueue<'_> {
    fn drop(&mut self) {
        *lock(&self.0.queue) = None;
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the module in a file: split BTF itself, or an ELF file with it, perhaps compressed. `None` if it has none.
pub(crate) fn read(mut content: Content, place: &Place, name: String) -> Result<Option<ModuleBtf>> {
    let mut place = place.clone();
    let mut head = content.read(0, MAGIC_BYTES, &place)?;
    if let Some(codec) = Codec::of(&head) {
        place = place.inside(codec.name())?;
        let from = codec.unpack(content.all(), Followed::ByMore, &place)?;
        content = Content::unpack_small(from, 0, MAX_MODULE_BYTES, &place)?;
        head = content.read(0, MAGIC_BYTES, &place)?;
    }
    let is_bare = Header::MAGICS.iter().any(|magic| head.starts_with(magic));
    let (btf, info) = if is_bare {
        (
            Some(content.read(0, limit(content.len(), &place)?, &place)?),
            None,
        )
    } else if head.starts_with(b"\x7fELF") {
        let module = elf::read_module(&content, &place)?;
        if module.has_distilled_base {
            let message = "was built outside of the kernel's tree: its BTF continues its own .BTF.base instead of the kernel's BTF";
            return Err(place
                .error(ErrorKind::Unsupported, message)
                .with_help("build the module with the kernel's vmlinux and without .BTF.base"));
        }
        let info = match module.info {
            Some(range) if range.end - range.start <= MAX_MODINFO_BYTES => {
                Some(content.read(range.start, (range.end - range.start) as usize, &place)?)
            }
            _ => None,
        };
        let btf = match module.btf {
            Some(range) => {
                let len = limit(range.end.saturating_sub(range.start), &place)?;
                Some(content.read(range.start, len, &place)?)
            }
            None => None,
        };
        (btf, info)
    } else {
        return Err(place.error(ErrorKind::Unrecognized, "is neither a module nor its BTF"));
    };
    let Some(btf) = btf.filter(|btf| has_types(btf)) else {
        return Ok(None);
    };
    let info = info.unwrap_or_default();
    let field = |key: &str| modinfo(&info, key);
    let vermagic = field("vermagic").and_then(|magic| banner::first_word(magic.as_bytes(), b" "));
    Ok(Some(ModuleBtf {
        name: field("name").map_or(name, |name| canonical(&name)),
        release: vermagic.or_else(|| place.package.release.clone()),
        btf,
        subject: place.subject().to_owned(),
    }))
}

/// The error for modules whose BTFs are too large together.
pub(crate) fn too_large(place: &Place) -> Error {
    let max = place.budget.options().max_btf_bytes;
    let message = format!("the BTFs of the modules together have more than {max} bytes");
    place.error(ErrorKind::TooLarge, message)
}

/// Whether a BTF has types of its own. A module may have none; its BTF is then only a header.
fn has_types(btf: &[u8]) -> bool {
    /// The offset of `type_len` in `struct btf_header`.
    const TYPE_LEN: usize = 12;
    btf.get(TYPE_LEN..TYPE_LEN + 4)
        .is_some_and(|len| len != [0; 4])
}

/// A field of a `.modinfo`: `key=value` strings, each with a NUL.
fn modinfo(info: &[u8], key: &str) -> Option<String> {
    info.split(|&b| b == 0).find_map(|field| {
        let value = field.strip_prefix(key.as_bytes())?.strip_prefix(b"=")?;
        str::from_utf8(value).ok().map(str::to_owned)
    })
}

/// Sorts by name, so that the result does not depend on threads, and leaves out the second module of a name.
pub(crate) fn sorted(mut contents: Contents) -> Contents {
    let key = |module: &ModuleBtf| (module.name.clone(), module.subject.clone());
    contents.modules.sort_by_cached_key(key);
    let mut modules: Vec<ModuleBtf> = Vec::with_capacity(contents.modules.len());
    for module in contents.modules {
        match modules.last() {
            Some(first) if first.name == module.name => {
                if first.btf != module.btf {
                    let message =
                        format!("is another module {} than {}", first.name, first.subject);
                    let error = Error::new(ErrorKind::Module, &module.subject, message);
                    contents
                        .left_out
                        .push(error.with_help("name only one of the two"));
                }
            }
            _ => modules.push(module),
        }
    }
    contents.modules = modules;
    contents
        .left_out
        .sort_by(|one, other| one.subject().cmp(other.subject()));
    contents
}
