//! The headers of an RPM package (rpm's `docs/manual/format_header.md`): an index of tags, and a store of their values.
//!
//! This module does not use the rpm crate, which trusts the offsets in a header and reads the whole store into memory. It keeps
//! only numbers for each file, at most a few MiB. Names stay in the file until they are needed.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Read as _};

use crate::arch;
use crate::content::Content;
use crate::error::{Error, ErrorKind, Result};
use crate::place::Place;

const MAGIC: [u8; 4] = [0x8e, 0xad, 0xe8, 1];
const INTRO_BYTES: usize = 16;
const ENTRY_BYTES: usize = 16;

/// The limit of rpm itself (lib/header.c). The header of a kernel's debug symbols lists all files with their digests, and has a
/// few MiB.
const MAX_BYTES: u64 = 256 << 20;
const MAX_TAGS: u64 = 0xffff;

/// The largest number of files. A kernel's debug symbols, sources and modules have some ten thousand.
const MAX_FILES: usize = 1 << 20;

/// A name with its NUL: `PATH_MAX` of the kernel's limits.h.
const MAX_NAME_BYTES: u64 = 4096;

/// Longer than any architecture's name.
const MAX_ARCH_BYTES: usize = 64;

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
        let intro = content.read(at, INTRO_BYTES, place)?;
        let (tags, store_len) = (number(&intro, 8, 4), number(&intro, 12, 4));
        let index_at = at + INTRO_BYTES as u64;
        let index_len = tags * ENTRY_BYTES as u64;
        let store_at = index_at + index_len;
        let end = store_at + store_len;
        let fits = tags <= MAX_TAGS && store_len <= MAX_BYTES && end <= content.len();
        if !intro.starts_with(&MAGIC) || !fits {
            return Err(damaged(place));
        }
        let index = content.read(index_at, index_len as usize, place)?;
        Ok(Self {
            content,
            index,
            store_at,
            end,
        })
    }

    /// The offset of the next part of the package, without padding.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn arch(&self, place: &Place) -> Result<Option<String>> {
        let Some(value) = self.value(TAG_ARCH) else {
            return Ok(None);
        };
        let len = value.bytes_left().min(MAX_ARCH_BYTES);
        let bytes = self.content.read(value.start, len, place)?;
        let name = bytes.split(|&b| b == 0).next().unwrap_or_default();
        Ok(str::from_utf8(name).ok().and_then(arch::of_package))
    }

    /// The files, in the order in which a stripped payload numbers them.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`] for an invalid list; [`ErrorKind::TooLarge`] for more files than any real package has.
    pub(crate) fn files(&self, place: &Place) -> Result<Files<'c>> {
        let required = |tag| self.value(tag).ok_or_else(|| damaged(place));
        let numbers = |value: Value, size| self.numbers(&value, size, place);
        let sizes = match self.value(TAG_LONG_FILE_SIZES) {
            Some(sizes) => numbers(sizes, 8)?,
            None => numbers(required(TAG_FILE_SIZES)?, 4)?,
        };
        let modes = numbers(required(TAG_FILE_MODES)?, 2)?;
        let optional = |tag| self.value(tag).map_or(Ok(Vec::new()), |v| numbers(v, 4));
        let inodes = (optional(TAG_FILE_DEVICES)?, optional(TAG_FILE_INODES)?);
        Ok(Files {
            sizes: sizes_in_payload(sizes, &modes, inodes),
            modes,
            folder_of: numbers(required(TAG_DIR_INDEXES)?, 4)?,
            folders: self.strings(&required(TAG_DIR_NAMES)?, place)?,
            base_names: self.strings(&required(TAG_BASE_NAMES)?, place)?,
        })
    }

    /// The position of a tag's value, if the header has it.
    fn value(&self, tag: u32) -> Option<Value> {
        let mut entries = self.index.chunks_exact(ENTRY_BYTES);
        let entry = entries.find(|entry| number(entry, 0, 4) == u64::from(tag))?;
        Some(Value {
            start: (self.store_at + number(entry, 8, 4)).min(self.end),
            end: self.end,
            count: number(entry, 12, 4) as usize,
        })
    }

    fn numbers(&self, value: &Value, size: usize, place: &Place) -> Result<Vec<u64>> {
        value.require_few(place)?;
        let len = value.bytes_left().min(value.count * size);
        let bytes = self.content.read(value.start, len, place)?;
        let items = bytes.chunks_exact(size);
        let mut numbers = place.reserve(items.len())?;
        numbers.extend(items.map(|item| number(item, 0, size)));
        Ok(numbers)
    }

    /// Finds where each string ends.
    fn strings(&self, value: &Value, place: &Place) -> Result<Strings<'c>> {
        value.require_few(place)?;
        let mut from = BufReader::new(self.content.window(value.start..value.end));
        let mut ends = place.reserve(value.count.min(value.bytes_left()))?;
        let mut at = 0;
        for _ in 0..value.count {
            let len = from
                .by_ref()
                .take(MAX_NAME_BYTES)
                .skip_until(0)
                .map_err(|e| place.unreadable(e))? as u64;
            match len {
                0 => break,
                MAX_NAME_BYTES => return Err(damaged(place)),
                _ => at += len,
            }
            ends.push(at as u32);
        }
        Ok(Strings {
            content: self.content,
            start: value.start,
            ends,
        })
    }
}

/// The position of a tag's value, and the end of the store as its limit.
struct Value {
    start: u64,
    end: u64,
    /// The number of items of the value.
    count: usize,
}

impl Value {
    fn bytes_left(&self) -> usize {
        usize::try_from(self.end - self.start).unwrap_or(usize::MAX)
    }

    fn require_few(&self, place: &Place) -> Result<()> {
        if self.count > MAX_FILES {
            let message = format!("has more than {MAX_FILES} files");
            return Err(place.error(ErrorKind::TooLarge, message));
        }
        Ok(())
    }
}

/// Whether a stripped payload has content for a file, as in rpm's lib/rpmfi.c: for regular files and symbolic links, but only
/// for the last one of a set of hard links.
fn sizes_in_payload(
    mut sizes: Vec<u64>,
    modes: &[u64],
    (devices, inodes): (Vec<u64>, Vec<u64>),
) -> Vec<u64> {
    let mut seen = HashSet::new();
    let numbers = |inode: (&u64, &u64)| (*inode.0 as u32, *inode.1 as u32);
    for number in (0..sizes.len()).rev() {
        let kind = modes.get(number).map_or(0, |&mode| mode as u32 & MODE_TYPE);
        let is_link = devices
            .get(number)
            .zip(inodes.get(number))
            .is_some_and(|inode| kind == MODE_REGULAR && !seen.insert(numbers(inode)));
        if is_link || (kind != MODE_REGULAR && kind != MODE_SYMLINK) {
            sizes[number] = 0;
        }
    }
    sizes
}

/// The list of files.
pub(crate) struct Files<'c> {
    folders: Strings<'c>,
    base_names: Strings<'c>,
    folder_of: Vec<u64>,
    sizes: Vec<u64>,
    modes: Vec<u64>,
}

impl Files<'_> {
    /// The number of files.
    pub(crate) fn len(&self) -> usize {
        self.base_names.ends.len()
    }

    /// The path, size and mode of a file by its number. `None` if the number is too large.
    pub(crate) fn get(&self, number: usize, place: &Place) -> Result<Option<(String, u64, u32)>> {
        let numbers = [&self.folder_of, &self.sizes, &self.modes].map(|list| list.get(number));
        let [Some(&folder), Some(&size), Some(&mode)] = numbers else {
            return Ok(None);
        };
        let Some(base_name) = self.base_names.get(number, place)? else {
            return Ok(None);
        };
        let folder = self.folders.get(folder as usize, place)?;
        let path = [folder.unwrap_or_default(), base_name].concat();
        let path = String::from_utf8_lossy(&path).into_owned();
        Ok(Some((path, size, mode as u32)))
    }
}

/// Several strings in the store, one after the other.
struct Strings<'c> {
    content: &'c Content,
    start: u64,
    /// The end of each string, with its NUL. Every header is small enough for these offsets.
    ends: Vec<u32>,
}

impl Strings<'_> {
    fn get(&self, number: usize, place: &Place) -> Result<Option<Vec<u8>>> {
        let Some(&end) = self.ends.get(number) else {
            return Ok(None);
        };
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        let at = self.start + u64::from(start);
        let mut string = self.content.read(at, (end - start) as usize, place)?;
        // The last string may end at the end of the store.
        if string.last() == Some(&0) {
            string.pop();
        }
        Ok(Some(string))
    }
}

/// Reads a big-endian number. Returns 0 beyond the end.
fn number(bytes: &[u8], at: usize, size: usize) -> u64 {
    let bytes = bytes.get(at..at + size).unwrap_or_default();
    bytes.iter().fold(0, |n, &byte| n << 8 | u64::from(byte))
}

pub(crate) fn damaged(place: &Place) -> Error {
    place.error(ErrorKind::Damaged, "is a damaged or truncated package")
}
