//! Made-up kernels, as many as are wanted.

use btfgen_archive::{Builder, KernelId};

/// What a BTF begins with: magic and version.
const MAGIC: u32 = 0x0001_eb9f;

/// 16 KiB of words, where each content differs from the one before in some.
pub(crate) fn content(seed: u32) -> Vec<u8> {
    let word = |n: u32| {
        let version = (seed + n % 64) / 64;
        (n * 64 + version).wrapping_mul(0x9e37_79b9) >> 12
    };
    let words = std::iter::once(MAGIC).chain((1..4096).map(word));
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
