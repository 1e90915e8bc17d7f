//! Archives that nobody's writer makes: the parts of the README's format, which need not agree with each other, below
//! lengths and checksums that are right. The fuzzers make theirs with it too.

use flate2::{Compress, Compression, Crc, FlushCompress};

pub(crate) const BLOCK: usize = 512;

/// An entry of a tar as any writer may have it: the fields are cut to the size that they have in a header.
pub(crate) fn entry(
    name: impl AsRef<[u8]>,
    typeflag: u8,
    link: impl AsRef<[u8]>,
    size: impl AsRef<[u8]>,
    data: &[u8],
) -> Vec<u8> {
    let mut header = vec![0; BLOCK];
    let mut put = |at: usize, len: usize, field: &[u8]| {
        let len = len.min(field.len());
        header[at..][..len].copy_from_slice(&field[..len]);
    };
    put(0, 100, name.as_ref());
    put(124, 12, size.as_ref());
    put(156, 1, &[typeflag]);
    put(157, 100, link.as_ref());
    put_checksum(&mut header);
    header.extend(data);
    header.resize(header.len().next_multiple_of(BLOCK), 0);
    header
}

/// Make the checksum of a header right.
pub(crate) fn put_checksum(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

/// A regular file's entry.
pub(crate) fn file(name: impl AsRef<[u8]>, data: &[u8]) -> Vec<u8> {
    entry(name, b'0', "", format!("{:011o}", data.len()), data)
}

/// A gzip file of one member without an index.
pub(crate) fn gzip(tar: &[u8], deflated: bool) -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    member.extend(part(tar, deflated, true));
    member.extend(trailer(tar));
    member
}

/// What an index tells of one entry.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) key: Vec<u8>,
    pub(crate) block: u64,
    /// Of a regular file's content.
    pub(crate) crc: Option<u32>,
}

impl Listed {
    pub(crate) fn file(key: impl Into<Vec<u8>>, block: u64, content: &[u8]) -> Self {
        Self {
            key: key.into(),
            block,
            crc: Some(crc_of(content)),
        }
    }
}

/// A page of an index, in the order given.
pub(crate) fn page(entries: &[Listed]) -> Vec<u8> {
    let mut page = Vec::new();
    let mut previous: &[u8] = b"";
    let mut blocks = [0_u64; 2];
    for Listed { key, block, crc } in entries {
        let equal = previous.iter().zip(key).take_while(|(a, b)| a == b);
        let shared = equal.count();
        let last = std::mem::replace(&mut blocks[usize::from(crc.is_some())], *block);
        let distance = block.wrapping_sub(last) as i64;
        let zigzag = (distance << 1 ^ distance >> 63) as u64;
        put_varint(&mut page, shared as u64);
        put_counted(&mut page, &key[shared..]);
        put_varint(&mut page, zigzag << 1 | u64::from(crc.is_some()));
        page.extend(crc.iter().flat_map(|crc| crc.to_le_bytes()));
        previous = key;
    }
    page
}

/// The parts of an archive with an index.
#[derive(Debug, Default)]
pub(crate) struct Forged {
    pub(crate) prefix: Vec<u8>,
    /// Entries of the tar; there is one group at least.
    pub(crate) groups: Vec<Vec<u8>>,
    /// Each with the first key that the root tells of it.
    pub(crate) pages: Vec<(Vec<u8>, Vec<u8>)>,
    /// What follows in the root: a page, where there are none of their own.
    pub(crate) inline: Vec<u8>,
    /// Whether the parts are compressed, and not only stored.
    pub(crate) deflated: bool,
}

impl Forged {
    /// The archive. `edit` changes the root before its length and checksum are taken.
    pub(crate) fn archive(self, edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let part = |bytes: &[u8], is_last| part(bytes, self.deflated, is_last);
        let (last, others) = self.groups.split_last().expect("a group");

        // An empty stored block comes first.
        let mut stream = vec![0, 0, 0, 0xff, 0xff];
        let mut root = Vec::new();
        put_counted(&mut root, &self.prefix);
        put_varint(&mut root, others.len() as u64 + 1);
        for group in others {
            // The first group's part begins with that block.
            let begin = if group.as_ptr() == self.groups[0].as_ptr() {
                0
            } else {
                stream.len()
            };
            stream.extend(part(group, false));
            put_varint(&mut root, (stream.len() - begin) as u64);
            put_varint(&mut root, (group.len() / BLOCK) as u64);
        }
        put_varint(&mut root, self.pages.len() as u64);
        let mut page_parts = Vec::new();
        for (first_key, page) in &self.pages {
            let blocks = part(page, false);
            put_varint(&mut root, blocks.len() as u64);
            put_varint(&mut root, page.len() as u64);
            root.extend(crc_of(page).to_le_bytes());
            put_counted(&mut root, first_key);
            page_parts.push(blocks);
        }
        root.extend(&self.inline);
        edit(&mut root);

        let pages = self.pages.iter().flat_map(|(_, page)| page);
        let index: Vec<u8> = pages.chain(&root).copied().collect();
        let entry = file("./.btfgen/index", &index);
        let last = [last, &entry[..BLOCK]].concat();
        let rest = [&root, &entry[BLOCK + index.len()..], &[0; 2 * BLOCK]].concat();
        stream.extend(part(&last, false));
        stream.extend(page_parts.concat());
        let root_part = part(&rest, true);

        const HEADER_LEN: usize = 10 + 2 + 4 + 17;
        let mut member = vec![0x1f, 0x8b, 8, 1 << 2, 0, 0, 0, 0, 0, 255];
        member.extend(b"\x15\0bt\x11\0\x01");
        for number in [HEADER_LEN + stream.len(), root_part.len(), root.len()] {
            member.extend((number as u32).to_le_bytes());
        }
        member.extend(crc_of(&root).to_le_bytes());
        member.extend(stream);
        member.extend(root_part);
        let tar = [
            others.concat(),
            last,
            index[..index.len() - root.len()].to_vec(),
            rest,
        ];
        member.extend(trailer(&tar.concat()));
        member
    }
}

/// Deflate blocks (RFC 1951) that refer to nothing before them.
fn part(bytes: &[u8], deflated: bool, is_last: bool) -> Vec<u8> {
    if deflated {
        // More than a stream of random bytes takes.
        let mut part = Vec::with_capacity(bytes.len() + bytes.len() / 100 + 1024);
        let flush = if is_last {
            FlushCompress::Finish
        } else {
            FlushCompress::Full
        };
        let mut compress = Compress::new(Compression::fast(), false);
        compress
            .compress_vec(bytes, &mut part, flush)
            .expect("room for all");
        assert_eq!(compress.total_in(), bytes.len() as u64);
        return part;
    }
    let mut part = Vec::new();
    let mut chunks = bytes.chunks(0xffff);
    let mut next = chunks.next().or(Some(&[]));
    while let Some(chunk) = next {
        next = chunks.next();
        let len = chunk.len() as u16;
        part.push(u8::from(is_last && next.is_none()));
        part.extend(len.to_le_bytes());
        part.extend((!len).to_le_bytes());
        part.extend(chunk);
    }
    part
}

fn trailer(tar: &[u8]) -> Vec<u8> {
    [crc_of(tar), tar.len() as u32]
        .map(u32::to_le_bytes)
        .concat()
}

pub(crate) fn crc_of(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7f {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_counted(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
