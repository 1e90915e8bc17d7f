//! Puts the user's own kernels into a hub, for `btfgen add`.

use std::error::Error as _;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use btfgen_archive::KernelId;
use btfgen_btf::Btf;
use btfgen_chunk::{Digest, ENDING as CHUNK_ENDING};
use btfgen_files::{TempFile, remove_stale};
use btfgen_runtime::Lookup;
use btfgen_vmlinux::{Contents, Reader, Vmlinux};
use serde::Serialize;

use crate::add_modules::{AddedModules, Given, Plan, PresentModules};
use crate::arch::{arch_fits, hub_arch};
use crate::chunk_file::{ChunkFile, ChunkPlace};
use crate::error::{Error, ErrorKind, Result};
use crate::folder::{MadeFolders, absolute};
use crate::kernel_file::{DEFAULT_MAX_BTF_BYTES, ENDINGS, parse_kernel, read_kernel};
use crate::kernel_source::read_kernel_file;
use crate::lock::{LockedHub, Waiting};
use crate::merged::merged_modules;
use crate::modules::MODULES_ENDING;
use crate::seen::{file_id, is_as_seen, is_missing, look};
use crate::tar_xz;

/// A type that every kernel defines, and no module or BPF program does.
const KERNELS_OWN: &[u8] = b"task_struct";

/// Puts kernels into a hub.
///
/// ```no_run
/// # fn main() -> Result<(), btfgen_hub::Error> {
/// use std::path::Path;
///
/// let package = Path::new("linux-image-6.1.0-47-cloud-amd64_6.1.170-3_amd64.deb");
/// let added = btfgen_hub::Add::to_hub("/var/cache/btfhub")
///     .id("debian/12")?
///     .file(package)?;
/// assert_eq!(added.kernel.release(), "6.1.0-47-cloud-amd64");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Add<'a> {
    pub(crate) hub: PathBuf,
    pub(crate) named: Named,
    pub(crate) from_host: bool,
    pub(crate) force: bool,
    modules: bool,
    reader: Reader,
    pub(crate) max_btf_bytes: u64,
    waiting: Option<&'a (dyn Fn(Waiting) + Sync)>,
    cancel: Option<Arc<AtomicBool>>,
}

impl std::fmt::Debug for Add<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Add")
            .field("hub", &self.hub)
            .finish_non_exhaustive()
    }
}

/// What the hub has of a kernel.
pub(crate) struct Present {
    files: Vec<PresentFile>,
    /// A chunk that contains the kernel, if there is no file, and the digest of its BTF.
    chunk: Option<(PathBuf, Digest)>,
    /// The file with the kernel's modules.
    modules: Option<PresentModules>,
}

/// What is written of a kernel.
struct Writing<'w> {
    kernel: &'w KernelId,
    /// The folder `ID/VERSION/ARCH`.
    folder: &'w Path,
    btf: &'w [u8],
    /// Whether the kernel's own file is written.
    with_kernel: bool,
    present: &'w Present,
    modules: &'w Plan,
}

/// A file of the kernel in the hub.
struct PresentFile {
    path: PathBuf,
    metadata: Metadata,
}

/// The known parts of a kernel's id.
#[derive(Debug, Clone, Default)]
pub(crate) struct Named {
    pub(crate) distro: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) arch: Option<String>,
    pub(crate) release: Option<String>,
}

/// The result of adding a kernel.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Added {
    /// The kernel.
    #[serde(serialize_with = "text")]
    pub kernel: KernelId,
    /// Its file in the hub.
    pub path: PathBuf,
    /// What was done.
    pub change: Change,
    /// Where in the file the BTF was found, as text for people.
    pub origin: String,
    /// Size of the BTF in bytes.
    pub btf_bytes: usize,
    /// Its modules.
    pub modules: AddedModules,
}

/// How adding a kernel changed the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// The hub did not have the kernel.
    New,
    /// The hub already had the same BTF of the kernel, in a file or in a chunk.
    Unchanged,
    /// The hub had a different BTF of the kernel. If that is in a chunk, it stays there, and the new file wins.
    Replaced,
}

impl<'a> Add<'a> {
    /// Adds kernels to the hub in this folder. A missing folder is created.
    pub fn to_hub(folder: impl Into<PathBuf>) -> Self {
        Self {
            hub: folder.into(),
            named: Named::default(),
            from_host: false,
            force: false,
            modules: true,
            reader: Reader::new(),
            max_btf_bytes: DEFAULT_MAX_BTF_BYTES,
            waiting: None,
            cancel: None,
        }
    }

    /// Names the kernel: `ID/VERSION/ARCH/RELEASE`, or `ID/VERSION` if the file gives the rest.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`] for another form, or for a part that is not allowed.
    pub fn id(mut self, id: &str) -> Result<Self> {
        let parts: Vec<&str> = id.split('/').collect();
        let (distro, version, rest) = match *parts {
            [distro, version] => (distro, version, None),
            [distro, version, arch, release] => (distro, version, Some((arch, release))),
            _ => return Err(bad_id(id)),
        };
        let (arch, release) = rest.unwrap_or(("arch", "release"));
        KernelId::new(distro, version, arch, release).map_err(|e| bad_id(id).with_source(e))?;
        let owned = |part: &str| Some(part.to_owned());
        self.named = Named {
            distro: owned(distro),
            version: owned(version),
            arch: rest.and_then(|(arch, _)| owned(arch)),
            release: rest.and_then(|(_, release)| owned(release)),
        };
        Ok(self)
    }

    /// Whether to take from this host what neither [`Add::id`] nor the file gives: from os-release(5) and uname(2).
    #[must_use]
    pub fn from_host(mut self, on: bool) -> Self {
        self.from_host = on;
        self
    }

    /// Whether to replace a different BTF of this kernel, and to let [`Add::id`] override the file.
    #[must_use]
    pub fn force(mut self, on: bool) -> Self {
        self.force = on;
        self
    }

    /// Whether to take modules, too; on by default.
    #[must_use]
    pub fn modules(mut self, on: bool) -> Self {
        self.modules = on;
        self
    }

    /// The largest BTF to accept, in bytes; [`DEFAULT_MAX_BTF_BYTES`] by default. The BTFs of all modules of a kernel together
    /// may be as large.
    #[must_use]
    pub fn max_btf_bytes(mut self, bytes: u64) -> Self {
        self.max_btf_bytes = bytes;
        self.reader = self.reader.max_btf_bytes(bytes);
        self
    }

    /// The `pahole` to run for kernels that have debug information but no BTF; by default the one on the PATH.
    #[must_use]
    pub fn pahole(mut self, path: impl Into<PathBuf>) -> Self {
        self.reader = self.reader.pahole(path);
        self
    }

    /// The modules whose BTF pahole makes from the debug information in a package of debug symbols; `all` stands for all. By
    /// default none, because all take minutes.
    #[must_use]
    pub fn dwarf_modules(mut self, names: impl IntoIterator<Item = String>) -> Self {
        self.reader = self.reader.dwarf_modules(names);
        self
    }

    /// Calls `callback` several times a second while another process keeps this one from changing the hub.
    #[must_use]
    pub fn waiting(mut self, callback: &'a (dyn Fn(Waiting) + Sync)) -> Self {
        self.waiting = Some(callback);
        self
    }

    /// Stops soon after the flag is set, and leaves the hub unchanged.
    #[must_use]
    pub fn cancel(mut self, flag: Arc<AtomicBool>) -> Self {
        self.reader = self.reader.cancel(Arc::clone(&flag));
        self.cancel = Some(flag);
        self
    }

    /// Adds the kernel in a file of any type that [`Reader::read_all`] accepts, and its modules. After all checks the hub changes
    /// in one step, while no other process changes it. To replace a kernel, this waits until nobody reads the hub. Drop every
    /// [`Hub`](crate::Hub) of this hub before the call, because it counts as a reader.
    ///
    /// Modules without their kernel come to the kernel with their release that the hub has. A module that cannot be read, or
    /// does not continue the kernel's BTF, is in [`AddedModules::left_out`].
    ///
    /// # Errors
    /// [`ErrorKind::InvalidKernel`] with the cause if the file has neither a kernel's BTF nor modules, or if no module continues
    /// the BTF of its kernel, [`ErrorKind::NoKernels`] if the hub does not have the modules' kernel, [`ErrorKind::Unsupported`],
    /// [`ErrorKind::Machine`], [`ErrorKind::InvalidName`] if a part of the
    /// kernel's name is missing or contradicts the file, [`ErrorKind::Exists`], [`ErrorKind::Hub`], [`ErrorKind::Io`],
    /// [`ErrorKind::Cancelled`].
    pub fn file(&self, path: &Path) -> Result<Added> {
        let mut contents = self.contents(path)?;
        let given = Given::take(&mut contents);
        match contents.kernel {
            Some(vmlinux) => self.kernel_and_modules(path, &vmlinux, given),
            None => self.modules_alone(path, given),
        }
    }

    /// Adds the kernels and modules in several files, each as [`Add::file`] does. Modules may come before their kernel, and those
    /// of one release in consecutive files are added together. Each result comes with the files that it is about.
    pub fn files<P: AsRef<Path>>(&self, paths: &[P]) -> Vec<(Vec<PathBuf>, Result<Added>)> {
        let paths: Vec<PathBuf> = paths.iter().map(|path| path.as_ref().to_owned()).collect();
        let mut results = self.files_in_order(&paths);
        // Of modules that came before their kernel, only the paths were kept.
        let is_early = |(_, result): &(Vec<PathBuf>, Result<Added>)| matches!(result, Err(e) if e.kind() == ErrorKind::NoKernels);
        let any_kernel = results.iter().any(|(_, result)| result.is_ok());
        let early = results
            .iter()
            .filter(|&result| any_kernel && is_early(result));
        let early: Vec<PathBuf> = early.flat_map(|(paths, _)| paths.clone()).collect();
        if !early.is_empty() {
            results.retain(|result| !is_early(result));
            results.extend(self.files_in_order(&early));
        }
        results
    }

    pub(crate) fn contents(&self, path: &Path) -> Result<Contents> {
        if self.modules {
            return self.reader.read_all(path).map_err(unreadable);
        }
        let vmlinux = self.reader.read(path).map_err(unreadable)?;
        Ok(vmlinux.into())
    }

    pub(crate) fn kernel_and_modules(
        &self,
        path: &Path,
        vmlinux: &Vmlinux,
        mut given: Given,
    ) -> Result<Added> {
        let btf = parse_kernel(path, vmlinux.btf())?;
        if !is_kernels(&btf) {
            return Err(Error::new(
                ErrorKind::InvalidKernel,
                path.display(),
                "its BTF has no struct task_struct, so it is not a kernel's BTF",
            ));
        }
        let kernel = self.kernel(path, vmlinux)?;
        if !arch_fits(kernel.arch(), &btf) {
            let message = format!("its BTF does not have the byte order of {}", kernel.arch());
            return Err(Error::new(ErrorKind::InvalidName, path.display(), message)
                .with_help("give the kernel's architecture with --id"));
        }
        drop(btf);
        let hub = LockedHub::lock(&self.hub, || self.wait(Waiting::Writer))?;
        let present = self.present(&kernel)?;
        let there = self.without_merged(path, &kernel, vmlinux.btf(), &present, &mut given)?;
        let btf = there.as_deref().unwrap_or(vmlinux.btf());
        let change = self.change(&kernel, &present, btf)?;
        if change != Change::Unchanged {
            refuse_own_file(path, &present.files)?;
        }
        let modules = self.write(&hub, &kernel, btf, change, &present, given)?;
        let target = self.hub.join(format!("{kernel}{}", ENDINGS[0]));
        let place = match (change, present.path()) {
            (Change::Unchanged, Some(there)) => there.to_owned(),
            _ => target,
        };
        Ok(Added {
            kernel,
            path: place,
            change,
            origin: vmlinux.origin().to_owned(),
            btf_bytes: btf.len(),
            modules,
        })
    }

    /// The BTF that the hub has of the kernel, if `btf` begins with all of it: then somebody has merged modules into `btf`, and
    /// the rest is a module.
    fn without_merged(
        &self,
        path: &Path,
        kernel: &KernelId,
        btf: &[u8],
        present: &Present,
        given: &mut Given,
    ) -> Result<Option<Vec<u8>>> {
        if !self.modules {
            return Ok(None);
        }
        let Some(there) = present.path() else {
            return Ok(None);
        };
        let there = match &present.chunk {
            Some((chunk, _)) => read_in_chunk(chunk, kernel, self.max_btf_bytes),
            None => read_kernel_file(there, self.max_btf_bytes),
        };
        let there = match there {
            Ok(there) => there,
            Err(e) if e.kind() == ErrorKind::Machine => return Err(e),
            // Whoever compares it with the new BTF reports that.
            Err(_) => return Ok(None),
        };
        let Some(merged) = merged_modules(&there, btf) else {
            return Ok(None);
        };
        given.add_merged(path, merged);
        Ok(Some(there))
    }

    pub(crate) fn wait(&self, for_whom: Waiting) -> Result<()> {
        if let Some(callback) = self.waiting {
            callback(for_whom);
        }
        self.go_on()
    }

    /// Fails if the caller has asked to stop.
    pub(crate) fn go_on(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::cancelled("add"));
        }
        Ok(())
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        let flag = self.cancel.as_ref();
        flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    fn kernel(&self, path: &Path, vmlinux: &Vmlinux) -> Result<KernelId> {
        let Named {
            distro,
            version,
            arch,
            release,
        } = self.named.clone();
        let told_arch = vmlinux.arch().map(|arch| hub_arch(arch).to_owned());
        let told_release = vmlinux.release().map(str::to_owned);
        let arch = arch.map(|arch| hub_arch(&arch).to_owned());
        if !self.force {
            agree(path, "architecture", arch.as_deref(), told_arch.as_deref())?;
            agree(path, "release", release.as_deref(), told_release.as_deref())?;
        }
        let (arch, release) = (arch.or(told_arch), release.or(told_release));
        let known = Named {
            distro,
            version,
            arch,
            release,
        };
        known.complete(path, self.from_host)
    }

    /// What the hub has of a kernel, under all possible names.
    pub(crate) fn present(&self, kernel: &KernelId) -> Result<Present> {
        let folder = self.hub.join(kernel.distro()).join(kernel.version());
        let unreadable = |path: &Path, e| Error::io(path, "cannot be read", e);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries.collect::<io::Result<Vec<_>>>(),
            Err(e) if is_missing(&e) => Ok(Vec::new()),
            Err(e) => Err(e),
        };
        let (mut files, mut chunk, mut modules) = (Vec::new(), None, None);
        for entry in entries.map_err(|e| unreadable(&folder, e))? {
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                continue;
            };
            if let Some(arch) = name.strip_suffix(CHUNK_ENDING)
                && hub_arch(arch) == kernel.arch()
            {
                let digest = in_chunk(&entry.path(), kernel)?;
                chunk = digest.map(|digest| (entry.path(), digest)).or(chunk);
            }
            if hub_arch(name) != kernel.arch() {
                continue;
            }
            let here = PresentModules::find(&entry.path(), kernel.release());
            modules = here.map_err(|e| unreadable(&entry.path(), e))?.or(modules);
            for ending in ENDINGS {
                let path = entry.path().join(format!("{}{ending}", kernel.release()));
                if let Some(metadata) = look(&path).map_err(|e| unreadable(&path, e))? {
                    files.push(PresentFile { path, metadata });
                }
            }
        }
        // A file wins, so readers take no BTF from the chunk then.
        let chunk = chunk.filter(|_| files.is_empty());
        Ok(Present {
            files,
            chunk,
            modules,
        })
    }

    /// What has to be done. The hub may have several files of the kernel, and a reader takes one of them. So all of them must
    /// have this BTF.
    fn change(&self, kernel: &KernelId, present: &Present, btf: &[u8]) -> Result<Change> {
        let exists = |message| {
            Error::new(ErrorKind::Exists, kernel, message)
                .with_help("--force replaces it; with --id you can give another name")
        };
        match &present.chunk {
            Some((_, digest)) if *digest == Digest::of(btf) => return Ok(Change::Unchanged),
            Some(_) if self.force => return Ok(Change::Replaced),
            Some((path, _)) => {
                let message = format!("{} has a different BTF of this kernel", path.display());
                return Err(exists(message));
            }
            None if present.files.is_empty() => return Ok(Change::New),
            None => {}
        }
        for PresentFile { path, .. } in &present.files {
            let there = read_kernel_file(path, self.max_btf_bytes);
            match there {
                Ok(there) if there == btf => {}
                Err(e) if e.kind() == ErrorKind::Machine => return Err(e),
                _ if self.force => return Ok(Change::Replaced),
                Ok(_) => {
                    let message = format!("{} has a different BTF of this kernel", path.display());
                    return Err(exists(message));
                }
                Err(e) => {
                    let message = format!("the hub's file {} is unusable", path.display());
                    return Err(exists(message).with_source(e));
                }
            }
        }
        Ok(Change::Unchanged)
    }

    /// Writes a kernel's file if it has changed, and that of its modules, and removes the files that they replace.
    pub(crate) fn write(
        &self,
        hub: &LockedHub,
        kernel: &KernelId,
        btf: &[u8],
        change: Change,
        present: &Present,
        given: Given,
    ) -> Result<AddedModules> {
        let with_kernel = change != Change::Unchanged;
        let target = self.hub.join(format!("{kernel}{}", ENDINGS[0]));
        let folder = match present.folder() {
            // Beside the kernel's file, or where it would be without the chunk.
            Some(folder) if !with_kernel => folder,
            _ => target.parent().unwrap_or(Path::new(".")).to_owned(),
        };
        let base = read_kernel(&target, btf)?;
        let (there, limit) = (present.modules.as_ref(), self.max_btf_bytes);
        let mut modules = Plan::of(given, kernel, &base, there, self.force, limit)?;
        drop(base);
        let writing = Writing {
            kernel,
            folder: &folder,
            btf,
            with_kernel,
            present,
            modules: &modules,
        };
        if with_kernel || modules.is_change() {
            let path = self.write_files(hub, &writing)?;
            modules.added.path = path.or(modules.added.path);
        }
        Ok(modules.added)
    }

    /// Returns the path of the modules' file, if it was written.
    fn write_files(&self, hub: &LockedHub, writing: &Writing<'_>) -> Result<Option<PathBuf>> {
        let Writing {
            kernel,
            folder,
            btf,
            with_kernel,
            present,
            modules,
        } = *writing;
        let _made = MadeFolders::make(&absolute(folder)?)?;
        let target = folder.join(format!("{}{}", kernel.release(), ENDINGS[0]));
        let modules_target = folder.join(format!("{}{MODULES_ENDING}", kernel.release()));
        let failed = |path: &Path, e: io::Error| match e.kind() {
            _ if self.is_cancelled() => Error::cancelled("add"),
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Error::new(ErrorKind::Hub, folder.display(), "cannot be written to")
                    .with_source(e)
                    .with_help("name a writable hub with --hub")
            }
            io::ErrorKind::AlreadyExists => changed(path),
            _ => Error::io(path, "cannot be written", e),
        };
        remove_stale(folder);
        let file = match with_kernel {
            true => Some(
                tar_xz::write(folder, kernel.release(), btf, &|| self.is_cancelled())
                    .map_err(|e| failed(&target, e))?,
            ),
            false => None,
        };
        let modules_file = modules.write(folder, kernel, btf);
        let modules_file = modules_file.map_err(|e| failed(&modules_target, e))?;
        self.go_on()?;
        let replaced: Vec<&PresentFile> = match with_kernel {
            true => present.files.iter().collect(),
            false => Vec::new(),
        };
        let old_modules = present.modules.as_ref().filter(|_| modules.replaces());
        let _alone = match !replaced.is_empty() || old_modules.is_some() {
            true => Some(hub.exclude_readers(|| self.wait(Waiting::Readers))?),
            false => None,
        };
        // Only btfgen's commands respect the lock.
        let seen = replaced.iter().map(|p| (&p.path, &p.metadata));
        for (path, metadata) in seen.chain(old_modules.map(|m| (&m.path, &m.metadata))) {
            if !is_as_seen(path, Some(metadata)).map_err(|e| failed(path, e))? {
                return Err(changed(path));
            }
        }
        // The kernel comes first. If the machine stops between the two, its digest is not that in the modules' file.
        let kernels = replaced.iter().map(|p| &p.path);
        if let Some(file) = file {
            take_name(file, &target, kernels).map_err(|(path, e)| failed(&path, e))?;
        }
        let old = old_modules.map(|m| &m.path);
        match modules_file {
            Some(file) => {
                take_name(file, &modules_target, old.into_iter())
                    .map_err(|(path, e)| failed(&path, e))?;
                return Ok(Some(modules_target));
            }
            None => {
                if let Some(old) = old {
                    std::fs::remove_file(old)
                        .map_err(|e| Error::io(old, "cannot be removed", e))?;
                }
            }
        }
        Ok(None)
    }
}

/// Gives a file its name, and removes the files that it replaces, which may have other names.
fn take_name<'p>(
    file: TempFile,
    target: &Path,
    replaced: impl Iterator<Item = &'p PathBuf> + Clone,
) -> Result<(), (PathBuf, io::Error)> {
    let named = match replaced.clone().any(|path| path == target) {
        true => file.persist(target),
        false => file.persist_new(target),
    };
    named.map_err(|e| (target.to_owned(), e))?;
    for path in replaced.filter(|path| *path != target) {
        std::fs::remove_file(path).map_err(|e| (path.clone(), e))?;
    }
    Ok(())
}

impl Present {
    /// The folder of the kernel's file, or the one that a file beside the chunk would be in.
    fn folder(&self) -> Option<PathBuf> {
        let path = self.path()?;
        Some(match &self.chunk {
            // `ARCH.btfs`
            Some(_) => path.with_extension(""),
            None => path.parent()?.to_owned(),
        })
    }

    /// The file that has the kernel.
    pub(crate) fn path(&self) -> Option<&Path> {
        let file = self.files.first().map(|file| &file.path);
        let chunk = self.chunk.as_ref().map(|(path, _)| path);
        file.or(chunk).map(PathBuf::as_path)
    }
}

/// The digest of a kernel's BTF in a chunk. `None` if the chunk does not have the kernel, or cannot be used: then it does not
/// stand in the way of a file.
fn in_chunk(path: &Path, kernel: &KernelId) -> Result<Option<Digest>> {
    match ChunkFile::open(path, ChunkPlace::of(kernel)) {
        Ok(chunk) => Ok(chunk.digest(kernel.release())),
        Err(e) if e.kind() == ErrorKind::Machine => Err(e),
        Err(_) => Ok(None),
    }
}

/// Reads a kernel's BTF from a chunk.
fn read_in_chunk(path: &Path, kernel: &KernelId, max_bytes: u64) -> Result<Vec<u8>> {
    let chunk = ChunkFile::open(path, ChunkPlace::of(kernel))?;
    let missing = || Error::new(ErrorKind::Io, path.display(), "does not have this kernel");
    chunk.read(chunk.find(kernel.release()).ok_or_else(missing)?, max_bytes)
}

/// Fails if the file to add is one of the files that it would replace.
fn refuse_own_file(path: &Path, present: &[PresentFile]) -> Result<()> {
    let Ok(file) = std::fs::metadata(path) else {
        return Ok(());
    };
    match present
        .iter()
        .find(|p| file_id(&p.metadata) == file_id(&file))
    {
        Some(_) => Err(Error::new(
            ErrorKind::Exists,
            path.display(),
            "is already in the hub, and would replace itself",
        )
        .with_help("move the kernel's other file out of the hub; then this file is used")),
        None => Ok(()),
    }
}

fn changed(path: &Path) -> Error {
    Error::new(
        ErrorKind::Exists,
        path.display(),
        "another program changed this file meanwhile",
    )
    .with_help("nothing was replaced; run the command again")
}

impl Named {
    fn complete(self, path: &Path, from_host: bool) -> Result<KernelId> {
        let Self {
            distro,
            version,
            arch,
            release,
        } = self;
        if let (Some(distro), Some(version), Some(arch), Some(release)) =
            (&distro, &version, &arch, &release)
        {
            return KernelId::new(distro, version, arch, release).map_err(|e| {
                Error::new(
                    ErrorKind::InvalidName,
                    path.display(),
                    "its name is not valid in a hub",
                )
                .with_source(e)
                .with_help("give a name with --id ID/VERSION/ARCH/RELEASE")
            });
        }
        if from_host {
            let host = host_kernel(path)?;
            let host = Self {
                distro: distro.or(Some(host.distro().to_owned())),
                version: version.or(Some(host.version().to_owned())),
                arch: arch.or(Some(hub_arch(host.arch()).to_owned())),
                release: release.or(Some(host.release().to_owned())),
            };
            return host.complete(path, false);
        }
        let missing: Vec<&str> = [
            (distro.is_none(), "distribution"),
            (version.is_none(), "its version"),
            (arch.is_none(), "its architecture"),
            (release.is_none(), "its release"),
        ]
        .into_iter()
        .filter_map(|(is_missing, what)| is_missing.then_some(what))
        .collect();
        let missing = match &*missing {
            [all @ .., last] if !all.is_empty() => format!("{} and {last}", all.join(", ")),
            one => one.concat(),
        };
        let help = if arch.is_none() || release.is_none() {
            "give --id ID/VERSION/ARCH/RELEASE, or --from-host if it is this host's kernel"
        } else {
            "give for example --id ubuntu/22.04, or --from-host if it is a kernel of this host's distribution"
        };
        let message = format!("does not contain the kernel's {missing}");
        Err(Error::new(ErrorKind::InvalidName, path.display(), message).with_help(help))
    }
}

/// The kernel that this host runs.
pub(crate) fn host_kernel(path: &Path) -> Result<KernelId> {
    Lookup::new().kernel_id().map_err(|e| {
        let message = e.message().to_owned();
        Error::new(ErrorKind::InvalidName, path.display(), message)
            .with_help("give a name with --id ID/VERSION/ARCH/RELEASE")
    })
}

fn bad_id(id: &str) -> Error {
    Error::new(ErrorKind::InvalidName, format!("{id:?}"), "is not a kernel's id")
        .with_help("write ID/VERSION/ARCH/RELEASE, for example ubuntu/22.04/x86_64/5.15.0-71-generic, or only ID/VERSION")
}

pub(crate) fn agree(
    path: &Path,
    what: &str,
    named: Option<&str>,
    told: Option<&str>,
) -> Result<()> {
    match (named, told) {
        (Some(named), Some(told)) if named != told => {
            let message = format!("its {what} is {told}, not {named}");
            Err(Error::new(ErrorKind::InvalidName, path.display(), message)
                .with_help("give only --id ID/VERSION, or override the file with --force"))
        }
        _ => Ok(()),
    }
}

fn is_kernels(btf: &Btf<'_>) -> bool {
    btf.types().any(|ty| ty.name() == KERNELS_OWN)
}

/// An error of btfgen-vmlinux, with its help and its causes.
pub(crate) fn unreadable(e: btfgen_vmlinux::Error) -> Error {
    let kind = match e.kind() {
        btfgen_vmlinux::ErrorKind::Cancelled => return Error::cancelled("add"),
        _ if e.is_machine_fault() => ErrorKind::Machine,
        btfgen_vmlinux::ErrorKind::Io => ErrorKind::Io,
        _ => ErrorKind::InvalidKernel,
    };
    let error = Error::new(kind, e.subject(), e.message());
    let error = match e.help() {
        Some(help) => error.with_help(help.to_owned()),
        None => error,
    };
    let causes = std::iter::successors(e.source(), |&e| e.source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    if causes.is_empty() {
        return error;
    }
    error.with_source(causes.join(": "))
}

/// A kernel's id in JSON.
fn text<S: serde::Serializer>(kernel: &KernelId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(kernel)
}
