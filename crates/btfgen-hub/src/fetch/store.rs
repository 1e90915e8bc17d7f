//! What a hub keeps of a repository from run to run: bare repositories in a folder for each address.

use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{Oid, Repository, RepositoryInitOptions};

use super::trouble;
use crate::error::{Error, ErrorKind, ROOM_HELP, Result};

/// The list of files, without the files (partial clone).
pub(super) const LIST: &str = "list.git";

/// Some files, for as long as it takes to stage them.
pub(super) const BATCH: &str = "batch.git";

/// The last commit with all its files (shallow clone).
pub(super) const SHALLOW: &str = "shallow.git";

/// How often a folder is removed that is being filled, and how long that is waited for each time.
const REMOVE_TRIES: u32 = 20;
const REMOVE_PAUSE: Duration = Duration::from_millis(50);

/// The reference that the last commit is kept under.
pub(super) const HEAD: &str = "refs/btfgen/head";

/// A repository's last commit.
pub(super) struct Head {
    pub(super) repository: Repository,
    pub(super) commit: Oid,
    /// Bytes that were transferred for it.
    pub(super) received: u64,
}

impl Head {
    /// The last commit that was fetched.
    pub(super) fn fetched(repository: Repository, shown: &str, received: u64) -> Result<Self> {
        let commit = repository
            .refname_to_id(HEAD)
            .map_err(|e| trouble::empty(shown).with_git_source(&e))?;
        Ok(Self {
            repository,
            commit,
            received,
        })
    }
}

/// Folders of repositories that were not there before a fetch. They go with it, unless it comes to something.
#[derive(Debug, Default)]
pub(super) struct NewStores(Vec<PathBuf>);

impl NewStores {
    /// Takes note of a folder that is about to be made.
    pub(super) fn note(&mut self, store: &Path) {
        if !store.exists() {
            self.0.push(store.to_owned());
        }
    }

    /// Has a folder stay.
    pub(super) fn keep(&mut self, store: &Path) {
        self.0.retain(|new| new != store);
    }

    /// Has all of them stay.
    pub(super) fn keep_all(&mut self) {
        self.0.clear();
    }
}

impl Drop for NewStores {
    fn drop(&mut self) {
        for store in &self.0 {
            let _ = std::fs::remove_dir_all(store);
            if let Some(stores) = store.parent() {
                let _ = std::fs::remove_dir(stores);
            }
        }
    }
}

/// A bare repository, made if it is not there.
pub(super) fn bare(path: &Path) -> Result<Repository> {
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false);
    Repository::open_bare(path)
        .or_else(|_| Repository::init_opts(path, &options))
        .map_err(|e| unready(path, &e))
}

/// The error for a repository of ours that cannot be used.
pub(super) fn unready(path: &Path, e: &git2::Error) -> Error {
    let error =
        Error::new(ErrorKind::Io, path.display(), "cannot be made ready").with_git_source(e);
    if trouble::is_full_disk(e.message()) {
        return error.with_help(ROOM_HELP);
    }
    error
}

/// Removes what a git that was killed has left; the hub's lock keeps others away.
pub(super) fn remove_stale_locks(repository: &Path) {
    let folders = [repository.to_owned(), repository.join("refs/btfgen")];
    let files = folders.iter().filter_map(|f| std::fs::read_dir(f).ok());
    for file in files.flatten().flatten() {
        if file.path().extension().is_some_and(|e| e == "lock") {
            let _ = std::fs::remove_file(file.path());
        }
    }
    let packs = std::fs::read_dir(repository.join("objects/pack"));
    for file in packs.into_iter().flatten().flatten() {
        let name = file.file_name();
        if !name.to_string_lossy().starts_with("pack-") {
            let _ = std::fs::remove_file(file.path());
        }
    }
}

/// Removes a folder, which may be gone already, or be filled by a git whose fetch was killed.
pub(super) fn remove(folder: &Path) -> Result<()> {
    for _ in 0..REMOVE_TRIES {
        match std::fs::remove_dir_all(folder) {
            Err(e) if e.kind() == std::io::ErrorKind::DirectoryNotEmpty => {
                std::thread::sleep(REMOVE_PAUSE);
            }
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(folder, "cannot be removed", e));
            }
            _ => return Ok(()),
        }
    }
    Err(Error::new(
        ErrorKind::Io,
        folder.display(),
        "cannot be removed, for another program fills it",
    )
    .with_help("it may be a git that a stopped fetch has left: run it again when that is gone"))
}

/// What lies in a repository's packs.
pub(super) fn pack_bytes(repository: &Path) -> u64 {
    let Ok(files) = std::fs::read_dir(repository.join("objects/pack")) else {
        return 0;
    };
    files
        .flatten()
        .filter(|file| file.path().extension().is_some_and(|e| e == "pack"))
        .filter_map(|file| file.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}
