//! BTFs that are made up at random.

use proptest::collection::vec;
use proptest::prelude::*;

/// A BTF of the right form, with types of all kinds that refer to any types, also in circles, and names that types share. Its
/// strings have another order than the types, and some are of no type. `swapped` makes it big-endian.
pub(crate) fn btf() -> impl Strategy<Value = Vec<u8>> {
    let ty = (1u32..20, any::<bool>(), vec(any::<u16>(), 4..16));
    (vec(ty, 0..24), 1usize..12, any::<u16>(), any::<bool>()).prop_map(
        |(types, names, order, swapped)| {
            let (offsets, strings) = strings(names, order);
            let ids = types.len() as u32 + 1;
            let words = types.iter().flat_map(|(kind, flag, numbers)| {
                let mut numbers = numbers.iter().copied().map(u32::from).cycle();
                let mut next = || numbers.next().unwrap_or_default();
                words(*kind, *flag, &offsets, ids, &mut next)
            });
            assemble(&words.collect::<Vec<_>>(), &strings, swapped)
        },
    )
}

/// So many strings, with the empty one first, and their offsets.
fn strings(names: usize, order: u16) -> (Vec<u32>, Vec<u8>) {
    let (mut offsets, mut strings) = (vec![0], vec![0]);
    for n in 0..names {
        let n = (n + usize::from(order)) % names;
        offsets.push(strings.len() as u32);
        strings.extend(format!("name_{n}\0").bytes());
    }
    (offsets, strings)
}

fn words(
    kind: u32,
    flag: bool,
    offsets: &[u32],
    ids: u32,
    next: &mut impl FnMut() -> u32,
) -> Vec<u32> {
    let name = |number: u32| offsets[number as usize % offsets.len()];
    let (own, each): (&str, &str) = match kind {
        1 => ("..", ""),
        2 | 8..=12 | 18 => ("t", ""),
        3 => (".tt.", ""),
        4 | 5 => (".", "nt."),
        6 => (".", "n."),
        13 => ("t", "nt"),
        14 | 17 => ("t.", ""),
        15 => (".", "t.."),
        19 => (".", "n.."),
        _ => (".", ""),
    };
    let count = if each.is_empty() { 0 } else { next() % 4 };
    let mut words = vec![name(next()), u32::from(flag) << 31 | kind << 24 | count];
    for word in own.chars().chain(each.repeat(count as usize).chars()) {
        words.push(match word {
            't' => next() % ids,
            'n' => name(next()),
            _ => next().wrapping_mul(0x1_0101),
        });
    }
    words
}

fn assemble(words: &[u32], strings: &[u8], swapped: bool) -> Vec<u8> {
    let types = 4 * words.len() as u32;
    let header = [24, 0, types, types, strings.len() as u32];
    let words = header.iter().chain(words);
    let mut btf = if swapped {
        let words = words.flat_map(|word| word.to_be_bytes());
        [0xeb, 0x9f, 1, 0].into_iter().chain(words).collect()
    } else {
        let words = words.flat_map(|word| word.to_le_bytes());
        [0x9f, 0xeb, 1, 0]
            .into_iter()
            .chain(words)
            .collect::<Vec<u8>>()
    };
    btf.extend(strings);
    btf
}
