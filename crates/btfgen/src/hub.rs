//! The hub: a folder of kernels' BTFs in btfhub-archive's layout, `ID/VERSION/ARCH/RELEASE.btf.tar.xz`.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use btfgen_archive::KernelId;
use rustix::fs::{FlockOperation, flock};
use walkdir::WalkDir;

use crate::arch::arch_fits;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel_file::{self, Packing, parse_kernel};
use crate::kernel_filter::{Codenames, KernelFilter};

/// The kernels of one or more hubs.
///
/// While it lives, no `btfgen fetch` changes the hubs: what was listed can be read.
#[derive(Debug, Default)]
pub struct Hub {
    kernels: Vec<HubKernel>,
    rejected: Vec<Error>,
    codenames: Codenames,
    /// The hubs' folders with a shared lock, flock(2).
    locks: Vec<File>,
}

/// One kernel of a hub. Its file is not read before [`HubKernel::read`].
#[derive(Debug, Clone)]
pub struct HubKernel {
    id: KernelId,
    path: PathBuf,
    packing: Packing,
    file_bytes: u64,
}

const LAYOUT_HELP: &str =
    "a hub holds ID/VERSION/ARCH/RELEASE.btf.tar.xz (or .btf.xz, .btf), like btfhub-archive";

impl Hub {
    /// Looks into folders; where two hold the same kernel, the first one named has it.
    ///
    /// What is not a kernel is passed over, what looks like one and cannot be taken is listed in [`Hub::rejected`].
    ///
    /// # Errors
    /// [`ErrorKind::EmptyHub`] if a folder is missing or is none, [`ErrorKind::Io`] if it cannot be read.
    pub fn open<P: AsRef<Path>>(folders: &[P]) -> Result<Self> {
        let mut kernels = BTreeMap::new();
        let mut hub = Self::default();
        for folder in folders {
            hub.walk(folder.as_ref(), &mut kernels)?;
        }
        hub.kernels = kernels.into_values().collect();
        Ok(hub)
    }

    /// The kernels, in the order of their ids.
    pub fn kernels(&self) -> &[HubKernel] {
        &self.kernels
    }

    /// Files that have a kernel's name but are left out, with the reason.
    pub fn rejected(&self) -> &[Error] {
        &self.rejected
    }

    /// Keeps the kernels that pass a filter.
    #[must_use]
    pub fn filtered(mut self, filter: &KernelFilter) -> Self {
        self.kernels
            .retain(|k| filter.matches_any_name(&k.id, &self.codenames));
        self
    }

    fn walk(&mut self, folder: &Path, kernels: &mut BTreeMap<KernelId, HubKernel>) -> Result<()> {
        let root = root_of(folder)?;
        self.locks.extend(shared_lock(&root));
        let visible = |e: &walkdir::DirEntry| {
            e.depth() == 0 || !e.file_name().to_string_lossy().starts_with('.')
        };
        // Sorted, so that of two forms of one kernel the same one is taken everywhere: `.btf` sorts first.
        for entry in WalkDir::new(&root)
            .sort_by_file_name()
            .into_iter()
            .filter_entry(visible)
        {
            let entry = match entry {
                Ok(entry) => entry,
                Err(e) => {
                    let path = e.path().unwrap_or(&root).to_owned();
                    let unreadable = Error::new(ErrorKind::Io, path.display(), "cannot be read");
                    self.rejected.push(unreadable.with_source(e));
                    continue;
                }
            };
            if entry.file_type().is_symlink() {
                self.note_codename(&root, entry.path());
            }
            if let Some(taken) = kernel(&root, &entry) {
                match taken {
                    Err(e) => self.rejected.push(e),
                    Ok(kernel) => {
                        if let Some(other) = kernels.get(&kernel.id) {
                            self.rejected.push(Error::new(
                                ErrorKind::InvalidName,
                                kernel.path.display(),
                                format!("the same kernel is in {}", other.path.display()),
                            ));
                        } else {
                            kernels.insert(kernel.id.clone(), kernel);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes what [`Hub::rejected`] lists.
    pub fn take_rejected(&mut self) -> Vec<Error> {
        std::mem::take(&mut self.rejected)
    }

    fn note_codename(&mut self, root: &Path, link: &Path) {
        let place = link.strip_prefix(root).ok().and_then(Path::to_str);
        let target = std::fs::read_link(link).ok();
        if let Some((distro, codename)) = place.and_then(|p| p.split_once('/'))
            && let Some(target) = target.as_deref().and_then(Path::to_str)
        {
            self.codenames.insert(distro, codename, target);
        }
    }
}

/// The hub's folder without links.
fn root_of(folder: &Path) -> Result<PathBuf> {
    let root = folder.canonicalize().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::new(
            ErrorKind::EmptyHub,
            folder.display(),
            "there is no such hub",
        )
        .with_help("`btfgen fetch` makes one; or name an existing folder with --hub, or set BTFHUB_CACHE_DIR"),
        _ => Error::io(folder, "cannot open the hub", e),
    })?;
    if !root.is_dir() {
        return Err(Error::new(
            ErrorKind::EmptyHub,
            folder.display(),
            "a hub is a folder, this is a file",
        )
        .with_help(LAYOUT_HELP));
    }
    Ok(root)
}

/// Keeps `btfgen fetch` from changing a hub; without it where the file system knows no locks.
fn shared_lock(root: &Path) -> Option<File> {
    let folder = File::open(root).ok()?;
    flock(&folder, FlockOperation::LockShared).ok()?;
    Some(folder)
}

/// The folder that hubs live in unless another is named: `$BTFHUB_CACHE_DIR` or `$BTFHUB_CACHE`, else `btfgen/btfhub` in the XDG
/// cache folder (`$XDG_CACHE_HOME`, else `~/.cache`). `None` if not even a home folder is known.
pub fn default_hub() -> Option<PathBuf> {
    let var = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    var("BTFHUB_CACHE_DIR")
        .or_else(|| var("BTFHUB_CACHE"))
        .or_else(|| {
            let cache = var("XDG_CACHE_HOME")
                // The specification has relative ones ignored.
                .filter(|p| p.is_absolute())
                .or_else(|| Some(var("HOME")?.join(".cache")))?;
            Some(cache.join("btfgen").join("btfhub"))
        })
}

/// The kernel in a walk's entry; `None` for what does not claim to be one.
fn kernel(root: &Path, entry: &walkdir::DirEntry) -> Option<Result<HubKernel>> {
    let path = entry.path();
    let file_type = entry.file_type();
    if file_type.is_dir() {
        return None;
    }
    let name = path.strip_prefix(root).ok()?.to_str()?;
    let packing = Packing::of(name);
    if file_type.is_symlink() {
        let inside = path.canonicalize().is_ok_and(|to| to.starts_with(root));
        // A folder outside may hold kernels, so it is not passed over in silence; a README may lie anywhere.
        if !inside && (packing.is_some() || path.is_dir()) {
            return Some(Err(Error::new(
                ErrorKind::InvalidName,
                path.display(),
                "a symbolic link that leads out of the hub is not followed",
            )));
        }
    }
    let (packing, stem) = packing?;
    let metadata = std::fs::metadata(path).ok()?;
    if metadata.is_dir() {
        // A link for a codename, `debian/buster` for `debian/10`: its kernels have their place already.
        return None;
    }
    match KernelId::from_btf_path(&format!("{stem}.btf")) {
        Ok(id) => Some(Ok(HubKernel {
            id,
            path: path.to_owned(),
            packing,
            file_bytes: metadata.len(),
        })),
        Err(e) => Some(Err(Error::new(
            ErrorKind::InvalidName,
            path.display(),
            "its place is not ID/VERSION/ARCH/RELEASE",
        )
        .with_source(e)
        .with_help(LAYOUT_HELP))),
    }
}

impl HubKernel {
    /// Which kernel it is.
    pub fn id(&self) -> &KernelId {
        &self.id
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Size of its file in bytes, compressed as it is.
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// Reads and unpacks the BTF, which may have at most `max_bytes`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], [`ErrorKind::InvalidKernel`] for a damaged file, [`ErrorKind::TooLarge`].
    pub fn read(&self, max_bytes: u64) -> Result<Vec<u8>> {
        Ok(kernel_file::read(&self.path, self.packing, max_bytes)?.btf)
    }

    /// Checks that the file is whole and in its place: it reads, is a BTF that libbpf takes and of the architecture's byte
    /// order, and the name inside a `.btf.tar.xz` is that of the release.
    ///
    /// # Errors
    /// Those of [`HubKernel::read`]; [`ErrorKind::InvalidKernel`] or [`ErrorKind::Unsupported`] for what is no BTF to libbpf,
    /// [`ErrorKind::InvalidName`] for another kernel's name.
    pub fn verify(&self, max_bytes: u64) -> Result<()> {
        let read = kernel_file::read(&self.path, self.packing, max_bytes)?;
        if let Some(name) = read.name
            && name.file_stem() != Some(self.id.release().as_ref())
        {
            let message = format!("holds {}, which is another kernel's name", name.display());
            return Err(Error::new(
                ErrorKind::InvalidName,
                self.path.display(),
                message,
            ));
        }
        let btf = parse_kernel(&self.path, &read.btf)?;
        if !arch_fits(self.id.arch(), &btf) {
            let message = format!("its byte order is not that of {}", self.id.arch());
            return Err(Error::new(
                ErrorKind::InvalidName,
                self.path.display(),
                message,
            ));
        }
        Ok(())
    }
}
