//! Reads a chunk.

use std::fs::File;

use crate::index::{Entry, HEADER_LEN, Header, Index};
use crate::source::Source;
use crate::{Digest, Error, ErrorKind, Result};

/// A chunk: the BTFs of the kernels of one distribution, version and architecture.
///
/// Several threads can read kernels at once.
#[derive(Debug)]
pub struct Chunk {
    source: Source,
    entries: Vec<Entry>,
    /// The place of each kernel's part.
    parts: Vec<(u64, u32)>,
}

impl Chunk {
    /// Read the header and the index of this file. The file stays open, so a chunk that another one replaces by a rename can
    /// still be read.
    ///
    /// # Errors
    /// [`ErrorKind::NotChunk`], [`ErrorKind::Version`], [`ErrorKind::Damaged`], [`ErrorKind::Io`].
    pub fn open(file: File) -> Result<Self> {
        Self::new(Source::File(file))
    }

    /// Like [`open`](Self::open), for a chunk in memory.
    ///
    /// # Errors
    /// As for [`open`](Self::open), but not [`ErrorKind::Io`].
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Result<Self> {
        Self::new(Source::Memory(bytes.into()))
    }

    fn new(source: Source) -> Result<Self> {
        let len = source.len()?;
        let header_bytes = source.read(0, len.min(HEADER_LEN as u64) as usize)?;
        let header = Header::parse(&header_bytes)?;
        if header.file_len != len {
            let message = format!("it has {len} bytes instead of {}", header.file_len);
            return Err(Error::damaged(message));
        }
        let index = source.read(HEADER_LEN as u64, header.index_len)?;
        let index = Index::parse(&header_bytes, &index)?;
        let mut at = (HEADER_LEN + header.index_len) as u64;
        let place = |&len: &u32| {
            let place = (at, len);
            at += u64::from(len);
            place
        };
        let parts = index.part_lens.iter().map(place).collect();
        Ok(Self {
            source,
            entries: index.entries,
            parts,
        })
    }

    /// The kernels, sorted by the bytes of their releases, without repetitions.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The BTF of the kernel at this index of [`entries`](Self::entries). Its digest has been compared.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] if the BTF has more than `max_btf_bytes`, [`ErrorKind::Damaged`], [`ErrorKind::Io`].
    ///
    /// # Panics
    /// If there is no such index.
    pub fn read(&self, index: usize, max_btf_bytes: u64) -> Result<Vec<u8>> {
        let Entry {
            btf_bytes, digest, ..
        } = self.entries[index];
        if btf_bytes > max_btf_bytes {
            let message = format!("the BTF has {btf_bytes} bytes, more than {max_btf_bytes}");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let (at, len) = self.parts[index];
        let part = self.source.read(at, len as usize)?;
        let btf = zstd::bulk::decompress(&part, btf_bytes as usize);
        let btf = btf.map_err(|_| Error::damaged("the data of a kernel cannot be decompressed"))?;
        if btf.len() as u64 != btf_bytes || Digest::of(&btf) != digest {
            return Err(Error::damaged("the digest of a kernel's BTF is wrong"));
        }
        Ok(btf)
    }
}
