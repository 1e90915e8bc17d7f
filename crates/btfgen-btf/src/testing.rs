//! Made-up BTFs for the tests of this crate and of those above it.

use crate::btf::Btf;

/// A little-endian BTF of these types, each given by its words, and these strings.
#[must_use]
pub fn made_up_btf(types: &[&[u32]], strings: &[u8]) -> Vec<u8> {
    let words = types.concat();
    let type_len = 4 * words.len() as u32;
    let header = [24, 0, type_len, type_len, strings.len() as u32];
    let magic_version_flags = [0x9f, 0xeb, 1, 0];
    let words = header.into_iter().chain(words).flat_map(u32::to_le_bytes);
    let words: Vec<u8> = words.collect();
    [&magic_version_flags, &words[..], strings].concat()
}

/// The BTF of a module that continues a kernel's BTF: all types of a BTF without a base, which stay its own.
///
/// # Panics
/// Panics if the BTF is damaged.
#[must_use]
pub fn module_btf(kernel: &Btf<'_>, module: &[u8]) -> Vec<u8> {
    let module = Btf::parse(module).expect("the module's BTF is good");
    module.behind(kernel)
}
