//! Who may read a hub, and who may change it: the whole protocol.
//!
//! Two files in the hub's folder [`OWN_FOLDER`] are locked with flock(2). Such a lock ends with the process that holds it. On
//! regular files it works on NFS as well, where the kernel makes a byte-range lock of it; a file system without locks says
//! so.
//!
//! - `writer.lock` is held by whatever changes the hub, for as long as it runs. So there is one writer at a time, and what a
//!   writer has seen stays true until it is done.
//! - `readers.lock` is shared by all readers. A writer holds it alone while kernels take or lose their names: a reader sees
//!   the hub before or after that.
//!
//! A hub without these files has never had a writer, and readers do not make them: they read it as it is.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::temporary::remove_stale;

/// The folder of a hub that belongs to btfgen. Hubs are read without folders that begin with a dot.
pub const OWN_FOLDER: &str = ".btfgen";

const WRITER: &str = "writer.lock";
const READERS: &str = "readers.lock";

/// How often a lock that another process holds is asked for.
const POLL: Duration = Duration::from_millis(50);

/// A lock file that cannot be used.
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

/// A hub that this process reads. No writer changes its kernels while this lives.
#[derive(Debug)]
pub struct HubReader {
    /// Open for the lock's sake.
    _readers: File,
}

impl HubReader {
    /// Waits until no writer changes the hub. `waiting` is called over and over while one does, and ends the wait with its
    /// error.
    ///
    /// `None` where there is nothing to lock: the hub has never had a writer, its lock must not be read, or the file system
    /// knows no locks, so that no writer gets one either.
    ///
    /// # Errors
    /// That of `waiting`; a [`LockError`] for an error of the machine.
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
            // The last writer may have removed the file since it was opened.
            if is_at(&file, &path) {
                return Ok(Some(Self { _readers: file }));
            }
        }
    }

    /// Whether a hub has a lock for readers.
    pub fn is_possible(hub: &Path) -> bool {
        hub.join(OWN_FOLDER).join(READERS).exists()
    }
}

/// A hub that this process alone changes.
#[derive(Debug)]
pub struct HubWriter {
    own: PathBuf,
    /// Open for the lock's sake.
    _writer: File,
    readers: File,
}

/// Readers are kept out while this lives.
#[derive(Debug)]
pub struct Exclusion<'w>(&'w File);

impl HubWriter {
    /// Waits until no other process changes the hub. `waiting` as in [`HubReader::lock`]. Temporary files that a killed
    /// writer left in [`OWN_FOLDER`] are removed.
    ///
    /// `None` if the writer before removed `own`, the hub's folder [`OWN_FOLDER`]: make it again and try again.
    ///
    /// # Errors
    /// That of `waiting`; a [`LockError`], also where the file system knows no locks.
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

    /// Waits until nobody reads the hub, and keeps readers out. `waiting` as in [`HubReader::lock`].
    ///
    /// # Errors
    /// That of `waiting`; a [`LockError`].
    pub fn exclude_readers<E: From<LockError>>(
        &self,
        waiting: impl FnMut() -> Result<(), E>,
    ) -> Result<Exclusion<'_>, E> {
        let alone = FlockOperation::NonBlockingLockExclusive;
        wait(&self.readers, alone, waiting)?
            .map_err(|e| LockError::new(&self.own.join(READERS), e))?;
        Ok(Exclusion(&self.readers))
    }

    /// Removes the lock files, unless somebody reads the hub: of a folder that goes again, since nothing came of it.
    pub fn remove_files(&self) {
        let alone = FlockOperation::NonBlockingLockExclusive;
        if flock(&self.readers, alone).is_ok() {
            // Whoever waits for one of them sees that it is gone. One that stays is in nobody's way.
            let _ = fs::remove_file(self.own.join(READERS));
            let _ = fs::remove_file(self.own.join(WRITER));
        }
    }
}

impl Drop for Exclusion<'_> {
    fn drop(&mut self) {
        // Where it fails, the lock ends with the writer.
        let _ = flock(self.0, FlockOperation::Unlock);
    }
}

/// Opens a lock file, made if it is not there. `None` if its folder is gone.
fn lock_file(path: &Path) -> Result<Option<File>, LockError> {
    // For an exclusive lock NFS wants a file that is open for writing.
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    match options.open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(LockError::new(path, e)),
    }
}

/// Whether a file is still the one that its path leads to.
fn is_at(file: &File, path: &Path) -> bool {
    let id = |m: fs::Metadata| (m.dev(), m.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(file), Ok(there)) => id(file) == id(there),
        _ => false,
    }
}

/// Takes a lock as soon as nobody else has it.
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

    /// The error of a wait that ends at once.
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

    /// Check that there is one writer, and that it and the readers keep each other out.
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

    /// Check that a writer which waits for a lock that is removed does not take it for its own.
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

    /// Check that the files stay as long as somebody reads.
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
