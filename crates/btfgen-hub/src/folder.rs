//! The hub's folder as something to write to: made where it is missing, refused where it must not be touched, and locked.
//!
//! Two locks, both of flock(2), so that they end with the process that holds them. That of `.btfgen` in the hub keeps two
//! fetches apart for as long as they run. That of the hub's folder itself is shared by all readers ([`btfgen::Hub`] holds
//! it) and taken alone for the moment in which new files take their names.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::Repository;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result};

/// Where a fetch keeps what it needs from run to run. Hubs are read without folders that begin with a dot.
pub(crate) const OWN: &str = ".btfgen";

/// Where files wait in there until all of them have come.
pub(crate) const STAGING: &str = "staging";

/// How often a lock that another process holds is asked for.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// A hub that this process alone writes to.
#[derive(Debug)]
pub(crate) struct LockedHub {
    root: PathBuf,
    /// Open for the lock's sake.
    _lock: File,
    /// What was made for it; goes again where nothing came of it.
    _made: MadeFolders,
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
        let root =
            std::path::absolute(root).map_err(|e| Error::io(root, "is not a folder's name", e))?;
        refuse_foreign_repository(&root)?;
        let own = root.join(OWN);
        loop {
            let made = MadeFolders::make(&own)?;
            let unusable = |e| refused(&own, "cannot be opened").with_source(e);
            let lock = File::open(&own).map_err(unusable)?;
            wait(&lock, &mut waiting)?.map_err(|e| {
                refused(&own, "cannot be locked")
                    .with_source(e)
                    .with_help("name a hub on a file system that knows locks")
            })?;
            // The one that held it may have removed the folder at its end.
            let same = |a: &std::fs::Metadata, b: &std::fs::Metadata| {
                (a.dev(), a.ino()) == (b.dev(), b.ino())
            };
            let ours = lock.metadata().map_err(unusable)?;
            if std::fs::metadata(&own).is_ok_and(|now| same(&now, &ours)) {
                return Ok(Self {
                    root,
                    _lock: lock,
                    _made: made,
                });
            }
        }
    }

    /// The hub's folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path in the folder that is the fetch's own.
    pub(crate) fn own(&self, name: &str) -> PathBuf {
        self.root.join(OWN).join(name)
    }

    /// Keeps all readers out while it lives. `waiting` as in [`LockedHub::lock`].
    pub(crate) fn exclude_readers(&self, mut waiting: impl FnMut() -> Result<()>) -> Result<File> {
        let failed = |e| Error::io(&self.root, "cannot be locked", e);
        let folder = File::open(&self.root).map_err(failed)?;
        wait(&folder, &mut waiting)?.map_err(failed)?;
        Ok(folder)
    }
}

/// Takes a lock as soon as nobody else has it.
fn wait(file: &File, waiting: &mut dyn FnMut() -> Result<()>) -> Result<std::io::Result<()>> {
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Ok(())),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {
                waiting()?;
                std::thread::sleep(LOCK_POLL);
            }
            Err(e) => return Ok(Err(e.into())),
        }
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

/// The full name of a folder that can be a hub to fetch into.
pub(crate) fn usable(root: &Path) -> Result<PathBuf> {
    let root =
        std::path::absolute(root).map_err(|e| Error::io(root, "is not a folder's name", e))?;
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
