//! The index: for each entry, the group of deflate blocks with its tar header, and the header's offset in the group.
//!
//! The crate's documentation describes the format. This module trusts no byte. If a byte violates the format, the result is
//! [`Distrust`], and the reader reads the tar instead.

#[cfg(feature = "write")]
mod encode;

use std::ops::Range;

use flate2::Crc;

use crate::KernelId;
use crate::gzip::{RootPlace, TRAILER_LEN};
use crate::inflate::Inflate;
use crate::ustar::BLOCK;

#[cfg(feature = "write")]
pub(crate) use encode::{GroupLen, Pages};

/// The largest offset of an entry in its group, in blocks. The writer begins a new group with the first entry after 512 KiB. The
/// limit bounds the work that a wrong index can cause.
const MAX_BLOCK: u64 = (16 << 20) / BLOCK as u64;

/// The largest inflated root: it has less than a hundred bytes for each page and group.
const MAX_ROOT_LEN: usize = 16 << 20;

/// The largest inflated page.
const MAX_PAGE_LEN: usize = 1 << 20;

/// The longest key: a name in ustar has at most a prefix of 155 bytes, a slash and 100 bytes. Without the limit, a few bytes of a
/// page could make many long keys, because a key is stored as the difference to the previous one.
const MAX_KEY_LEN: usize = 256;

/// The index, or the data at its positions, is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Distrust;

/// The position of an entry's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// The block of the tar, counted from its beginning.
    pub(crate) block: u64,
    /// For a regular file, the CRC-32 of its content.
    pub(crate) crc: Option<u32>,
}

/// A part of the stream that can be inflated by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    /// Its deflate blocks in the archive.
    pub(crate) place: Range<usize>,
    /// The block of the tar that it begins with.
    pub(crate) first_block: u64,
}

/// The key of a kernel. The release comes first, so that all kernels of a release and architecture are next to each other.
pub(crate) fn kernel_key(id: &KernelId) -> String {
    let range = range_key(id.release(), id.arch());
    format!("{range}{}/{}", id.distro(), id.version())
}

/// The start of the keys of all kernels of a release and architecture.
pub(crate) fn range_key(release: &str, arch: &str) -> String {
    format!("{release}/{arch}/")
}

/// The key of a file. It differs from every kernel's key, because no release begins with a slash.
pub(crate) fn file_key(name: &str) -> String {
    format!("/{name}")
}

/// The kernel of a key; `None` for a file.
fn key_kernel(key: &[u8]) -> Result<Option<KernelId>, Distrust> {
    let key = std::str::from_utf8(key).map_err(|_| Distrust)?;
    if key.starts_with('/') {
        return Ok(None);
    }
    let mut parts = key.splitn(4, '/');
    let mut part = || parts.next().unwrap_or_default();
    let (release, arch, distro, version) = (part(), part(), part(), part());
    KernelId::new(distro, version, arch, release)
        .map(Some)
        .map_err(|_| Distrust)
}

/// One page, as described in the root.
#[derive(Debug)]
struct Page {
    /// Its deflate blocks in the archive.
    place: Range<usize>,
    len: usize,
    crc: u32,
    first_key: Vec<u8>,
}

/// The position of the entries.
#[derive(Debug)]
enum Entries {
    /// In the root itself.
    Inline(Vec<u8>),
    /// In separate pages, at least one.
    Pages(Vec<Page>),
}

/// The root of an index.
#[derive(Debug)]
pub(crate) struct Index {
    prefix: String,
    groups: Vec<Group>,
    entries: Entries,
}

impl Index {
    /// Read the root at the position from the extra field. The deflate stream begins at `body`.
    pub(crate) fn read(archive: &[u8], body: usize, root: RootPlace) -> Result<Self, Distrust> {
        let start = root.offset as usize;
        let end = start
            .checked_add(root.compressed_len as usize)
            .ok_or(Distrust)?;
        let blocks = archive.get(start..end).ok_or(Distrust)?;
        // The root's blocks are the last ones of the stream.
        if start < body || end.checked_add(TRAILER_LEN) != Some(archive.len()) {
            return Err(Distrust);
        }
        let bytes = inflate_checked(blocks, root.len as usize, MAX_ROOT_LEN, root.crc)?;
        Self::parse(&bytes, body..start)
    }

    /// Parse the root. Groups and pages must fill `body` exactly.
    fn parse(bytes: &[u8], body: Range<usize>) -> Result<Self, Distrust> {
        let mut reader = Reader { bytes };
        let prefix = std::str::from_utf8(reader.counted()?).map_err(|_| Distrust)?;
        let group_lens = (1..reader.count(body.len())?)
            .map(|_| Ok((reader.usize()?, reader.varint()?)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut page_lens = Vec::new();
        let mut pages = Vec::new();
        for _ in 0..reader.count(body.len())? {
            page_lens.push(reader.usize()?);
            pages.push(Page {
                place: 0..0,
                len: reader.usize()?,
                crc: reader.u32()?,
                first_key: reader.counted()?.to_vec(),
            });
        }

        // The root does not have the last group's length, because the index's own header is in that group. The group ends where
        // the pages begin.
        let pages_len = page_lens
            .iter()
            .try_fold(0_usize, |sum, len| sum.checked_add(*len))
            .ok_or(Distrust)?;
        let pages_start = body.end.checked_sub(pages_len).ok_or(Distrust)?;
        let (mut at, mut first_block) = (body.start, 0_u64);
        let mut groups = Vec::with_capacity(group_lens.len() + 1);
        for (len, blocks) in group_lens {
            let end = at.checked_add(len).ok_or(Distrust)?;
            let place = at..end;
            groups.push(Group { place, first_block });
            at = end;
            first_block = first_block.checked_add(blocks).ok_or(Distrust)?;
        }
        if at >= pages_start {
            return Err(Distrust);
        }
        let place = at..pages_start;
        groups.push(Group { place, first_block });
        at = pages_start;
        for (page, len) in pages.iter_mut().zip(page_lens) {
            page.place = at..at + len;
            at += len;
        }

        if !pages.is_sorted_by(|a, b| a.first_key < b.first_key) {
            return Err(Distrust);
        }
        let entries = match (pages.is_empty(), reader.bytes) {
            (true, inline) => Entries::Inline(inline.to_vec()),
            (false, []) => Entries::Pages(pages),
            (false, _) => return Err(Distrust),
        };
        Ok(Self {
            prefix: prefix.to_owned(),
            groups,
            entries,
        })
    }

    /// The directories in front of every kernel's entry; may be empty.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The group of a location, and the location's offset in it in bytes.
    pub(crate) fn group(&self, location: Location) -> Result<(Range<usize>, usize), Distrust> {
        let block = location.block;
        let after = self.groups.partition_point(|g| g.first_block <= block);
        let group = self.groups[..after].last().ok_or(Distrust)?;
        let within = block - group.first_block;
        if within > MAX_BLOCK {
            return Err(Distrust);
        }
        Ok((group.place.clone(), within as usize * BLOCK))
    }

    /// Look up a key.
    pub(crate) fn get(&self, archive: &[u8], key: &str) -> Result<Option<Location>, Distrust> {
        let mut found = None;
        self.visit_range(archive, key, |candidate, location| {
            if candidate == key.as_bytes() {
                found = Some(location);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// All kernels whose keys begin with `start`, in the order of the keys. More than `max` kernels are [`Distrust`].
    pub(crate) fn kernels(
        &self,
        archive: &[u8],
        start: &str,
        max: u64,
    ) -> Result<Vec<KernelId>, Distrust> {
        let mut kernels = Vec::new();
        self.visit_range(archive, start, |key, _| {
            kernels.extend(key_kernel(key)?);
            (kernels.len() as u64 <= max).then_some(()).ok_or(Distrust)
        })?;
        Ok(kernels)
    }

    /// Call `each` for the keys that begin with `start`.
    fn visit_range(
        &self,
        archive: &[u8],
        start: &str,
        mut each: impl FnMut(&[u8], Location) -> Result<(), Distrust>,
    ) -> Result<(), Distrust> {
        let start = start.as_bytes();
        let mut visit = |page: &[u8], bounds: Bounds<'_>| {
            visit_page(page, bounds, |key, location| match key.starts_with(start) {
                true => each(key, location),
                false => Ok(()),
            })
        };
        let pages = match &self.entries {
            Entries::Inline(entries) => return visit(entries, Bounds::default()),
            Entries::Pages(pages) => pages,
        };
        // The last page that begins before `start` may end with such keys.
        let first = pages.partition_point(|page| page.first_key.as_slice() < start);
        for at in first.saturating_sub(1)..pages.len() {
            let page = &pages[at];
            if page.first_key.as_slice() > start && !page.first_key.starts_with(start) {
                break;
            }
            let bounds = Bounds {
                first: Some(&page.first_key),
                before: pages.get(at + 1).map(|next| next.first_key.as_slice()),
            };
            let blocks = archive.get(page.place.clone()).ok_or(Distrust)?;
            let page = inflate_checked(blocks, page.len, MAX_PAGE_LEN, page.crc)?;
            visit(&page, bounds)?;
        }
        Ok(())
    }
}

fn inflate_checked(blocks: &[u8], len: usize, max: usize, crc: u32) -> Result<Vec<u8>, Distrust> {
    if len > max {
        return Err(Distrust);
    }
    let bytes = Inflate::new(blocks, 0)
        .read_vec(len)
        .map_err(|_| Distrust)?;
    (crc_of(&bytes) == crc).then_some(bytes).ok_or(Distrust)
}

/// The CRC-32 of some bytes.
pub(crate) fn crc_of(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// The range of keys of a page, from the root.
#[derive(Clone, Copy, Default)]
struct Bounds<'a> {
    /// The first key.
    first: Option<&'a [u8]>,
    /// All keys come before this one.
    before: Option<&'a [u8]>,
}

/// Call `each` for every entry of a page.
///
/// Keys out of order are [`Distrust`], because a lookup would miss kernels that a list of all kernels has.
fn visit_page(
    page: &[u8],
    bounds: Bounds<'_>,
    mut each: impl FnMut(&[u8], Location) -> Result<(), Distrust>,
) -> Result<(), Distrust> {
    let mut reader = Reader { bytes: page };
    let mut key = Vec::new();
    let mut expected = bounds.first;
    // The positions of the last link and of the last file.
    let mut blocks = [0; 2];
    while !reader.bytes.is_empty() {
        let shared = reader.usize()?;
        let rest = reader.counted()?;
        // The empty key comes before all keys, and is not a valid key.
        if key.get(shared..).is_none_or(|replaced| rest <= replaced)
            || shared + rest.len() > MAX_KEY_LEN
        {
            return Err(Distrust);
        }
        key.truncate(shared);
        key.extend_from_slice(rest);
        if expected.take().is_some_and(|first| key != first) {
            return Err(Distrust);
        }
        let delta = reader.varint()?;
        let is_file = delta & 1 == 1;
        let crc = is_file.then(|| reader.u32()).transpose()?;
        let block = unzigzag(delta >> 1)
            .checked_add_unsigned(blocks[usize::from(is_file)])
            .and_then(|block| u64::try_from(block).ok())
            .ok_or(Distrust)?;
        blocks[usize::from(is_file)] = block;
        each(&key, Location { block, crc })?;
    }
    let is_before = bounds.before.is_none_or(|next| key.as_slice() < next);
    (is_before && expected.is_none())
        .then_some(())
        .ok_or(Distrust)
}

/// Converts an unsigned number to a signed one: 0, -1, 1, -2, ...
fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Reads the index's numbers and strings from the front of some bytes.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Distrust> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(Distrust)?;
        self.bytes = rest;
        Ok(taken)
    }

    /// A LEB128 number: seven bits for each byte, the lowest first; the top bit is set if another byte follows.
    fn varint(&mut self) -> Result<u64, Distrust> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Distrust)
    }

    fn usize(&mut self) -> Result<usize, Distrust> {
        usize::try_from(self.varint()?).map_err(|_| Distrust)
    }

    /// A number of items that have at least one byte each in the archive. More than `max` is [`Distrust`].
    fn count(&mut self, max: usize) -> Result<usize, Distrust> {
        let count = self.usize()?;
        (count <= max).then_some(count).ok_or(Distrust)
    }

    fn u32(&mut self) -> Result<u32, Distrust> {
        let bytes = self.take(4)?.first_chunk().ok_or(Distrust)?;
        Ok(u32::from_le_bytes(*bytes))
    }

    /// A length and that many bytes.
    fn counted(&mut self) -> Result<&'a [u8], Distrust> {
        let len = self.usize()?;
        self.take(len)
    }
}

#[cfg(all(test, feature = "write"))]
mod tests {
    use super::encode::{put_varint, zigzag};
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};
    use proptest::prelude::{any, prop, proptest};

    const GROUP: GroupLen = GroupLen {
        compressed: 100,
        blocks: 1000,
    };

    /// The compressed length of the last group, which the root does not have.
    const LAST_LEN: usize = 10;

    fn locations(count: usize) -> Vec<(String, Location)> {
        let entry = |n: usize| {
            let release = format!("5.{}.0-{}", n % 7, n / 14);
            let id = KernelId::new("d", &(n % 2).to_string(), "arm64", &release).unwrap();
            let location = Location {
                block: n as u64 * 1237 % 30_011,
                crc: n.is_multiple_of(3).then_some(n as u32 * 77777),
            };
            (kernel_key(&id), location)
        };
        (0..count).map(entry).collect()
    }

    /// An archive of only a body, pages and a root.
    fn archive(entries: Vec<(String, Location)>, groups: &[GroupLen]) -> (Vec<u8>, RootPlace) {
        let deflate = |bytes: &[u8]| {
            let mut out = Vec::with_capacity(bytes.len() + 1024);
            Compress::new(Compression::best(), false)
                .compress_vec(bytes, &mut out, FlushCompress::Full)
                .unwrap();
            out
        };
        let pages = Pages::new(entries);
        let groups_len = groups.iter().map(|group| group.compressed).sum::<usize>();
        let mut archive = vec![0; groups_len + LAST_LEN];
        let mut lens = Vec::new();
        for page in pages.separate() {
            let blocks = deflate(page);
            lens.push(blocks.len());
            archive.extend(blocks);
        }
        let root = pages.root("some/where", groups, &lens);
        let blocks = deflate(&root);
        let place = RootPlace {
            offset: archive.len() as u32,
            compressed_len: blocks.len() as u32,
            len: root.len() as u32,
            crc: crc_of(&root),
        };
        archive.extend(blocks);
        archive.extend([0; TRAILER_LEN]);
        (archive, place)
    }

    /// Check that exactly the existing entries are found, in one page and in many.
    #[test]
    fn lookup() {
        for count in [0, 1, 1023, 1024, 1025, 3000] {
            let entries = locations(count);
            let (bytes, place) = archive(entries.clone(), &[GROUP; 29]);
            let index = Index::read(&bytes, 0, place).unwrap();
            assert_eq!(index.prefix(), "some/where");
            for (key, location) in &entries {
                assert_eq!(index.get(&bytes, key), Ok(Some(*location)), "{key}");
            }
            for key in ["", "/x", "4/arm64/d/0", "5.0.0-0/arm64/d/", "z/z/z/z"] {
                assert_eq!(index.get(&bytes, key), Ok(None), "{key}");
            }
            let max = count as u64;
            assert_eq!(index.kernels(&bytes, "", max).unwrap().len(), count);
            if count > 0 {
                assert_eq!(index.kernels(&bytes, "", max - 1), Err(Distrust));
            }
            for n in 0..count / 14 {
                let release = format!("5.3.0-{n}");
                let kernels = index.kernels(&bytes, &range_key(&release, "arm64"), 2);
                let kernels = kernels.unwrap();
                assert_eq!(kernels.len(), 2);
                assert!(kernels.iter().all(|id| id.release() == release));
            }
        }
    }

    /// Check that a block is looked up in the right group, and that large offsets in a group are refused.
    #[test]
    fn groups() {
        let (bytes, place) = archive(vec![], &[GROUP; 3]);
        let index = Index::read(&bytes, 0, place).unwrap();
        let group = |block| index.group(Location { block, crc: None });
        assert_eq!(group(0), Ok((0..100, 0)));
        assert_eq!(group(999), Ok((0..100, 999 * BLOCK)));
        assert_eq!(group(1000), Ok((100..200, 0)));
        assert_eq!(group(3001), Ok((300..300 + LAST_LEN, BLOCK)));
        assert_eq!(group(3000 + MAX_BLOCK + 1), Err(Distrust));
        assert_eq!(group(u64::MAX), Err(Distrust));
    }

    /// Check that a root with impossible values is not trusted.
    #[test]
    fn lies() {
        let (bytes, place) = archive(locations(2000), &[GROUP; 5]);
        let read = |place| Index::read(&bytes, 0, place).err();
        assert_eq!(read(place), None);
        for lie in [
            RootPlace {
                offset: place.offset + 1,
                ..place
            },
            RootPlace {
                offset: u32::MAX,
                ..place
            },
            RootPlace {
                compressed_len: u32::MAX,
                ..place
            },
            RootPlace {
                compressed_len: 0,
                ..place
            },
            RootPlace {
                len: place.len + 1,
                ..place
            },
            RootPlace {
                len: u32::MAX,
                ..place
            },
            RootPlace {
                crc: !place.crc,
                ..place
            },
        ] {
            assert_eq!(read(lie), Some(Distrust), "{lie:?}");
        }
        assert!(Index::read(&bytes, place.offset as usize + 1, place).is_err());

        for root in [
            &b"\x01"[..],                                      // a missing prefix
            b"\x01\xff\x01\0",                                 // a prefix that is not UTF-8
            b"\0\x7f",                                         // more groups than bytes
            b"\0\x01\x02\x01\x01....\x01b\x01\x01....\x01a",   // pages out of order
            b"\0\x02\x64\0\0", // a group that takes up the whole body
            b"\0\x02\xff\xff\xff\xff\xff\xff\xff\xff\x7f\0\0", // one longer than any memory
            b"\0\x01\x01\x65\x01....\0", // a page longer than the body
            b"\0\x01\x01\x01\x01....\0x", // entries in the root and in pages
            b"\0\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", // a number without an end
        ] {
            assert_eq!(
                Index::parse(root, 0..100).err(),
                Some(Distrust),
                "{root:x?}"
            );
        }
    }

    /// Check that no entry reaches beyond its bounds.
    #[test]
    fn bad_pages() {
        for page in [
            &b"\x01\x01a\0"[..],   // shares with nothing
            b"\0\x05a\0",          // a missing key
            b"\0\x01a",            // no block
            b"\0\x01a\x01...",     // half a checksum
            b"\0\x01a\x02",        // a block before the first
            b"\0\0\0",             // an empty key
            b"\0\x01b\0\0\x01a\0", // keys out of order
            b"\0\x01a\0\x01\0\0",  // a key twice
        ] {
            assert_eq!(
                visit_page(page, Bounds::default(), |_, _| Ok(())),
                Err(Distrust),
                "{page:x?}"
            );
        }
        assert_eq!(key_kernel(b"release/arch/distro"), Err(Distrust));
        assert_eq!(key_kernel(b"\xff/a/b/c"), Err(Distrust));
        assert_eq!(key_kernel(b"/package.json"), Ok(None));
    }

    /// Check that a page with other keys than the root says, or with a too long key, is refused.
    #[test]
    fn keys_of_a_page() {
        let page = b"\0\x01b\0\0\x01c\0";
        let visit = |page: &[u8], first, before| {
            let bounds = Bounds { first, before };
            visit_page(page, bounds, |_, _| Ok(()))
        };
        let (a, b, c, d) = (
            Some(&b"a"[..]),
            Some(&b"b"[..]),
            Some(&b"c"[..]),
            Some(&b"d"[..]),
        );
        assert_eq!(visit(page, b, d), Ok(()));
        assert_eq!(visit(page, b, None), Ok(()));
        assert_eq!(visit(page, a, d), Err(Distrust));
        assert_eq!(visit(page, b, c), Err(Distrust));
        assert_eq!(visit(b"", b, c), Err(Distrust));

        for (len, expected) in [(MAX_KEY_LEN, Ok(())), (MAX_KEY_LEN + 1, Err(Distrust))] {
            let mut page = vec![0];
            put_varint(&mut page, len as u64);
            page.resize(page.len() + len, b'x');
            page.push(0);
            assert_eq!(visit(&page, None, None), expected);
        }
    }

    proptest! {
        /// Check that no bytes cause a panic in a root or a page, and that the parts of a root are inside the body.
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let each = |key: &[u8], _| key_kernel(key).map(|_| ());
            let _ = visit_page(&bytes, Bounds::default(), each);
            if let Ok(index) = Index::parse(&bytes, 10..200) {
                assert!(index.groups.iter().all(|g| g.place.start >= 10 && g.place.end <= 200));
                let _ = index.kernels(&[0; 200], "", 100);
                let _ = index.get(&[0; 200], "a/b/c/d");
            }
        }
    }

    /// Check that numbers of every length are read back.
    #[test]
    fn varints() {
        for value in [
            0,
            1,
            127,
            128,
            16383,
            16384,
            u64::from(u32::MAX),
            (1 << 63) - 1,
        ] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            let mut reader = Reader { bytes: &bytes };
            assert_eq!(reader.varint(), Ok(value));
            assert!(reader.bytes.is_empty());
            assert_eq!(unzigzag(zigzag(value as i64)), value as i64);
            assert_eq!(unzigzag(zigzag(-(value as i64))), -(value as i64));
        }
    }
}
