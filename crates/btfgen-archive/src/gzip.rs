//! The gzip member around the deflate stream (RFC 1952), and our extra field.

use crate::{Error, ErrorKind, Result};

/// The two letters of our subfield of the extra field. They are not registered by others.
const SUBFIELD: [u8; 2] = *b"bt";

/// The version of the index that this crate writes and reads.
const INDEX_VERSION: u8 = 1;

/// CRC-32 and ISIZE.
pub(crate) const TRAILER_LEN: usize = 8;

const MAGIC: [u8; 2] = [0x1f, 0x8b];
const FIXED_LEN: usize = 10;
const DEFLATE: u8 = 8;
const FHCRC: u8 = 1 << 1;
const FEXTRA: u8 = 1 << 2;
const FNAME: u8 = 1 << 3;
const FCOMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0xe0;

/// The position of the root of the index, from the extra field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RootPlace {
    /// Of its deflate blocks, from the beginning of the archive.
    pub(crate) offset: u32,
    /// Of its deflate blocks.
    pub(crate) compressed_len: u32,
    /// When inflated; more may follow in the same deflate blocks.
    pub(crate) len: u32,
    /// CRC-32 of the inflated root.
    pub(crate) crc: u32,
}

impl RootPlace {
    /// The length in the extra field: version and four numbers.
    const LEN: usize = 1 + 4 * 4;

    #[cfg(feature = "write")]
    fn encode(self) -> Vec<u8> {
        let numbers = [self.offset, self.compressed_len, self.len, self.crc];
        let mut bytes = vec![INDEX_VERSION];
        bytes.extend(numbers.into_iter().flat_map(u32::to_le_bytes));
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[version], numbers) = bytes.split_first_chunk()?;
        if version != INDEX_VERSION || bytes.len() != Self::LEN {
            return None;
        }
        let (numbers, _) = numbers.as_chunks();
        let mut numbers = numbers.iter().copied().map(u32::from_le_bytes);
        Some(Self {
            offset: numbers.next()?,
            compressed_len: numbers.next()?,
            len: numbers.next()?,
            crc: numbers.next()?,
        })
    }
}

/// The header of one gzip member.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The length of the header.
    pub(crate) len: usize,
    /// The value of our subfield, if it exists with a known version.
    pub(crate) root: Option<RootPlace>,
}

impl Header {
    /// Parse the header that stands at `base` in the archive.
    pub(crate) fn parse(archive: &[u8], base: usize) -> Result<Self> {
        let truncated = || {
            let message = format!("the gzip header at byte {base} ends too early");
            Error::new(ErrorKind::Truncated, message)
        };
        let bytes = archive.get(base..).unwrap_or_default();
        if !bytes.starts_with(&MAGIC) {
            let message = format!("there is no gzip header at byte {base}");
            return Err(Error::new(ErrorKind::NotGzip, message));
        }
        let fixed: &[u8; FIXED_LEN] = bytes.first_chunk().ok_or_else(truncated)?;
        let (method, flags) = (fixed[2], fixed[3]);
        if method != DEFLATE || flags & RESERVED != 0 {
            let message = format!("the gzip header at byte {base} has an unknown format");
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let mut rest = &bytes[FIXED_LEN..];
        let mut root = None;
        if flags & FEXTRA != 0 {
            let extra = take_counted(&mut rest).ok_or_else(truncated)?;
            root = find_root(extra);
        }
        for flag in [FNAME, FCOMMENT] {
            if flags & flag != 0 {
                let end = rest.iter().position(|&b| b == 0).ok_or_else(truncated)?;
                rest = &rest[end + 1..];
            }
        }
        if flags & FHCRC != 0 {
            rest = rest.get(2..).ok_or_else(truncated)?;
        }
        let len = bytes.len() - rest.len();
        Ok(Self { len, root })
    }
}

/// Make a header without time, name and operating system, so that the bytes depend only on the contents.
#[cfg(feature = "write")]
pub(crate) fn encode_header(root: Option<RootPlace>) -> Vec<u8> {
    let flags = if root.is_some() { FEXTRA } else { 0 };
    // After the flags: MTIME, XFL "maximum compression", OS "unknown".
    let mut bytes = vec![MAGIC[0], MAGIC[1], DEFLATE, flags, 0, 0, 0, 0, 2, 255];
    if let Some(root) = root {
        let value = root.encode();
        let len = value.len() as u16;
        bytes.extend((len + 4).to_le_bytes());
        bytes.extend(SUBFIELD);
        bytes.extend(len.to_le_bytes());
        bytes.extend(value);
    }
    bytes
}

/// The length of the header.
#[cfg(feature = "write")]
pub(crate) fn header_len(indexed: bool) -> usize {
    FIXED_LEN + if indexed { 2 + 4 + RootPlace::LEN } else { 0 }
}

/// Whether another member begins here: a gzip file may have several.
pub(crate) fn is_member(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// The value of our subfield.
fn find_root(mut extra: &[u8]) -> Option<RootPlace> {
    while let Some((&id, rest)) = extra.split_first_chunk::<2>() {
        extra = rest;
        let value = take_counted(&mut extra)?;
        if id == SUBFIELD {
            return RootPlace::decode(value);
        }
    }
    None
}

/// Split off a 16-bit length and that many bytes.
fn take_counted<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (&len, rest) = bytes.split_first_chunk()?;
    let (value, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(len)))?;
    *bytes = rest;
    Some(value)
}

#[cfg(all(test, feature = "write"))]
mod tests {
    use super::*;

    /// Check that a header is read back, also if a foreign subfield comes first.
    #[test]
    fn round_trip() {
        let root = RootPlace {
            offset: 0x0102_0304,
            compressed_len: 5,
            len: 6,
            crc: 0xffee_ddcc,
        };
        for root in [None, Some(root)] {
            let bytes = encode_header(root);
            let len = header_len(root.is_some());
            assert_eq!(Header::parse(&bytes, 0).unwrap(), Header { len, root });
            for end in 2..len {
                let error = Header::parse(&bytes[..end], 0).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Truncated);
            }
        }
        let mut bytes = encode_header(Some(root));
        bytes[10] += 5;
        bytes.splice(12..12, *b"RA\x01\0x");
        assert_eq!(Header::parse(&bytes, 0).unwrap().root, Some(root));
    }

    /// Check that the optional fields of other writers are skipped.
    #[test]
    fn other_writers() {
        let mut bytes = vec![0x1f, 0x8b, 8, FHCRC | FEXTRA | FNAME | FCOMMENT];
        bytes.extend([0; 6]);
        bytes.extend(b"\x05\0RA\x01\0xname\0comment\0..rest");
        let header = Header::parse(&bytes, 0).unwrap();
        assert_eq!(&bytes[header.len..], b"rest");
        assert_eq!(header.root, None);
    }

    /// Check that other data and unknown gzip formats give an error.
    #[test]
    fn refuses() {
        let kind = |bytes: &[u8]| Header::parse(bytes, 0).unwrap_err().kind();
        assert_eq!(kind(b""), ErrorKind::NotGzip);
        assert_eq!(kind(b"PK\x03\x04"), ErrorKind::NotGzip);
        let mut bytes = encode_header(None);
        bytes[3] = 0x80;
        assert_eq!(kind(&bytes), ErrorKind::Unsupported);
    }
}
