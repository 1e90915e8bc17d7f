//! BTFs for the tests: made up, and those of the test kit's objects.

use std::path::PathBuf;

use crate::elf::Sections;
use crate::kind::Kind;

/// `struct btf_type`'s info.
pub(crate) fn info(kind: Kind, vlen: u32) -> u32 {
    (kind as u32) << 24 | vlen
}

/// A little-endian `.BTF` section of these types, each as its words, and these strings.
pub(crate) fn section(types: &[&[u32]], strings: &[u8]) -> Vec<u8> {
    let words: Vec<u32> = types.concat();
    let type_len = 4 * words.len() as u32;
    let mut bytes = vec![0x9f, 0xeb, 1, 0];
    for word in [24, 0, type_len, type_len, strings.len() as u32]
        .into_iter()
        .chain(words)
    {
        bytes.extend(word.to_le_bytes());
    }
    bytes.extend(strings);
    bytes
}

/// The test kit's objects with BTF, in both byte orders, with the `.BTF` section of each.
pub(crate) fn sections() -> impl Iterator<Item = (PathBuf, Vec<u8>)> {
    let names = btfgen_testkit::object_names().into_iter();
    names
        .filter(|name| name != "no-btf")
        .flat_map(|name| [name.clone(), format!("{name}.eb")])
        .map(|name| {
            let path = btfgen_testkit::object(&name);
            let file = std::fs::read(&path).expect("the object is there");
            let sections = Sections::of(&file).expect("the object is good");
            (path, sections.btf.to_vec())
        })
}
