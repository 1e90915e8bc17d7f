//! What of an object cannot be loaded.

use std::error::Error as _;

use btfgen_runtime::{ErrorKind, Found, Loader, Lookup, Origin};
use object::write::{Object, Symbol, SymbolSection};
use object::{
    Architecture, BinaryFormat, Endianness, SectionKind, SymbolFlags, SymbolKind, SymbolScope,
};

use crate::btf;

/// An object with a program in a section of each of these names; the program has the same name.
fn object_of(sections: &[&str]) -> Vec<u8> {
    let mut object = Object::new(BinaryFormat::Elf, Architecture::Bpf, Endianness::Little);
    for name in sections {
        let section = object.add_section(Vec::new(), name.as_bytes().to_vec(), SectionKind::Text);
        object.append_section_data(section, &[0x95, 0, 0, 0, 0, 0, 0, 0], 8);
        object.add_symbol(Symbol {
            name: name.as_bytes().to_vec(),
            value: 0,
            size: 8,
            kind: SymbolKind::Text,
            scope: SymbolScope::Dynamic,
            weak: false,
            section: SymbolSection::Section(section),
            flags: SymbolFlags::None,
        });
    }
    object.write().unwrap()
}

/// The result of a lookup that takes a named file.
fn found(lookup: Lookup<'_>) -> Found {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, btf("int")).unwrap();
    lookup
        .environment(false)
        .btf_file(file.path())
        .find()
        .unwrap()
}

/// Check that on a kernel without BTF of its own exactly the programs are named that attach by BTF, also if they are off.
#[test]
fn without_kernel_btf() {
    let object = object_of(&[
        "kprobe/f",
        "fentry/f",
        "?fexit.s/f",
        "fmod_ret/f",
        "tp_btf/x",
        "raw_tp/x",
        "lsm/x",
        "iter/x",
        "struct_ops/x",
        "freplace/x",
        "xdp",
        "unheard",
    ]);
    for lookup in [
        Lookup::new().require_custom(true),
        Lookup::new().release("0.0.1"),
    ] {
        let unloadable = found(lookup).unloadable(&object).unwrap();
        let expected = [
            "fentry/f",
            "?fexit.s/f",
            "fmod_ret/f",
            "tp_btf/x",
            "lsm/x",
            "iter/x",
            "struct_ops/x",
        ];
        assert_eq!(unloadable.programs(), expected);
        assert!(unloadable.contains("fentry/f") && !unloadable.contains("kprobe/f"));
        assert_eq!(unloadable.blocker(), None);
    }
}

/// Check that the kernel's own BTF decides if it was not looked at, and that the named loader must be able to read it.
#[test]
fn with_a_named_file() {
    let object = object_of(&["fentry/f"]);
    for loader in [Loader::libbpf(0, 3), Loader::libbpf(1, 7)] {
        let lookup = Lookup::new().environment(false).loader(loader);
        let is_usable = lookup
            .find()
            .is_ok_and(|own| *own.origin() == Origin::Kernel);
        let unloadable = found(lookup).unloadable(&object).unwrap();
        assert_eq!(unloadable.contains("fentry/f"), !is_usable, "{loader}");
    }
}

/// Check that bytes that are not an object are an error that says why, on every kernel.
#[test]
fn not_an_object() {
    for lookup in [Lookup::new(), Lookup::new().require_custom(true)] {
        let error = found(lookup).unloadable(b"hello").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Object);
        let source = error.source().unwrap().to_string();
        assert_eq!(source, "not an ELF file");
    }
}

/// Check that exactly the named programs are off in an object that libbpf-rs has opened.
#[cfg(feature = "libbpf-rs")]
#[test]
fn switched_off() {
    let object = object_of(&["kprobe/f", "fentry/f", "raw_tp/x", "tp_btf/x"]);
    let found = found(Lookup::new().release("0.0.1"));
    let unloadable = found.unloadable(&object).unwrap();
    let mut builder = libbpf_rs::ObjectBuilder::default();
    let mut open = builder.open_memory(&object).unwrap();
    unloadable.switch_off(&mut open);
    let on = open.progs().filter(|program| program.autoload());
    let on: Vec<_> = on.map(|program| program.name().to_owned()).collect();
    assert_eq!(on, ["kprobe/f", "raw_tp/x"]);
}
