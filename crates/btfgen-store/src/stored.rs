//! A store in a file that is mapped into memory.

use std::fs::File;

use memmap2::Mmap;

use crate::definitions::Definitions;
use crate::error::{Error, Result};
use crate::files::Files;
use crate::image;

/// A store in a file.
#[derive(Debug)]
pub struct Stored {
    map: Mmap,
    files: Files,
}

impl Stored {
    /// Maps a file, and checks it.
    ///
    /// The file must not be changed in place while it is mapped: whoever makes a new store must write another file and rename it.
    /// If somebody cuts the file off nevertheless, the system ends this process by a signal.
    ///
    /// # Errors
    /// Every [`Error`] but [`Error::Full`].
    pub fn open(file: &File) -> Result<Self> {
        if file.metadata()?.len() == 0 {
            return Err(Error::Version);
        }
        #[allow(
            unsafe_code,
            reason = "mapping a file is unsafe: see the comment below"
        )]
        // SAFETY: the bytes are plain integers, so any content is valid. Writers replace the file by another one.
        let map = unsafe { Mmap::map(file) }?;
        let files = image::read(&map)?.files()?;
        Ok(Self { map, files })
    }

    /// The definitions.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the file was changed since it was opened.
    pub fn definitions(&self) -> Result<Definitions<'_>> {
        image::definitions(&self.map)
    }

    /// The files that contain the kernels.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The size of the store in bytes.
    pub fn bytes(&self) -> u64 {
        self.map.len() as u64
    }
}

/// The bytes of a file with these definitions and files, for [`Stored::open`].
///
/// # Errors
/// [`Error::Damaged`] if a file has an unknown kernel.
pub fn stored_bytes(definitions: &Definitions<'_>, files: &Files) -> Result<Vec<u8>> {
    let kernels = definitions.kernels().len();
    if files.kernels().any(|kernel| kernel >= kernels) {
        return Err(Error::Damaged("a file has an unknown kernel"));
    }
    Ok(image::write(definitions, files))
}
