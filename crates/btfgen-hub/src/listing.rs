//! Lists the files of a hub's folder.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use btfgen_archive::KernelId;
use btfgen_files::is_machine_fault;
use walkdir::WalkDir;

use crate::chunk_file::{ChunkFile, ChunkPlace, RecentChunks, is_chunk};
use crate::error::{Error, ErrorKind, Result};
use crate::hub_kernel::HubKernel;
use crate::kernel_file::{has_ending, without_ending};
use crate::modules::{MODULES_ENDING, ModulesFile, is_modules_file};
use crate::seen::{FileId, file_id};

pub(crate) const LAYOUT_HELP: &str = "a hub contains ID/VERSION/ARCH/RELEASE.btf.tar.xz (or .btf.xz, .btf), like btfhub-archive, and chunks ID/VERSION/ARCH.btfs";

/// An entry of a hub's folder that matters.
pub(crate) enum Found {
    Kernel(HubKernel, FileId),
    Chunk(Arc<ChunkFile>),
    /// The BTFs of a kernel's modules.
    Modules(KernelId, ModulesFile, FileId),
    /// A file with a kernel's name that cannot be taken.
    Rejected(Error, Option<FileId>),
    /// A chunk in its place that is damaged as a whole.
    DamagedChunk(Error, PathBuf, Metadata),
    /// A symbolic link that is not a kernel: perhaps a codename.
    Link(PathBuf),
}

/// What a hub contains, in the order of the paths.
///
/// # Errors
/// [`ErrorKind::Machine`].
pub(crate) fn list(root: &Path) -> Result<Vec<Found>> {
    let recent = Arc::default();
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
            Ok(entry) => found.extend(look_at(root, &entry, &recent)?),
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
fn look_at(
    root: &Path,
    entry: &walkdir::DirEntry,
    recent: &Arc<RecentChunks>,
) -> Result<Option<Found>> {
    let path = entry.path();
    let is_link = entry.file_type().is_symlink();
    if entry.file_type().is_dir() {
        return Ok(None);
    }
    let rejected = |message: &str| Error::new(ErrorKind::InvalidName, path.display(), message);
    let is_kernels = has_ending(path) || is_chunk(path) || is_modules_file(path);
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) => metadata,
        // A link whose target is missing may still stand for a codename.
        Err(e) if is_link && !is_kernels && !is_machine_fault(&e) => {
            return Ok(Some(Found::Link(path.to_owned())));
        }
        Err(e) => {
            let error = Error::io(path, "cannot be read", e);
            return match error.kind() {
                ErrorKind::Machine => Err(error),
                _ => Ok(is_kernels.then_some(Found::Rejected(error, None))),
            };
        }
    };
    if is_link {
        let inside = path.canonicalize().is_ok_and(|to| to.starts_with(root));
        // A folder outside of the hub may contain kernels, so the link is reported; a link to another file, such as a
        // README, is not.
        if !inside && (is_kernels || metadata.is_dir()) {
            let error = rejected("symbolic links out of the hub are not followed");
            return Ok(Some(Found::Rejected(error, None)));
        }
        if !is_kernels || metadata.is_dir() {
            // For a codename, such as `debian/buster` for `debian/10`: the kernels are already listed under `debian/10`.
            return Ok(Some(Found::Link(path.to_owned())));
        }
    }
    if !is_kernels {
        return Ok(None);
    }
    if is_chunk(path) {
        return chunk(root, path, metadata, recent).map(Some);
    }
    let file = file_id(&metadata);
    let of_kernel = |id| HubKernel::in_file(id, path.to_owned(), metadata.len());
    Ok(Some(match kernel(root, path, &metadata) {
        Ok(id) if is_modules_file(path) => {
            let path = path.to_owned();
            let file_bytes = metadata.len();
            Found::Modules(id, ModulesFile { path, file_bytes }, file)
        }
        Ok(id) => Found::Kernel(of_kernel(id), file),
        Err(e) => Found::Rejected(e, Some(file)),
    }))
}

fn chunk(
    root: &Path,
    path: &Path,
    metadata: Metadata,
    recent: &Arc<RecentChunks>,
) -> Result<Found> {
    let file = Some(file_id(&metadata));
    let refused = |message: &str| {
        let error = Error::new(ErrorKind::InvalidName, path.display(), message);
        Ok(Found::Rejected(error.with_help(LAYOUT_HELP), file))
    };
    let Some(place) = path.strip_prefix(root).unwrap_or(path).to_str() else {
        return refused("its name is not UTF-8");
    };
    let Some(place) = ChunkPlace::of_path(place) else {
        return refused("its path is not ID/VERSION/ARCH.btfs");
    };
    match ChunkFile::open_among(path, place, recent) {
        Ok(chunk) => Ok(Found::Chunk(Arc::new(chunk))),
        Err(e) if e.kind() == ErrorKind::Machine => Err(e),
        Err(e) if e.kind() == ErrorKind::InvalidKernel => {
            Ok(Found::DamagedChunk(e, path.to_owned(), metadata))
        }
        Err(e) => Ok(Found::Rejected(e, file)),
    }
}

/// The kernel that a file belongs to.
fn kernel(root: &Path, path: &Path, metadata: &Metadata) -> Result<KernelId> {
    let refused = |message: &str| Error::new(ErrorKind::InvalidName, path.display(), message);
    let place = path.strip_prefix(root).unwrap_or(path);
    let place = place
        .to_str()
        .ok_or_else(|| refused("its name is not UTF-8").with_help(LAYOUT_HELP))?;
    if !metadata.is_file() {
        return Err(refused("is not a regular file"));
    }
    let stem = without_ending(place).or_else(|| place.strip_suffix(MODULES_ENDING));
    stem.unwrap_or(place).parse().map_err(|e| {
        let error = refused("its path is not ID/VERSION/ARCH/RELEASE").with_source(e);
        error.with_help(LAYOUT_HELP)
    })
}
