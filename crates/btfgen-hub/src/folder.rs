//! The hub's folder, for commands that write to it: creates it if it is missing, refuses unsuitable folders, and locks it with
//! [`btfgen_files::HubWriter`].

use std::path::{Path, PathBuf};

use btfgen_files::{Exclusion, HubWriter, LockError};
use git2::Repository;

use crate::error::{Error, ErrorKind, Result};

/// The folder in a hub where its writers keep their data.
pub(crate) use btfgen_files::OWN_FOLDER as OWN;

/// The folder in [`OWN`] where files wait until all of them have arrived.
pub(crate) const STAGING: &str = "staging";

/// A hub that only this process may write to.
#[derive(Debug)]
pub(crate) struct LockedHub {
    root: PathBuf,
    lock: HubWriter,
    /// The folders that were created for the hub. If they stay empty, they are removed again.
    made: MadeFolders,
}

/// Folders that were created in advance. `drop` removes the ones that are still empty.
#[derive(Debug, Default)]
pub(crate) struct MadeFolders {
    /// Outermost first.
    made: Vec<PathBuf>,
}

impl LockedHub {
    /// Creates the hub if it is missing, and waits until no other process writes to it. While it waits, it calls `waiting` again
    /// and again; an error of `waiting` ends the wait.
    pub(crate) fn lock(root: &Path, mut waiting: impl FnMut() -> Result<()>) -> Result<Self> {
        let root = absolute(root)?;
        let own = root.join(OWN);
        loop {
            let made = MadeFolders::make(&own)?;
            if let Some(lock) = HubWriter::lock(&own, &mut waiting)? {
                return Ok(Self { root, lock, made });
            }
        }
    }

    /// The hub's folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path in the folder [`OWN`].
    pub(crate) fn own(&self, name: &str) -> PathBuf {
        self.root.join(OWN).join(name)
    }

    /// Keeps all readers out until the result is dropped. `waiting` as in [`LockedHub::lock`].
    pub(crate) fn exclude_readers(
        &self,
        waiting: impl FnMut() -> Result<()>,
    ) -> Result<Exclusion<'_>> {
        self.lock.exclude_readers(waiting)
    }
}

impl Drop for LockedHub {
    fn drop(&mut self) {
        // The command wrote nothing, not even a record or a staged file.
        if self.made.have(&self.root.join(OWN)) && holds_locks_only(&self.root.join(OWN)) {
            self.lock.remove_files();
        }
    }
}

/// Whether a hub's own folder contains only lock files.
fn holds_locks_only(own: &Path) -> bool {
    let is_lock = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|e| e.path().extension().is_some_and(|e| e == "lock"))
    };
    std::fs::read_dir(own).is_ok_and(|mut entries| entries.all(is_lock))
}

impl From<LockError> for Error {
    fn from(e: LockError) -> Self {
        refused(e.path(), "cannot be locked")
            .with_source(e)
            .with_help("name a writable hub on a file system that supports locks")
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        for folder in self.made.iter().rev() {
            if std::fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
}

fn refused(path: &Path, message: &str) -> Error {
    Error::new(ErrorKind::Hub, path.display(), message)
}

pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| Error::io(path, "is not a valid path", e))
}

/// The absolute path of a hub to fetch into. Refuses unsuitable folders.
pub(crate) fn usable(root: &Path) -> Result<PathBuf> {
    let root = absolute(root)?;
    missing_folders(&root)?;
    refuse_foreign_repository(&root)?;
    Ok(root)
}

/// A folder and its parents, as far as they do not exist; the innermost first.
fn missing_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    for ancestor in folder.ancestors() {
        match std::fs::metadata(ancestor) {
            Ok(m) if m.is_dir() => break,
            Ok(_) => {
                return Err(refused(ancestor, "is not a folder")
                    .with_help("name a folder with --hub; a missing folder is created"));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => missing.push(ancestor.to_owned()),
            // One of the parents is a file; a later round finds it.
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => {}
            Err(e) => return Err(refused(ancestor, "cannot be used as a hub").with_source(e)),
        }
    }
    Ok(missing)
}

impl MadeFolders {
    /// Whether this folder was created.
    fn have(&self, folder: &Path) -> bool {
        self.made.iter().any(|made| made == folder)
    }

    /// Creates a folder and its missing parents.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let missing = missing_folders(folder)?;
        let mut folders = Self::default();
        for ancestor in missing.into_iter().rev() {
            match std::fs::create_dir(&ancestor) {
                Ok(()) => folders.made.push(ancestor),
                // Another process was faster.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => {
                    return Err(refused(&ancestor, "cannot be created")
                        .with_source(e)
                        .with_help("name a writable folder with --hub"));
                }
            }
        }
        Ok(folders)
    }
}

/// Refuses a hub inside a git repository that does not ignore it, because a fetch writes thousands of files.
fn refuse_foreign_repository(root: &Path) -> Result<()> {
    let Some(existing) = root.ancestors().find(|a| a.is_dir()) else {
        return Ok(());
    };
    let Ok(repository) = Repository::discover(existing) else {
        return Ok(());
    };
    let Some(workdir) = repository.workdir() else {
        return Err(refused(
            root,
            &format!(
                "is inside the git repository {}",
                repository.path().display()
            ),
        )
        .with_help("name a folder outside of it with --hub"));
    };
    // Resolve the links in both, because one path is from the user and the other from git.
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let below = root.strip_prefix(existing).unwrap_or(Path::new(""));
    let hub = real(existing).join(below).join(OWN);
    // Git also ignores its own folder `.git`.
    let is_gits = hub.starts_with(real(repository.path()));
    let ignored = hub
        .strip_prefix(real(workdir))
        .is_ok_and(|inside| repository.is_path_ignored(inside).unwrap_or(false));
    if ignored && !is_gits {
        return Ok(());
    }
    Err(refused(
        root,
        &format!("is inside the git repository {}", workdir.display()),
    )
    .with_help(
        "name a folder outside of it with --hub, or list the folder in its .gitignore; a clone of btfhub-archive is already \
         a hub, and `git pull` updates it",
    ))
}
