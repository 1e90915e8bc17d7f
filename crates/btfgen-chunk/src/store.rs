//! Records and names of the kernels that were added, each of them once.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use crate::shape::{HEAD, Shape};
use crate::tables::Tables;

/// The tables as they grow, and where in them equal records, names and labels are.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) tables: Tables,
    records: HashTable<u32>,
    names: HashTable<u32>,
    /// The labels of types with names, by kind and name.
    labels: HashMap<(u32, u32), u32>,
    hasher: DefaultHashBuilder,
}

impl Store {
    pub(crate) fn new() -> Self {
        let mut store = Self {
            tables: Tables::new(),
            records: HashTable::new(),
            names: HashTable::new(),
            labels: HashMap::new(),
            hasher: DefaultHashBuilder::default(),
        };
        // The tables begin with the empty name.
        store.intern_name(&[0]);
        store
    }

    /// The number of a name, which has a zero byte at its end.
    pub(crate) fn intern_name(&mut self, name: &[u8]) -> u32 {
        let Self { tables, hasher, .. } = self;
        let hash = hasher.hash_one(name);
        let equal = |&other: &u32| tables.name(other) == name;
        if let Some(&known) = self.names.find(hash, equal) {
            return known;
        }
        let new = if name == [0] {
            0
        } else {
            tables.name_count() as u32
        };
        if new != 0 {
            tables.push_name(name);
        }
        let rehash = |&other: &u32| hasher.hash_one(tables.name(other));
        self.names.insert_unique(hash, new, rehash);
        new
    }

    /// The number of a record. Only `named` ones have a label that depends on their names: see [`Tables`].
    pub(crate) fn intern_record(&mut self, shape: Shape, words: &[u32], named: bool) -> u32 {
        let Self { tables, hasher, .. } = self;
        let hash = hasher.hash_one(words);
        let equal = |&other: &u32| tables.record(other) == words;
        if let Some(&known) = self.records.find(hash, equal) {
            return known;
        }
        let new = tables.records() as u32;
        tables.push_record(shape, words);
        let rehash = |&other: &u32| hasher.hash_one(tables.record(other));
        self.records.insert_unique(hash, new, rehash);
        let label = if named {
            self.named_label(crate::shape::kind(words[HEAD - 1]), words[0])
        } else {
            self.new_label()
        };
        self.tables.label_of.push(label);
        new
    }

    /// The label of the types of this kind and name.
    pub(crate) fn named_label(&mut self, kind: u32, name: u32) -> u32 {
        let next = &mut self.tables.labels;
        let new = || {
            *next += 1;
            *next - 1
        };
        *self.labels.entry((kind, name)).or_insert_with(new)
    }

    fn new_label(&mut self) -> u32 {
        self.tables.labels += 1;
        self.tables.labels - 1
    }
}
