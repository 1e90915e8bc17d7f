//! Candidate lists, and the list of each key on each kernel.
//!
//! A kernel has a list for each of some 30,000 keys, and its neighbours have nearly the same lists. So the lists of a kernel are
//! the leaves of a tree of blocks, and equal blocks are stored once: a kernel that differs from another one in 20 lists shares
//! all blocks with it, except for those on the way to the 20.

use std::collections::HashSet;

use crate::error::{Error, Result};
use crate::sequences::{Interner, Sequences};

/// The candidates of one key on one kernel, in libbpf's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct List(u32);

/// A list of several candidates: the other bits are the number of the list. Without it they are the only candidate.
const SEVERAL: u32 = 1 << 31;

impl List {
    /// No candidates.
    pub const NONE: Self = Self(0);

    /// The list that a block names by this word.
    pub(crate) fn of_word(word: u32) -> Self {
        Self(word)
    }

    /// How a block names the list.
    pub(crate) fn word(self) -> u32 {
        self.0
    }

    pub(crate) fn of_one(node: u32) -> Self {
        debug_assert!(node & SEVERAL == 0, "a node has three words or more");
        Self(node)
    }

    pub(crate) fn of_several(number: u32) -> Self {
        debug_assert!(number & SEVERAL == 0, "a list has four words or more");
        Self(number | SEVERAL)
    }

    /// The only candidate of a list of one.
    pub(crate) fn only(self) -> Option<u32> {
        (self.0 & SEVERAL == 0).then_some(self.0)
    }

    /// The number of a list of several candidates.
    pub(crate) fn several(self) -> Option<u32> {
        (self.0 & SEVERAL != 0).then_some(self.0 & !SEVERAL)
    }
}

/// The lists or blocks in one block.
const FANOUT: usize = 16;

/// The blocks from the top of the tree down to a list: 16 million keys.
const LEVELS: u32 = 6;

/// The block 0 of every store.
pub(crate) const EMPTY_BLOCK: [u32; FANOUT] = [0; FANOUT];

/// Instead of a block, for a kernel without definitions.
pub(crate) const NO_LISTS: u32 = u32::MAX;

/// The uppermost block above these words: the lists of a kernel by key, or the bits of its functions.
pub(crate) fn intern(blocks: &mut Interner<u32>, words: Vec<u32>) -> Result<u32> {
    if words.len() > FANOUT.pow(LEVELS) {
        return Err(Error::Full);
    }
    let mut level = words;
    for _ in 0..LEVELS {
        level.resize(level.len().next_multiple_of(FANOUT).max(FANOUT), 0);
        let interned = level.chunks_exact(FANOUT).map(|block| match block {
            block if block == EMPTY_BLOCK => Ok(0),
            block => blocks.intern(block),
        });
        level = interned.collect::<Result<_>>()?;
    }
    Ok(level.first().copied().unwrap_or_default())
}

/// The word at a place below an uppermost block: the list of a key of a kernel, or the bits of some functions.
pub(crate) fn find(blocks: Sequences<'_, u32>, top: u32, key: u32) -> Result<u32> {
    let mut number = top;
    for level in (0..LEVELS).rev() {
        let block = blocks.get(number);
        let block = block.ok_or(Error::Damaged("a block of lists is missing"))?;
        let place = key as usize / FANOUT.pow(level) % FANOUT;
        number = block.get(place).copied().unwrap_or_default();
    }
    Ok(number)
}

/// All words but 0 below an uppermost block, with their places, of which there are `len`.
pub(crate) fn all(blocks: Sequences<'_, u32>, top: u32, len: u32) -> Result<Vec<(u32, u32)>> {
    // (number of the block, its first place)
    let mut level = vec![(top, 0_u32)];
    for depth in (0..LEVELS).rev() {
        let mut below = Vec::new();
        for (number, first) in level {
            let block = blocks.get(number);
            let block = block.filter(|block| block.len() == FANOUT);
            let block = block.ok_or(Error::Damaged("a block of lists is missing"))?;
            let places = (0..).zip(block).filter(|&(_, &number)| number != 0);
            let words = FANOUT.pow(depth) as u32;
            for (place, &number) in places {
                let first = first + place * words;
                // With this, memory is bounded by the number of places.
                if first >= len {
                    return Err(Error::Damaged("a kernel has more lists than there are"));
                }
                below.push((number, first));
            }
        }
        level = below;
    }
    let turned = level.into_iter().map(|(word, place)| (place, word));
    Ok(turned.collect())
}

/// Calls a function for each distinct list below some uppermost blocks. Shared blocks are visited once.
pub(crate) fn visit(
    blocks: Sequences<'_, u32>,
    tops: impl Iterator<Item = u32>,
    mut see: impl FnMut(List),
) -> Result<()> {
    let mut level: HashSet<u32> = tops.collect();
    for _ in 0..LEVELS {
        let mut below = HashSet::new();
        for number in level {
            let block = blocks.get(number);
            let block = block.ok_or(Error::Damaged("a block of lists is missing"))?;
            below.extend(block.iter().filter(|&&number| number != 0));
        }
        level = below;
    }
    level.into_iter().for_each(|list| see(List(list)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that each list is found under its key, alone and among all.
    #[test]
    fn lists_are_found() -> Result<()> {
        let mut blocks = Interner::default();
        blocks.intern(&EMPTY_BLOCK)?;
        let places = [0, 15, 16, 300, 70_000, 70_001];
        let mut words = vec![0; 70_002];
        for place in places {
            words[place] = place as u32 + 1;
        }
        let top = intern(&mut blocks, words)?;
        let expected = places.map(|place| (place as u32, place as u32 + 1));
        assert_eq!(all(blocks.view(), top, 70_002)?, expected);
        assert!(matches!(
            all(blocks.view(), top, 70_001),
            Err(Error::Damaged(_))
        ));
        for (key, word) in expected {
            assert_eq!(find(blocks.view(), top, key)?, word);
        }
        for key in [1, 17, 70_002, 1 << 23, u32::MAX] {
            assert_eq!(find(blocks.view(), top, key)?, 0);
        }
        Ok(())
    }

    /// Check that blocks of another size, missing blocks, and blocks in themselves are damage.
    #[test]
    fn damaged_blocks() {
        let short = [1; FANOUT - 1];
        let long = [1; FANOUT + 1];
        let itself = [1; FANOUT];
        let missing = [7; FANOUT];
        for block in [&short[..], &long, &itself, &missing] {
            let items = [&EMPTY_BLOCK, block].concat();
            let ends = [FANOUT as u32, items.len() as u32];
            let blocks = Sequences::new(&items, &ends);
            let all = all(blocks, 1, 1 << 16);
            assert!(matches!(all, Err(Error::Damaged(_))), "{block:?}");
        }
    }
}
