//! Files that take their name when they are whole, and what a killed process leaves of them.
//!
//! Each temporary file and folder is locked, flock(2), by the process that it belongs to. The lock ends with the process, so
//! one that can be locked belongs to nobody, and may be removed.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use rustix::fs::{CWD, FlockOperation, OFlags, RenameFlags, flock, renameat_with};
use rustix::io::Errno;
use tempfile::{Builder, NamedTempFile, TempDir};

/// What all names begin with. Hubs are read without what begins with a dot.
const PREFIX: &str = ".btfgen-tmp-";

/// How many random characters follow.
const RANDOM: usize = 10;

/// How often a file is made anew because somebody took it for one that was left.
const TRIES: usize = 16;

/// A file on its way: it has a temporary name in the folder of the file that it will be, and is removed unless it is
/// [persisted](Self::persist).
#[derive(Debug)]
pub struct TempFile(NamedTempFile);

impl TempFile {
    /// An empty file, with the permissions that the umask gives to any new file.
    ///
    /// # Errors
    /// The system's.
    pub fn create_in(folder: &Path) -> io::Result<Self> {
        for _ in 0..TRIES {
            let file = builder(0o666).tempfile_in(folder)?;
            if owns(file.as_file())? {
                return Ok(Self(file));
            }
        }
        Err(taken_away())
    }

    /// A second name of a file, in the same folder. Where the file system has no hard links it is a copy.
    ///
    /// # Errors
    /// The system's.
    pub fn link_of(path: &Path) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let make = |second: &Path| {
            match fs::hard_link(path, second) {
                Ok(()) => {}
                // Another name is tried.
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

    /// The file, to write to.
    pub fn as_file_mut(&mut self) -> &mut File {
        self.0.as_file_mut()
    }

    /// Its temporary name.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Waits until the content is on the disk.
    ///
    /// # Errors
    /// The system's: what a disk refuses may be told only here.
    pub fn sync(&self) -> io::Result<()> {
        self.0.as_file().sync_all()
    }

    /// Gives the file its name, in place of a file that has it.
    ///
    /// # Errors
    /// The system's; the file is removed then.
    pub fn persist(self, path: &Path) -> io::Result<()> {
        self.0.persist(path).map(drop).map_err(|e| e.error)
    }

    /// Gives the file its name if nothing has it.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`], and the system's; the file is removed then.
    pub fn persist_new(self, path: &Path) -> io::Result<()> {
        self.0
            .persist_noclobber(path)
            .map(drop)
            .map_err(|e| e.error)
    }
}

/// A folder for temporary files that need names. It is removed with all that is in it.
#[derive(Debug)]
pub struct TempFolder {
    folder: TempDir,
    /// Open for the lock's sake.
    _lock: File,
}

impl TempFolder {
    /// An empty folder that only this user can look into. What killed processes left beside it is removed.
    ///
    /// # Errors
    /// The system's.
    pub fn create_in(parent: &Path) -> io::Result<Self> {
        remove_stale(parent);
        for _ in 0..TRIES {
            let folder = builder(0o700).tempdir_in(parent)?;
            let lock = File::open(folder.path())?;
            if owns(&lock)? {
                return Ok(Self {
                    folder,
                    _lock: lock,
                });
            }
        }
        Err(taken_away())
    }

    /// Its path.
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

/// Locks what was just made. False where [`remove_stale`] of another process has seen it without a lock.
fn owns(file: &File) -> io::Result<bool> {
    // Where there are no locks, nothing is taken for stale either.
    if flock(file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        return Ok(false);
    }
    Ok(file.metadata()?.nlink() > 0)
}

fn taken_away() -> io::Error {
    io::Error::other("temporary files are removed as soon as they are made")
}

/// Gives a file another name of the same file system if nothing has that name.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`], and the system's.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // NFS and some others do not know the flag, and kernels before 3.15 not the call. A link is never made over anything.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}

/// Removes the temporary files and folders that killed processes of this user left in a folder. What cannot be removed
/// stays: the next run tries again.
pub fn remove_stale(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_ours(&entry.file_name()) {
            // Without a lock it is not known to be stale.
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
        // For an exclusive lock NFS wants a file that is open for writing.
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

    /// Check that what belongs to nobody is removed, and that what belongs to somebody or is a user's stays.
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

    /// Check that a file takes its name over another only where that is asked for.
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

    /// Check that files which are made and removed as stale at once are never lost to their makers.
    #[test]
    fn makers_and_removers() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            let maker = scope.spawn(|| {
                for n in 0..500 {
                    let file = TempFile::create_in(folder.path()).unwrap();
                    file.persist(&folder.path().join(n.to_string())).unwrap();
                }
            });
            while !maker.is_finished() {
                remove_stale(folder.path());
            }
        });
        assert_eq!(names(folder.path()), 500);
    }
}
