//! What a hub has of a kernel that is added.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

use btfgen_archive::KernelId;
use btfgen_chunk::{Digest, ENDING as CHUNK_ENDING};

use super::modules::PresentModules;
use super::{Add, Change};
use crate::arch::hub_arch;
use crate::chunk_file::{ChunkFile, ChunkPlace};
use crate::error::{Error, ErrorKind, Result};
use crate::kernel_file::ENDINGS;
use crate::kernel_source::read_kernel_file;
use crate::seen::{file_id, is_missing, look};

/// What the hub has of a kernel.
pub(super) struct Present {
    pub(super) files: Vec<PresentFile>,
    /// A chunk that contains the kernel, if there is no file, and the digest of its BTF.
    pub(super) chunk: Option<(PathBuf, Digest)>,
    /// The file with the kernel's modules.
    pub(super) modules: Option<PresentModules>,
}

/// A file of the kernel in the hub.
pub(super) struct PresentFile {
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
}

impl Add<'_> {
    /// What the hub has of a kernel, under all possible names.
    pub(super) fn present(&self, kernel: &KernelId) -> Result<Present> {
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
    pub(super) fn change(
        &self,
        kernel: &KernelId,
        present: &Present,
        btf: &[u8],
    ) -> Result<Change> {
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
}

impl Present {
    /// The folder of the kernel's file, or the one that a file beside the chunk would be in.
    pub(super) fn folder(&self) -> Option<PathBuf> {
        let path = self.path()?;
        Some(match &self.chunk {
            // `ARCH.btfs`
            Some(_) => path.with_extension(""),
            None => path.parent()?.to_owned(),
        })
    }

    /// The file that has the kernel.
    pub(super) fn path(&self) -> Option<&Path> {
        let file = self.files.first().map(|file| &file.path);
        let chunk = self.chunk.as_ref().map(|(path, _)| path);
        file.or(chunk).map(PathBuf::as_path)
    }
}

/// The digest of a kernel's BTF in a chunk. `None` if the chunk does not have the kernel, or cannot be used: then it does not
/// stand in the way of a file.
pub(super) fn in_chunk(path: &Path, kernel: &KernelId) -> Result<Option<Digest>> {
    match ChunkFile::open(path, ChunkPlace::of(kernel)) {
        Ok(chunk) => Ok(chunk.digest(kernel.release())),
        Err(e) if e.kind() == ErrorKind::Machine => Err(e),
        Err(_) => Ok(None),
    }
}

/// Reads a kernel's BTF from a chunk.
pub(super) fn read_in_chunk(path: &Path, kernel: &KernelId, max_bytes: u64) -> Result<Vec<u8>> {
    let chunk = ChunkFile::open(path, ChunkPlace::of(kernel))?;
    let missing = || Error::new(ErrorKind::Io, path.display(), "does not have this kernel");
    chunk.read(chunk.find(kernel.release()).ok_or_else(missing)?, max_bytes)
}

/// Fails if the file to add is one of the files that it would replace.
pub(super) fn refuse_own_file(path: &Path, present: &[PresentFile]) -> Result<()> {
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
