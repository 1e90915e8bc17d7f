//! The GNU build id of a kernel, as far as an image gives it for sure.
//!
//! An ELF file has the note in a section. In a flat image the note is somewhere in the bytes. The kernel contains other ELF
//! files with notes of their own: each vDSO, the code for kexec. So the kernel's note is the one that is in none of them:
//!
//! | arm64 image | |
//! |---|---|
//! | `0x110c000..0x110d208` | the vDSO: an ELF file with a note |
//! | `0x110e000..0x110ef70` | the 32-bit vDSO: an ELF file with a note |
//! | `0x194aaa4` | the kernel's note |
//!
//! If several are left that differ, the id is unknown.

use std::ops::Range;

use btfgen_archive::BuildId;
use object::Endianness;
use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader as _};

use crate::content::Content;
use crate::error::Result;
use crate::place::Place;

/// What a search must look for: the notes in either byte order, and ELF files. A note's type and owner follow the lengths of the
/// owner and of the value.
pub(crate) const NEEDLES: [&[u8]; 3] = [b"\x03\0\0\0GNU\0", b"\0\0\0\x03GNU\0", b"\x7fELF"];

/// A kernel's section of notes has some hundred bytes.
const MAX_NOTES_BYTES: u64 = 64 << 10;

/// The length of a note up to its value.
const HEADER_BYTES: u64 = 16;

/// The largest number of notes, and of ELF files, in an image. Real ones have at most four.
const MAX_FOUND: usize = 64;

/// The largest header and program headers of an ELF file inside a kernel. They follow each other at its start.
const MAX_HEADERS_BYTES: usize = 4 << 10;

/// The id in sections of notes. `None` if there is none, or if several differ.
pub(crate) fn of_sections(
    content: &Content,
    sections: &[Range<u64>],
    is_little_endian: bool,
    place: &Place,
) -> Result<Option<BuildId>> {
    let mut ids = Vec::new();
    for range in sections {
        let len = (range.end - range.start).min(MAX_NOTES_BYTES);
        let notes = content.read(range.start, len as usize, place)?;
        ids.extend(BuildId::from_notes(&notes, is_little_endian));
    }
    Ok(the_only(ids))
}

fn the_only(ids: Vec<BuildId>) -> Option<BuildId> {
    let first = *ids.first()?;
    ids.iter().all(|id| *id == first).then_some(first)
}

/// Notes and ELF files that a search found in a flat image.
#[derive(Default)]
pub(crate) struct Notes {
    ids: Vec<(u64, BuildId)>,
    inner_files: Vec<Range<u64>>,
    has_too_many: bool,
}

impl Notes {
    /// Takes a match of [`NEEDLES`].
    pub(crate) fn take(
        &mut self,
        content: &Content,
        at: u64,
        which: usize,
        place: &Place,
    ) -> Result<()> {
        if self.ids.len().max(self.inner_files.len()) == MAX_FOUND {
            self.has_too_many = true;
            return Ok(());
        }
        if which == NEEDLES.len() - 1 {
            self.inner_files.extend(inner_file(content, at, place)?);
            return Ok(());
        }
        let is_little_endian = which == 0;
        let Some(start) = at.checked_sub(8) else {
            return Ok(());
        };
        let len = HEADER_BYTES as usize + BuildId::MAX_BYTES;
        let note = content.read(start, len, place)?;
        let word = |at: usize| {
            let word = *note.get(at..)?.first_chunk()?;
            Some(match is_little_endian {
                true => u32::from_le_bytes(word),
                false => u32::from_be_bytes(word),
            } as usize)
        };
        let value = word(4).and_then(|len| note.get(16..)?.get(..len));
        if word(0) == Some(4)
            && let Some(id) = value.and_then(BuildId::new)
        {
            self.ids.push((start, id));
        }
        Ok(())
    }

    /// The id of the kernel in the image.
    pub(crate) fn id(self) -> Option<BuildId> {
        if self.has_too_many {
            return None;
        }
        let Self {
            ids, inner_files, ..
        } = self;
        let own = ids
            .into_iter()
            .filter(|(at, _)| !inner_files.iter().any(|file| file.contains(at)));
        the_only(own.map(|(_, id)| id).collect())
    }
}

/// The bytes of an ELF file in an image, if one begins here: up to the end of its last segment or its section headers.
fn inner_file(content: &Content, at: u64, place: &Place) -> Result<Option<Range<u64>>> {
    let head = content.read(at, MAX_HEADERS_BYTES, place)?;
    let len = match head.get(4) {
        Some(1) => file_len::<FileHeader32<Endianness>>(&head),
        Some(2) => file_len::<FileHeader64<Endianness>>(&head),
        _ => None,
    };
    Ok(len.map(|len| at..at.saturating_add(len)))
}

fn file_len<H: FileHeader<Endian = Endianness>>(head: &[u8]) -> Option<u64> {
    let header = H::parse(head).ok()?;
    let endian = header.endian().ok()?;
    // The code of a kernel also has the magic, without a file behind it.
    if usize::from(header.e_ehsize(endian)) != size_of::<H>() {
        return None;
    }
    let segments = header.program_headers(endian, head).ok()?;
    let segments = segments.iter().map(|segment| {
        let (offset, len) = segment.file_range(endian);
        offset.saturating_add(len)
    });
    let headers = u64::from(header.e_shnum(endian)) * u64::from(header.e_shentsize(endian));
    let sections: u64 = header.e_shoff(endian).into();
    segments.chain([sections.saturating_add(headers)]).max()
}
