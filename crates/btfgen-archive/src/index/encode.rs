//! Laying out an index.

use super::{Location, crc_of};

/// How many entries a page of the index has.
const PAGE_ENTRIES: usize = 1024;

/// What the writer tells of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GroupLen {
    /// Of its deflate blocks, in bytes.
    pub(crate) compressed: usize,
    /// Of what it inflates to, in blocks of the tar.
    pub(crate) blocks: u64,
}

/// The parts of an index as they are written.
#[derive(Debug)]
pub(crate) struct Pages {
    pages: Vec<Vec<u8>>,
    first_keys: Vec<String>,
}

impl Pages {
    /// Lay out entries, which are put in order here.
    pub(crate) fn new(mut entries: Vec<(String, Location)>) -> Self {
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        let chunks = || entries.chunks(PAGE_ENTRIES);
        Self {
            first_keys: chunks().map(|page| page[0].0.clone()).collect(),
            pages: chunks().map(encode_page).collect(),
        }
    }

    /// The pages that stand before the root; one alone goes into it.
    pub(crate) fn separate(&self) -> &[Vec<u8>] {
        match self.pages.as_slice() {
            [_] => &[],
            pages => pages,
        }
    }

    /// The root, for the lengths of all groups but the last and the compressed lengths of all pages.
    pub(crate) fn root(&self, prefix: &str, groups: &[GroupLen], page_lens: &[usize]) -> Vec<u8> {
        let mut root = Vec::new();
        put_counted(&mut root, prefix.as_bytes());
        put_varint(&mut root, groups.len() as u64 + 1);
        for group in groups {
            put_varint(&mut root, group.compressed as u64);
            put_varint(&mut root, group.blocks);
        }
        let pages = self.separate();
        put_varint(&mut root, pages.len() as u64);
        for ((page, first_key), len) in pages.iter().zip(&self.first_keys).zip(page_lens) {
            put_varint(&mut root, *len as u64);
            put_varint(&mut root, page.len() as u64);
            root.extend(crc_of(page).to_le_bytes());
            put_counted(&mut root, first_key.as_bytes());
        }
        if pages.is_empty() {
            root.extend(self.pages.iter().flatten());
        }
        root
    }
}

fn encode_page(entries: &[(String, Location)]) -> Vec<u8> {
    let mut page = Vec::new();
    let mut previous = "";
    let mut blocks = [0; 2];
    for (key, location) in entries {
        let shared = previous
            .bytes()
            .zip(key.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        let Location { block, crc } = *location;
        let last = std::mem::replace(&mut blocks[usize::from(crc.is_some())], block);
        let delta = zigzag(block as i64 - last as i64);
        put_varint(&mut page, shared as u64);
        put_counted(&mut page, &key.as_bytes()[shared..]);
        put_varint(&mut page, delta << 1 | u64::from(crc.is_some()));
        page.extend(crc.into_iter().flat_map(u32::to_le_bytes));
        previous = key;
    }
    page
}

/// A number without a sign for one with it, small where that is: 0, -1, 1, -2, ...
pub(super) fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
