//! The header and the index: the front of a chunk, which tells what is in it and where.

use twox_hash::XxHash3_64;

use crate::{Digest, Error, ErrorKind, Result};

/// The first bytes of a chunk.
pub(crate) const MAGIC: [u8; 4] = *b"btfs";

/// The version of the format.
pub(crate) const VERSION: u32 = 1;

/// The length of the header.
pub(crate) const HEADER_LEN: usize = 32;

/// The checksum is the last part of the header.
const CHECKSUM_AT: usize = HEADER_LEN - 8;

/// The longest index: as long as that of a hundred thousand kernels with long releases.
const MAX_INDEX_LEN: u64 = 32 << 20;

/// A kernel in a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The kernel's release, as in uname(2): `5.4.0-26-generic`. It is one component of a path.
    pub release: String,
    /// The length of its BTF in bytes.
    pub btf_bytes: u64,
    /// The digest of its BTF.
    pub digest: Digest,
}

/// What the index says of a chunk.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// The kernels, sorted by the bytes of their releases.
    pub(crate) entries: Vec<Entry>,
    /// The length of each kernel's part.
    pub(crate) part_lens: Vec<u32>,
}

/// What the header says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    pub(crate) file_len: u64,
    pub(crate) index_len: usize,
    checksum: u64,
}

/// Whether it is one component of a path by the rules for a kernel's release: printable ASCII without spaces and slashes, and
/// neither `.` nor `..`.
pub(crate) fn is_release(text: &str) -> bool {
    let printable = |b: u8| b.is_ascii_graphic() && b != b'/';
    !text.is_empty() && text.bytes().all(printable) && text != "." && text != ".."
}

impl Header {
    /// Read the first bytes of a file: [`HEADER_LEN`] of them, or all if there are fewer.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        if !bytes.starts_with(&MAGIC) {
            return Err(Error::new(ErrorKind::NotChunk, "it is not a chunk of BTFs"));
        }
        let mut input = Input(&bytes[MAGIC.len()..]);
        let version = input.u32()?;
        if version != VERSION {
            let message =
                format!("it is a chunk of version {version}, but only {VERSION} is known");
            return Err(Error::new(ErrorKind::Version, message));
        }
        let (file_len, index_len, checksum) = (input.u64()?, input.u64()?, input.u64()?);
        if index_len > MAX_INDEX_LEN || index_len > file_len.saturating_sub(HEADER_LEN as u64) {
            return Err(Error::damaged("its index is longer than it can be"));
        }
        Ok(Self {
            file_len,
            index_len: index_len as usize,
            checksum,
        })
    }
}

impl Index {
    /// Read the index that lies behind the header.
    pub(crate) fn parse(header: &[u8], index: &[u8]) -> Result<Self> {
        let Header {
            file_len, checksum, ..
        } = Header::parse(header)?;
        if front_checksum(&header[..CHECKSUM_AT], index) != checksum {
            return Err(Error::damaged("the checksum of its index is wrong"));
        }
        let mut input = Input(index);
        let count = input.u32()?;
        let mut parsed = Self::default();
        for _ in 0..count {
            let len = input.u16()?;
            let release = input.bytes(len.into())?;
            let release = str::from_utf8(release).ok().filter(|text| is_release(text));
            let release = release.ok_or_else(|| Error::damaged("a release in it is not valid"))?;
            if let Some(last) = parsed.entries.last()
                && *last.release >= *release
            {
                return Err(Error::damaged("its kernels are not sorted"));
            }
            parsed.entries.push(Entry {
                release: release.to_owned(),
                btf_bytes: input.u64()?,
                digest: Digest(input.u128()?),
            });
            parsed.part_lens.push(input.u32()?);
        }
        if !input.0.is_empty() {
            return Err(Error::damaged("its index is longer than its kernels"));
        }
        let parts: u64 = parsed.part_lens.iter().copied().map(u64::from).sum();
        if (HEADER_LEN + index.len()) as u64 + parts != file_len {
            return Err(Error::damaged("its length is not that of its parts"));
        }
        Ok(parsed)
    }

    /// The header and the index.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut index = Vec::new();
        index.extend((self.entries.len() as u32).to_le_bytes());
        for (entry, part_len) in self.entries.iter().zip(&self.part_lens) {
            index.extend((entry.release.len() as u16).to_le_bytes());
            index.extend(entry.release.bytes());
            index.extend(entry.btf_bytes.to_le_bytes());
            index.extend(entry.digest.0.to_le_bytes());
            index.extend(part_len.to_le_bytes());
        }
        let parts: u64 = self.part_lens.iter().copied().map(u64::from).sum();
        let file_len = (HEADER_LEN + index.len()) as u64 + parts;
        let mut front = MAGIC.to_vec();
        front.extend(VERSION.to_le_bytes());
        front.extend(file_len.to_le_bytes());
        front.extend((index.len() as u64).to_le_bytes());
        front.extend(front_checksum(&front, &index).to_le_bytes());
        front.extend(index);
        front
    }
}

fn front_checksum(header: &[u8], index: &[u8]) -> u64 {
    XxHash3_64::oneshot(&[header, index].concat())
}

/// Bytes to read from; too few of them are damage.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let parts = self.0.split_at_checked(len);
        let (bytes, rest) = parts.ok_or_else(|| Error::damaged("it is cut off"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.bytes(N)?;
        // There are exactly so many.
        Ok(bytes.first_chunk().copied().unwrap_or([0; N]))
    }

    fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn u128(&mut self) -> Result<u128> {
        self.array().map(u128::from_le_bytes)
    }
}
