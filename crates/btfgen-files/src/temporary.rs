//! Temporary files that get their name when they are complete, and the removal of files that killed processes left.
//!
//! The owning process locks each temporary file and folder with flock(2). The lock ends with the process. So a file or folder
//! that can be locked has no owner, and may be removed.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, flock, renameat_with};
use rustix::io::Errno;
use tempfile::{Builder, NamedTempFile, TempDir};

/// The prefix of all names. Readers of a hub skip names that begin with a dot.
const PREFIX: &str = ".btfgen-tmp-";

/// The number of random characters after the prefix.
const RANDOM: usize = 10;

/// How often to create a file again because another process removed it as stale.
const TRIES: usize = 16;

/// A file with a temporary name, in the folder where it will get its final name. It is removed unless it is
/// [persisted](Self::persist).
#[derive(Debug)]
pub struct TempFile(NamedTempFile);

impl TempFile {
    /// Creates an empty file, with the umask's permissions.
    ///
    /// # Errors
    /// The system's errors.
    pub fn create_in(folder: &Path) -> io::Result<Self> {
        for _ in 0..TRIES {
            let file = builder(0o666).tempfile_in(folder)?;
            if owns(file.as_file())? {
                return Ok(Self(file));
            }
        }
        Err(taken_away())
    }

    /// Creates a second name for a file, in the same folder, or a copy if the file system has no hard links.
    ///
    /// # Errors
    /// The system's errors.
    pub fn link_of(path: &Path) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let make = |second: &Path| {
            match fs::hard_link(path, second) {
                Ok(()) => {}
                // Try another name.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(e),
                Err(_) => drop(fs::copy(path, second)?),
            }
            File::open(second)
        };
        for _ in 0..TRIES {
            let file = builder(0o666).make_in(folder, make)?;
            let (file, path) = file.into_parts();
            if owns(&file)? {
                return Ok(Self(NamedTempFile::from_parts(file, path)));
            }
        }
        Err(taken_away())
    }

    /// The open file.
    pub fn as_file_mut(&mut self) -> &mut File {
        self.0.as_file_mut()
    }

    /// The file's temporary path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Waits until the content is on the disk.
    ///
    /// # Errors
    /// The system's errors. Some errors of a disk appear only here.
    pub fn sync(&self) -> io::Result<()> {
        self.0.as_file().sync_all()
    }

    /// Gives the file its final name, and replaces an existing file.
    ///
    /// # Errors
    /// The system's errors; the temporary file is then removed.
    pub fn persist(self, path: &Path) -> io::Result<()> {
        self.0.persist(path).map(drop).map_err(|e| e.error)
    }

    /// Gives the file its final name if the name is free.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], and the system's errors; the temporary file is then removed.
    pub fn persist_new(self, path: &Path) -> io::Result<()> {
        self.0
            .persist_noclobber(path)
            .map(drop)
            .map_err(|e| e.error)
    }
}

/// A folder for temporary files that need names. `drop` removes it with its content.
#[derive(Debug)]
pub struct TempFolder {
    folder: TempDir,
    /// Keeps the lock.
    _lock: File,
}

impl TempFolder {
    /// Creates an empty folder that only this user can read. Removes temporary files that killed processes left in `folder`.
    ///
    /// # Errors
    /// The system's errors.
    pub fn create_in(parent: &Path) -> io::Result<Self> {
        remove_stale(parent);
        for _ in 0..TRIES {
            let folder = builder(0o700).tempdir_in(parent)?;
            let lock = match File::open(folder.path()) {
                Ok(lock) => lock,
                // `remove_stale` of another process has seen it before it was locked.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            if owns(&lock)? {
                return Ok(Self {
                    folder,
                    _lock: lock,
                });
            }
        }
        Err(taken_away())
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn builder(mode: u32) -> Builder<'static, 'static> {
    let mut builder = Builder::new();
    builder
        .prefix(PREFIX)
        .rand_bytes(RANDOM)
        .permissions(Permissions::from_mode(mode));
    builder
}

/// Locks a new file or folder. Returns false if [`remove_stale`] of another process has seen it before it was locked.
fn owns(file: &File) -> io::Result<bool> {
    // Without locks, no process removes anything as stale.
    if flock(file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        return Ok(false);
    }
    Ok(file.metadata()?.nlink() > 0)
}

fn taken_away() -> io::Error {
    io::Error::other("another process removes temporary files as soon as they are created")
}

/// Renames a file within its file system if the new name is free.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`], and the system's errors.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // NFS and some other file systems do not support the flag, and kernels before 3.15 not the call. A hard link never
        // replaces a file.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}

/// Removes the temporary files and folders that killed processes of this user left in a folder. Ignores errors, because the
/// next run tries again.
pub fn remove_stale(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_ours(&entry.file_name()) {
            // If it cannot be locked, it may be in use.
            let _ = remove_unlocked(&entry.path());
        }
    }
}

fn is_ours(name: &OsStr) -> bool {
    let random = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
    random.is_some_and(|r| r.len() == RANDOM && r.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn remove_unlocked(path: &Path) -> io::Result<()> {
    let metadata = path.symlink_metadata()?;
    let is_owners = metadata.uid() == rustix::process::geteuid().as_raw();
    if !is_owners || !(metadata.is_file() || metadata.is_dir()) {
        return Ok(());
    }
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        // NFS gives an exclusive lock only for a file that is open for writing.
        .write(metadata.is_file())
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    if metadata.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    /// Check that temporary files without an owner are removed, and that files in use and the user's files stay.
    #[test]
    fn only_what_is_stale_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let alive = TempFile::create_in(folder.path()).unwrap();
        let alive_folder = TempFolder::create_in(folder.path()).unwrap();
        for user in [
            ".btfgen-tmp-mine",
            ".btfgen-tmp-longer-names",
            "btfs.tar.gz",
        ] {
            fs::write(at(user), "").unwrap();
        }
        fs::write(at(".btfgen-tmp-0123456789"), "left").unwrap();
        fs::create_dir(at(".btfgen-tmp-abcdefghij")).unwrap();
        fs::write(at(".btfgen-tmp-abcdefghij/vmlinux"), "left").unwrap();
        std::os::unix::fs::symlink("/dev/null", at(".btfgen-tmp-ABCDEFGHIJ")).unwrap();
        remove_stale(folder.path());
        assert_eq!(names(folder.path()), 6);
        drop((alive, alive_folder));
        assert_eq!(names(folder.path()), 4);
    }

    /// Check that only `persist` replaces an existing file.
    #[test]
    fn names_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        TempFile::create_in(folder.path())
            .unwrap()
            .persist_new(&target)
            .unwrap();
        let second = TempFile::create_in(folder.path()).unwrap();
        let error = second.persist_new(&target).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        TempFile::create_in(folder.path())
            .unwrap()
            .persist(&target)
            .unwrap();
        assert_eq!(names(folder.path()), 1);
    }

    /// Check that a new file or folder is never lost while other processes remove stale files.
    #[test]
    fn makers_and_removers() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let maker = scope.spawn(|| {
                for n in 0..500 {
                    let file = TempFile::create_in(folder.path()).unwrap();
                    file.persist(&folder.path().join(n.to_string())).unwrap();
                    let temporary = TempFolder::create_in(folder.path()).unwrap();
                    fs::write(temporary.path().join("file"), "").unwrap();
                }
            });
            while !maker.is_finished() {
                remove_stale(folder.path());
            }
        });
        assert_eq!(names(folder.path()), 500);
    }
}
