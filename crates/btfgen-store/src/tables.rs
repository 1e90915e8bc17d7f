//! The tables of a store while it grows.

use std::collections::HashMap;

use btfgen_btf::{Btf, ByteOrder, Type};

use crate::definitions::Definitions;
use crate::error::Result;
use crate::ingest::Ingest;
use crate::kernel::{Digest, Kernel};
use crate::lists::{self, NO_LISTS};
use crate::node::{self, VOID_WORDS};
use crate::sequences::Interner;

/// Collects the definitions of kernels.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let bytes = btfgen_btf::testing::made_up_btf(&[&[1, 1 << 24, 4, 32]], b"\0int\0");
/// use btfgen_btf::{Btf, Kind};
/// use btfgen_store::Tables;
///
/// let mut tables = Tables::new();
/// let kernel = tables.ingest(&Btf::parse(&bytes)?)?;
/// let definitions = tables.definitions();
/// let keys = definitions.keys(&[(Kind::Int, b"int")])?;
/// let list = definitions.list(kernel, keys[0])?;
/// assert_eq!(definitions.candidates(list)?.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Tables {
    pub(crate) names: Interner<u8>,
    pub(crate) nodes: Interner<u32>,
    /// How deeply types are nested in each node.
    pub(crate) heights: Vec<u8>,
    pub(crate) lists: Interner<u32>,
    pub(crate) blocks: Interner<u32>,
    /// Kind and essential name of each root.
    pub(crate) keys: Interner<u32>,
    pub(crate) kernels: Vec<Kernel>,
    by_digest: HashMap<Digest, usize>,
}

impl Default for Tables {
    fn default() -> Self {
        Self::new()
    }
}

impl Tables {
    /// Tables without kernels.
    pub fn new() -> Self {
        let mut tables = Self {
            names: Interner::default(),
            nodes: Interner::default(),
            heights: vec![0],
            lists: Interner::default(),
            blocks: Interner::default(),
            keys: Interner::default(),
            kernels: Vec::new(),
            by_digest: HashMap::new(),
        };
        // The numbers 0 have meanings: the empty name, `void`, and a block without lists.
        let first = [
            tables.names.intern(b""),
            tables.nodes.intern(&VOID_WORDS),
            tables.blocks.intern(&lists::EMPTY_BLOCK),
        ];
        debug_assert!(first.into_iter().all(|number| number.ok() == Some(0)));
        tables
    }

    /// Continues with what another run has stored.
    pub fn from(stored: &Definitions<'_>) -> Self {
        let kernels: Vec<Kernel> = stored.kernels().collect();
        let mut heights = Vec::with_capacity(stored.nodes.len() as usize);
        for words in stored.nodes.iter() {
            heights.push(node::height(words, &heights));
        }
        Self {
            heights,
            names: Interner::from(stored.names),
            nodes: Interner::from(stored.nodes),
            lists: Interner::from(stored.lists),
            blocks: Interner::from(stored.blocks),
            keys: Interner::from(stored.keys),
            by_digest: kernels.iter().map(|k| k.digest).zip(0..).collect(),
            kernels,
        }
    }

    /// Adds a kernel's BTF, and returns its number. A BTF that is there is not added again.
    ///
    /// A BTF whose named types cannot all be definitions is added without any: [`Kernel::is_covered`]. Such a BTF is damaged or
    /// newer than this crate.
    ///
    /// # Errors
    /// [`Error::Full`](crate::Error::Full).
    pub fn ingest(&mut self, btf: &Btf<'_>) -> Result<usize> {
        self.ingest_some(btf, |_| true)
    }

    /// Like [`Tables::ingest`], but only these named types are candidates. All kernels of the tables must be added with the same
    /// choice.
    ///
    /// # Errors
    /// [`Error::Full`](crate::Error::Full).
    pub fn ingest_some(
        &mut self,
        btf: &Btf<'_>,
        is_wanted: impl Fn(Type<'_>) -> bool,
    ) -> Result<usize> {
        let digest = Digest::of(btf.bytes());
        if let Some(known) = self.find(digest) {
            return Ok(known);
        }
        let lists = match Ingest::new(self, btf).lists(is_wanted)? {
            Some(by_key) => lists::intern(&mut self.blocks, by_key)?,
            None => NO_LISTS,
        };
        let long = match btf.pointer_size() {
            Some(_) if lists != NO_LISTS => Ingest::new(self, btf).long()?,
            _ => None,
        };
        Ok(self.push(Kernel {
            digest,
            bytes: btf.bytes().len() as u64,
            // `void` is not stored in a file.
            types: btf.type_count() - 1,
            big_endian: u32::from(btf.byte_order() == ByteOrder::Big),
            long: long.unwrap_or_default(),
            lists,
        }))
    }

    /// Adds a kernel, and returns its number.
    pub(crate) fn push(&mut self, kernel: Kernel) -> usize {
        let number = self.kernels.len();
        self.kernels.push(kernel);
        self.by_digest.insert(kernel.digest, number);
        number
    }

    /// The number of the node with these words.
    pub(crate) fn intern_node(&mut self, words: &[u32]) -> Result<u32> {
        let number = self.nodes.intern(words)?;
        if number as usize == self.heights.len() {
            self.heights.push(node::height(words, &self.heights));
        }
        Ok(number)
    }

    /// Takes a kernel's definitions away, because they are wrong: its own BTF must be asked.
    pub fn uncover(&mut self, kernel: usize) {
        if let Some(kernel) = self.kernels.get_mut(kernel) {
            kernel.lists = NO_LISTS;
            kernel.long = node::VOID;
        }
    }

    /// The number of the kernel with this BTF.
    pub fn find(&self, digest: Digest) -> Option<usize> {
        self.by_digest.get(&digest).copied()
    }

    /// All definitions, to read.
    pub fn definitions(&self) -> Definitions<'_> {
        Definitions {
            names: self.names.view(),
            nodes: self.nodes.view(),
            lists: self.lists.view(),
            blocks: self.blocks.view(),
            keys: self.keys.view(),
            kernels: std::borrow::Cow::Borrowed(&self.kernels),
        }
    }
}
