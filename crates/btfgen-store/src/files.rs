//! Which file contains which kernel.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::time::SystemTime;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::error::{Error, Result};
use crate::kernel::Digest;
use crate::sequences::Sequences;

/// What the system says of a file without reading it. Writing to a file changes its stamp; see [`Files::find`] for the exception.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Stamp {
    size: u64,
    inode: u64,
    /// Nanoseconds since 1970: of the last change of the content, and of the inode.
    modified: i64,
    changed: i64,
}

impl Stamp {
    /// The stamp of a file.
    pub fn of(metadata: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.wrapping_mul(1_000_000_000) + rest;
        Self {
            size: metadata.len(),
            inode: metadata.ino(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A file that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct File {
    stamp: Stamp,
    /// When it was read, in nanoseconds since 1970.
    read_at: i64,
    digest: Digest,
    kernel: u64,
}

/// The files that contain kernels, by names that the caller chooses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    by_name: HashMap<Box<str>, File>,
    /// Some files of the same content may have other names now.
    by_digest: HashMap<Digest, u64>,
}

/// Within this time before a file was read, a change of it may have left no trace in its stamp: clocks of file systems are coarse.
/// FAT's has two seconds.
const COARSE_CLOCK: i64 = 2_000_000_000;

impl Files {
    /// The kernel in a file, if the file has not changed since it was read. A file that was written shortly before it was read
    /// is not known by its stamp, because it may have been written again.
    pub fn find(&self, name: &str, stamp: &Stamp) -> Option<usize> {
        let file = self.by_name.get(name)?;
        let is_old = file
            .read_at
            .saturating_sub(stamp.changed.max(stamp.modified))
            > COARSE_CLOCK;
        (file.stamp == *stamp && is_old).then_some(file.kernel as usize)
    }

    /// The kernel in a file whose content has this digest, by a statement that needs no stamp.
    pub fn find_same(&self, name: &str, digest: Digest) -> Option<usize> {
        let file = self.by_name.get(name)?;
        (file.digest == digest).then_some(file.kernel as usize)
    }

    /// The kernel in a file with this content.
    pub fn find_content(&self, digest: Digest) -> Option<usize> {
        self.by_digest.get(&digest).map(|&kernel| kernel as usize)
    }

    /// Notes what is in a file: its stamp before it was read, the digest of its content, and its kernel's number.
    pub fn note(&mut self, name: &str, stamp: Stamp, digest: Digest, kernel: usize) {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let read_at = since.map_or(0, |since| since.as_nanos() as i64);
        let kernel = kernel as u64;
        let file = File {
            stamp,
            read_at,
            digest,
            kernel,
        };
        self.by_name.insert(name.into(), file);
        self.by_digest.insert(digest, kernel);
    }

    /// The number of the kernel in a file.
    pub fn kernel_of(&self, name: &str) -> Option<usize> {
        Some(self.by_name.get(name)?.kernel as usize)
    }

    /// Forgets all files but some.
    pub fn retain(&mut self, is_there: impl Fn(&str) -> bool) {
        self.by_name.retain(|name, _| is_there(name));
    }

    /// The number of files.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Whether there are no files.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// The numbers of the kernels in the files.
    pub fn kernels(&self) -> impl Iterator<Item = usize> {
        self.by_name.values().map(|file| file.kernel as usize)
    }

    /// Gives the kernels other numbers. A file is forgotten if its kernel has none.
    pub fn renumber(&mut self, number: impl Fn(usize) -> Option<usize>) {
        self.by_digest.clear();
        self.by_name
            .retain(|_, file| match number(file.kernel as usize) {
                Some(kernel) => {
                    file.kernel = kernel as u64;
                    self.by_digest.insert(file.digest, file.kernel);
                    true
                }
                None => false,
            });
    }

    /// Records, names, and the names' ends.
    pub(crate) fn to_sections(&self) -> (Vec<File>, Vec<u8>, Vec<u32>) {
        let mut files: Vec<_> = self.by_name.iter().collect();
        files.sort_unstable_by_key(|&(name, _)| name);
        let (mut names, mut ends) = (Vec::new(), Vec::new());
        for (name, _) in &files {
            names.extend_from_slice(name.as_bytes());
            ends.push(names.len() as u32);
        }
        let records = files.into_iter().map(|(_, &file)| file);
        (records.collect(), names, ends)
    }

    /// # Errors
    /// [`Error::Damaged`].
    pub(crate) fn from_sections(
        records: &[File],
        names: Sequences<'_, u8>,
        kernels: usize,
    ) -> Result<Self> {
        if names.len() as usize != records.len() {
            return Err(Error::Damaged("there are not as many names as files"));
        }
        let mut files = Self::default();
        for (name, file) in names.iter().zip(records) {
            let name = std::str::from_utf8(name);
            let name = name.map_err(|_| Error::Damaged("a file's name is not UTF-8"))?;
            if file.kernel >= kernels as u64 {
                return Err(Error::Damaged("a file has an unknown kernel"));
            }
            files.by_name.insert(name.into(), *file);
            files.by_digest.insert(file.digest, file.kernel);
        }
        Ok(files)
    }
}
