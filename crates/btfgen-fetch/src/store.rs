//! The data that a hub keeps for each repository: bare git repositories, in one folder for each address.

use std::path::{Path, PathBuf};
use std::time::Duration;

use btfgen_hub::{Error, ErrorKind, ROOM_HELP, Result};
use git2::{Oid, Repository, RepositoryInitOptions};

use crate::trouble;

/// The commit with the list of files, but without the files (partial clone).
pub(crate) const LIST: &str = "list.git";

/// Some files, until they are staged.
pub(crate) const BATCH: &str = "batch.git";

/// The last commit with all its files (shallow clone).
pub(crate) const SHALLOW: &str = "shallow.git";

/// How often to retry the removal of a folder that another process fills, and how long to wait each time.
const REMOVE_TRIES: u32 = 20;
const REMOVE_PAUSE: Duration = Duration::from_millis(50);

/// The reference of the last commit.
pub(crate) const HEAD: &str = "refs/btfgen/head";

/// A repository's last commit.
pub(crate) struct Head {
    pub(crate) repository: Repository,
    pub(crate) commit: Oid,
    /// Bytes that were transferred for the commit.
    pub(crate) received: u64,
}

impl Head {
    /// The last commit that was fetched.
    pub(crate) fn fetched(repository: Repository, shown: &str, received: u64) -> Result<Self> {
        let commit = repository
            .refname_to_id(HEAD)
            .map_err(|e| trouble::empty(shown).with_source(e.message()))?;
        Ok(Self {
            repository,
            commit,
            received,
        })
    }
}

/// The new folders of a fetch. `drop` removes them, unless the fetch keeps them.
#[derive(Debug, Default)]
pub(crate) struct NewStores(Vec<PathBuf>);

impl NewStores {
    /// Notes a folder that is about to be created.
    pub(crate) fn note(&mut self, store: &Path) {
        if !store.exists() {
            self.0.push(store.to_owned());
        }
    }

    /// Keeps a folder.
    pub(crate) fn keep(&mut self, store: &Path) {
        self.0.retain(|new| new != store);
    }

    /// Keeps all folders.
    pub(crate) fn keep_all(&mut self) {
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

/// Opens a bare repository. Creates it if it is missing.
pub(crate) fn bare(path: &Path) -> Result<Repository> {
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false);
    Repository::open_bare(path)
        .or_else(|_| Repository::init_opts(path, &options))
        .map_err(|e| unready(path, &e))
}

/// The error for a repository in the hub that cannot be used.
pub(crate) fn unready(path: &Path, e: &git2::Error) -> Error {
    let error = Error::new(ErrorKind::Io, path.display(), "cannot be created or opened")
        .with_source(e.message());
    if trouble::is_full_disk(e.message()) {
        return error.with_help(ROOM_HELP);
    }
    error
}

/// Removes the lock files and temporary packs of a killed git. The hub's lock keeps other fetches away.
pub(crate) fn remove_stale_locks(repository: &Path) {
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

/// Removes a folder. The folder may be missing, or the git of a killed fetch may still write to it.
pub(crate) fn remove(folder: &Path) -> Result<()> {
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
        "cannot be removed, because another program writes to it",
    )
    .with_help(
        "it may be the git of a stopped fetch: run the command again when that git has ended",
    ))
}

/// The size of a repository's packs.
pub(crate) fn pack_bytes(repository: &Path) -> u64 {
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
