//! Made-up kernels, as many as are wanted.

use btfgen_archive::{Builder, KernelId};

const WORDS: u32 = 4096;

/// The size of the types: all words but the header's six and the strings' one.
const TYPES: u32 = 4 * (WORDS - 7);

/// A BTF's header: magic and version, its size, offset and size of the types, offset and size of the strings.
const HEADER: [u32; 6] = [0x0001_eb9f, 24, 0, TYPES, TYPES, 4];

/// A BTF of 16 KiB, where each content differs from the one before in some words of the types. The lookup reads only the header
/// and both ends of the strings.
pub(crate) fn content(seed: u32) -> Vec<u8> {
    let word = |n: u32| {
        let version = (seed + n % 64) / 64;
        (n * 64 + version).wrapping_mul(0x9e37_79b9) >> 12
    };
    let words = HEADER.into_iter().chain((6..WORDS - 1).map(word));
    let words = words.chain(std::iter::once(0));
    words.flat_map(u32::to_le_bytes).collect()
}

/// The name of the `n`th kernel.
pub(crate) fn id(n: u32) -> KernelId {
    let release = format!("5.{}.0-{n}-generic", n / 100);
    KernelId::new("ubuntu", "20.04", "x86_64", &release).expect("a valid name")
}

/// An archive of so many kernels, with so many different contents.
pub(crate) fn builder(kernels: u32, distinct: u32) -> Builder {
    (0..kernels).fold(Builder::new(), |builder, n| {
        let btf = content(n * distinct / kernels);
        builder.add(id(n), btf).expect("each has its own name")
    })
}
