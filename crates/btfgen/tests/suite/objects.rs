//! Objects of every kind, and damaged ones.

use std::collections::BTreeSet;

use btfgen::{ErrorKind, Minimizer, Need, Needs, Object, Place, Refusal, ReloKind};
use btfgen_testkit::object;
use object::{Object as _, ObjectSection as _};
use proptest::prelude::{ProptestConfig, any, prop, proptest};
use proptest::sample::Index;

use super::util::{btf, kernels, needs, objects};

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(object(name)).expect("the object is there")
}

fn error(bytes: &[u8]) -> btfgen::Error {
    Object::parse("test.bpf.o", bytes).expect_err("the object is bad")
}

/// The whole error on one line.
fn text(bytes: &[u8]) -> String {
    let e = error(bytes);
    let source = std::error::Error::source(&e).map(|s| format!(": {s}"));
    format!("{e}{}", source.unwrap_or_default())
}

/// The place of a section's content in the file.
fn section(bytes: &[u8], name: &str) -> std::ops::Range<usize> {
    let elf = object::File::parse(bytes).expect("the object is ELF");
    let (start, len) = elf
        .section_by_name(name)
        .and_then(|s| s.file_range())
        .expect("the section is there");
    start as usize..(start + len) as usize
}

fn word(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize
}

/// The offset of the relocation table in the file: its record size, then the first section.
fn relocation_table(bytes: &[u8]) -> usize {
    let ext = section(bytes, ".BTF.ext").start;
    ext + word(bytes, ext + 4) + word(bytes, ext + 24)
}

/// The offset of the first relocation's access string in the file.
fn first_access_string(bytes: &[u8]) -> usize {
    let btf = section(bytes, ".BTF").start;
    let strings = btf + word(bytes, btf + 4) + word(bytes, btf + 16);
    strings + word(bytes, relocation_table(bytes) + 12 + 8)
}

fn put(bytes: &mut [u8], at: usize, word: u32) {
    bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

/// Check that the test objects have all kinds of relocations, and that all are read.
#[test]
fn objects_have_every_kind() {
    let mut missing: Vec<ReloKind> = ReloKind::ALL.to_vec();
    for path in btfgen_testkit::objects() {
        for need in &needs(&path) {
            missing.retain(|k| *k != need.kind());
        }
    }
    assert_eq!(missing, []);
}

/// Check that an object is read alike from both byte orders, down to the source lines.
#[test]
fn byte_orders_are_alike() {
    for name in ["fields", "bitfields", "types", "enums", "arrays", "matches"] {
        let (little, big) = (needs(&object(name)), needs(&object(&format!("{name}.eb"))));
        let list = |needs: &Needs| {
            needs
                .iter()
                .map(|n| {
                    // The number of questions for a bitfield's size depends on the byte order.
                    let lines: BTreeSet<_> = needs.places(n).iter().map(|p| p.line).collect();
                    (n.to_string(), lines)
                })
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(list(&little), list(&big), "{name}");
        let digest = |needs: &Needs| Needs::digest(&needs.objects()[0]);
        assert_eq!(digest(&little), digest(&big), "{name}");
    }
}

/// Check that the same needs are one need, in any object and however often they are used.
#[test]
fn needs_are_distinct() {
    let both = [object("few"), object("many"), object("few")];
    let objects = both.map(|p| Object::open(p).expect("the object is good"));
    assert!(
        objects[1].uses().len() >= 30_000,
        "{}",
        objects[1].uses().len()
    );
    assert_eq!(Needs::digest(&objects[0]), Needs::digest(&objects[1]));
    let all = Needs::new(objects.into());
    assert_eq!(all.len(), needs(&object("few")).len());
}

/// Check that a program on the target host, which has no libbpf for it, computes the same digest as the engine.
#[test]
fn digests_are_those_of_the_target() {
    for path in objects() {
        let bytes = std::fs::read(&path).expect("the object is there");
        let object = Object::open(&path).expect("the object is good");
        let digest = btfgen_object::digest(&bytes);
        assert_eq!(digest, Ok(Needs::digest(&object)), "{}", path.display());
        assert_ne!(digest, Ok(0), "{}", path.display());
    }
    for name in ["no-btf-ext", "no-relocations", "maps"] {
        let object = Object::open(object(name)).expect("the object is good");
        assert_eq!(Needs::digest(&object), 0, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Check that the target computes the same digest of a damaged object, if the engine accepts the object.
    #[test]
    fn damaged_digests_are_those_of_the_target(
        name in prop::sample::select(vec!["edge", "edge-matches.eb", "types.eb", "enums", "bitfields"]),
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = bytes(name);
        let btf = section(&bytes, ".BTF");
        for (at, byte) in damage {
            bytes[btf.start + at.index(btf.len())] = byte;
        }
        if let Ok(object) = Object::parse(name, &bytes) {
            assert_eq!(btfgen_object::digest(&bytes), Ok(Needs::digest(&object)));
        }
    }
}

/// Check that a relocation is found at its line of the source.
#[test]
fn places_are_source_lines() {
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../example/c/execsnoop.bpf.c"
    );
    let source = std::fs::read_to_string(source).expect("the source is there");
    let lines: Vec<&str> = source.lines().collect();
    let needs = needs(&object("execsnoop"));
    let (mut own, mut named) = (0, 0);
    for need in &needs {
        for place in needs.places(need) {
            let (Some(file), Some(line)) = (place.file, place.line) else {
                continue;
            };
            if file.ends_with("execsnoop.bpf.c") {
                own += 1;
                let last = need.path().rsplit('.').next().map(str::to_owned);
                // A read that spans several lines has the place of one of them.
                let around = lines[line as usize - 1..]
                    .iter()
                    .take(3)
                    .copied()
                    .collect::<String>();
                named += usize::from(last.is_some_and(|l| around.contains(&l)));
            }
        }
    }
    assert!(
        own >= 5 && named * 2 >= own,
        "{named} of {own} lines name the field"
    );
}

/// Check that an instruction without a line of its own gets the line of a statement that it belongs to.
#[test]
fn lines_of_merged_statements() {
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../testkit/objects/lines.bpf.c"
    );
    let source = std::fs::read_to_string(source).expect("the source is there");
    let line = |text: &str| {
        let line = source.lines().position(|line| line.contains(text));
        line.expect("the source has the statement") as u32 + 1
    };
    let needs = needs(&object("lines"));
    let need = needs.iter().find(|need| need.path() == "number");
    let places = needs.places(need.expect("it is asked for"));
    let first = line("bpf_core_field_exists(lines->first)");
    let last = line("BPF_CORE_READ(lines, second, number)");
    let is_there = |place: &Place| place.line.is_some_and(|l| (first..=last).contains(&l));
    assert!(places.iter().all(is_there), "{places:?}");
}

/// Check that the relocations which libbpf refuses on every kernel, and only these, are known without a kernel, with the
/// reason.
#[test]
fn refusals_without_a_kernel() {
    let needs = needs(&object("refused"));
    let refusal = |text: &str| {
        let need = needs.iter().find(|need| need.to_string() == text);
        let need = need.unwrap_or_else(|| panic!("{text} is not asked for"));
        need.refusal()
    };
    for (text, expected) in [
        ("byte_off struct nonsense.four[5]", Some(Refusal::Invalid)),
        ("lshift_u64 struct nonsense.four[1]", Some(Refusal::Invalid)),
        ("rshift_u64 struct nonsense.four[1]", Some(Refusal::Invalid)),
        ("signed struct straddling.bits", Some(Refusal::TooLarge)),
        ("type_size union thread_union", Some(Refusal::Invalid)),
        ("byte_off struct nonsense.four[3]", None),
        ("byte_off struct nonsense.flexible[5]", None),
        ("byte_sz struct nonsense.four[1]", None),
        ("field_exists struct straddling.bits", None),
        ("type_exists union thread_union", None),
    ] {
        assert_eq!(refusal(text), expected, "{text}");
    }
    let anonymous = |need: &&Need| need.root().contains("(anonymous)");
    let mut anonymous = needs.iter().filter(anonymous);
    assert!(anonymous.all(|need| need.refusal() == Some(Refusal::Anonymous)));
    // Each kernel gives the same result.
    let kernel = btf(kernels().values().next().expect("there is a kernel"));
    let outcomes = Minimizer::new(&needs).outcomes(&kernel);
    for (need, outcome) in needs.iter().zip(outcomes.expect("the kernel is good")) {
        assert_eq!(need.refusal(), outcome.refusal(), "{need}");
    }
    for object in objects() {
        let needs = self::needs(&object);
        let refused = needs.iter().filter(|need| need.refusal().is_some());
        assert_eq!(refused.count(), 0, "{}", object.display());
    }
}

/// Check that objects that ask for nothing are good: without relocations, without `.BTF.ext`, with maps only.
#[test]
fn objects_may_ask_for_nothing() {
    for name in ["no-btf-ext", "no-relocations", "maps"] {
        assert!(needs(&object(name)).is_empty(), "{name}");
    }
}

/// Check that a file that is not a BPF object with BTF is refused, and that the error says what it is.
#[test]
fn other_files_are_refused() {
    let own = std::fs::read(std::env::current_exe().expect("this test")).expect("readable");
    for (bytes, message) in [
        (&b""[..], "the file is empty"),
        (b"#!/bin/sh\n", "not an ELF file"),
        (b"BC\xc0\xde", "LLVM bitcode"),
        (b"\xde\xc0\x17\x0b", "LLVM bitcode"),
        (b"\x7fELF", "damaged ELF file"),
        (&own, "not for BPF"),
        (&bytes("no-btf"), "it has no .BTF section"),
    ] {
        let e = error(bytes);
        assert_eq!(e.kind(), ErrorKind::InvalidObject);
        assert!(e.to_string().contains(message), "{e}");
        assert!(e.to_string().starts_with("test.bpf.o: "), "{e}");
    }
    let e = Object::open("/nonexistent/x.bpf.o").expect_err("it does not exist");
    assert_eq!(e.kind(), ErrorKind::Io);
    assert!(e.to_string().contains("/nonexistent/x.bpf.o"), "{e}");
}

/// Check that the error for damage in `.BTF.ext` gives the reason.
#[test]
fn damaged_relocations_are_refused() {
    type Damage = fn(&mut Vec<u8>);
    let cases: [(&str, Damage); 11] = [
        ("bad size 3 of a relocation record", |b| {
            let at = relocation_table(b);
            put(b, at, 3);
        }),
        ("bad size 8 of a relocation record", |b| {
            let at = relocation_table(b);
            put(b, at, 8);
        }),
        ("the name of a section is beyond the strings", |b| {
            let at = relocation_table(b);
            put(b, at + 4, 0x7fff_fff0);
        }),
        ("the relocation table is truncated", |b| {
            let at = relocation_table(b);
            put(b, at + 8, 0xffff_ffff);
        }),
        ("there is no type [16777215]", |b| {
            let at = relocation_table(b) + 12;
            put(b, at + 4, 0xff_ffff);
        }),
        (
            "access string's offset 2147483632 is beyond the strings",
            |b| {
                let at = relocation_table(b) + 12;
                put(b, at + 8, 0x7fff_fff0);
            },
        ),
        ("unknown kind 99", |b| {
            let at = relocation_table(b) + 12;
            put(b, at + 12, 99);
        }),
        ("access string \"-", |b| {
            let at = first_access_string(b);
            b[at] = b'-';
        }),
        ("is not a list of up to 64 numbers", |b| {
            let at = first_access_string(b);
            for i in 0..140 {
                b[at + i] = if i % 2 == 0 { b'0' } else { b':' };
            }
            b[at + 140] = 0;
        }),
        ("a table at", |b| {
            let at = section(b, ".BTF.ext").start;
            put(b, at + 28, 0x7fff_0000);
        }),
        ("wrong magic", |b| {
            let at = section(b, ".BTF.ext").start;
            b[at] = 0;
        }),
    ];
    for (message, damage) in cases {
        let mut bytes = bytes("fields");
        damage(&mut bytes);
        let text = text(&bytes);
        assert!(text.contains(message), "{text:?} for {message:?}");
    }
}
