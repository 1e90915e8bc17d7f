//! The hub's folder as something to write to: made where it is missing, refused where it must not be touched, and locked by
//! the protocol of [`btfgen_files::HubWriter`].

use std::path::{Path, PathBuf};

use btfgen_files::{Exclusion, HubWriter, LockError};
use git2::Repository;

use crate::error::{Error, ErrorKind, Result};

/// Where a hub keeps what its writers need from run to run.
pub(crate) use btfgen_files::OWN_FOLDER as OWN;

/// Where files wait in there until all of them have come.
pub(crate) const STAGING: &str = "staging";

/// A hub that this process alone writes to.
#[derive(Debug)]
pub(crate) struct LockedHub {
    root: PathBuf,
    lock: HubWriter,
    /// What was made for it; goes again where nothing came of it.
    made: MadeFolders,
}

/// Folders that were made for something to come. Those that are still empty in the end are removed.
#[derive(Debug, Default)]
pub(crate) struct MadeFolders {
    /// Outermost first.
    made: Vec<PathBuf>,
}

impl LockedHub {
    /// Makes the hub if it is missing, and waits until no other process writes to it. `waiting` is called over and over while
    /// one does, and ends the wait with its error.
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

    /// A path in the folder that is the hub's own.
    pub(crate) fn own(&self, name: &str) -> PathBuf {
        self.root.join(OWN).join(name)
    }

    /// Keeps all readers out while it lives. `waiting` as in [`LockedHub::lock`].
    pub(crate) fn exclude_readers(
        &self,
        waiting: impl FnMut() -> Result<()>,
    ) -> Result<Exclusion<'_>> {
        self.lock.exclude_readers(waiting)
    }
}

impl Drop for LockedHub {
    fn drop(&mut self) {
        // Nothing came of it: not even a record or a staged file.
        if self.made.have(&self.root.join(OWN)) && holds_locks_only(&self.root.join(OWN)) {
            self.lock.remove_files();
        }
    }
}

/// Whether there is nothing in a hub's own folder but what locks it.
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
            .with_help("name a hub that you may write to, on a file system that knows locks")
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
    std::path::absolute(path).map_err(|e| Error::io(path, "is not a folder's name", e))
}

/// The full name of a folder that can be a hub to fetch into.
pub(crate) fn usable(root: &Path) -> Result<PathBuf> {
    let root = absolute(root)?;
    missing_folders(&root)?;
    refuse_foreign_repository(&root)?;
    Ok(root)
}

/// A folder and those that it lies in, as far as they are not there; the innermost first.
fn missing_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    for ancestor in folder.ancestors() {
        match std::fs::metadata(ancestor) {
            Ok(m) if m.is_dir() => break,
            Ok(_) => {
                return Err(refused(ancestor, "a hub is a folder, this is a file")
                    .with_help("name a folder with --hub; it is made if it does not exist"));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => missing.push(ancestor.to_owned()),
            // The file is further up.
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => {}
            Err(e) => return Err(refused(ancestor, "cannot be used as a hub").with_source(e)),
        }
    }
    Ok(missing)
}

impl MadeFolders {
    /// Whether this folder was made.
    fn have(&self, folder: &Path) -> bool {
        self.made.iter().any(|made| made == folder)
    }

    /// Makes a folder and what it lies in.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let missing = missing_folders(folder)?;
        let mut folders = Self::default();
        for ancestor in missing.into_iter().rev() {
            match std::fs::create_dir(&ancestor) {
                Ok(()) => folders.made.push(ancestor),
                // Somebody else was faster.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => {
                    return Err(refused(&ancestor, "cannot be made")
                        .with_source(e)
                        .with_help("name a folder that you may write to with --hub"));
                }
            }
        }
        Ok(folders)
    }
}

/// Thousands of files have no place in somebody's checkout, unless that ignores them.
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
            &format!("lies in the git repository {}", repository.path().display()),
        )
        .with_help("name a folder outside of it with --hub"));
    };
    // Both without links, for one is from the user and the other from git.
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let below = root.strip_prefix(existing).unwrap_or(Path::new(""));
    let hub = real(existing).join(below).join(OWN);
    // Git ignores its own folder as well.
    let is_gits = hub.starts_with(real(repository.path()));
    let ignored = hub
        .strip_prefix(real(workdir))
        .is_ok_and(|inside| repository.is_path_ignored(inside).unwrap_or(false));
    if ignored && !is_gits {
        return Ok(());
    }
    Err(refused(
        root,
        &format!("lies in the git repository {}, which is left alone", workdir.display()),
    )
    .with_help(
        "name a folder outside of it with --hub, or have that repository ignore it; a clone of btfhub-archive is a hub as it \
         is, and `git pull` updates it",
    ))
}
