//! Sequences of bytes or words, each stored once and known by its number.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use zerocopy::{Immutable, IntoBytes};

use crate::error::{Error, Result};

/// Sequences that can be read by their numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sequences<'a, T> {
    items: &'a [T],
    /// The end of each sequence. It starts where the one before it ends.
    ends: &'a [u32],
}

impl<'a, T> Sequences<'a, T> {
    /// Sequences that a file holds. If [`Self::is_whole`] is false, some of them cannot be read.
    pub(crate) fn new(items: &'a [T], ends: &'a [u32]) -> Self {
        Self { items, ends }
    }

    /// Whether each sequence ends behind its start, and the last one with the items.
    pub(crate) fn is_whole(&self) -> bool {
        let last = self.ends.last().copied().unwrap_or_default();
        self.ends.is_sorted() && last as usize == self.items.len()
    }

    pub(crate) fn len(&self) -> u32 {
        // `Interner` never holds more.
        self.ends.len() as u32
    }

    pub(crate) fn get(&self, number: u32) -> Option<&'a [T]> {
        let number = number as usize;
        let end = *self.ends.get(number)? as usize;
        let start = match number.checked_sub(1) {
            Some(before) => *self.ends.get(before)? as usize,
            None => 0,
        };
        self.items.get(start..end)
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = &'a [T]> {
        (0..self.len()).filter_map(move |number| self.get(number))
    }

    pub(crate) fn items(&self) -> &'a [T] {
        self.items
    }

    pub(crate) fn ends(&self) -> &'a [u32] {
        self.ends
    }
}

/// Gives equal sequences one number.
#[derive(Debug)]
pub(crate) struct Interner<T> {
    items: Vec<T>,
    ends: Vec<u32>,
    numbers: HashTable<u32>,
    /// Seeded anew in each process, so that no input can be made whose sequences all collide.
    hasher: RandomState,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            ends: Vec::new(),
            numbers: HashTable::new(),
            hasher: RandomState::default(),
        }
    }
}

impl<T: Copy + Eq + IntoBytes + Immutable> Interner<T> {
    /// Continues with the sequences that another run has stored.
    pub(crate) fn from(stored: Sequences<'_, T>) -> Self {
        let mut all = Self {
            items: stored.items.to_vec(),
            ends: stored.ends.to_vec(),
            numbers: HashTable::with_capacity(stored.ends.len()),
            ..Self::default()
        };
        for number in 0..stored.len() {
            let view = Sequences {
                items: &all.items,
                ends: &all.ends,
            };
            let hash = |n: u32| hash(&all.hasher, view.get(n).unwrap_or_default());
            all.numbers
                .insert_unique(hash(number), number, |&other| hash(other));
        }
        all
    }

    /// The number of a sequence.
    ///
    /// # Errors
    /// [`Error::Full`] if there are more items than a file can hold.
    pub(crate) fn intern(&mut self, sequence: &[T]) -> Result<u32> {
        let hash_of = hash(&self.hasher, sequence);
        let view = Sequences {
            items: &self.items,
            ends: &self.ends,
        };
        let is_same = |&number: &u32| view.get(number) == Some(sequence);
        if let Some(&number) = self.numbers.find(hash_of, is_same) {
            return Ok(number);
        }
        let number = view.len();
        let end = u32::try_from(self.items.len() + sequence.len()).map_err(|_| Error::Full)?;
        let rehash = |&number: &u32| hash(&self.hasher, view.get(number).unwrap_or_default());
        self.numbers.insert_unique(hash_of, number, rehash);
        self.items.extend_from_slice(sequence);
        self.ends.push(end);
        Ok(number)
    }

    pub(crate) fn view(&self) -> Sequences<'_, T> {
        Sequences {
            items: &self.items,
            ends: &self.ends,
        }
    }
}

fn hash<T: IntoBytes + Immutable>(hasher: &RandomState, sequence: &[T]) -> u64 {
    hasher.hash_one(sequence.as_bytes())
}
