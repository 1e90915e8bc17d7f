//! Files on their way into the hub. They are complete and named by their content, so that the next fetch can use them after an
//! interruption.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use btfgen_files::{TempFile, is_machine_fault, remove_stale, rename_new};
use btfgen_hub::record::Useless;
use btfgen_hub::{
    CHUNK_ENDING, ChunkFile, ChunkPlace, DEFAULT_MAX_BTF_BYTES, ENDINGS, Error, ErrorKind, Result,
    forget_build_id, forget_build_ids_of_chunk, is_chunk, read_kernel_file,
};
use git2::Oid;

use crate::plan::{Bring, Item, hash};

/// Every kernel's BTF is larger, even compressed. A smaller file is read at once, because it may be an empty archive.
const SUSPICIOUS_BYTES: usize = 16 << 10;

/// The first bytes of an xz file (The .xz File Format, 2.1.1.1).
const XZ_MAGIC: &[u8] = b"\xfd7zXZ\0";

/// The first bytes of a Git LFS pointer, whose content is elsewhere (Git LFS specification, "The Pointer").
const LFS_POINTER: &[u8] = b"version https://git-lfs";

/// The folder of staged files.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: PathBuf,
}

impl Staging {
    /// Opens the folder.
    pub(crate) fn open(folder: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, "cannot be created", e))?;
        remove_stale(&folder);
        Ok(Self { folder })
    }

    /// The path of a staged content. Its ending says how to read it.
    pub(crate) fn path(&self, blob: Oid, path: &str) -> PathBuf {
        let mut endings = ENDINGS.iter().chain([&CHUNK_ENDING]);
        let ending = endings.find(|e| path.ends_with(**e));
        let ending = ending.copied().unwrap_or_default();
        self.folder.join(format!("{blob}{ending}"))
    }

    /// Whether an earlier fetch staged a content, and it is undamaged.
    ///
    /// # Errors
    /// Errors of the machine.
    pub(crate) fn holds(&self, blob: Oid, path: &str) -> Result<bool> {
        let staged = self.path(blob, path);
        match hash(&staged) {
            Ok(found) => Ok(found == blob.to_string()),
            Err(e) if is_machine_fault(&e) => Err(Error::io(&staged, "cannot be read", e)),
            Err(_) => Ok(false),
        }
    }

    /// Stages a content. If it is useless, returns why.
    pub(crate) fn put(
        &self,
        blob: Oid,
        path: &str,
        content: Option<&[u8]>,
    ) -> Result<Option<Useless>> {
        let useless = |why: &str, broken| {
            Ok(Some(Useless {
                blob: blob.to_string(),
                why: why.to_owned(),
                broken,
            }))
        };
        let Some(content) = content else {
            return useless("is too large for a kernel's BTF", true);
        };
        if content.is_empty() {
            return useless("the file is empty", false);
        }
        if content.starts_with(LFS_POINTER) {
            return useless("is a Git LFS pointer without the content", true);
        }
        if path.ends_with(".xz") && !content.starts_with(XZ_MAGIC) {
            return useless("is not an xz file", true);
        }
        let staged = self.path(blob, path);
        let failed = |e| Error::io(&staged, "cannot be written", e);
        let mut file = TempFile::create_in(&self.folder).map_err(failed)?;
        file.as_file_mut().write_all(content).map_err(failed)?;
        if let Some(place) = ChunkPlace::of_path(path) {
            // It may replace a sound chunk, so read all of it.
            let chunk = ChunkFile::open(file.path(), place);
            if let Err(e) = chunk.and_then(|chunk| chunk.check(DEFAULT_MAX_BTF_BYTES)) {
                return match e.kind() {
                    ErrorKind::Machine => Err(e),
                    _ => useless(e.message(), true),
                };
            }
        }
        file.persist(&staged).map_err(failed)?;
        if content.len() < SUSPICIOUS_BYTES
            && !is_chunk(path.as_ref())
            && let Err(e) = read_kernel_file(&staged, DEFAULT_MAX_BTF_BYTES)
        {
            if e.kind() == ErrorKind::Machine {
                return Err(e);
            }
            self.remove(&staged)?;
            return useless(e.message(), false);
        }
        Ok(None)
    }

    /// Opens a chunk that is staged.
    pub(crate) fn chunk(&self, bring: &Bring) -> Result<Option<ChunkFile>> {
        match &bring.item {
            Item::Chunk(place) => {
                let staged = self.path(bring.blob, &bring.path);
                ChunkFile::open(&staged, place.clone()).map(Some)
            }
            Item::Kernel(_) => Ok(None),
        }
    }

    fn remove(&self, staged: &Path) -> Result<()> {
        std::fs::remove_file(staged).map_err(|e| Error::io(staged, "cannot be removed", e))
    }

    /// Moves contents to their places in the hub. Each file is replaced in one step, and only if it is unchanged since the plan
    /// was made. Returns the positions of the files that were not moved.
    pub(crate) fn deliver(&self, root: &Path, files: &[Bring]) -> Result<Vec<usize>> {
        let mut left: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for bring in files {
            *left.entry(self.path(bring.blob, &bring.path)).or_default() += 1;
        }
        let mut passed_over = Vec::new();
        for (n, bring) in files.iter().enumerate() {
            let staged = self.path(bring.blob, &bring.path);
            let uses = left.entry(staged.clone()).or_default();
            *uses -= 1;
            let moved = self.deliver_one(root, bring, &staged, *uses > 0);
            if !moved.map_err(|e| Error::io(&root.join(&bring.path), "cannot be written", e))? {
                passed_over.push(n);
            }
        }
        Ok(passed_over)
    }

    /// Returns false if another program has changed the file's place.
    fn deliver_one(
        &self,
        root: &Path,
        bring: &Bring,
        staged: &Path,
        is_used_again: bool,
    ) -> io::Result<bool> {
        if !bring.is_as_planned(root)? {
            return Ok(false);
        }
        let target = root.join(&bring.path);
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // Several kernels may have the same content: SLES has releases under two names.
        let twin = self.folder.join("twin");
        let from = if is_used_again {
            let _ = std::fs::remove_file(&twin);
            std::fs::hard_link(staged, &twin)
                .or_else(|_| std::fs::copy(staged, &twin).map(drop))?;
            &*twin
        } else {
            staged
        };
        self.forget_build_ids(bring, &target)?;
        if bring.older.is_some() {
            std::fs::rename(from, &target)?;
            return Ok(true);
        }
        match rename_new(from, &target) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            renamed => renamed.map(|()| true),
        }
    }

    /// Removes the build ids of the kernels that a file replaces.
    fn forget_build_ids(&self, bring: &Bring, target: &Path) -> io::Result<()> {
        let Some(new) = self.chunk(bring).map_err(io::Error::other)? else {
            return forget_build_id(target);
        };
        let older = bring.older_chunk.as_ref();
        forget_build_ids_of_chunk(target, |release| {
            let digest = older.and_then(|older| older.digest(release));
            digest.is_some() && digest == new.digest(release)
        })
    }

    /// Removes the folder, with files that earlier fetches left in it.
    pub(crate) fn close(self) -> Result<()> {
        std::fs::remove_dir_all(&self.folder)
            .map_err(|e| Error::io(&self.folder, "cannot be removed", e))
    }

    /// Makes the system write the staged files to the disk.
    pub(crate) fn sync(&self) -> Result<()> {
        let failed = |e| Error::io(&self.folder, "cannot be written", e);
        let folder = File::open(&self.folder).map_err(failed)?;
        rustix::fs::syncfs(&folder).map_err(|e| failed(e.into()))
    }
}
