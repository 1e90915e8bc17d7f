//! Bytes that were named or unpacked: a file on disk, read in pieces, so that no image has to fit into memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};
use crate::place::Place;

/// The largest file that is unpacked: the largest vmlinux with its debug symbols is an eighth of it.
pub(crate) const MAX_FILE_BYTES: u64 = 8 << 30;

/// The largest kernel without debug symbols that is unpacked from an image, or looked through.
pub(crate) const MAX_KERNEL_BYTES: u64 = 512 << 20;

const COPY_BYTES: usize = 128 << 10;

#[derive(Debug)]
pub(crate) struct Content {
    file: File,
    len: u64,
    /// Of the file that was named; what is unpacked has none.
    path: Option<PathBuf>,
}

impl Content {
    /// Opens what was named. A pipe is copied first, for it can be read only once.
    pub(crate) fn open(path: &Path, place: &Place, temp_dir: &Path) -> Result<Self> {
        let unreadable = |e| place.error(ErrorKind::Io, "cannot be read").with_source(e);
        let mut file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(place
                .error(ErrorKind::Unrecognized, "is a folder")
                .with_help("name the kernel's image or package in it"));
        }
        if is_pipe(&metadata) {
            return Self::unpack(file, MAX_FILE_BYTES, place, temp_dir);
        }
        if !metadata.is_file() {
            return Err(place.error(ErrorKind::Unrecognized, "is neither a file nor a pipe"));
        }
        let len = file.seek(SeekFrom::End(0)).map_err(unreadable)?;
        Ok(Self {
            file,
            len,
            path: Some(path.to_owned()),
        })
    }

    /// Copies what comes out of a decompressor or an archive to a file that has no name and goes when it is closed.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] if more than `limit` bytes come, and whatever the decompressor says.
    pub(crate) fn unpack(
        mut from: impl Read,
        limit: u64,
        place: &Place,
        temp_dir: &Path,
    ) -> Result<Self> {
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
                    format!("holds more than {} MiB", limit >> 20),
                ));
            }
            file.write_all(&buffer[..got])
                .map_err(|e| no_room(temp_dir, e))?;
        }
        Ok(Self {
            file,
            len,
            path: None,
        })
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// For readers that seek by themselves. What is read through a [`Window`] is not disturbed.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// A part as a stream; what lies beyond the end of the content is not there.
    pub(crate) fn window(&self, range: Range<u64>) -> Window<'_> {
        Window {
            file: &self.file,
            at: range.start.min(self.len),
            end: range.end.min(self.len),
        }
    }

    pub(crate) fn all(&self) -> Window<'_> {
        self.window(0..self.len)
    }

    /// At most `len` bytes from `at` on: fewer where the content ends.
    pub(crate) fn read(&self, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.window(at..at.saturating_add(len as u64))
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A part of a content. It keeps its own position, so that several can be read in turns.
#[derive(Debug)]
pub(crate) struct Window<'c> {
    file: &'c File,
    at: u64,
    end: u64,
}

impl Read for Window<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let wanted = buffer.len().min(left);
        if wanted == 0 {
            return Ok(0);
        }
        self.file.seek(SeekFrom::Start(self.at))?;
        let got = self.file.read(&mut buffer[..wanted])?;
        self.at += got as u64;
        Ok(got)
    }
}

pub(crate) fn no_room(temp_dir: &Path, source: io::Error) -> Error {
    Error::new(
        ErrorKind::Io,
        temp_dir.display(),
        "no temporary file can be written there",
    )
    .with_help("set TMPDIR to a folder with room for the unpacked kernel")
    .with_source(source)
}

#[cfg(unix)]
fn is_pipe(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    metadata.file_type().is_fifo()
}

#[cfg(not(unix))]
fn is_pipe(_: &std::fs::Metadata) -> bool {
    false
}
