//! The locks of a hub, which say who may read it and who may change it.
//!
//! Two files in the hub's folder [`OWN_FOLDER`] are locked with flock(2). The kernel releases a lock when its process ends. On
//! regular files flock(2) also works on NFS, where the kernel uses a byte-range lock. A file system without locks returns an
//! error.
//!
//! - A process that changes the hub holds `writer.lock` all the time. So there is one writer at a time, and no other writer
//!   changes what it has seen.
//! - All readers share `readers.lock`. A writer holds it exclusively while it renames or deletes kernels, so a reader sees the
//!   hub either before or after the change.
//!
//! A hub without these files has never had a writer. Readers do not create the files, and read the hub without a lock.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::temporary::remove_stale;

/// The folder of a hub that belongs to btfgen. Readers of a hub skip folders that begin with a dot.
pub const OWN_FOLDER: &str = ".btfgen";

const WRITER: &str = "writer.lock";
const READERS: &str = "readers.lock";

/// How often to retry a lock that another process holds.
const POLL: Duration = Duration::from_millis(50);

/// The error for a lock file that cannot be used.
#[derive(Debug)]
pub struct LockError {
    path: PathBuf,
    source: io::Error,
}

impl LockError {
    fn new(path: &Path, source: impl Into<io::Error>) -> Self {
        Self {
            path: path.to_owned(),
            source: source.into(),
        }
    }

    /// The lock file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: cannot be locked", self.path.display())
    }
}

impl std::error::Error for LockError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// A reader's lock on a hub. No writer changes the hub's kernels until it is dropped.
#[derive(Debug)]
pub struct HubReader {
    /// Keeps the lock.
    _readers: File,
}

impl HubReader {
    /// Waits until no writer changes the hub. While it waits, it calls `waiting` again and again; an error of `waiting` ends the
    /// wait.
    ///
    /// Returns `None` if there is nothing to lock: the hub has never had a writer, this user may not read the lock file, or the
    /// file system does not support locks, so that writers fail, too.
    ///
    /// # Errors
    /// The error of `waiting`; a [`LockError`] for a failure of the machine.
    pub fn lock<E: From<LockError>>(
        hub: &Path,
        mut waiting: impl FnMut() -> Result<(), E>,
    ) -> Result<Option<Self>, E> {
        let path = hub.join(OWN_FOLDER).join(READERS);
        loop {
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(e) if !crate::is_machine_fault(&e) => return Ok(None),
                Err(e) => return Err(LockError::new(&path, e).into()),
            };
            match wait(&file, FlockOperation::NonBlockingLockShared, &mut waiting)? {
                Ok(()) => {}
                Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS | Errno::BADF) => {
                    return Ok(None);
                }
                Err(e) => return Err(LockError::new(&path, e).into()),
            }
            // The last writer may have removed the file after it was opened.
            if is_at(&file, &path) {
                return Ok(Some(Self { _readers: file }));
            }
        }
    }

    /// Whether a hub has a lock file for readers.
    pub fn is_possible(hub: &Path) -> bool {
        hub.join(OWN_FOLDER).join(READERS).exists()
    }
}

/// A writer's lock on a hub. No other process changes the hub until it is dropped.
#[derive(Debug)]
pub struct HubWriter {
    own: PathBuf,
    /// Keeps the lock.
    _writer: File,
    readers: File,
}

/// Keeps readers out until it is dropped.
#[derive(Debug)]
pub struct Exclusion<'w>(&'w File);

impl HubWriter {
    /// Waits until no other process changes the hub. `waiting` as in [`HubReader::lock`]. Removes temporary files that a killed
    /// writer left in [`OWN_FOLDER`].
    ///
    /// Returns `None` if the previous writer removed `own`, the hub's folder [`OWN_FOLDER`]: create it again, and retry.
    ///
    /// # Errors
    /// The error of `waiting`; a [`LockError`], also if the file system does not support locks.
    pub fn lock<E: From<LockError>>(
        own: &Path,
        waiting: impl FnMut() -> Result<(), E>,
    ) -> Result<Option<Self>, E> {
        let path = own.join(WRITER);
        let Some(writer) = lock_file(&path)? else {
            return Ok(None);
        };
        wait(&writer, FlockOperation::NonBlockingLockExclusive, waiting)?
            .map_err(|e| LockError::new(&path, e))?;
        if !is_at(&writer, &path) {
            return Ok(None);
        }
        let Some(readers) = lock_file(&own.join(READERS))? else {
            return Ok(None);
        };
        remove_stale(own);
        Ok(Some(Self {
            own: own.to_owned(),
            _writer: writer,
            readers,
        }))
    }

    /// Waits until nobody reads the hub, and then keeps readers out. `waiting` as in [`HubReader::lock`].
    ///
    /// # Errors
    /// The error of `waiting`; a [`LockError`].
    pub fn exclude_readers<E: From<LockError>>(
        &self,
        waiting: impl FnMut() -> Result<(), E>,
    ) -> Result<Exclusion<'_>, E> {
        let alone = FlockOperation::NonBlockingLockExclusive;
        wait(&self.readers, alone, waiting)?
            .map_err(|e| LockError::new(&self.own.join(READERS), e))?;
        Ok(Exclusion(&self.readers))
    }

    /// Removes the lock files, unless another process reads the hub. For a new hub folder that stays empty and is removed again.
    pub fn remove_files(&self) {
        let alone = FlockOperation::NonBlockingLockExclusive;
        if flock(&self.readers, alone).is_ok() {
            // A process that waits for one of the locks notices that the file is gone. A file that stays does no harm.
            let _ = fs::remove_file(self.own.join(READERS));
            let _ = fs::remove_file(self.own.join(WRITER));
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
fn lock_file(path: &Path) -> Result<Option<File>, LockError> {
    // NFS gives an exclusive lock only for a file that is open for writing.
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    match options.open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(LockError::new(path, e)),
    }
}

/// Whether the path still leads to this open file.
fn is_at(file: &File, path: &Path) -> bool {
    let id = |m: fs::Metadata| (m.dev(), m.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(file), Ok(there)) => id(file) == id(there),
        _ => false,
    }
}

/// Waits for a lock.
fn wait<E>(
    file: &File,
    lock: FlockOperation,
    mut waiting: impl FnMut() -> Result<(), E>,
) -> Result<Result<(), Errno>, E> {
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

    /// The error of `waiting` in a test, which ends the wait at once.
    #[derive(Debug, PartialEq)]
    struct Busy;

    impl From<LockError> for Busy {
        fn from(e: LockError) -> Self {
            panic!("{e}")
        }
    }

    fn busy() -> Result<(), Busy> {
        Err(Busy)
    }

    fn hub() -> (tempfile::TempDir, PathBuf) {
        let hub = tempfile::tempdir().unwrap();
        let own = hub.path().join(OWN_FOLDER);
        fs::create_dir(&own).unwrap();
        (hub, own)
    }

    /// Check that there is only one writer, and that the writer and the readers keep each other out.
    #[test]
    fn one_writer() {
        let (hub, own) = hub();
        assert!(HubReader::lock(hub.path(), busy).unwrap().is_none());
        let writer = HubWriter::lock(&own, busy).unwrap().unwrap();
        assert_eq!(HubWriter::lock(&own, busy).unwrap_err(), Busy);
        let reader = HubReader::lock(hub.path(), busy).unwrap().unwrap();
        assert_eq!(writer.exclude_readers(busy).unwrap_err(), Busy);
        drop(reader);
        let alone = writer.exclude_readers(busy).unwrap();
        assert_eq!(HubReader::lock(hub.path(), busy).unwrap_err(), Busy);
        drop(alone);
        assert!(HubReader::lock(hub.path(), busy).unwrap().is_some());
        drop(writer);
        assert!(HubWriter::lock(&own, busy).unwrap().is_some());
    }

    /// Check that a writer does not get a lock whose file was removed while it waited.
    #[test]
    fn removed_while_waited_for() {
        let (_hub, own) = hub();
        let mut first = HubWriter::lock(&own, busy).unwrap();
        let second = HubWriter::lock(&own, || -> Result<(), Busy> {
            if let Some(first) = first.take() {
                first.remove_files();
            }
            Ok(())
        });
        assert!(second.unwrap().is_none());
        assert!(HubWriter::lock(&own, busy).unwrap().is_some());
    }

    /// Check that the lock files stay while another process reads.
    #[test]
    fn readers_keep_their_lock() {
        let (hub, own) = hub();
        let writer = HubWriter::lock(&own, busy).unwrap().unwrap();
        let reader = HubReader::lock(hub.path(), busy).unwrap();
        writer.remove_files();
        assert!(HubReader::is_possible(hub.path()));
        drop(reader);
        writer.remove_files();
        assert!(!HubReader::is_possible(hub.path()));
    }
}
