//! Reads a chunk.

use std::fmt;
use std::fs::File;
use std::sync::{Mutex, OnceLock, PoisonError};

use twox_hash::XxHash3_64;

use crate::columns::Columns;
use crate::index::{Entry, Form, HEADER_LEN, Header, Index, Section, Stored};
use crate::restore::restore;
use crate::shape::COLUMNS;
use crate::source::Source;
use crate::tables::Tables;
use crate::{Digest, Error, ErrorKind, Result, columns, stream};

/// A chunk: the BTFs of the kernels of one distribution, version and architecture.
///
/// Several threads can read kernels at once. What the kernels share is decoded with the first one, and stays in memory: about
/// ten times the length of the file.
pub struct Chunk {
    source: Source,
    entries: Vec<Entry>,
    kernels: Vec<Stored>,
    columns: [Section; COLUMNS],
    /// Where each section begins: the columns, then what each kernel has of its own.
    places: Vec<u64>,
    tables: OnceLock<Tables>,
    /// Locked by the thread that decodes the tables.
    decoding: Mutex<()>,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the tables, which are megabytes.
        f.debug_struct("Chunk")
            .field("entries", &self.entries)
            .finish_non_exhaustive()
    }
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
        let mut end = (HEADER_LEN + header.index_len) as u64;
        let place = |section: Section| {
            let place = end;
            end += u64::from(section.stored);
            place
        };
        let places = index.sections().map(place).collect();
        Ok(Self {
            source,
            entries: index.entries,
            kernels: index.kernels,
            columns: index.columns,
            places,
            tables: OnceLock::new(),
            decoding: Mutex::new(()),
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
            ref release,
            btf_bytes,
            digest,
        } = self.entries[index];
        if btf_bytes > max_btf_bytes {
            let message =
                format!("the BTF of {release} has {btf_bytes} bytes, more than {max_btf_bytes}");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let kernel = self.kernels[index];
        let btf = match kernel.form {
            Form::Verbatim => self.section(COLUMNS + index, kernel.section, &[])?,
            Form::Records(_) => restore(self.tables()?, &self.part(index)?, btf_bytes)?,
        };
        if btf.len() as u64 != btf_bytes || Digest::of(&btf) != digest {
            let message = format!("the digest of the BTF of {release} is wrong");
            return Err(Error::damaged(message));
        }
        Ok(btf)
    }

    /// The own part of the kernel at this index.
    fn part(&self, index: usize) -> Result<Vec<u8>> {
        let mut chain = vec![index];
        while let Form::Records(Some(base)) = self.kernels[chain[chain.len() - 1]].form {
            // The bases are few, and each is before its kernel: the index was checked.
            chain.push(base as usize);
        }
        let mut part = Vec::new();
        for index in chain.into_iter().rev() {
            part = self.section(COLUMNS + index, self.kernels[index].section, &part)?;
        }
        Ok(part)
    }

    /// The content of the section of this number.
    fn section(&self, number: usize, section: Section, base: &[u8]) -> Result<Vec<u8>> {
        let stored = self
            .source
            .read(self.places[number], section.stored as usize)?;
        if XxHash3_64::oneshot(&stored) != section.checksum {
            return Err(Error::damaged("the checksum of a part of it is wrong"));
        }
        stream::decompress(base, stored, section.len as usize)
    }

    /// The tables. A failure is not remembered, because the disk may have failed.
    fn tables(&self) -> Result<&Tables> {
        if let Some(tables) = self.tables.get() {
            return Ok(tables);
        }
        let _decoding = self.decoding.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tables) = self.tables.get() {
            return Ok(tables);
        }
        let mut decoded = Columns::default();
        for (number, section) in self.columns.into_iter().enumerate() {
            decoded[number] = self.section(number, section, &[])?;
        }
        let tables = columns::read(&decoded)?;
        Ok(self.tables.get_or_init(|| tables))
    }
}
