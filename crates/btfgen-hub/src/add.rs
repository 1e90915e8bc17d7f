//! Puts the user's own kernels into a hub, for `btfgen add`.

mod alone;
mod build_id;
mod merged;
mod modules;
mod named;
mod present;
mod write;

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use btfgen_archive::{BuildId, KernelId};
use btfgen_btf::Btf;
use btfgen_vmlinux::{Contents, Reader, Vmlinux};
use serde::Serialize;

use self::merged::merged_modules;
use self::modules::Given;
pub use self::modules::{AddedModules, ModulesChange};
use self::named::{Named, bad_id};
use self::present::{Present, read_in_chunk, refuse_own_file};
use crate::arch::arch_fits;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel_file::{DEFAULT_MAX_BTF_BYTES, ENDINGS, parse_kernel};
use crate::kernel_source::read_kernel_file;
use crate::lock::{LockedHub, Waiting};

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
    hub: PathBuf,
    named: Named,
    from_host: bool,
    force: bool,
    modules: bool,
    reader: Reader,
    max_btf_bytes: u64,
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
    /// The kernel's build id, which the hub has now. `None` if neither the file nor this host gives it.
    #[serde(serialize_with = "optional_text")]
    pub build_id: Option<BuildId>,
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

    fn contents(&self, path: &Path) -> Result<Contents> {
        if self.modules {
            return self.reader.read_all(path).map_err(unreadable);
        }
        let vmlinux = self.reader.read(path).map_err(unreadable)?;
        Ok(vmlinux.into())
    }

    fn kernel_and_modules(
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
        let mut change = self.change(&kernel, &present, btf)?;
        let build_id = self.build_id(path, vmlinux, &kernel);
        let target = self.hub.join(format!("{kernel}{}", ENDINGS[0]));
        let (place, is_other_build) = match (change, present.path()) {
            (Change::Unchanged, Some(there)) => {
                let is_other = build_id::replaces(there, &kernel, build_id, self.force)?;
                (there.to_owned(), is_other)
            }
            _ => {
                refuse_own_file(path, &present.files)?;
                (target, false)
            }
        };
        let modules = self.write(&hub, &kernel, btf, change, &present, given)?;
        if is_other_build {
            change = Change::Replaced;
        }
        build_id::record(&place, &kernel, build_id)?;
        Ok(Added {
            kernel,
            path: place,
            change,
            origin: vmlinux.origin().to_owned(),
            btf_bytes: btf.len(),
            build_id,
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

    fn wait(&self, for_whom: Waiting) -> Result<()> {
        if let Some(callback) = self.waiting {
            callback(for_whom);
        }
        self.go_on()
    }

    /// Fails if the caller has asked to stop.
    fn go_on(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::cancelled("add"));
        }
        Ok(())
    }

    fn is_cancelled(&self) -> bool {
        let flag = self.cancel.as_ref();
        flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// The build id by the file, or by this host if the BTF is the running kernel's.
    fn build_id(&self, path: &Path, vmlinux: &Vmlinux, kernel: &KernelId) -> Option<BuildId> {
        let release = vmlinux.release().or(self.named.release.as_deref());
        let is_running =
            (self.from_host && release.is_none()) || build_id::is_of_running_kernel(path, kernel);
        vmlinux
            .build_id()
            .or_else(|| btfgen_runtime::running_build_id().filter(|_| is_running))
    }
}

fn is_kernels(btf: &Btf<'_>) -> bool {
    btf.types().any(|ty| ty.name() == KERNELS_OWN)
}

/// An error of btfgen-vmlinux, with its help and its causes.
fn unreadable(e: btfgen_vmlinux::Error) -> Error {
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

/// A build id in JSON.
fn optional_text<S: serde::Serializer>(
    id: &Option<BuildId>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}

/// A kernel's id in JSON.
fn text<S: serde::Serializer>(kernel: &KernelId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(kernel)
}
