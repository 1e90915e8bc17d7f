//! Finds the section `.BTF` of an ELF file: a vmlinux, of either class and byte order.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::ops::Range;

use object::Endianness;
use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, SectionHeader as _};
use object::read::{ReadCache, ReadCacheOps};

use crate::inspect::{ReadAt as _, Unusable};

/// The largest number of sections. A vmlinux has about 80.
const MAX_SECTIONS: u32 = 1 << 14;

/// The class of an ELF file with addresses of 32 bits, and the place of the class.
const ELFCLASS32: u8 = 1;
const EI_CLASS: u64 = 4;

/// The place of the section. Reads only the tables that lead to it.
pub(crate) fn btf_section(file: &File) -> Result<Range<u64>, Unusable> {
    let mut class = [0];
    file.read_at(&mut class, EI_CLASS)?;
    let failure = Cell::new(None);
    let data = &ReadCache::new(Remembering {
        file,
        at: 0,
        failure: &failure,
    });
    let found = if class == [ELFCLASS32] {
        find::<FileHeader32<Endianness>>(data)
    } else {
        find::<FileHeader64<Endianness>>(data)
    };
    match (found, failure.take()) {
        (_, Some(failure)) => Err(Unusable::Unreadable(failure)),
        (Err(_), None) => Err(Unusable::Invalid("is a damaged or truncated ELF file")),
        (Ok(None), None) => Err(Unusable::Invalid("is an ELF file without a section .BTF")),
        (Ok(Some(place)), None) => Ok(place),
    }
}

fn find<H: FileHeader<Endian = Endianness>>(
    data: &ReadCache<Remembering<'_>>,
) -> object::Result<Option<Range<u64>>> {
    let header = H::parse(data)?;
    let endian = header.endian()?;
    if header.shnum(endian, data)? > MAX_SECTIONS {
        return Ok(None);
    }
    let sections = header.sections(endian, data)?;
    for section in sections.iter() {
        // In a file of only debug information, other sections have a size but no bytes.
        if let Some((start, len)) = section.file_range(endian)
            && len > 0
            && sections.section_name(endian, section)? == b".BTF"
        {
            return Ok(Some(start..start.saturating_add(len)));
        }
    }
    Ok(None)
}

/// Remembers the error of a read, because the ELF reader does not return it.
struct Remembering<'f> {
    file: &'f File,
    at: u64,
    failure: &'f Cell<Option<io::Error>>,
}

impl ReadCacheOps for Remembering<'_> {
    fn len(&mut self) -> Result<u64, ()> {
        let metadata = self.file.metadata();
        metadata
            .map(|m| m.len())
            .map_err(|e| self.failure.set(Some(e)))
    }

    fn seek(&mut self, at: u64) -> Result<u64, ()> {
        self.at = at;
        Ok(at)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ()> {
        let read = self.file.read_at(buffer, self.at);
        let len = read.map_err(|e| self.failure.set(Some(e)))?;
        self.at += len as u64;
        Ok(len)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), ()> {
        let mut rest = buffer;
        while !rest.is_empty() {
            // The end comes too early: the file is truncated, and there is no error to remember.
            let len = self
                .read(rest)
                .and_then(|len| if len > 0 { Ok(len) } else { Err(()) })?;
            rest = &mut rest[len..];
        }
        Ok(())
    }
}
