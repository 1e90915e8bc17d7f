//! Digests of whole objects, both good and damaged.

use std::collections::BTreeMap;

use btfgen_object::{ErrorKind, Sections, digest};
use btfgen_testkit::object;
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::sample::Index;

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(object(name)).expect("the object is there")
}

fn digest_of(name: &str) -> u32 {
    digest(&bytes(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// Check that an object has the same digest in both byte orders, and that objects that ask for different things have
/// different digests.
#[test]
fn digests_tell_objects_apart() {
    let mut known = BTreeMap::new();
    for name in btfgen_testkit::object_names() {
        if ["no-btf", "no-btf-ext", "no-relocations", "maps", "programs"].contains(&&*name) {
            continue;
        }
        let digest = digest_of(&name);
        assert_eq!(digest, digest_of(&format!("{name}.eb")), "{name}");
        if let Some(other) = known.insert(digest, name.clone()) {
            assert_eq!([other, name], ["few", "many"]);
        }
    }
}

/// Check that an object that asks for nothing has the digest 0.
#[test]
fn nothing_has_a_digest() {
    for name in ["no-btf-ext", "no-relocations", "maps", "programs"] {
        assert_eq!(digest_of(name), 0, "{name}");
        assert_eq!(digest_of(&format!("{name}.eb")), 0, "{name}");
    }
}

/// Check that the layout of the program's own `vmlinux.h` does not matter: the test moves all members of all structs.
#[test]
fn moved_members_do_not_count() {
    let mut moved = bytes("fields");
    let btf = Sections::of(&moved).expect("good").btf;
    let start = btf.as_ptr() as usize - moved.as_ptr() as usize;
    let word = |bytes: &[u8], at: usize| {
        u32::from_le_bytes(bytes[start + at..start + at + 4].try_into().expect("four"))
    };
    let (mut at, end) = (24, 24 + word(&moved, 12) as usize);
    let mut members = 0;
    while at < end {
        let info = word(&moved, at + 4);
        let vlen = (info & 0xffff) as usize;
        let kind = info >> 24 & 0x1f;
        at += 12;
        if matches!(kind, 4 | 5) {
            for member in 0..vlen {
                moved[start + at + 12 * member + 8 + 1] ^= 0x40;
                members += 1;
            }
        }
        at += match kind {
            1 | 14 | 17 => 4,
            3 => 12,
            4 | 5 | 15 | 19 => 12 * vlen,
            6 | 13 => 8 * vlen,
            _ => 0,
        };
    }
    assert!(members > 100);
    assert_eq!(digest(&moved), digest(&bytes("fields")));
}

/// Check that the bytes may start at any address, as in a program that embeds them.
#[test]
fn any_alignment() {
    let expected = digest_of("execsnoop");
    let mut shifted = bytes("execsnoop");
    for shift in 1..9 {
        shifted.insert(0, 0);
        assert_eq!(digest(&shifted[shift..]), Ok(expected));
    }
}

/// Check that a file that is not a BPF object with BTF is refused, and that the error says what it is.
#[test]
fn other_files_are_refused() {
    let own = std::fs::read(std::env::current_exe().expect("this test")).expect("readable");
    let mut narrow = bytes("fields");
    narrow[4] = 1;
    for (bytes, kind, message) in [
        (&b""[..], ErrorKind::NotElf, "the file is empty"),
        (b"#!/bin/sh\n", ErrorKind::NotElf, "not an ELF file"),
        (b"\x7fELF", ErrorKind::Damaged, "damaged ELF file"),
        (&own, ErrorKind::NotBpf, "not for BPF"),
        (&narrow, ErrorKind::NotBpf, "32 bits, not for BPF"),
        (&bytes("no-btf"), ErrorKind::NoBtf, "no .BTF section"),
    ] {
        let error = digest(bytes).expect_err(message);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

/// Check that the error for a bad relocation names its instruction.
#[test]
fn bad_relocation() {
    let mut bytes = bytes("fields");
    let ext = Sections::of(&bytes).expect("good").btf_ext;
    let word = |at: usize| u32::from_le_bytes(ext[at..at + 4].try_into().expect("four bytes"));
    // The first record, behind the size of a record and the section's name and count. See linux/btf.h.
    let record = (word(4) + word(24) + 4 + 8) as usize;
    let instruction = word(record) / 8;
    let at = ext.as_ptr() as usize - bytes.as_ptr() as usize + record + 12;
    bytes[at] = 99;
    let error = digest(&bytes).expect_err("it is bad").to_string();
    let expected = format!("bad CO-RE relocation at instruction {instruction}: unknown kind 99");
    assert_eq!(error, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Check that damage never makes the digest panic or take long: with changed words, and with the end cut off.
    #[test]
    fn damaged_objects(
        name in prop::sample::select(vec!["edge", "edge-matches.eb", "types", "enums.eb", "bitfields"]),
        words in prop::collection::vec((any::<Index>(), any::<u32>(), 0_u32..5), 0..12),
        len in prop::option::weighted(0.2, any::<Index>()),
    ) {
        let mut bytes = bytes(name);
        let sections = Sections::of(&bytes).expect("good");
        // Most of the file is instructions and debug information.
        let start = (sections.btf.as_ptr() as usize - bytes.as_ptr() as usize) / 4 * 4;
        let words_of_btf = (sections.btf.len() + sections.btf_ext.len()) / 4;
        for (at, value, sort) in words {
            let at = match sort {
                0 => at.index(bytes.len() / 4) * 4,
                _ => start + at.index(words_of_btf) * 4,
            };
            let Some(word) = bytes.get_mut(at..at + 4) else { continue };
            let value = match sort {
                1 => value % 64,
                2 => value % 1024,
                _ => value,
            };
            word.copy_from_slice(&value.to_le_bytes());
        }
        if let Some(len) = len {
            bytes.truncate(len.index(bytes.len()));
        }
        let _ = digest(&bytes);
    }
}
