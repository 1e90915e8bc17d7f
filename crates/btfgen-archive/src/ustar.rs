//! The 512-byte header of a tar entry, both ways.
//!
//! POSIX.1-2017 pax, "ustar Interchange Format". This module does not use the `tar` crate, because the written bytes must never
//! change, the reader needs headers from the middle of an archive, and a wrapper would be longer than this code.

/// The unit of a tar archive.
pub(crate) const BLOCK: usize = 512;

/// One header.
pub(crate) type Block = [u8; BLOCK];

/// The largest link name, and the largest name without the prefix field.
#[cfg(feature = "write")]
pub(crate) const NAME_LEN: usize = 100;

/// The size of the prefix field.
#[cfg(feature = "write")]
const PREFIX_LEN: usize = 155;

// The offset and length of each field.
const NAME: (usize, usize) = (0, 100);
#[cfg(feature = "write")]
const MODE: (usize, usize) = (100, 8);
#[cfg(feature = "write")]
const UID: (usize, usize) = (108, 8);
#[cfg(feature = "write")]
const GID: (usize, usize) = (116, 8);
const SIZE: (usize, usize) = (124, 12);
#[cfg(feature = "write")]
const MTIME: (usize, usize) = (136, 12);
const CHECKSUM: (usize, usize) = (148, 8);
const TYPEFLAG: usize = 156;
const LINKNAME: (usize, usize) = (157, 100);
const MAGIC: (usize, usize) = (257, 6);
#[cfg(feature = "write")]
const VERSION: (usize, usize) = (263, 2);
#[cfg(feature = "write")]
const DEVMAJOR: (usize, usize) = (329, 8);
#[cfg(feature = "write")]
const DEVMINOR: (usize, usize) = (337, 8);
const PREFIX: (usize, usize) = (345, 155);

const USTAR: &[u8] = b"ustar\0";

/// The type of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// A hard link to another entry.
    HardLink,
    /// pax records for the next entry.
    Pax,
    /// GNU tar's record of the next entry's long name.
    LongName,
    /// GNU tar's record of the next entry's long link name.
    LongLink,
    /// GNU tar's sparse file, whose data is a format of its own.
    Sparse,
    /// A directory, device, or another entry without data.
    NoData,
    /// Another entry with data.
    Other,
}

/// The needed fields of a header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) size: u64,
    pub(crate) kind: Kind,
}

impl Header {
    /// Parse a header; `None` if the checksum is wrong or a number is invalid.
    pub(crate) fn parse(block: &Block) -> Option<Self> {
        if number(field(block, CHECKSUM))? != u64::from(checksum(block)) {
            return None;
        }
        let mut name = text(field(block, NAME)).to_vec();
        // GNU's own format has another magic, and times instead of the prefix.
        let prefix = text(field(block, PREFIX));
        if field(block, MAGIC) == USTAR && !prefix.is_empty() {
            name = [prefix, b"/", &name].concat();
        }
        let kind = match block[TYPEFLAG] {
            // Before POSIX a directory was a file whose name ends in a slash.
            0 if name.ends_with(b"/") => Kind::NoData,
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2'..=b'6' => Kind::NoData,
            b'x' => Kind::Pax,
            b'L' => Kind::LongName,
            b'K' => Kind::LongLink,
            b'S' => Kind::Sparse,
            _ => Kind::Other,
        };
        // As in GNU tar and Python: links and devices have no data, whatever size their header has.
        let size = match kind {
            Kind::HardLink | Kind::NoData => 0,
            Kind::File
            | Kind::Pax
            | Kind::LongName
            | Kind::LongLink
            | Kind::Sparse
            | Kind::Other => number(field(block, SIZE))?,
        };
        Some(Self {
            name,
            link: text(field(block, LINKNAME)).to_vec(),
            size,
            kind,
        })
    }
}

/// The size with padding to whole blocks; `None` if no archive can be so large.
pub(crate) fn padded(size: u64) -> Option<u64> {
    size.checked_next_multiple_of(BLOCK as u64)
}

/// The normalized name for comparisons: components joined by single slashes, without `.`. `None` if the name is absolute, leads
/// upwards, is empty or is not UTF-8.
pub(crate) fn normalize(name: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(name).ok()?;
    if name.starts_with('/') {
        return None;
    }
    let mut normal = String::with_capacity(name.len());
    for component in name.split('/') {
        match component {
            "" | "." => continue,
            ".." => return None,
            _ if normal.is_empty() => {}
            _ => normal.push('/'),
        }
        normal.push_str(component);
    }
    (!normal.is_empty()).then_some(normal)
}

/// The content of an entry to write.
#[cfg(feature = "write")]
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body<'a> {
    /// A file of this many bytes.
    File(u64),
    /// A hard link to this name.
    HardLink(&'a str),
}

/// Make the header of an entry; `None` if a name or the size does not fit.
#[cfg(feature = "write")]
pub(crate) fn encode(name: &str, body: Body<'_>) -> Option<Block> {
    let (prefix, name) = split_name(name)?;
    let (typeflag, size, link) = match body {
        Body::File(size) => (b'0', size, ""),
        Body::HardLink(target) => (b'1', 0, target),
    };
    // Eleven octal digits.
    if size >= 1 << 33 || link.len() > NAME_LEN {
        return None;
    }
    let mut block = [0; BLOCK];
    let mut put = |(start, _): (usize, usize), bytes: &[u8]| {
        block[start..start + bytes.len()].copy_from_slice(bytes);
    };
    put(NAME, name.as_bytes());
    put(MODE, b"0000644\0");
    put(UID, b"0000000\0");
    put(GID, b"0000000\0");
    put(SIZE, format!("{size:011o}\0").as_bytes());
    put(MTIME, b"00000000000\0");
    put(LINKNAME, link.as_bytes());
    put(MAGIC, USTAR);
    put(VERSION, b"00");
    put(DEVMAJOR, b"0000000\0");
    put(DEVMINOR, b"0000000\0");
    put(PREFIX, prefix.as_bytes());
    block[TYPEFLAG] = typeflag;
    let sum = format!("{:06o}\0 ", checksum(&block));
    block[CHECKSUM.0..CHECKSUM.0 + CHECKSUM.1].copy_from_slice(sum.as_bytes());
    Some(block)
}

/// Split a name into the prefix field, which is empty if possible, and the name field.
#[cfg(feature = "write")]
fn split_name(name: &str) -> Option<(&str, &str)> {
    if name.len() <= NAME_LEN {
        return Some(("", name));
    }
    name.match_indices('/')
        .map(|(at, _)| (&name[..at], &name[at + 1..]))
        .find(|(_, rest)| rest.len() <= NAME_LEN)
        .filter(|(prefix, rest)| prefix.len() <= PREFIX_LEN && !rest.is_empty())
}

/// The sum of all bytes. The bytes of the checksum itself count as spaces.
fn checksum(block: &Block) -> u32 {
    let (start, len) = CHECKSUM;
    let sum = |bytes: &[u8]| bytes.iter().copied().map(u32::from).sum::<u32>();
    sum(block) - sum(&block[start..start + len]) + u32::from(b' ') * 8
}

fn field(block: &Block, (start, len): (usize, usize)) -> &[u8] {
    &block[start..start + len]
}

/// A field up to its first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|&b| b == 0).next().unwrap_or_default()
}

/// A number: octal with spaces or NULs around it, or GNU's binary form for large numbers.
fn number(field: &[u8]) -> Option<u64> {
    if field.first().is_some_and(|b| b & 0x80 != 0) {
        // 0xff begins a negative number.
        let (first, rest) = field.split_first()?;
        return rest.iter().try_fold(u64::from(first & 0x7f), |n, &b| {
            Some(n.checked_mul(256)? | u64::from(b))
        });
    }
    let digits = text(field).trim_ascii();
    digits.iter().try_fold(0_u64, |n, b| match b {
        b'0'..=b'7' => Some(n.checked_mul(8)? | u64::from(b - b'0')),
        _ => None,
    })
}

#[cfg(all(test, feature = "write"))]
mod tests {
    use super::*;

    /// Check that an encoded header is parsed back.
    #[test]
    fn round_trip() {
        let long = format!("./{}/{}", "p".repeat(153), "n".repeat(100));
        for name in ["./a/b/c/d.btf", &"n".repeat(100), &long] {
            let header = Header::parse(&encode(name, Body::File(0o1234567)).unwrap()).unwrap();
            assert_eq!(header.name, name.as_bytes());
            assert_eq!((header.size, header.kind), (0o1234567, Kind::File));
            assert_eq!(header.link, b"");

            let link = "l".repeat(100);
            let header = Header::parse(&encode(name, Body::HardLink(&link)).unwrap()).unwrap();
            assert_eq!((header.size, header.kind), (0, Kind::HardLink));
            assert_eq!(header.link, link.as_bytes());
        }
    }

    /// Check that names that are too long for ustar are refused.
    #[test]
    fn too_long() {
        for name in [
            "n".repeat(101),
            format!("{}/{}", "p".repeat(156), "n".repeat(100)),
            format!("{}/{}", "p".repeat(101), "n".repeat(101)),
            format!("{}/", "p".repeat(120)),
        ] {
            assert!(encode(&name, Body::File(0)).is_none(), "{name}");
        }
        assert!(encode("a", Body::File(1 << 33)).is_none());
        assert!(encode("a", Body::HardLink(&"l".repeat(101))).is_none());
    }

    /// Check that every relevant flipped byte is noticed.
    #[test]
    fn flips() {
        let good = encode("./a/b/c/d.btf", Body::File(42)).unwrap();
        for at in 0..BLOCK {
            let mut bad = good;
            bad[at] ^= 1;
            let parsed = Header::parse(&bad);
            // The last two bytes of the checksum field only end the number.
            assert!(
                parsed.is_none() || at >= CHECKSUM.0 + 6 && at < CHECKSUM.0 + 8,
                "{at}"
            );
        }
    }

    /// Check the forms of numbers.
    #[test]
    fn numbers() {
        assert_eq!(number(b"  17 \0  "), Some(0o17));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"18"), None);
        assert_eq!(number(b"-1"), None);
        assert_eq!(number(b"\x80\0\0\0\0\0\0\0\0\0\x01\x02"), Some(258));
        assert_eq!(number(&[0xff; 12]), None);
        assert_eq!(number(b"7777777777777777777777777"), None);
    }

    /// Check which names are accepted, and their normalized forms.
    #[test]
    fn names() {
        for (name, expected) in [
            ("./a/b", Some("a/b")),
            ("a//./b/", Some("a/b")),
            ("././a", Some("a")),
            ("...", Some("...")),
            ("/a", None),
            ("a/../b", None),
            ("..", None),
            ("./", None),
            ("", None),
        ] {
            assert_eq!(normalize(name.as_bytes()).as_deref(), expected, "{name}");
        }
        assert_eq!(normalize(b"a\xff"), None);
    }
}
