//! The hub's folder, for commands that write to it: creates it if it is missing, refuses unsuitable folders, and locks it with
//! [`btfgen_files::HubWriter`].

use std::path::{Path, PathBuf};

use btfgen_files::{Exclusion, HubWriter, LockError};

use crate::error::{Error, ErrorKind, Result};

/// The folder in a hub where its writers keep their data.
pub use btfgen_files::OWN_FOLDER;

/// The folder in [`OWN_FOLDER`] where files wait until all of them have arrived.
pub const STAGING: &str = "staging";

/// What a command that changes a hub waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// Another command that changes the same hub.
    Writer,
    /// A pack, or another reader of the hub.
    Readers,
}

/// A hub that only this process may write to.
#[derive(Debug)]
pub struct LockedHub {
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
    ///
    /// # Errors
    /// [`ErrorKind::Hub`] if the folder cannot be a hub, or its file system has no locks; the error of `waiting`.
    pub fn lock(root: &Path, mut waiting: impl FnMut() -> Result<()>) -> Result<Self> {
        let root = absolute(root)?;
        let own = root.join(OWN_FOLDER);
        loop {
            let made = MadeFolders::make(&own)?;
            if let Some(lock) = HubWriter::lock(&own, &mut waiting)? {
                return Ok(Self { root, lock, made });
            }
        }
    }

    /// The hub's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path in the folder [`OWN_FOLDER`].
    pub fn own(&self, name: &str) -> PathBuf {
        self.root.join(OWN_FOLDER).join(name)
    }

    /// Keeps all readers out until the result is dropped. `waiting` as in [`LockedHub::lock`].
    ///
    /// # Errors
    /// Those of [`LockedHub::lock`].
    pub fn exclude_readers(&self, waiting: impl FnMut() -> Result<()>) -> Result<Exclusion<'_>> {
        self.lock.exclude_readers(waiting)
    }
}

impl Drop for LockedHub {
    fn drop(&mut self) {
        // The command wrote nothing, not even a record or a staged file.
        if self.made.have(&self.root.join(OWN_FOLDER))
            && holds_locks_only(&self.root.join(OWN_FOLDER))
        {
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

/// The absolute path of a hub's folder, which may be missing.
///
/// # Errors
/// [`ErrorKind::Hub`] if the path or one of its parents is a file, or cannot be looked at.
pub fn hub_folder(root: &Path) -> Result<PathBuf> {
    let root = absolute(root)?;
    missing_folders(&root)?;
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
