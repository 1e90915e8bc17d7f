//! The tables of a store while it grows.

use std::collections::HashMap;

use crate::definitions::Definitions;
use crate::error::Result;
use crate::functions;
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
    pub(crate) functions: functions::Interner,
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
            functions: functions::Interner::default(),
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
            functions: functions::Interner::from(stored.functions),
            by_digest: kernels.iter().map(|k| k.digest).zip(0..).collect(),
            kernels,
        }
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
            (kernel.functions, kernel.function_count) = (0, 0);
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
            functions: self.functions.all(),
            kernels: std::borrow::Cow::Borrowed(&self.kernels),
        }
    }
}
