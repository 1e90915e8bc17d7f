//! The lookup as a program uses it.

mod facts;
mod ladder;
mod unloadable;
mod vectors;

use object::write::Object;
use object::{Architecture, BinaryFormat, Endianness, SectionKind};

/// An ELF file with a section `.text`, and one of this name with these bytes.
fn elf(architecture: Architecture, order: Endianness, name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, architecture, order);
    for (name, bytes) in [(".text", &b"code"[..]), (name, bytes)] {
        let section = object.add_section(Vec::new(), name.into(), SectionKind::Other);
        object.append_section_data(section, bytes, 4);
    }
    object.write().unwrap()
}

/// A BTF with one type, an integer of this name, which tells it from others.
fn btf(name: &str) -> Vec<u8> {
    const INT_32_BITS: [u32; 4] = [1, 1 << 24, 4, 32];
    let strings = ["\0", name, "\0"].concat();
    let header = [24, 0, 16, 16, strings.len() as u32];
    let words = header.into_iter().chain(INT_32_BITS);
    let mut btf = vec![0x9f, 0xeb, 1, 0];
    btf.extend(words.flat_map(u32::to_le_bytes));
    btf.extend(strings.as_bytes());
    btf
}
