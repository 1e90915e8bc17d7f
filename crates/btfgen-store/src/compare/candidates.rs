//! The candidates that a kernel's lists have and that no type has been compared with.

use std::hash::BuildHasher as _;

use btfgen_btf::Kind;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::definitions::Definitions;
use crate::lists::{self, List};

/// The candidates of all keys of a kernel, in their order.
#[derive(Debug)]
pub(super) struct Candidates<'d> {
    keys: Vec<Candidate<'d>>,
    numbers: HashTable<u32>,
    hasher: RandomState,
}

/// The next candidate of one key.
#[derive(Debug)]
struct Candidate<'d> {
    kind: u32,
    /// The essential name, and its number.
    name: &'d [u8],
    number: u32,
    node: u32,
    /// How often it comes.
    count: u32,
    /// Nodes and counts of those that come then.
    rest: &'d [u32],
}

impl<'d> Candidates<'d> {
    /// Those below a kernel's uppermost block of lists.
    pub(super) fn new(definitions: &Definitions<'d>, top: u32) -> Result<Self, &'static str> {
        let lists = lists::all(definitions.blocks, top, definitions.keys.len());
        let lists = lists.map_err(|_| "the blocks of its lists are damaged")?;
        let mut this = Self {
            keys: Vec::with_capacity(lists.len()),
            numbers: HashTable::with_capacity(lists.len()),
            hasher: RandomState::default(),
        };
        for (key, word) in lists {
            this.add(Candidate::first(definitions, key, List::of_word(word))?)?;
        }
        Ok(this)
    }

    fn add(&mut self, first: Candidate<'d>) -> Result<(), &'static str> {
        if self.find(first.kind, first.name).is_some() {
            return Err("two of its keys have one kind and name");
        }
        let hash = |key: &Candidate<'_>| hash(&self.hasher, key.kind, key.name);
        let rehash = |&number: &u32| hash(&self.keys[number as usize]);
        let number = self.keys.len() as u32;
        self.numbers.insert_unique(hash(&first), number, rehash);
        self.keys.push(first);
        Ok(())
    }

    fn find(&self, kind: u32, name: &[u8]) -> Option<usize> {
        let is_same = |&number: &u32| {
            let key = &self.keys[number as usize];
            key.kind == kind && key.name == name
        };
        let found = self.numbers.find(hash(&self.hasher, kind, name), is_same);
        found.map(|&number| number as usize)
    }

    /// Takes the next candidate of this kind and essential name: its node, and the number of the name.
    pub(super) fn next(&mut self, kind: Kind, name: &[u8]) -> Result<(u32, u32), &'static str> {
        let kind = match kind {
            Kind::Enum64 => Kind::Enum,
            kind => kind,
        };
        let key = self.find(kind as u32, name);
        let key = key.ok_or("no candidates have its kind and name")?;
        let key = &mut self.keys[key];
        let node = key.take();
        let node = node.ok_or("the candidates of its kind and name end before it")?;
        Ok((node, key.number))
    }

    /// The name of a key that has more candidates.
    pub(super) fn left(&self) -> Option<&'d [u8]> {
        let key = self.keys.iter().find(|key| key.count > 0);
        key.map(|key| key.name)
    }
}

impl<'d> Candidate<'d> {
    /// The first candidate of a key that has this list.
    fn first(definitions: &Definitions<'d>, key: u32, list: List) -> Result<Self, &'static str> {
        let Some(&[kind, name]) = definitions.keys.get(key) else {
            return Err("one of its keys is missing");
        };
        let number = name;
        let name = definitions.names.get(number);
        let name = name.ok_or("the name of one of its keys is missing")?;
        let several = list.several().map(|number| definitions.lists.get(number));
        let (node, count, rest) = match (list.only(), several) {
            (Some(node), None) => (node, 1, &[][..]),
            (None, Some(Some([node, count, rest @ ..]))) if is_list(*node, *count, rest) => {
                (*node, *count, rest)
            }
            _ => return Err("one of its lists is damaged"),
        };
        Ok(Self {
            kind,
            name,
            number,
            node,
            count,
            rest,
        })
    }

    fn take(&mut self) -> Option<u32> {
        let node = self.node;
        self.count = self.count.checked_sub(1)?;
        if self.count == 0
            && let [node, count, rest @ ..] = self.rest
        {
            (self.node, self.count, self.rest) = (*node, *count, rest);
        }
        Some(node)
    }
}

/// Whether a list of several candidates has these nodes and counts: nodes that follow themselves are counted, and there are at
/// least two candidates.
fn is_list(first: u32, count: u32, rest: &[u32]) -> bool {
    let mut before = first;
    let mut is_run = |pair: &[u32]| {
        let is_new = pair[0] != before;
        before = pair[0];
        is_new && pair[1] > 0
    };
    let pairs = rest.chunks_exact(2);
    let is_even = pairs.remainder().is_empty();
    count > 0 && (count > 1 || !rest.is_empty()) && is_even && pairs.into_iter().all(&mut is_run)
}

fn hash(hasher: &RandomState, kind: u32, name: &[u8]) -> u64 {
    hasher.hash_one((kind, name))
}
