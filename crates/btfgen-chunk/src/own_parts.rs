//! What each kernel of a chunk has of its own, as it is written.

use crate::digest::Digest;
use crate::index::{Chain, Form, MAX_DEPTH, Section, Stored};
use crate::numbering::Numbering;
use crate::part::Part;
use crate::restore::restore;
use crate::stream::Level;
use crate::tables::Tables;
use crate::{Result, stream};

/// The level of zstd for finding out which kernel is a good base.
const TRIAL_LEVEL: Level = Some(3);

/// How many of the last kernels are tried as bases for a kernel.
const TRIED_BASES: usize = 8;

/// A kernel that was added.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) btf_bytes: usize,
    pub(crate) digest: Digest,
    pub(crate) content: Content,
}

#[derive(Debug)]
pub(crate) enum Content {
    /// The whole BTF, compressed for the chunk.
    Verbatim(Vec<u8>),
    /// The kernel's own part of so many bytes, with the numbers of the store, compressed.
    Part(usize, Vec<u8>),
}

impl Waiting {
    /// The kernel's own part, unless its BTF is stored as it is.
    pub(crate) fn part(&self) -> Result<Option<Vec<u8>>> {
        match &self.content {
            Content::Verbatim(_) => Ok(None),
            Content::Part(len, compressed) => {
                stream::decompress(&[], compressed.clone(), *len).map(Some)
            }
        }
    }
}

/// What the kernels have of their own, one after the other.
pub(crate) struct OwnParts {
    level: Level,
    pub(crate) bytes: Vec<u8>,
    pub(crate) stored: Vec<Stored>,
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
    pub(crate) fn new(level: Level) -> Self {
        Self {
            level,
            bytes: Vec::new(),
            stored: Vec::new(),
            bases: Vec::new(),
        }
    }

    /// Add the next kernel of the chunk, whose records have got their numbers.
    pub(crate) fn add(
        &mut self,
        kernel: Waiting,
        tables: &Tables,
        numbering: &mut Numbering,
    ) -> Result<()> {
        match (kernel.part()?, kernel.content) {
            (None, Content::Verbatim(stored) | Content::Part(_, stored)) => {
                self.push(Form::Verbatim, kernel.btf_bytes, stored)
            }
            (Some(old), _) => self.add_part(&old, kernel.btf_bytes as u64, tables, numbering),
        }
    }

    fn add_part(
        &mut self,
        old: &[u8],
        btf_bytes: u64,
        tables: &Tables,
        numbering: &mut Numbering,
    ) -> Result<()> {
        let part = renumber(old, tables, numbering, btf_bytes)?;
        // Of a tiny BTF. Nothing may be larger than the BTF that the reader allows.
        if part.len() as u64 > btf_bytes {
            let btf = restore(tables, old, btf_bytes)?;
            let stored = stream::compress(&[], &btf, self.level)?;
            return self.push(Form::Verbatim, btf.len(), stored);
        }
        let (base, chain) = self.base(&part, btf_bytes)?;
        let prefix = base.map_or(&[][..], |base| &base.part);
        let stored = stream::compress(prefix, &part, self.level)?;
        let form = Form::Records(base.map(|base| base.number));
        let number = self.stored.len() as u32;
        self.push(form, part.len(), stored)?;
        if chain.depth < MAX_DEPTH {
            self.bases.push(Base {
                number,
                chain,
                part,
            });
            let tried = self.bases.len().min(TRIED_BASES);
            self.bases.drain(..self.bases.len() - tried);
        }
        Ok(())
    }

    fn push(&mut self, form: Form, len: usize, stored: Vec<u8>) -> Result<()> {
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
