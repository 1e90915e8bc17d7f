//! The headers of an RPM package (rpm's `docs/manual/format_header.md`): an index of tags, and a store of their values.
//!
//! Ours, because the rpm crate counts on offsets that lie inside the store, and takes all of it into memory at once.

use std::collections::HashSet;

use crate::arch;
use crate::content::Content;
use crate::error::{Error, ErrorKind, Result};
use crate::place::Place;

const MAGIC: [u8; 4] = [0x8e, 0xad, 0xe8, 1];
const INTRO_BYTES: usize = 16;
const ENTRY_BYTES: usize = 16;

/// The header of a kernel's debug symbols, which lists all files with their digests, takes some MiB.
const MAX_BYTES: u64 = 64 << 20;

// lib/rpmtag.h
const TAG_ARCH: u32 = 1022;
const TAG_FILE_SIZES: u32 = 1028;
const TAG_FILE_MODES: u32 = 1030;
const TAG_FILE_DEVICES: u32 = 1095;
const TAG_FILE_INODES: u32 = 1096;
const TAG_DIR_INDEXES: u32 = 1116;
const TAG_BASE_NAMES: u32 = 1117;
const TAG_DIR_NAMES: u32 = 1118;
const TAG_LONG_FILE_SIZES: u32 = 5008;

/// `S_IFMT`, `S_IFREG` and `S_IFLNK` of stat(2)
pub(crate) const MODE_TYPE: u32 = 0o170_000;
pub(crate) const MODE_REGULAR: u32 = 0o100_000;
const MODE_SYMLINK: u32 = 0o120_000;

pub(crate) struct Header<'c> {
    content: &'c Content,
    index: Vec<u8>,
    store_at: u64,
    end: u64,
}

impl<'c> Header<'c> {
    pub(crate) fn read(content: &'c Content, at: u64, place: &Place) -> Result<Self> {
        let intro = content
            .read(at, INTRO_BYTES)
            .map_err(|e| place.unreadable(e))?;
        let (count, store_len) = (number(&intro, 8, 4), number(&intro, 12, 4));
        let index_at = at + INTRO_BYTES as u64;
        let index_len = count * ENTRY_BYTES as u64;
        let store_at = index_at + index_len;
        let end = store_at + store_len;
        if !intro.starts_with(&MAGIC) || end > content.len() || end - at > MAX_BYTES {
            return Err(damaged(place));
        }
        let index = content
            .read(index_at, index_len as usize)
            .map_err(|e| place.unreadable(e))?;
        Ok(Self {
            content,
            index,
            store_at,
            end,
        })
    }

    /// Where the next part of the package begins, but for padding.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn arch(&self, place: &Place) -> Result<Option<String>> {
        let Some(value) = self.value(TAG_ARCH, place)? else {
            return Ok(None);
        };
        let name = value.strings().next().unwrap_or_default();
        Ok(str::from_utf8(name).ok().and_then(arch::of_package))
    }

    /// The files, in the order by which a stripped payload numbers them.
    pub(crate) fn files(&self, place: &Place) -> Result<Files> {
        let value = |tag| self.value(tag, place);
        let required = |tag| value(tag)?.ok_or_else(|| damaged(place));
        let sizes = match value(TAG_LONG_FILE_SIZES)? {
            Some(sizes) => sizes.numbers(8),
            None => required(TAG_FILE_SIZES)?.numbers(4),
        };
        let modes = required(TAG_FILE_MODES)?.numbers(2);
        let numbers = |tag| Ok(value(tag)?.map_or_else(Vec::new, |value| value.numbers(4)));
        let inodes = (numbers(TAG_FILE_DEVICES)?, numbers(TAG_FILE_INODES)?);
        Ok(Files {
            folders: required(TAG_DIR_NAMES)?.into_strings(),
            base_names: required(TAG_BASE_NAMES)?.into_strings(),
            folder_of: required(TAG_DIR_INDEXES)?.numbers(4),
            sizes: sizes_in_payload(sizes, &modes, inodes),
            modes,
        })
    }

    /// What the store holds from a tag's value on, and how many items of it are the value.
    fn value(&self, tag: u32, place: &Place) -> Result<Option<Value>> {
        let mut entries = self.index.chunks_exact(ENTRY_BYTES);
        let Some(entry) = entries.find(|entry| number(entry, 0, 4) == u64::from(tag)) else {
            return Ok(None);
        };
        let start = self.store_at + number(entry, 8, 4);
        let len = self.end.saturating_sub(start);
        let bytes = self
            .content
            .read(start, len as usize)
            .map_err(|e| place.unreadable(e))?;
        let count = number(entry, 12, 4) as usize;
        Ok(Some(Value { bytes, count }))
    }
}

/// What a stripped payload holds of each file, as rpm's lib/rpmfi.c has it: of regular files and symbolic links all,
/// but of a set of hard links only the last one.
fn sizes_in_payload(
    mut sizes: Vec<u64>,
    modes: &[u64],
    (devices, inodes): (Vec<u64>, Vec<u64>),
) -> Vec<u64> {
    let mut seen = HashSet::new();
    for number in (0..sizes.len()).rev() {
        let kind = modes.get(number).map_or(0, |&mode| mode as u32 & MODE_TYPE);
        let is_link = devices
            .get(number)
            .zip(inodes.get(number))
            .is_some_and(|inode| kind == MODE_REGULAR && !seen.insert(inode));
        if is_link || (kind != MODE_REGULAR && kind != MODE_SYMLINK) {
            sizes[number] = 0;
        }
    }
    sizes
}

/// The list of files. Their paths are put together when they are asked for: a folder's name may be as long as the
/// header, and be that of each file.
pub(crate) struct Files {
    folders: Strings,
    base_names: Strings,
    folder_of: Vec<u64>,
    sizes: Vec<u64>,
    modes: Vec<u64>,
}

impl Files {
    /// Path, size and mode of a file by its number.
    pub(crate) fn get(&self, number: usize) -> Option<(String, u64, u32)> {
        let folder = *self.folder_of.get(number)?;
        let folder = self.folders.get(folder as usize).unwrap_or_default();
        let path = [folder, self.base_names.get(number)?].concat();
        Some((
            String::from_utf8_lossy(&path).into_owned(),
            *self.sizes.get(number)?,
            *self.modes.get(number)? as u32,
        ))
    }
}

struct Value {
    bytes: Vec<u8>,
    count: usize,
}

impl Value {
    fn strings(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.split(|&b| b == 0).take(self.count)
    }

    fn into_strings(self) -> Strings {
        let mut ends = Vec::new();
        let mut at = 0;
        for string in self.strings() {
            at += string.len();
            ends.push(at as u32);
            at += 1;
        }
        Strings {
            bytes: self.bytes,
            ends,
        }
    }

    fn numbers(&self, size: usize) -> Vec<u64> {
        let items = self.bytes.chunks_exact(size).take(self.count);
        items.map(|item| number(item, 0, size)).collect()
    }
}

/// Several strings, one after the other.
struct Strings {
    bytes: Vec<u8>,
    /// Where each one ends: no header is so large that these would not do.
    ends: Vec<u32>,
}

impl Strings {
    fn get(&self, number: usize) -> Option<&[u8]> {
        let end = *self.ends.get(number)? as usize;
        let start = match number.checked_sub(1) {
            Some(before) => self.ends[before] as usize + 1,
            None => 0,
        };
        Some(&self.bytes[start..end])
    }
}

/// Most significant byte first. 0 where there are no such bytes.
fn number(bytes: &[u8], at: usize, size: usize) -> u64 {
    let bytes = bytes.get(at..at + size).unwrap_or_default();
    bytes.iter().fold(0, |n, &byte| n << 8 | u64::from(byte))
}

pub(crate) fn damaged(place: &Place) -> Error {
    place.error(ErrorKind::Damaged, "is a damaged or truncated package")
}
