//! The order of the contents: similar contents are next to each other, so that deflate's window of 32 KiB has both.
//!
//! The order is a greedy chain: it begins with the first content, and continues with the remaining one that is most similar to
//! the last. Sketches (one-permutation min-hash) estimate the similarity: the share of equal slots estimates the share of
//! common 8-byte windows. Compared with the natural order of the kernels, archives of real BTFs are 4 to 7 % smaller.

/// The number of minima of a sketch.
const SLOTS: usize = 64;

/// The length of a window.
const WINDOW: usize = 8;

/// The distance of windows: BTF consists of 32-bit words.
const STEP: usize = 4;

/// The number of remaining contents to compare at each step of the chain, in the given order. It bounds the time for thousands
/// of contents; similar contents are rarely farther apart.
const REACH: usize = 4096;

/// For each slot, the smallest hash of its windows.
type Sketch = [u32; SLOTS];

/// The order in which to store `contents`, as positions. It depends only on the contents and their order.
pub(crate) fn by_similarity<T: AsRef<[u8]>>(contents: &[T]) -> Vec<usize> {
    let sketches: Vec<Sketch> = contents.iter().map(|c| sketch(c.as_ref())).collect();
    let mut rest: Vec<usize> = (0..contents.len()).collect();
    let mut order: Vec<usize> = Vec::with_capacity(contents.len());
    while !rest.is_empty() {
        let next = order
            .last()
            .map_or(0, |&last| most_similar(&sketches, last, &rest));
        order.push(rest.remove(next));
    }
    order
}

/// The position in `rest` of the content that is most similar to `last`; the first one of equally similar contents.
fn most_similar(sketches: &[Sketch], last: usize, rest: &[usize]) -> usize {
    let mut best = (0, 0);
    for (position, &candidate) in rest.iter().take(REACH).enumerate() {
        let score = similarity(&sketches[last], &sketches[candidate]);
        if score > best.0 {
            best = (score, position);
        }
    }
    best.1
}

fn similarity(a: &Sketch, b: &Sketch) -> u32 {
    a.iter().zip(b).map(|(a, b)| u32::from(a == b)).sum()
}

fn sketch(content: &[u8]) -> Sketch {
    let mut sketch = [u32::MAX; SLOTS];
    for window in content.windows(WINDOW).step_by(STEP) {
        let value = window
            .iter()
            .rev()
            .fold(0, |value, &byte| value << 8 | u64::from(byte));
        let hash = mix(value);
        // The highest six bits choose the slot, the next 32 compete for it.
        let slot = &mut sketch[(hash >> 58) as usize];
        *slot = (*slot).min((hash >> 26) as u32);
    }
    sketch
}

/// The finalizer of `SplitMix64`: every bit of the input reaches every bit of the output.
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(seed: u64, changed: usize) -> Vec<u8> {
        let words = (0..256_u64).flat_map(|n| mix(seed << 32 | n).to_le_bytes());
        let mut bytes: Vec<u8> = words.collect();
        bytes[..changed].fill(0);
        bytes
    }

    /// Check that the members of two families do not stay mixed.
    #[test]
    fn families() {
        let contents: Vec<_> = (0..10).map(|n| content(n as u64 % 2, n * 40)).collect();
        let order = by_similarity(&contents);
        assert_eq!(order, [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]);
    }

    /// Check that contents without windows or without similarity stay in order, and that no content gets lost.
    #[test]
    fn unlike() {
        assert_eq!(by_similarity::<Vec<u8>>(&[]), []);
        assert_eq!(by_similarity(&["", "a", "b"]), [0, 1, 2]);
        let mut order = by_similarity(&(0..50).map(|n| content(n, 0)).collect::<Vec<_>>());
        order.sort();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }
}
