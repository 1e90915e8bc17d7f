//! The header and the index: the front of a chunk, which tells what is in it and where.

use twox_hash::XxHash3_64;

use crate::shape::COLUMNS;
use crate::{Digest, Error, ErrorKind, Result, stream};

/// The first bytes of a chunk.
pub(crate) const MAGIC: [u8; 4] = *b"btfs";

/// The version of the format.
pub(crate) const VERSION: u32 = 1;

/// The length of the header.
pub(crate) const HEADER_LEN: usize = 32;

/// The checksum is the last part of the header.
pub(crate) const CHECKSUM_AT: usize = HEADER_LEN - 8;

/// The longest index: as long as that of a hundred thousand kernels with long releases.
pub(crate) const MAX_INDEX_LEN: u64 = 32 << 20;

/// The most bases one behind the other.
pub(crate) const MAX_DEPTH: u32 = 32;

/// The largest BTF: its offsets have 31 bits, and a kernel's has 26.
pub(crate) const MAX_BTF_LEN: u64 = 1 << 30;

/// The most bytes of all columns: those of a thousand kernels are a tenth of it. So 32 bits are enough to count what is made of
/// them: names are nine times as long as their columns at most.
pub(crate) const MAX_COLUMNS_LEN: u64 = 256 << 20;

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

/// A kernel's own part and its bases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The number of bases.
    pub(crate) depth: u32,
    /// The length of the longest part.
    pub(crate) longest: u64,
}

impl Chain {
    /// The chain of a part of this length behind the one of its base, for a BTF of so many bytes. `None` if it is too deep, or if
    /// a part of it is longer than the BTF: so what a caller allows for the BTF bounds the memory for all of them.
    pub(crate) fn new(base: Option<Self>, len: u64, btf_bytes: u64) -> Option<Self> {
        let chain = match base {
            None => Self {
                depth: 0,
                longest: len,
            },
            Some(base) => Self {
                depth: base.depth + 1,
                longest: base.longest.max(len),
            },
        };
        (chain.depth <= MAX_DEPTH && chain.longest <= btf_bytes).then_some(chain)
    }
}

/// The chain of a kernel, whose BTF has so many bytes; no chain for one that is stored as it is. `before` are those of the kernels
/// before it. `None` if the kernel is not valid.
fn chain(btf_bytes: u64, kernel: Stored, before: &[Option<Chain>]) -> Option<Option<Chain>> {
    let len = u64::from(kernel.section.len);
    if btf_bytes > MAX_BTF_LEN {
        return None;
    }
    match kernel.form {
        Form::Verbatim => (len == btf_bytes).then_some(None),
        Form::Records(None) => Some(Some(Chain::new(None, len, btf_bytes)?)),
        Form::Records(Some(base)) => {
            let base = (*before.get(base as usize)?)?;
            Some(Some(Chain::new(Some(base), len, btf_bytes)?))
        }
    }
}

/// How a kernel's BTF is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is.
    Verbatim,
    /// As records and the kernel's own part. It is compressed behind the own part of an earlier kernel, its base, if there is
    /// one: the number of that kernel.
    Records(Option<u32>),
}

/// Bytes in a chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Section {
    /// Their number.
    pub(crate) len: u32,
    /// Their number when compressed. They are not compressed if it is the same.
    pub(crate) stored: u32,
    /// XXH3-64 of the compressed bytes.
    pub(crate) checksum: u64,
}

/// How a kernel's BTF is stored, and the bytes of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) form: Form,
    pub(crate) section: Section,
}

/// What the index says of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Index {
    /// The columns of the tables. They lie behind the index.
    pub(crate) columns: [Section; COLUMNS],
    /// The kernels, sorted by the bytes of their releases.
    pub(crate) entries: Vec<Entry>,
    /// What each kernel has of its own. It lies behind the columns.
    pub(crate) kernels: Vec<Stored>,
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

impl Section {
    /// The section of bytes that became `stored`.
    pub(crate) fn of(len: usize, stored: &[u8]) -> Result<Self> {
        let too_large = || {
            Error::new(
                ErrorKind::TooLarge,
                "the kernels are too many for one chunk",
            )
        };
        Ok(Self {
            len: u32::try_from(len).map_err(|_| too_large())?,
            stored: u32::try_from(stored.len()).map_err(|_| too_large())?,
            checksum: XxHash3_64::oneshot(stored),
        })
    }

    /// The number of bytes in all columns.
    pub(crate) fn total_len(columns: &[Self]) -> u64 {
        columns.iter().map(|column| u64::from(column.len)).sum()
    }

    /// Whether these may be columns, by their lengths: they are not many times as large as their compressed bytes.
    pub(crate) fn are_allowed(columns: &[Self]) -> bool {
        let stored = columns.iter().map(|column| u64::from(column.stored));
        stream::is_allowed(Self::total_len(columns), stored.sum())
    }

    fn parse(input: &mut Input<'_>) -> Result<Self> {
        let section = Self {
            len: input.u32()?,
            stored: input.u32()?,
            checksum: input.u64()?,
        };
        if section.stored > section.len {
            return Err(Error::damaged("a part of it is longer than its content"));
        }
        Ok(section)
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend(self.len.to_le_bytes());
        out.extend(self.stored.to_le_bytes());
        out.extend(self.checksum.to_le_bytes());
    }
}

impl Form {
    fn parse(code: u32) -> Self {
        match code {
            0 => Self::Verbatim,
            1 => Self::Records(None),
            base => Self::Records(Some(base - 2)),
        }
    }

    fn code(self) -> u32 {
        match self {
            Self::Verbatim => 0,
            Self::Records(None) => 1,
            Self::Records(Some(base)) => base + 2,
        }
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
        let mut columns = [Section::default(); COLUMNS];
        for column in &mut columns {
            *column = Section::parse(&mut input)?;
        }
        let mut parsed = Self {
            columns,
            entries: Vec::new(),
            kernels: Vec::new(),
        };
        let count = input.u32()?;
        for _ in 0..count {
            parsed.parse_kernel(&mut input)?;
        }
        if !input.0.is_empty() {
            return Err(Error::damaged("its index is longer than its kernels"));
        }
        parsed.check()?;
        if (HEADER_LEN + index.len()) as u64 + parsed.stored_len() != file_len {
            return Err(Error::damaged("its length is not that of its parts"));
        }
        Ok(parsed)
    }

    fn parse_kernel(&mut self, input: &mut Input<'_>) -> Result<()> {
        let len = input.u16()?;
        let release = input.bytes(len.into())?;
        let release = str::from_utf8(release).ok().filter(|text| is_release(text));
        let release = release.ok_or_else(|| Error::damaged("a release in it is not valid"))?;
        if let Some(last) = self.entries.last()
            && *last.release >= *release
        {
            return Err(Error::damaged("its kernels are not sorted"));
        }
        self.entries.push(Entry {
            release: release.to_owned(),
            btf_bytes: input.u64()?,
            digest: Digest(input.u128()?),
        });
        self.kernels.push(Stored {
            form: Form::parse(input.u32()?),
            section: Section::parse(input)?,
        });
        Ok(())
    }

    /// Check the lengths by which memory is bounded.
    fn check(&self) -> Result<()> {
        if Section::total_len(&self.columns) > MAX_COLUMNS_LEN
            || !Section::are_allowed(&self.columns)
        {
            return Err(Error::damaged("its columns are larger than they can be"));
        }
        let mut chains = Vec::new();
        for (entry, kernel) in self.entries.iter().zip(&self.kernels) {
            let chain = chain(entry.btf_bytes, *kernel, &chains);
            let message = || format!("the part of the kernel {} is not valid", entry.release);
            chains.push(chain.ok_or_else(|| Error::damaged(message()))?);
        }
        Ok(())
    }

    /// All sections, in the order of the file.
    pub(crate) fn sections(&self) -> impl Iterator<Item = Section> {
        let kernels = self.kernels.iter().map(|kernel| kernel.section);
        self.columns.iter().copied().chain(kernels)
    }

    fn stored_len(&self) -> u64 {
        self.sections()
            .map(|section| u64::from(section.stored))
            .sum()
    }

    /// The header and the index.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut index = Vec::new();
        for column in &self.columns {
            column.write(&mut index);
        }
        index.extend((self.entries.len() as u32).to_le_bytes());
        for (entry, kernel) in self.entries.iter().zip(&self.kernels) {
            index.extend((entry.release.len() as u16).to_le_bytes());
            index.extend(entry.release.bytes());
            index.extend(entry.btf_bytes.to_le_bytes());
            index.extend(entry.digest.0.to_le_bytes());
            index.extend(kernel.form.code().to_le_bytes());
            kernel.section.write(&mut index);
        }
        let file_len = (HEADER_LEN + index.len()) as u64 + self.stored_len();
        let mut front = MAGIC.to_vec();
        front.extend(VERSION.to_le_bytes());
        front.extend(file_len.to_le_bytes());
        front.extend((index.len() as u64).to_le_bytes());
        front.extend(front_checksum(&front, &index).to_le_bytes());
        front.extend(index);
        front
    }
}

pub(crate) fn front_checksum(header: &[u8], index: &[u8]) -> u64 {
    XxHash3_64::oneshot(&[header, index].concat())
}

/// Bytes to read from; too few of them are damage.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
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

    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn u128(&mut self) -> Result<u128> {
        self.array().map(u128::from_le_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An index of kernels with these lengths of their BTFs, forms, and lengths of their parts.
    fn index(kernels: &[(u64, Form, u32)]) -> Result<Index> {
        let section = |len| Section {
            len,
            stored: 0,
            checksum: 0,
        };
        let entries = kernels.iter().zip(10..).map(|(&(btf_bytes, ..), n)| Entry {
            release: format!("5.{n}"),
            btf_bytes,
            digest: Digest(n),
        });
        let stored = kernels.iter().map(|&(_, form, len)| Stored {
            form,
            section: section(len),
        });
        let index = Index {
            columns: [section(0); COLUMNS],
            entries: entries.collect(),
            kernels: stored.collect(),
        };
        let front = index.write();
        let (header, bytes) = front.split_at(HEADER_LEN);
        let parsed = Index::parse(header, bytes)?;
        assert_eq!(parsed, index);
        Ok(parsed)
    }

    /// Check that an index comes back, with bases and without.
    #[test]
    fn index_comes_back() {
        let kernels = [
            (100, Form::Records(None), 100),
            (7, Form::Verbatim, 7),
            (200, Form::Records(Some(0)), 50),
            (0, Form::Verbatim, 0),
            (100, Form::Records(Some(2)), 60),
        ];
        assert_eq!(index(&kernels).unwrap().kernels.len(), 5);
        assert!(index(&[]).unwrap().entries.is_empty());
    }

    /// Check that no part for a BTF may be larger than the BTF, not even the base of its base: the caller of a small BTF expects
    /// to need little memory.
    #[test]
    fn parts_are_not_larger_than_btfs() {
        let base = (1000, Form::Records(None), 500);
        let middle = (1000, Form::Records(Some(0)), 10);
        index(&[base, middle, (500, Form::Records(Some(1)), 10)]).unwrap();
        index(&[base, middle, (499, Form::Records(Some(1)), 10)]).unwrap_err();
        index(&[base, (499, Form::Records(Some(0)), 10)]).unwrap_err();
        index(&[(499, Form::Records(None), 500)]).unwrap_err();
        index(&[(499, Form::Verbatim, 500)]).unwrap_err();
        index(&[(501, Form::Verbatim, 500)]).unwrap_err();
        index(&[(MAX_BTF_LEN, Form::Records(None), 10)]).unwrap();
        index(&[(MAX_BTF_LEN + 1, Form::Records(None), 10)]).unwrap_err();
    }

    /// Check that a base is an earlier kernel with records, so that no chain is a circle, and that chains end.
    #[test]
    fn chains_end() {
        let base = (100, Form::Records(None), 50);
        for (number, kernel) in [(1, base), (2, base), (0, (100, Form::Verbatim, 100))] {
            index(&[kernel, (100, Form::Records(Some(number)), 50)]).unwrap_err();
        }
        let chain = |depth: u32| {
            let behind = (0..depth).map(|base| (100, Form::Records(Some(base)), 50));
            index(&[base].into_iter().chain(behind).collect::<Vec<_>>())
        };
        chain(MAX_DEPTH).unwrap();
        chain(MAX_DEPTH + 1).unwrap_err();
    }
}
