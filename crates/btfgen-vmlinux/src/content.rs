//! The bytes of a named or unpacked file. They stay on disk and are read in pieces, so that no image must fit into memory. Only
//! small files of modules are in memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use btfgen_files::open_regular;

use crate::budget::Budget;
use crate::error::{Error, ErrorKind, Result};
use crate::place::Place;

/// The largest file to read or unpack: eight times the largest vmlinux with debug symbols. Some files of /proc have no end.
pub(crate) const MAX_FILE_BYTES: u64 = 8 << 30;

/// The largest kernel without debug symbols to unpack from an image or to search.
pub(crate) const MAX_KERNEL_BYTES: u64 = 512 << 20;

/// The most bytes of a module's file to keep in memory.
const SMALL_BYTES: u64 = 32 << 20;

const COPY_BYTES: usize = 128 << 10;

/// The largest read, so that a cancelled reading ends soon.
const READ_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Content {
    bytes: Bytes,
    len: u64,
    /// The path of a named file. Unpacked files have no path.
    path: Option<PathBuf>,
    budget: Budget,
}

#[derive(Debug)]
enum Bytes {
    File(File),
    Memory(Vec<u8>),
}

impl Content {
    /// Opens the named file if it is a regular file. It does not open a pipe or a device, because it might never end.
    pub(crate) fn open(path: &Path, place: &Place) -> Result<Self> {
        let mut file = open_regular(path).map_err(|e| unopened(path, place, e))?;
        let len = file
            .seek(SeekFrom::End(0))
            .map_err(|e| place.unreadable(e))?;
        if len > MAX_FILE_BYTES {
            let message = format!(
                "has {len} bytes; files of more than {} GiB are not read",
                MAX_FILE_BYTES >> 30
            );
            return Err(place.error(ErrorKind::TooLarge, message));
        }
        Ok(Self {
            bytes: Bytes::File(file),
            len,
            path: Some(path.to_owned()),
            budget: place.budget.clone(),
        })
    }

    /// Copies the output of a decompressor or an archive to a file without a name, which is removed when it is closed.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] if there are more than `limit` bytes, and the errors of the decompressor.
    pub(crate) fn unpack(mut from: impl Read, limit: u64, place: &Place) -> Result<Self> {
        let temp_dir = &place.budget.options().temp_dir;
        let mut file = tempfile::tempfile_in(temp_dir).map_err(|e| no_room(temp_dir, e))?;
        let mut len = 0;
        let mut buffer = vec![0; COPY_BYTES];
        loop {
            let got = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(place.unreadable(e)),
            };
            len += got as u64;
            if len > limit {
                return Err(place.error(
                    ErrorKind::TooLarge,
                    format!("has more than {} MiB", limit >> 20),
                ));
            }
            file.write_all(&buffer[..got])
                .map_err(|e| no_room(temp_dir, e))?;
        }
        Ok(Self {
            bytes: Bytes::File(file),
            len,
            path: None,
            budget: place.budget.clone(),
        })
    }

    /// Like [`Content::unpack`], but up to [`SMALL_BYTES`] stay in memory: a package has thousands of small modules.
    pub(crate) fn unpack_small(
        mut from: impl Read,
        expected: u64,
        limit: u64,
        place: &Place,
    ) -> Result<Self> {
        let mut bytes = place.reserve(expected.min(SMALL_BYTES) as usize)?;
        from.by_ref()
            .take(SMALL_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| place.unreadable(e))?;
        if bytes.len() as u64 > SMALL_BYTES {
            return Self::unpack(bytes.chain(from), limit, place);
        }
        Ok(Self {
            len: bytes.len() as u64,
            bytes: Bytes::Memory(bytes),
            path: None,
            budget: place.budget.clone(),
        })
    }

    /// An unreadable content for tests: it is open only for writing.
    #[cfg(test)]
    pub(crate) fn unreadable(len: u64, place: &Place) -> Self {
        let device = File::options().write(true).open("/dev/null");
        Self {
            bytes: Bytes::File(device.expect("a null device")),
            len,
            path: None,
            budget: place.budget.clone(),
        }
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// A part as a stream. It ends at the end of the content.
    pub(crate) fn window(&self, range: Range<u64>) -> Window<'_> {
        Window {
            bytes: &self.bytes,
            at: range.start.min(self.len),
            end: range.end.min(self.len),
            budget: &self.budget,
        }
    }

    pub(crate) fn all(&self) -> Window<'_> {
        self.window(0..self.len)
    }

    /// Reads to the end of the file. It does not trust the size, which files of /sys do not always report.
    pub(crate) fn to_the_end(&self) -> Window<'_> {
        Window {
            bytes: &self.bytes,
            at: 0,
            end: u64::MAX,
            budget: &self.budget,
        }
    }

    /// Reads `len` bytes from `at`, or fewer at the end of the content.
    pub(crate) fn read(&self, at: u64, len: usize, place: &Place) -> Result<Vec<u8>> {
        let mut window = self.window(at..at.saturating_add(len as u64));
        let mut bytes = place.reserve(window.left())?;
        window
            .read_to_end(&mut bytes)
            .map_err(|e| place.unreadable(e))?;
        Ok(bytes)
    }
}

/// A part of a content. It has its own position, so that several parts can be read alternately.
#[derive(Debug)]
pub(crate) struct Window<'c> {
    bytes: &'c Bytes,
    at: u64,
    end: u64,
    budget: &'c Budget,
}

impl Window<'_> {
    fn left(&self) -> usize {
        usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX)
    }
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(self.left()).min(READ_BYTES);
        if wanted == 0 {
            return Ok(0);
        }
        self.budget.go_on()?;
        let got = match self.bytes {
            Bytes::File(file) => {
                let mut file: &File = file;
                file.seek(SeekFrom::Start(self.at))?;
                file.read(&mut buffer[..wanted])?
            }
            Bytes::Memory(bytes) => {
                let at = usize::try_from(self.at).unwrap_or(usize::MAX);
                bytes
                    .get(at..)
                    .unwrap_or_default()
                    .read(&mut buffer[..wanted])?
            }
        };
        self.at += got as u64;
        Ok(got)
    }
}

pub(crate) fn no_room(temp_dir: &Path, source: io::Error) -> Error {
    Error::new(
        ErrorKind::Io,
        temp_dir.display(),
        "cannot write a temporary file here",
    )
    .with_help("set TMPDIR to a folder with room for the unpacked kernel")
    .with_source(source)
}

fn unopened(path: &Path, place: &Place, source: io::Error) -> Error {
    // The system's own EINVAL has a number.
    let is_refused =
        source.kind() == io::ErrorKind::InvalidInput && source.raw_os_error().is_none();
    if !is_refused {
        return place
            .error(ErrorKind::Io, "cannot be read")
            .with_source(source);
    }
    if path.is_dir() {
        return place
            .error(ErrorKind::Unrecognized, "is a folder")
            .with_help("name the kernel's image or package in the folder");
    }
    place
        .error(
            ErrorKind::Unrecognized,
            "is a pipe, a socket or a device, not a regular file",
        )
        .with_help("write its content to a file, and name that file")
}
