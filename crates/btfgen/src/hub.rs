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
/// While this value lives, no btfgen command changes the hubs' kernels, so every listed kernel can be read.
#[derive(Debug, Default)]
pub struct Hub {
    /// The paths as the caller gave them.
    folders: Vec<PathBuf>,
    kernels: Vec<HubKernel>,
    rejected: Vec<Error>,
    codenames: Codenames,
    /// All files with a kernel's name, also those that are left out.
    files: HashSet<FileId>,
    /// No writer changes the hubs while these locks exist.
    locks: Vec<HubReader>,
}

/// One kernel of a hub. Its file is not read until [`HubKernel::read`].
#[derive(Debug, Clone)]
pub struct HubKernel {
    id: KernelId,
    path: PathBuf,
    packing: Packing,
    file_bytes: u64,
}

/// The system's identity of a file: its device and its inode.
pub(crate) type FileId = (u64, u64);

pub(crate) fn file_id(metadata: &Metadata) -> FileId {
    (metadata.dev(), metadata.ino())
}

const LAYOUT_HELP: &str =
    "a hub contains ID/VERSION/ARCH/RELEASE.btf.tar.xz (or .btf.xz, .btf), like btfhub-archive";

impl Hub {
    /// Lists the kernels in some folders. If two folders contain the same kernel, the first folder's kernel is taken. Waits
    /// while a btfgen command changes one of the hubs.
    ///
    /// Files without a kernel's name are skipped. Files with a kernel's name that cannot be taken are in [`Hub::rejected`].
    ///
    /// # Errors
    /// [`ErrorKind::EmptyHub`] if a folder is missing or is not a folder, [`ErrorKind::Io`] if it cannot be read,
    /// [`ErrorKind::Machine`].
    pub fn open<P: AsRef<Path>>(folders: &[P]) -> Result<Self> {
        Self::open_waiting(folders, || Ok(()))
    }

    /// Like [`Hub::open`]. `waiting` is called repeatedly while another process changes a hub; an error of `waiting` ends
    /// the wait.
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
                // The hub's first writer has created the locks meanwhile, so list the hub again.
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

    /// The hubs' folders, as the caller gave them.
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
                    let message = format!("the same kernel is in {}", other.path.display());
                    let subject = kernel.path.display();
                    let error = Error::new(ErrorKind::InvalidName, subject, message);
                    self.rejected.push(error.with_kernel(&kernel.id));
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

    /// Takes the errors of [`Hub::rejected`], and leaves none.
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
            "the hub does not exist",
        )
        .with_help(
            "run `btfgen fetch` to create it, or name an existing hub, or set BTFHUB_CACHE_DIR to one",
        ),
        _ => Error::io(folder, "cannot open the hub", e),
    })?;
    if !root.is_dir() {
        return Err(
            Error::new(ErrorKind::EmptyHub, folder.display(), "is not a folder")
                .with_help(LAYOUT_HELP),
        );
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

/// The folder of the default hub: `$BTFHUB_CACHE_DIR` or `$BTFHUB_CACHE`, else `btfgen/btfhub` in the XDG cache folder
/// (`$XDG_CACHE_HOME`, else `~/.cache`). `None` if no home folder is known either.
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
                // The XDG specification says that relative paths are ignored.
                .filter(|p| p.is_absolute())
                .or_else(|| Some(var("HOME")?.join(".cache")))?;
            Some(cache.join("btfgen").join("btfhub"))
        })
}

/// An entry of a hub's folder that matters.
enum Found {
    Kernel(HubKernel, FileId),
    /// A file with a kernel's name that cannot be taken.
    Rejected(Error, Option<FileId>),
    /// A symbolic link that is not a kernel: perhaps a codename.
    Link(PathBuf),
}

fn list(root: &Path) -> Result<Vec<Found>> {
    let visible = |e: &walkdir::DirEntry| {
        e.depth() == 0 || !e.file_name().as_encoded_bytes().starts_with(b".")
    };
    let mut found = Vec::new();
    // Sorted, so that all commands take the same one of two forms of a kernel: `.btf` sorts first.
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

/// The meaning of a walk's entry; `None` if its name is not a kernel's.
///
/// # Errors
/// [`ErrorKind::Machine`].
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
        // A link whose target is missing may still stand for a codename.
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
        // A folder outside of the hub may contain kernels, so the link is reported; a link to another file, such as a
        // README, is not.
        if !inside && (packing.is_some() || metadata.is_dir()) {
            let error = rejected("symbolic links out of the hub are not followed");
            return Ok(Some(Found::Rejected(error, None)));
        }
        if packing.is_none() || metadata.is_dir() {
            // For a codename, such as `debian/buster` for `debian/10`: the kernels are already listed under `debian/10`.
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
        let error = refused("its path is not ID/VERSION/ARCH/RELEASE").with_source(e);
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
    /// The kernel's id.
    pub fn id(&self) -> &KernelId {
        &self.id
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the file in bytes, before it is unpacked.
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

    /// Checks that the file can be read, and that libbpf accepts it as BTF of the architecture's byte order. The name inside
    /// a `.btf.tar.xz` must be that of the release.
    ///
    /// # Errors
    /// Those of [`HubKernel::read`]; [`ErrorKind::InvalidKernel`] or [`ErrorKind::Unsupported`] if the BTF is not usable;
    /// [`ErrorKind::InvalidName`] if the name or the byte order is that of another kernel.
    pub fn verify(&self, max_bytes: u64) -> Result<()> {
        let read = kernel_file::read(&self.path, self.packing, max_bytes)?;
        if let Some(name) = read.name
            && name.file_stem() != Some(self.id.release().as_ref())
        {
            let message = format!(
                "contains {}, which is another kernel's name",
                name.display()
            );
            return Err(Error::new(
                ErrorKind::InvalidName,
                self.path.display(),
                message,
            ));
        }
        let btf = parse_kernel(&self.path, read.btf)?;
        if !arch_fits(self.id.arch(), &btf) {
            let message = format!("does not have the byte order of {}", self.id.arch());
            return Err(Error::new(
                ErrorKind::InvalidName,
                self.path.display(),
                message,
            ));
        }
        Ok(())
    }
}
