//! A BTF in a file: all of it, or the section `.BTF` of an ELF file.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;

use crate::elf;
use crate::inspect::{self, ReadAt, Unusable, inspect};

/// The largest BTF to read into memory. A kernel's BTF has 3 to 10 MB, and 50 MB if it was never deduplicated.
const MAX_BTF_BYTES: u64 = 256 << 20;

/// An open file, and the place of the BTF in it.
#[derive(Debug)]
pub(crate) struct Source {
    file: File,
    place: Range<u64>,
}

impl Source {
    /// Opens a regular file. Reads of an ELF file only the tables that lead to its section.
    pub(crate) fn open(path: &Path) -> Result<Self, Unusable> {
        let file = btfgen_files::open_regular(path)?;
        let mut magic = [0; 4];
        let len = inspect::read(&file, &mut magic, 0)?;
        let place = if magic[..len] == *b"\x7fELF" {
            elf::btf_section(&file)?
        } else {
            0..u64::MAX
        };
        Ok(Self { file, place })
    }

    /// Reads the whole BTF.
    pub(crate) fn read(&self) -> Result<Vec<u8>, Unusable> {
        inspect(self)?;
        let too_large = || {
            let message = format!("larger than {} MiB", MAX_BTF_BYTES >> 20);
            io::Error::new(io::ErrorKind::FileTooLarge, message)
        };
        // Files of /sys may be larger than they say.
        let told = self.file.metadata()?.len().min(self.place.end);
        if told.saturating_sub(self.place.start) > MAX_BTF_BYTES {
            return Err(too_large().into());
        }
        let mut bytes = Vec::new();
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.place.start))?;
        let len = self.place.end - self.place.start;
        file.take(len.min(MAX_BTF_BYTES + 1))
            .read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BTF_BYTES {
            return Err(too_large().into());
        }
        Ok(bytes)
    }
}

impl ReadAt for Source {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let rest = (self.place.end - self.place.start).saturating_sub(at);
        let len = usize::try_from(rest).unwrap_or(usize::MAX);
        let len = len.min(buffer.len());
        match self.place.start.checked_add(at) {
            Some(at) => self.file.read_at(&mut buffer[..len], at),
            None => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a file is read only up to the limit, and that the error says so.
    #[test]
    fn too_large() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut btf = vec![0; 25];
        btf[..5].copy_from_slice(&[0x9f, 0xeb, 1, 0, 24]);
        btf[20] = 1;
        std::fs::write(&file, btf).unwrap();
        let source = Source::open(file.path()).unwrap();
        assert_eq!(source.read().unwrap().len(), 25);
        // The rest takes no space.
        file.as_file().set_len(MAX_BTF_BYTES + 1).unwrap();
        let error = source.read().unwrap_err();
        assert_eq!(error.to_string(), "larger than 256 MiB");
    }
}
