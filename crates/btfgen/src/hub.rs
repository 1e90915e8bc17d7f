//! The hub: a folder of kernels' BTFs in btfhub-archive's layout, `ID/VERSION/ARCH/RELEASE.btf.tar.xz`.

use std::collections::{BTreeMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use btfgen_archive::KernelId;
use btfgen_files::{HubReader, LockError, is_machine_fault};
use walkdir::WalkDir;

use crate::arch::arch_fits;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel_file::{self, Packing, parse_kernel};
use crate::kernel_filter::{Codenames, KernelFilter};

/// The kernels of one or more hubs.
///
/// While it lives, no btfgen command changes the hubs' kernels: what was listed can be read.
#[derive(Debug, Default)]
pub struct Hub {
    /// As the caller named them.
    folders: Vec<PathBuf>,
    kernels: Vec<HubKernel>,
    rejected: Vec<Error>,
    codenames: Codenames,
    /// All files with a kernel's name, those that are left out, too.
    files: HashSet<FileId>,
    /// No writer changes the hubs as long as these live.
    locks: Vec<HubReader>,
}

/// One kernel of a hub. Its file is not read before [`HubKernel::read`].
#[derive(Debug, Clone)]
pub struct HubKernel {
    id: KernelId,
    path: PathBuf,
    packing: Packing,
    file_bytes: u64,
}

/// What the system knows a file by: its device and its inode.
pub(crate) type FileId = (u64, u64);

pub(crate) fn file_id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

const LAYOUT_HELP: &str =
    "a hub holds ID/VERSION/ARCH/RELEASE.btf.tar.xz (or .btf.xz, .btf), like btfhub-archive";

impl Hub {
    /// Looks into folders; where two hold the same kernel, the first one named has it. Waits while a btfgen command changes
    /// one of them.
    ///
    /// What is not a kernel is passed over, what looks like one and cannot be taken is listed in [`Hub::rejected`].
    ///
    /// # Errors
    /// [`ErrorKind::EmptyHub`] if a folder is missing or is none, [`ErrorKind::Io`] if it cannot be read,
    /// [`ErrorKind::Machine`].
    pub fn open<P: AsRef<Path>>(folders: &[P]) -> Result<Self> {
        Self::open_waiting(folders, || Ok(()))
    }

    /// As [`Hub::open`]. `waiting` is called over and over while another process changes a hub; its error ends the wait.
    ///
    /// # Errors
    /// Those of [`Hub::open`] and of `waiting`.
    pub fn open_waiting<P: AsRef<Path>>(
        folders: &[P],
        mut waiting: impl FnMut() -> Result<()>,
    ) -> Result<Self> {
        let mut hub = Self::default();
        let mut kernels = BTreeMap::new();
        for folder in folders {
            let root = root_of(folder.as_ref())?;
            hub.folders.push(folder.as_ref().to_owned());
            let mut lock = HubReader::lock(&root, &mut waiting)?;
            let mut found = list(&root)?;
            if lock.is_none() && HubReader::is_possible(&root) {
                // The hub's first writer has come meanwhile.
                lock = HubReader::lock(&root, &mut waiting)?;
                found = list(&root)?;
            }
            hub.locks.extend(lock);
            for found in found {
                hub.take(&root, found, &mut kernels);
            }
        }
        hub.kernels = kernels.into_values().collect();
        Ok(hub)
    }

    /// The hubs' folders, as they were named.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.folders.iter().map(PathBuf::as_path)
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

    fn take(&mut self, root: &Path, found: Found, kernels: &mut BTreeMap<KernelId, HubKernel>) {
        match found {
            Found::Link(path) => self.note_codename(root, &path),
            Found::Rejected(error, file) => {
                self.rejected.push(error);
                self.files.extend(file);
            }
            Found::Kernel(kernel, file) => {
                self.files.insert(file);
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

    /// All files with a kernel's name.
    pub(crate) fn files(&self) -> impl Iterator<Item = FileId> {
        self.files.iter().copied()
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

impl<'h> IntoIterator for &'h Hub {
    type Item = &'h HubKernel;
    type IntoIter = std::slice::Iter<'h, HubKernel>;

    fn into_iter(self) -> Self::IntoIter {
        self.kernels.iter()
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
        .with_help(
            "`btfgen fetch` makes one; or name an existing folder, or set BTFHUB_CACHE_DIR to it",
        ),
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

impl From<LockError> for Error {
    fn from(e: LockError) -> Self {
        Self::new(
            ErrorKind::Machine,
            e.path().display(),
            "the hub cannot be locked",
        )
        .with_source(e)
    }
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

/// What a hub's folder holds, as far as it matters.
enum Found {
    Kernel(HubKernel, FileId),
    /// It has a kernel's name, but cannot be taken.
    Rejected(Error, Option<FileId>),
    /// A symbolic link that is no kernel's: perhaps a codename.
    Link(PathBuf),
}

fn list(root: &Path) -> Result<Vec<Found>> {
    let visible = |e: &walkdir::DirEntry| {
        e.depth() == 0 || !e.file_name().as_encoded_bytes().starts_with(b".")
    };
    let mut found = Vec::new();
    // Sorted, so that of two forms of one kernel the same one is taken everywhere: `.btf` sorts first.
    for entry in WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(visible)
    {
        match entry {
            Ok(entry) => found.extend(look_at(root, &entry)?),
            Err(e) => {
                let path = e.path().unwrap_or(root).to_owned();
                let unreadable = Error::io(&path, "cannot be read", e);
                if unreadable.kind() == ErrorKind::Machine {
                    return Err(unreadable);
                }
                found.push(Found::Rejected(unreadable, None));
            }
        }
    }
    Ok(found)
}

/// What a walk's entry is; `None` for what does not claim to be a kernel.
///
/// # Errors
/// Those of the machine.
fn look_at(root: &Path, entry: &walkdir::DirEntry) -> Result<Option<Found>> {
    let path = entry.path();
    let is_link = entry.file_type().is_symlink();
    if entry.file_type().is_dir() {
        return Ok(None);
    }
    let rejected = |message: &str| Error::new(ErrorKind::InvalidName, path.display(), message);
    let packing = Packing::of(path.as_os_str());
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        // A link that leads nowhere may stand for a codename all the same.
        Err(e) if is_link && packing.is_none() && !is_machine_fault(&e) => {
            return Ok(Some(Found::Link(path.to_owned())));
        }
        Err(e) => {
            let error = Error::io(path, "cannot be read", e);
            return match error.kind() {
                ErrorKind::Machine => Err(error),
                _ => Ok(packing.map(|_| Found::Rejected(error, None))),
            };
        }
    };
    if is_link {
        let inside = path.canonicalize().is_ok_and(|to| to.starts_with(root));
        // A folder outside may hold kernels, so it is not passed over in silence; a README may lie anywhere.
        if !inside && (packing.is_some() || metadata.is_dir()) {
            let error = rejected("a symbolic link that leads out of the hub is not followed");
            return Ok(Some(Found::Rejected(error, None)));
        }
        if packing.is_none() || metadata.is_dir() {
            // For a codename, `debian/buster` for `debian/10`: its kernels have their place already.
            return Ok(Some(Found::Link(path.to_owned())));
        }
    }
    let Some((packing, _)) = packing else {
        return Ok(None);
    };
    let file = file_id(&metadata);
    Ok(Some(match kernel(root, path, packing, &metadata) {
        Ok(kernel) => Found::Kernel(kernel, file),
        Err(e) => Found::Rejected(e, Some(file)),
    }))
}

fn kernel(root: &Path, path: &Path, packing: Packing, metadata: &Metadata) -> Result<HubKernel> {
    let refused = |message: &str| Error::new(ErrorKind::InvalidName, path.display(), message);
    let place = path.strip_prefix(root).unwrap_or(path);
    let place = place
        .to_str()
        .ok_or_else(|| refused("its name is not UTF-8").with_help(LAYOUT_HELP))?;
    if !metadata.is_file() {
        return Err(refused("is not a regular file"));
    }
    let stem = Packing::of(place.as_ref()).and_then(|(_, stem)| place.get(..stem.len()));
    let id: KernelId = stem.unwrap_or(place).parse().map_err(|e| {
        let error = refused("its place is not ID/VERSION/ARCH/RELEASE").with_source(e);
        error.with_help(LAYOUT_HELP)
    })?;
    Ok(HubKernel {
        id,
        path: path.to_owned(),
        packing,
        file_bytes: metadata.len(),
    })
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
    /// [`ErrorKind::Io`], [`ErrorKind::InvalidKernel`] for a damaged file, [`ErrorKind::OtherForm`], [`ErrorKind::TooLarge`],
    /// [`ErrorKind::Machine`].
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
        let btf = parse_kernel(&self.path, read.btf)?;
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
