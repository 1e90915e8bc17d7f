//! The hub: a folder of kernels' BTFs in btfhub-archive's layout, `ID/VERSION/ARCH/RELEASE.btf.tar.xz`, and chunks
//! `ID/VERSION/ARCH.btfs` with many kernels each.

use std::collections::{BTreeMap, HashSet};
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use btfgen_archive::KernelId;

use crate::chunk_file::ChunkFile;
use crate::error::{Error, ErrorKind, Result};
use crate::hub_kernel::HubKernel;
use crate::kernel_filter::{Codenames, KernelFilter};
use crate::listing::{Found, LAYOUT_HELP, list};
use crate::lock::ReaderLock;
use crate::modules::ModulesFile;
use crate::seen::{FileId, file_id};

/// The kernels of one or more hubs.
///
/// While this value lives, no btfgen command changes the hubs' kernels, so every listed kernel can be read.
#[derive(Debug, Default)]
pub struct Hub {
    /// The paths as the caller gave them.
    folders: Vec<PathBuf>,
    kernels: Vec<HubKernel>,
    rejected: Vec<Error>,
    chunks: Vec<Arc<ChunkFile>>,
    /// Chunks that are in `rejected` because they are damaged as a whole.
    damaged_chunks: Vec<(PathBuf, Metadata)>,
    codenames: Codenames,
    /// Whether a filter has left out kernels.
    is_filtered: bool,
    /// All files with a kernel's or a chunk's name, also those that are left out.
    files: HashSet<FileId>,
    /// No writer changes the hubs while these locks exist.
    locks: Vec<ReaderLock>,
}

impl Hub {
    /// Lists the kernels in some folders: those with their own files, and those in chunks. If two folders contain the same
    /// kernel, the first folder's kernel is taken. Waits while a btfgen command changes one of the hubs.
    ///
    /// Of a chunk, only the index is read. If a folder has a kernel both as a file and in a chunk, the file is taken: it is the
    /// newer statement, because `btfgen hub compact` puts files into chunks.
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
            let mut lock = ReaderLock::lock(&root, &mut waiting)?;
            let mut found = list(&root)?;
            if lock.is_none() && ReaderLock::is_possible(&root) {
                // The hub's first writer has created the locks meanwhile, so list the hub again.
                lock = ReaderLock::lock(&root, &mut waiting)?;
                found = list(&root)?;
            }
            hub.locks.extend(lock);
            let first_chunk = hub.chunks.len();
            let mut modules = Vec::new();
            for found in found {
                hub.take(&root, found, &mut kernels, &mut modules);
            }
            // After the files, because a file wins.
            for n in first_chunk..hub.chunks.len() {
                hub.take_chunk(&root, n, &mut kernels);
            }
            for (id, file) in modules {
                hub.take_modules(&root, id, file, &mut kernels);
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
    ///
    /// # Errors
    /// Those of [`KernelFilter::check`].
    pub fn filtered(mut self, filter: &KernelFilter) -> Result<Self> {
        let folders: Vec<_> = self.folders().map(|f| f.display().to_string()).collect();
        let kernels = self.kernels.iter().map(HubKernel::id);
        filter.check(folders.join(", "), kernels, &self.codenames)?;
        let before = self.kernels.len();
        self.kernels
            .retain(|k| filter.matches_any_name(&k.id, &self.codenames));
        self.is_filtered |= self.kernels.len() < before;
        Ok(self)
    }

    /// Whether no filter has left out kernels.
    pub fn is_whole(&self) -> bool {
        !self.is_filtered
    }

    fn take(
        &mut self,
        root: &Path,
        found: Found,
        kernels: &mut BTreeMap<KernelId, HubKernel>,
        modules: &mut Vec<(KernelId, ModulesFile)>,
    ) {
        match found {
            Found::Modules(id, file, file_id) => {
                self.files.insert(file_id);
                modules.push((id, file));
            }
            Found::Link(path) => self.note_codename(root, &path),
            Found::Rejected(error, file) => {
                self.rejected.push(error);
                self.files.extend(file);
            }
            Found::Kernel(kernel, file) => {
                self.files.insert(file);
                if let Some(other) = kernels.get(&kernel.id) {
                    self.rejected.push(same_kernel(&kernel, other));
                } else {
                    kernels.insert(kernel.id.clone(), kernel);
                }
            }
            Found::Chunk(chunk) => {
                self.files.insert(file_id(chunk.metadata()));
                self.chunks.push(chunk);
            }
            Found::DamagedChunk(error, path, metadata) => {
                self.files.insert(file_id(&metadata));
                self.rejected.push(error);
                self.damaged_chunks.push((path, metadata));
            }
        }
    }

    /// Takes the kernels of a chunk that the same folder does not have as files.
    fn take_chunk(&mut self, root: &Path, n: usize, kernels: &mut BTreeMap<KernelId, HubKernel>) {
        let chunk = &self.chunks[n];
        let (in_chunk, invalid) = HubKernel::in_chunk(chunk);
        for release in invalid {
            let message = format!("{release:?} in it is not a kernel's release");
            let subject = chunk.path().display();
            self.rejected
                .push(Error::new(ErrorKind::InvalidName, subject, message));
        }
        for kernel in in_chunk {
            match kernels.get(&kernel.id) {
                Some(other) if other.path().starts_with(root) => {}
                Some(other) => self.rejected.push(same_kernel(&kernel, other)),
                None => drop(kernels.insert(kernel.id.clone(), kernel)),
            }
        }
    }

    /// Takes the modules of a kernel of the same folder.
    fn take_modules(
        &mut self,
        root: &Path,
        id: KernelId,
        file: ModulesFile,
        kernels: &mut BTreeMap<KernelId, HubKernel>,
    ) {
        match kernels.get_mut(&id) {
            Some(kernel) if kernel.path().starts_with(root) => kernel.modules = Some(file),
            // The folder's own kernel is left out, and so are its modules.
            Some(_) if self.rejected.iter().any(|e| e.kernel() == Some(&id)) => {}
            _ => {
                let message = "has modules without their kernel: the hub does not have its BTF";
                let subject = file.path.display();
                let error = Error::new(ErrorKind::InvalidName, subject, message).with_kernel(&id);
                self.rejected
                    .push(error.with_help("add the kernel with `btfgen add`, or delete the file"));
            }
        }
    }

    /// The chunks of the hubs, also those whose kernels are all taken from files.
    pub fn chunks(&self) -> &[Arc<ChunkFile>] {
        &self.chunks
    }

    /// The chunks among [`Hub::rejected`] of which no kernel can be read.
    #[cfg_attr(
        not(feature = "write"),
        expect(dead_code, reason = "only Verify asks for them")
    )]
    pub(crate) fn damaged_chunks(&self) -> &[(PathBuf, Metadata)] {
        &self.damaged_chunks
    }

    /// All files with a kernel's or a chunk's name.
    pub fn files(&self) -> impl Iterator<Item = FileId> {
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

/// The error for a kernel that another one goes before.
fn same_kernel(kernel: &HubKernel, other: &HubKernel) -> Error {
    let message = format!("the same kernel is in {}", other.path().display());
    let subject = kernel.path().display();
    Error::new(ErrorKind::InvalidName, subject, message).with_kernel(&kernel.id)
}

impl<'h> IntoIterator for &'h Hub {
    type Item = &'h HubKernel;
    type IntoIter = std::slice::Iter<'h, HubKernel>;

    fn into_iter(self) -> Self::IntoIter {
        self.kernels.iter()
    }
}

/// The folder in which bpf-compatible's script and a `git clone` have btfhub-archive.
const CLONE: &str = "btfhub-archive";

/// Fails if a folder is not a hub, but has btfhub-archive in a folder below it: all kernels would be in the wrong place. The
/// cache of bpf-compatible's script is such a folder.
///
/// # Errors
/// [`ErrorKind::EmptyHub`].
pub fn refuse_parent_of_hub(folder: &Path) -> Result<()> {
    let clone = folder.join(CLONE);
    if !clone.is_dir() {
        return Ok(());
    }
    let error = |message| Error::new(ErrorKind::EmptyHub, folder.display(), message);
    // The script's clones.
    if folder.join("btfhub-archive-repos").is_dir() {
        return Err(error(
            "is the cache of bpf-compatible's script, which minimizes the kernels in it for its own objects",
        )
        .with_help("name another folder, for instance in BTFGEN_HUB, and fill it with `btfgen fetch`"));
    }
    Err(
        error("is not a hub: the kernels are in its folder btfhub-archive")
            .with_help(format!("name {}", clone.display())),
    )
}

/// The hub's folder without links.
fn root_of(folder: &Path) -> Result<PathBuf> {
    refuse_parent_of_hub(folder)?;
    let root = folder.canonicalize().map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::new(
            ErrorKind::EmptyHub,
            folder.display(),
            "the hub does not exist",
        )
        .with_help(
            "run `btfgen fetch` to create it, or name an existing hub, or set BTFGEN_HUB to one",
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
