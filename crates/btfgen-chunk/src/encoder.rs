//! Writes a chunk.

use std::collections::BTreeMap;

use crate::columns::Columns;
use crate::express::express;
use crate::index::{
    Chain, Entry, Form, Index, MAX_COLUMNS_LEN, MAX_DEPTH, Section, Stored, is_release,
};
use crate::numbering::Numbering;
use crate::part::Part;
use crate::restore::restore;
use crate::shape::COLUMNS;
use crate::store::Store;
use crate::stream::Level;
use crate::tables::Tables;
use crate::{Chunk, Digest, Error, ErrorKind, Result, columns, stream};

/// The largest BTF: its offsets have 31 bits, and a kernel's has 22.
const MAX_BTF_LEN: usize = 1 << 30;

/// The level of zstd for what waits for [`Encoder::finish`].
const WAITING_LEVEL: Level = Some(1);

/// The level of zstd for finding out which kernel is a good base.
const TRIAL_LEVEL: Level = Some(3);

/// How many of the last kernels are tried as bases for a kernel.
const TRIED_BASES: usize = 8;

/// Puts the BTFs of kernels into a chunk.
///
/// The bytes of the chunk depend only on the kernels and their BTFs, not on the order in which they are added (and on the
/// version of zstd in this library). Memory grows with the types that differ; each kernel costs as little as in the chunk.
#[derive(Debug)]
pub struct Encoder {
    level: Level,
    store: Store,
    kernels: BTreeMap<String, Waiting>,
}

/// A kernel that was added.
#[derive(Debug)]
struct Waiting {
    btf_bytes: usize,
    digest: Digest,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// The whole BTF, compressed for the chunk.
    Verbatim(Vec<u8>),
    /// The kernel's own part of so many bytes, with the numbers of the store, compressed.
    Part(usize, Vec<u8>),
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// A chunk without kernels.
    #[must_use]
    pub fn new() -> Self {
        Self::with_level(stream::LEVEL)
    }

    pub(crate) fn with_level(level: Level) -> Self {
        Self {
            level,
            store: Store::new(),
            kernels: BTreeMap::new(),
        }
    }

    /// Add a kernel of this release. The bytes may be anything: what records cannot express is stored as it is.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRelease`], [`ErrorKind::DuplicateRelease`]; [`ErrorKind::TooLarge`] for a BTF of more than 1 GiB.
    pub fn add(&mut self, release: &str, btf: &[u8]) -> Result<()> {
        if !is_release(release) || u16::try_from(release.len()).is_err() {
            let message = format!("{release:?} is not a valid release of a kernel");
            return Err(Error::new(ErrorKind::InvalidRelease, message));
        }
        if self.kernels.contains_key(release) {
            let message = format!("the kernel {release} was added before");
            return Err(Error::new(ErrorKind::DuplicateRelease, message));
        }
        if btf.len() > MAX_BTF_LEN {
            let message = format!("the BTF of {release} has more than {MAX_BTF_LEN} bytes");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let waiting = Waiting {
            btf_bytes: btf.len(),
            digest: Digest::of(btf),
            content: self.content(btf)?,
        };
        self.kernels.insert(release.to_owned(), waiting);
        Ok(())
    }

    fn content(&mut self, btf: &[u8]) -> Result<Content> {
        let part = express(&mut self.store, btf);
        // Whatever the reason why the BTF would not come back: it is stored as it is then.
        let same = |part: &Vec<u8>| {
            let back = restore(&self.store.tables, part, btf.len() as u64);
            back.is_ok_and(|back| back == btf)
        };
        Ok(match part.filter(same) {
            Some(part) => {
                let compressed = stream::compress(&[], &part, WAITING_LEVEL)?;
                Content::Part(part.len(), compressed)
            }
            None => Content::Verbatim(stream::compress(&[], btf, self.level)?),
        })
    }

    /// The chunk. Every kernel in it was read again, and its BTF is the one that was added.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] if the kernels are too many for one chunk.
    pub fn finish(self) -> Result<Vec<u8>> {
        let Self {
            level,
            store,
            kernels,
        } = self;
        let chunk = Chunk::from_bytes(write(store.tables, kernels, level)?)?;
        for (index, entry) in chunk.entries().iter().enumerate() {
            chunk.read(index, entry.btf_bytes)?;
        }
        // It is in memory.
        Ok(chunk.into_bytes().unwrap_or_default())
    }
}

fn write(tables: Tables, kernels: BTreeMap<String, Waiting>, level: Level) -> Result<Vec<u8>> {
    let mut numbering = Numbering::new(&tables);
    for kernel in kernels.values() {
        if let Some(bytes) = kernel.part()? {
            let part = Part::parse(&bytes, &tables, kernel.btf_bytes as u64)?;
            numbering.add(&tables, &part.records);
        }
    }
    let mut columns = columns::write(&tables, &mut numbering);
    let mut own = OwnParts::new(level);
    let mut entries = Vec::new();
    for (release, kernel) in kernels {
        entries.push(Entry {
            release,
            btf_bytes: kernel.btf_bytes as u64,
            digest: kernel.digest,
        });
        own.add(kernel, &tables, &mut numbering)?;
    }
    let names = numbering.name_order[1..].iter();
    columns::write_names(&mut columns, names.map(|&name| tables.name(name)));
    drop(tables);
    let (columns, mut sections) = compress_columns(columns, level)?;
    let index = Index {
        columns,
        entries,
        kernels: own.stored,
    };
    let mut chunk = index.write();
    chunk.append(&mut sections);
    chunk.extend(own.bytes);
    Ok(chunk)
}

fn compress_columns(columns: Columns, level: Level) -> Result<([Section; COLUMNS], Vec<u8>)> {
    let len: usize = columns.iter().map(Vec::len).sum();
    if len as u64 > MAX_COLUMNS_LEN {
        let message = "the kernels are too many for one chunk";
        return Err(Error::new(ErrorKind::TooLarge, message));
    }
    let mut bytes = Vec::new();
    let mut sections = Vec::new();
    for column in columns {
        let mut stored = stream::compress(&[], &column, level)?;
        let mut section = Section::of(column.len(), &stored)?;
        if !stream::is_allowed(section.len, section.stored) {
            stored = column;
            section = Section::of(stored.len(), &stored)?;
        }
        bytes.append(&mut stored);
        sections.push(section);
    }
    // There are as many as columns.
    let sections = sections.try_into().unwrap_or_else(|_| unreachable!());
    Ok((sections, bytes))
}

impl Waiting {
    /// The kernel's own part, unless its BTF is stored as it is.
    fn part(&self) -> Result<Option<Vec<u8>>> {
        match &self.content {
            Content::Verbatim(_) => Ok(None),
            Content::Part(len, compressed) => {
                stream::decompress(&[], compressed.clone(), *len).map(Some)
            }
        }
    }
}

/// What the kernels have of their own, one after the other.
struct OwnParts {
    level: Level,
    bytes: Vec<u8>,
    stored: Vec<Stored>,
    /// The last kernels that can be bases.
    bases: Vec<Base>,
}

/// A kernel behind whose own part that of another one may be compressed.
struct Base {
    number: u32,
    chain: Chain,
    part: Vec<u8>,
}

impl OwnParts {
    fn new(level: Level) -> Self {
        Self {
            level,
            bytes: Vec::new(),
            stored: Vec::new(),
            bases: Vec::new(),
        }
    }

    fn add(&mut self, kernel: Waiting, tables: &Tables, numbering: &mut Numbering) -> Result<()> {
        let part = kernel.part()?;
        let (form, len, stored) = match (part, kernel.content) {
            (None, Content::Verbatim(stored) | Content::Part(_, stored)) => {
                (Form::Verbatim, kernel.btf_bytes, stored)
            }
            (Some(old), _) => {
                let part = renumber(&old, tables, numbering, kernel.btf_bytes as u64)?;
                // Of a tiny BTF. Nothing may be larger than the BTF that the reader allows.
                if part.len() > kernel.btf_bytes {
                    let btf = restore(tables, &old, kernel.btf_bytes as u64)?;
                    let stored = stream::compress(&[], &btf, self.level)?;
                    (Form::Verbatim, btf.len(), stored)
                } else {
                    let (base, chain) = self.base(&part, kernel.btf_bytes as u64)?;
                    let prefix = base.map_or(&[][..], |base| &base.part);
                    let stored = stream::compress(prefix, &part, self.level)?;
                    let number = base.map(|base| base.number);
                    let len = part.len();
                    self.push_base(chain, part);
                    (Form::Records(number), len, stored)
                }
            }
        };
        let section = Section::of(len, &stored)?;
        self.stored.push(Stored { form, section });
        self.bytes.extend(stored);
        Ok(())
    }

    /// The base with which the part becomes smallest, and less than half as large as without one; and the chain of the part. The
    /// part is not longer than the BTF.
    fn base(&self, part: &[u8], btf_bytes: u64) -> Result<(Option<&Base>, Chain)> {
        let len = part.len() as u64;
        let alone = stream::compress(&[], part, TRIAL_LEVEL)?.len();
        let mut best: Option<((usize, u32, u32), &Base, Chain)> = None;
        for base in &self.bases {
            if let Some(chain) = Chain::new(Some(base.chain), len, btf_bytes) {
                let len = stream::compress(&base.part, part, TRIAL_LEVEL)?.len();
                // Of two equal ones, the one that takes less time to read.
                let rank = (len, chain.depth, base.number);
                if 2 * len < alone && best.is_none_or(|(best, ..)| rank < best) {
                    best = Some((rank, base, chain));
                }
            }
        }
        let alone = Chain {
            depth: 0,
            longest: len,
        };
        Ok(best.map_or((None, alone), |(_, base, chain)| (Some(base), chain)))
    }

    fn push_base(&mut self, chain: Chain, part: Vec<u8>) {
        if chain.depth < MAX_DEPTH {
            let number = self.stored.len() as u32;
            self.bases.push(Base {
                number,
                chain,
                part,
            });
            let tried = self.bases.len().min(TRIED_BASES);
            self.bases.drain(..self.bases.len() - tried);
        }
    }
}

/// The part with the numbers of the chunk.
fn renumber(
    old: &[u8],
    tables: &Tables,
    numbering: &mut Numbering,
    btf_bytes: u64,
) -> Result<Vec<u8>> {
    let mut part = Part::parse(old, tables, btf_bytes)?;
    for record in &mut part.records {
        *record = numbering.record(*record);
    }
    for name in &mut part.unused {
        (*name, _) = numbering.name(*name);
    }
    Ok(part.write())
}
