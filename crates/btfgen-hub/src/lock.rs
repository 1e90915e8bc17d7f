//! The locks of a hub, which say who may read it and who may change it.
//!
//! Two files in the hub's folder [`OWN_FOLDER`] are locked with flock(2). The kernel releases a lock when its process ends. On
//! regular files flock(2) also works on NFS, where the kernel uses a byte-range lock. A file system without locks returns an
//! error.
//!
//! - A process that changes the hub holds `writer.lock` all the time ([`LockedHub`]). So there is one writer at a time, and no
//!   other writer changes what it has seen.
//! - All readers share `readers.lock` ([`ReaderLock`]). A writer holds it exclusively while it renames or deletes kernels
//!   ([`Exclusion`]), so a reader sees the hub either before or after the change.
//!
//! A hub without these files has never had a writer. Readers do not create the files, and read the hub without a lock.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use btfgen_files::{is_machine_fault, remove_stale};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Error, ErrorKind, Result};
use crate::folder::{MadeFolders, absolute};
use crate::seen::file_id;

/// The folder of a hub that belongs to btfgen. Readers of a hub skip folders that begin with a dot.
pub const OWN_FOLDER: &str = ".btfgen";

const WRITER: &str = "writer.lock";
const READERS: &str = "readers.lock";

/// How often to retry a lock that another process holds.
const POLL: Duration = Duration::from_millis(50);

/// What a command that changes a hub waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// Another command that changes the same hub.
    Writer,
    /// A pack, or another reader of the hub.
    Readers,
}

/// A reader's lock on a hub. No writer changes the hub's kernels until it is dropped.
#[derive(Debug)]
pub(crate) struct ReaderLock {
    /// Keeps the lock.
    _readers: File,
}

impl ReaderLock {
    /// Waits until no writer changes the hub. While it waits, it calls `waiting` again and again; an error of `waiting` ends the
    /// wait.
    ///
    /// Returns `None` if there is nothing to lock: the hub has never had a writer, this user may not read the lock file, or the
    /// file system does not support locks, so that writers fail, too.
    ///
    /// # Errors
    /// The error of `waiting`; [`ErrorKind::Machine`].
    pub(crate) fn lock(
        hub: &Path,
        mut waiting: impl FnMut() -> Result<()>,
    ) -> Result<Option<Self>> {
        let path = hub.join(OWN_FOLDER).join(READERS);
        let failed = |e| Error::io(&path, "the hub cannot be locked", e);
        loop {
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(e) if !is_machine_fault(&e) => return Ok(None),
                Err(e) => return Err(failed(e)),
            };
            match wait(&file, FlockOperation::NonBlockingLockShared, &mut waiting)? {
                Ok(()) => {}
                Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::BADF) => {
                    return Ok(None);
                }
                Err(e) => return Err(failed(e.into())),
            }
            // The last writer may have removed the file after it was opened.
            if is_at(&file, &path) {
                return Ok(Some(Self { _readers: file }));
            }
        }
    }

    /// Whether a hub has a lock file for readers.
    pub(crate) fn is_possible(hub: &Path) -> bool {
        hub.join(OWN_FOLDER).join(READERS).exists()
    }
}

/// A hub that no other process changes until this value is dropped.
#[derive(Debug)]
pub struct LockedHub {
    root: PathBuf,
    /// Keeps the lock.
    _writer: File,
    readers: File,
    /// The folders that were created for the hub. If they stay empty, they are removed again.
    made: MadeFolders,
}

/// Keeps readers out until it is dropped.
#[derive(Debug)]
pub struct Exclusion<'h>(&'h File);

impl LockedHub {
    /// Creates the hub if it is missing, and waits until no other process changes it. While it waits, it calls `waiting` again
    /// and again; an error of `waiting` ends the wait. Removes temporary files that a killed writer left in [`OWN_FOLDER`].
    ///
    /// # Errors
    /// [`ErrorKind::Hub`] if the folder cannot be a hub, or its file system has no locks; the error of `waiting`.
    pub fn lock(root: &Path, mut waiting: impl FnMut() -> Result<()>) -> Result<Self> {
        let root = absolute(root)?;
        let own = root.join(OWN_FOLDER);
        let path = own.join(WRITER);
        loop {
            let made = MadeFolders::make(&own)?;
            // Without the files, the previous writer has removed the folder: create it again.
            let Some(writer) = lock_file(&path)? else {
                continue;
            };
            wait(
                &writer,
                FlockOperation::NonBlockingLockExclusive,
                &mut waiting,
            )?
            .map_err(|e| refused(&path, e))?;
            if !is_at(&writer, &path) {
                continue;
            }
            let Some(readers) = lock_file(&own.join(READERS))? else {
                continue;
            };
            remove_stale(&own);
            return Ok(Self {
                root,
                _writer: writer,
                readers,
                made,
            });
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

    /// Waits until nobody reads the hub, and then keeps readers out. `waiting` as in [`LockedHub::lock`].
    ///
    /// # Errors
    /// Those of [`LockedHub::lock`].
    pub fn exclude_readers(&self, waiting: impl FnMut() -> Result<()>) -> Result<Exclusion<'_>> {
        let alone = FlockOperation::NonBlockingLockExclusive;
        wait(&self.readers, alone, waiting)?.map_err(|e| refused(&self.own(READERS), e))?;
        Ok(Exclusion(&self.readers))
    }

    /// Whether the hub's own folder contains only lock files.
    fn holds_locks_only(&self) -> bool {
        let is_lock = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|e| e.path().extension().is_some_and(|e| e == "lock"))
        };
        fs::read_dir(self.root.join(OWN_FOLDER)).is_ok_and(|mut entries| entries.all(is_lock))
    }
}

impl Drop for LockedHub {
    /// Removes the lock files of a new hub in which the command wrote nothing, not even a record or a staged file, so that its
    /// folders are empty and are removed, too. They stay while another process reads the hub.
    fn drop(&mut self) {
        let alone = FlockOperation::NonBlockingLockExclusive;
        if self.made.have(&self.root.join(OWN_FOLDER))
            && self.holds_locks_only()
            && flock(&self.readers, alone).is_ok()
        {
            // A process that waits for one of the locks notices that the file is gone. A file that stays does no harm.
            let _ = fs::remove_file(self.own(READERS));
            let _ = fs::remove_file(self.own(WRITER));
        }
    }
}

impl Drop for Exclusion<'_> {
    fn drop(&mut self) {
        // If unlocking fails, the lock ends with the writer.
        let _ = flock(self.0, FlockOperation::Unlock);
    }
}

/// Opens a lock file, and creates it if it is missing. `None` if its folder is gone.
fn lock_file(path: &Path) -> Result<Option<File>> {
    // NFS gives an exclusive lock only for a file that is open for writing.
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    match options.open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(refused(path, e)),
    }
}

fn refused(path: &Path, e: impl Into<io::Error>) -> Error {
    Error::new(ErrorKind::Hub, path.display(), "cannot be locked")
        .with_source(e.into())
        .with_help("name a writable hub on a file system that supports locks")
}

/// Whether the path still leads to this open file.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(file), Ok(there)) => file_id(&file) == file_id(&there),
        _ => false,
    }
}

/// Waits for a lock.
fn wait(
    file: &File,
    lock: FlockOperation,
    mut waiting: impl FnMut() -> Result<()>,
) -> Result<Result<(), Errno>> {
    loop {
        match flock(file, lock) {
            Err(Errno::WOULDBLOCK | Errno::INTR) => {
                waiting()?;
                std::thread::sleep(POLL);
            }
            result => return Ok(result),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends a wait at once.
    fn busy() -> Result<()> {
        Err(Error::cancelled("the wait"))
    }

    fn is_busy<T: std::fmt::Debug>(result: Result<T>) -> bool {
        result.unwrap_err().kind() == ErrorKind::Cancelled
    }

    /// A hub that has had a writer.
    fn hub() -> tempfile::TempDir {
        let hub = tempfile::tempdir().unwrap();
        fs::create_dir(hub.path().join(OWN_FOLDER)).unwrap();
        hub
    }

    /// Check that there is only one writer, and that the writer and the readers keep each other out.
    #[test]
    fn one_writer() {
        let hub = hub();
        assert!(ReaderLock::lock(hub.path(), busy).unwrap().is_none());
        let writer = LockedHub::lock(hub.path(), busy).unwrap();
        assert!(is_busy(LockedHub::lock(hub.path(), busy)));
        let reader = ReaderLock::lock(hub.path(), busy).unwrap().unwrap();
        assert!(is_busy(writer.exclude_readers(busy)));
        drop(reader);
        let alone = writer.exclude_readers(busy).unwrap();
        assert!(is_busy(ReaderLock::lock(hub.path(), busy)));
        drop(alone);
        assert!(ReaderLock::lock(hub.path(), busy).unwrap().is_some());
        drop(writer);
        assert!(LockedHub::lock(hub.path(), busy).is_ok());
    }

    /// Check that a writer takes no lock whose file was removed while it waited: it creates the file again.
    #[test]
    fn removed_while_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let hub = folder.path().join("hub");
        let mut first = Some(LockedHub::lock(&hub, busy).unwrap());
        let second = LockedHub::lock(&hub, || {
            first.take();
            Ok(())
        });
        let second = second.unwrap();
        assert!(hub.join(OWN_FOLDER).join(WRITER).exists());
        assert!(is_busy(LockedHub::lock(&hub, busy)));
        drop(second);
    }

    /// Check that the lock files of a new hub stay while another process reads, and that otherwise nothing stays of the hub.
    #[test]
    fn readers_keep_their_lock() {
        let folder = tempfile::tempdir().unwrap();
        let hub = folder.path().join("hub");
        let writer = LockedHub::lock(&hub, busy).unwrap();
        let reader = ReaderLock::lock(&hub, busy).unwrap().unwrap();
        drop(writer);
        assert!(ReaderLock::is_possible(&hub));
        drop(reader);
        fs::remove_dir_all(&hub).unwrap();
        drop(LockedHub::lock(&hub, busy).unwrap());
        assert!(!hub.exists());
    }
}
