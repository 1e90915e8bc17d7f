//! Makes a path for a BTF in memory, because libbpf accepts only a path.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use tempfile::TempDir;

use crate::environment::Environment;

/// A BTF that has a path until this value is dropped.
#[derive(Debug)]
pub(crate) enum BtfFile {
    /// A sealed memfd.
    Memory {
        path: PathBuf,
        /// Owns the memory.
        _fd: OwnedFd,
    },
    /// A file that only this user can read.
    Private {
        path: PathBuf,
        /// Removes the folder with the file.
        _folder: TempDir,
    },
}

impl BtfFile {
    /// Puts the bytes into a memfd, or else into a file in a private folder below one of the safe folders.
    pub(crate) fn new(bytes: &[u8], environment: Environment) -> io::Result<Self> {
        Self::in_memory(bytes).or_else(|in_memory| {
            let folders = environment.folders();
            let in_folder = folders.and_then(|folders| Self::in_folder(bytes, &folders));
            in_folder.map_err(|in_folder| {
                io::Error::new(
                    in_folder.kind(),
                    format!("no memfd ({in_memory}), {in_folder}"),
                )
            })
        })
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Memory { path, .. } | Self::Private { path, .. } => path,
        }
    }

    fn in_memory(bytes: &[u8]) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // Kernels before 6.3 do not support the flag, and later kernels may require it.
        let fd = match memfd_create("btfgen", flags | MemfdFlags::NOEXEC_SEAL) {
            Err(Errno::INVAL) => memfd_create("btfgen", flags),
            fd => fd,
        }?;
        let mut file = File::from(fd);
        file.write_all(bytes)?;
        fcntl_add_seals(
            &file,
            SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE,
        )?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        // Without a real /proc, the memfd cannot be opened by its path.
        let mut start = [0; 4];
        let start = &mut start[..bytes.len().min(4)];
        File::open(&path)?.read_exact(start)?;
        if !bytes.starts_with(start) {
            return Err(io::Error::other(format!(
                "{} is another file",
                path.display()
            )));
        }
        Ok(Self::Memory {
            path,
            _fd: file.into(),
        })
    }

    /// Writes a file into the first folder that allows it. Returns the error of the last folder, with its name.
    fn in_folder(bytes: &[u8], folders: &[PathBuf]) -> io::Result<Self> {
        let mut failed = io::Error::other("no folder to try");
        for folder in folders {
            match Self::in_private_folder(bytes, folder) {
                Ok(file) => return Ok(file),
                Err(e) => failed = io::Error::new(e.kind(), format!("{}: {e}", folder.display())),
            }
        }
        Err(failed)
    }

    fn in_private_folder(bytes: &[u8], parent: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("btfgen-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(parent)?;
        let path = folder.path().join("vmlinux.btf");
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        options.open(&path)?.write_all(bytes)?;
        Ok(Self::Private {
            path,
            _folder: folder,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    fn names(folder: &Path) -> usize {
        std::fs::read_dir(folder).unwrap().count()
    }

    /// Check that a memfd can be opened by its path, is sealed, and is closed with its owner.
    #[test]
    fn memory() {
        let file = BtfFile::in_memory(b"some bytes").unwrap();
        let path = file.path().to_owned();
        assert_eq!(std::fs::read(&path).unwrap(), b"some bytes");
        let again = OpenOptions::new().write(true).open(&path).unwrap();
        assert!((&again).write_all(b"other").is_err());
        assert!(again.set_len(0).is_err());
        let inode = std::fs::metadata(&path).unwrap().ino();
        drop(file);
        // Another test may have the same number now, but not this memory.
        assert!(std::fs::metadata(&path).map_or(true, |m| m.ino() != inode));
    }

    /// Check that only its owner may read the file and its folder, and that `drop` removes both.
    #[test]
    fn private_file() {
        let parent = tempfile::tempdir().unwrap();
        let unusable = parent.path().join("missing");
        let folders = [unusable, parent.path().to_owned()];
        let file = BtfFile::in_folder(b"some bytes", &folders).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(file.path()), 0o600);
        assert_eq!(mode(file.path().parent().unwrap()), 0o700);
        assert_eq!(std::fs::read(file.path()).unwrap(), b"some bytes");
        drop(file);
        assert_eq!(names(parent.path()), 0);
    }

    /// Check that the error names the folder that is not writable.
    #[test]
    fn no_folder() {
        let error = BtfFile::in_folder(b"", &["/proc/self".into()]).unwrap_err();
        assert!(error.to_string().starts_with("/proc/self: "), "{error}");
    }
}
