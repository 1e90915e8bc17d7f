//! Reading BTF: good, damaged, and of future kernels.

use btfgen_btf::{Btf, ErrorKind, Kind, TypeId};
use btfgen_testkit::{made_up_btf, sample_btf, sample_kernels};
use proptest::prelude::*;

const INT: [u32; 4] = [1, 1 << 24, 4, 32];
const HEADER_LEN: usize = 24;

fn info(kind: Kind, vlen: u32) -> u32 {
    (kind as u32) << 24 | vlen
}

fn put(bytes: &mut [u8], at: usize, word: u32) {
    bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

/// The same BTF in the other byte order. Everything before the strings is words of 4 bytes.
fn big_endian(bytes: &[u8], strings: usize) -> Vec<u8> {
    let (words, strings) = bytes.split_at(bytes.len() - strings);
    let mut swapped: Vec<u8> = words
        .chunks(4)
        .flat_map(|word| word.iter().rev().copied())
        .collect();
    // Magic, version and flags together are not a word.
    swapped[..4].copy_from_slice(&[0xeb, 0x9f, 1, 0]);
    [&swapped, strings].concat()
}

/// Check that a BTF is refused, with the reason, if it cannot be split into types, or if it refers to something that is
/// missing.
#[test]
fn damage_is_named() {
    let good = made_up_btf(&[&INT], b"\0int\0");
    assert!(Btf::parse(&good).is_ok());
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    let of = |types: &[&[u32]]| made_up_btf(types, b"\0int\0");
    let damaged = ErrorKind::Damaged;
    let dangling = ErrorKind::Dangling;
    for (bytes, kind, message) in [
        (Vec::new(), damaged, "the file is empty"),
        (with(0, 0), ErrorKind::NotBtf, "begins with 00 eb"),
        (vec![0x7f], ErrorKind::NotBtf, "begins with 7f"),
        (with(2, 2), ErrorKind::Unsupported, "version 2"),
        (good[..10].to_vec(), damaged, "10 bytes are too few"),
        (with(4, 23), damaged, "header is too short"),
        (with(8, 1), damaged, "not aligned to 4 bytes"),
        (with(8, 4), damaged, "its types overlap its strings"),
        (with(20, 0), damaged, "no strings"),
        (with(19, 0xff), damaged, "truncated: the string section"),
        (good[..44].to_vec(), damaged, "the file has 44"),
        (made_up_btf(&[&INT], b"\0int"), damaged, "end with a NUL"),
        (
            made_up_btf(&[&INT], b"int\0"),
            ErrorKind::Split,
            "split BTF",
        ),
        (of(&[&INT, &[1, 0, 0]]), damaged, "type [2] is of kind 0"),
        (
            of(&[&INT, &[1, 90 << 24, 0]]),
            ErrorKind::Unsupported,
            "type [2] is of kind 90",
        ),
        (
            of(&[&INT, &[1, info(Kind::Struct, 1), 0]]),
            damaged,
            "type [2] runs over",
        ),
        (of(&[&INT, &[1]]), damaged, "type [2] runs over"),
        (of(&[&[9, 1 << 24, 4, 32]]), dangling, "a name at offset 9"),
        (
            of(&[&[0, info(Kind::Ptr, 0), 7]]),
            dangling,
            "refers to type [7]",
        ),
        (
            of(&[&INT, &[0, info(Kind::Array, 0), 0, 1, 3, 1]]),
            dangling,
            "type [3]",
        ),
        (
            of(&[&INT, &[0, info(Kind::Struct, 1), 4, 1, 3, 0]]),
            dangling,
            "type [3]",
        ),
        (
            of(&[&INT, &[0, info(Kind::Struct, 1), 4, 6, 1, 0]]),
            dangling,
            "offset 6",
        ),
        (
            of(&[&[0, info(Kind::Enum, 1), 4, 6, 0]]),
            dangling,
            "offset 6",
        ),
        (
            of(&[&[0, info(Kind::Enum64, 1), 4, 6, 0, 0]]),
            dangling,
            "offset 6",
        ),
        (
            of(&[&[0, info(Kind::FuncProto, 1), 2, 0, 0]]),
            dangling,
            "type [2]",
        ),
        (
            of(&[&[0, info(Kind::FuncProto, 1), 0, 0, 2]]),
            dangling,
            "type [2]",
        ),
        (
            of(&[&[1, info(Kind::Datasec, 1), 4, 2, 0, 4]]),
            dangling,
            "type [2]",
        ),
        (
            of(&[&INT, &[1, info(Kind::Func, 0), 1]]),
            damaged,
            "is a function",
        ),
    ] {
        let error = Btf::parse(&bytes).expect_err(message);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
}

/// Check that all facts of a type are read in either byte order, and that a kind has no facts of other kinds.
#[test]
fn facts_of_types() {
    let strings = b"\0int\0s\0a\0A\0";
    let (int, s, a, enumerator) = (1, 5, 7, 9);
    let bytes = made_up_btf(
        &[
            &[int, 1 << 24, 4, 1 << 24 | 3 << 16 | 29],
            &[0, info(Kind::Ptr, 0), 4],
            &[0, info(Kind::Array, 0), 0, 2, 1, 7],
            &[
                s,
                1 << 31 | info(Kind::Struct, 2),
                64,
                a,
                3,
                32,
                a,
                1,
                5 << 24 | 8,
            ],
            &[0, 1 << 31 | info(Kind::Enum, 1), 4, enumerator, u32::MAX],
            &[0, info(Kind::Enum64, 1), 8, enumerator, 1, 2],
            &[0, info(Kind::FuncProto, 2), 1, a, 2, 0, 0],
            &[s, info(Kind::Union, 1), 8, a, 1, 5 << 24 | 8],
        ],
        strings,
    );
    for bytes in [bytes.clone(), big_endian(&bytes, strings.len())] {
        let btf = Btf::parse(&bytes).expect("good");
        let ty = |id| btf.type_by_id(TypeId(id)).expect("it is there");
        assert_eq!((btf.type_count(), ty(0).kind()), (9, Kind::Void));
        let facts = ty(1).int().map(|int| (int.encoding, int.offset, int.bits));
        assert_eq!((ty(1).size(), facts), (Some(4), Some((1, 3, 29))));
        assert_eq!((ty(1).referenced(), ty(1).array()), (None, None));
        assert_eq!((ty(2).referenced(), ty(2).size()), (Some(TypeId(4)), None));
        let array = ty(3).array().map(|a| (a.element.0, a.index.0, a.len));
        assert_eq!(
            (array, btf.resolve_size(TypeId(3))),
            (Some((2, 1, 7)), Some(56))
        );
        let members = |id| -> Vec<_> {
            let members = ty(id).members();
            members
                .map(|m| (m.name, m.ty.0, m.bit_offset, m.bitfield_size))
                .collect()
        };
        assert_eq!(members(4), [(&b"a"[..], 3, 32, 0), (b"a", 1, 8, 5)]);
        assert_eq!(ty(4).member(1).map(|m| m.ty), Some(TypeId(1)));
        assert!(ty(4).member(2).is_none() && ty(1).member(0).is_none());
        // Without the flag, the whole word is the offset.
        assert_eq!(members(8), [(&b"a"[..], 1, 5 << 24 | 8, 0)]);
        let value = |id| ty(id).enumerators().map(|e| (e.name, e.value)).next();
        assert_eq!(value(5), Some((&b"A"[..], u64::MAX)));
        assert_eq!(value(6), Some((&b"A"[..], 2 << 32 | 1)));
        assert_eq!(ty(6).enumerator(0).map(|e| e.value), Some(2 << 32 | 1));
        let params: Vec<TypeId> = ty(7).params().collect();
        assert_eq!(
            (params, ty(7).referenced()),
            (vec![TypeId(2), TypeId(0)], Some(TypeId(1)))
        );
        assert_eq!((ty(7).members().len(), ty(1).enumerators().len()), (0, 0));
    }
}

/// A BTF with the header of Linux 7.1, which gives the place of a layout section.
fn with_layout(btf: &[u8], layout: &[u8]) -> Vec<u8> {
    let mut header = btf[..HEADER_LEN].to_vec();
    put(&mut header, 4, 32);
    header.extend(((btf.len() - HEADER_LEN) as u32).to_le_bytes());
    header.extend((layout.len() as u32).to_le_bytes());
    [&header, &btf[HEADER_LEN..], layout].concat()
}

/// Check that a layout section changes nothing if all kinds are known, in either byte order.
#[test]
fn layout_sections_are_taken() {
    let old = made_up_btf(&[&INT, &[0, info(Kind::Ptr, 0), 1]], b"\0int\0");
    let new = with_layout(&old, &[0, 0, 0, 0, 4, 0, 0, 0]);
    let swapped = {
        let layout = &new[new.len() - 8..];
        let mut words = big_endian(&new[..new.len() - 8], 5);
        words.extend(layout);
        words
    };
    for (bytes, classic) in [(&new, old.clone()), (&swapped, big_endian(&old, 5))] {
        let btf = Btf::parse(bytes).expect("good");
        assert_eq!((btf.type_count(), btf.is_classic()), (3, false));
        assert_eq!(*btf.to_classic(), classic);
    }
    let btf = Btf::parse(&old).expect("good");
    assert!(btf.is_classic() && *btf.to_classic() == old);
    let short = &new[..new.len() - 1];
    let error = Btf::parse(short).expect_err("its layout section is cut off");
    assert!(error.to_string().contains("the layout section"), "{error}");
}

/// Check that types at an odd place of the file are read, and that libbpf gets them at a multiple of 4.
#[test]
fn unaligned_types_are_read() {
    let old = made_up_btf(&[&INT, &[0, info(Kind::Ptr, 0), 1]], b"\0int\0");
    let mut odd = old.clone();
    odd.insert(HEADER_LEN, 0);
    put(&mut odd, 4, 25);
    let btf = Btf::parse(&odd).expect("good");
    let int = btf.type_by_id(TypeId(1)).expect("it is there");
    assert_eq!((int.name(), int.size()), (&b"int"[..], Some(4)));
    assert_eq!(*btf.to_classic(), old);
}

/// Check that types of unknown kinds are skipped, by the layout section or by the known lengths of coming kinds, and that
/// ids stay the same with placeholders.
#[test]
fn unknown_kinds_are_passed_over() {
    let pointer = [0, info(Kind::Ptr, 0), 1];
    // LOC_PARAM, LOC_PROTO and LOCSEC with two values, parameters or locations.
    let coming: [&[u32]; 5] = [
        &INT,
        &[0, 20 << 24 | 2, 8, 1, 1, 2],
        &[0, 21 << 24 | 2, 0, 2, 0],
        &[1, 22 << 24 | 2, 0, 1, 3, 8, 1, 3, 16],
        &pointer,
    ];
    let coming = made_up_btf(&coming, b"\0int\0");
    // Kind 100, with 8 bytes of its own and 4 bytes for each of three members.
    let future: [&[u32]; 3] = [&INT, &[1, 100 << 24 | 3, 0, 7, 7, 7, 7, 7], &pointer];
    let mut layout = vec![0; 4 * 101];
    layout[400..402].copy_from_slice(&[8, 4]);
    let future = with_layout(&made_up_btf(&future, b"\0int\0"), &layout);
    for (bytes, count) in [(coming, 6), (future, 4)] {
        let btf = Btf::parse(&bytes).expect("good");
        assert_eq!(btf.type_count(), count);
        let last = btf.type_by_id(TypeId(count - 1)).expect("it is there");
        assert_eq!(
            (last.kind(), last.referenced()),
            (Kind::Ptr, Some(TypeId(1)))
        );
        let unknown = btf.type_by_id(TypeId(2)).expect("it is there");
        assert_eq!((unknown.kind(), unknown.size()), (Kind::Unknown, None));
        let classic = btf.to_classic().into_owned();
        let classic = Btf::parse(&classic).expect("it is BTF");
        assert!(classic.is_classic());
        assert_eq!(classic.type_count(), count);
        let last = classic.type_by_id(TypeId(count - 1)).expect("it is there");
        assert_eq!(
            (last.kind(), last.referenced()),
            (Kind::Ptr, Some(TypeId(1)))
        );
    }
}

/// Check that more than 65,535 members are read, and that older readers get a placeholder only for such a type.
#[test]
fn many_members() {
    let count = 70_000;
    let mut many = vec![1, info(Kind::Enum, count), 4];
    many.extend((0..count).flat_map(|value| [1, value]));
    let bytes = made_up_btf(&[&many, &INT], b"\0int\0");
    let btf = Btf::parse(&bytes).expect("good");
    let ty = btf.type_by_id(TypeId(1)).expect("it is there");
    assert_eq!(ty.enumerators().last().map(|e| e.value), Some(69_999));
    assert!(!ty.is_classic() && !btf.is_classic());
    let classic = btf.to_classic().into_owned();
    let classic = Btf::parse(&classic).expect("it is BTF");
    let kinds: Vec<Kind> = classic.types().map(|ty| ty.kind()).collect();
    assert_eq!(kinds, [Kind::Datasec, Kind::Int]);
}

/// Check that split BTF is read with its base, and that the error without a base gives the reason.
#[test]
fn split() {
    let base = made_up_btf(&[&INT], b"\0int\0");
    let base = Btf::parse(&base).expect("good");
    // Strings continue at 5, and types at 2.
    let module = made_up_btf(
        &[
            &[5, info(Kind::Struct, 1), 8, 7, 3, 0],
            &[0, info(Kind::Ptr, 0), 1],
            &[1, info(Kind::Typedef, 0), 2],
        ],
        b"s\0m\0",
    );
    let error = Btf::parse(&module).expect_err("it has no base");
    assert_eq!(error.kind(), ErrorKind::Split);
    let split = Btf::parse_split(&module, &base).expect("good");
    assert_eq!((split.type_count(), split.types().count()), (5, 4));
    let names: Vec<&[u8]> = split.types().map(|ty| ty.name()).collect();
    assert_eq!(names, [&b"int"[..], b"s", b"", b"int"]);
    let s = split.type_by_id(TypeId(2)).expect("it is there");
    let member = s.member(0).map(|m| (m.name, m.ty));
    assert_eq!(member, Some((&b"m"[..], TypeId(3))));
    let behind = split
        .skip_modifiers_and_typedefs(TypeId(4))
        .expect("it ends");
    assert_eq!(behind.id(), TypeId(2));
    // Some modules of Linux have only types that are named as some of the kernel.
    let without_strings = made_up_btf(&[&[1, info(Kind::Typedef, 0), 1]], b"");
    let split = Btf::parse_split(&without_strings, &base).expect("good");
    let last = split.types().last().expect("it is there");
    assert_eq!((last.kind(), last.name()), (Kind::Typedef, &b"int"[..]));
    let nowhere = made_up_btf(&[&[0, info(Kind::Ptr, 0), 3]], b"\0");
    let error = Btf::parse_split(&nowhere, &base).expect_err("there is no type 3");
    assert_eq!(error.kind(), ErrorKind::Dangling);
}

/// Check that a split BTF is refused if its names, references or sizes show that it was made with another base.
#[test]
fn another_base_is_noticed() {
    // [1] int, [2] a prototype, [3] a function, [4] a struct of 8 bytes
    let base = made_up_btf(
        &[
            &INT,
            &[0, info(Kind::FuncProto, 0), 0],
            &[5, info(Kind::Func, 0), 2],
            &[5, info(Kind::Struct, 0), 8],
        ],
        b"\0int\0eight\0",
    );
    let base = Btf::parse(&base).expect("good");
    // Own types begin at [5], own strings at 11.
    let check = |types: &[&[u32]]| {
        let bytes = made_up_btf(types, b"own\0");
        let split = Btf::parse_split(&bytes, &base).expect("good");
        split.check_base().map_err(|e| (e.kind(), e.to_string()))
    };
    let own = |member: u32, size: u32| [11, info(Kind::Struct, 1), size, 5, member, 0];
    assert_eq!(check(&[&own(4, 8), &[0, info(Kind::Ptr, 0), 5]]), Ok(()));
    assert_eq!(check(&[&[0, info(Kind::Array, 0), 0, 4, 1, 2]]), Ok(()));
    for (types, message) in [
        (&own(3, 8)[..], "type [5] has type [3] as its member"),
        (&own(4, 7), "member \"eight\" that does not end within it"),
        (&[12, info(Kind::Fwd, 0), 0], "a name at offset 12"),
        (&[6, info(Kind::Fwd, 0), 0], "a name at offset 6"),
        (&[11, info(Kind::Enum, 1), 4, 2, 0], "a name at offset 2"),
        (&[0, info(Kind::Ptr, 0), 3], "type [3] as its target"),
        (
            &[0, info(Kind::Const, 0), 5],
            "[5] as its target, which leads nowhere",
        ),
        (&[11, info(Kind::Var, 0), 2, 0], "type [2] as its type"),
        (
            &[0, info(Kind::Array, 0), 0, 1, 4, 2],
            "type [4] as its index",
        ),
        (
            &[0, info(Kind::FuncProto, 1), 0, 0, 2],
            "[2] as its parameter",
        ),
        (
            &[11, info(Kind::Datasec, 1), 4, 4, 0, 4],
            "[4] as its variable",
        ),
    ] {
        let (kind, text) = check(&[types]).expect_err(message);
        assert_eq!(kind, ErrorKind::OtherBase);
        assert!(text.contains(message), "{text}");
    }
    let twin = big_endian(&made_up_btf(&[&INT], b"own\0"), 4);
    let error = Btf::parse_split(&twin, &base).expect("good").check_base();
    assert_eq!(error.map_err(|e| e.kind()), Err(ErrorKind::OtherBase));
}

/// Check that BTFs of real kernels are read, and that each has a `task_struct`.
#[test]
fn real_kernels() {
    for kernel in sample_kernels() {
        let bytes = std::fs::read(sample_btf(&kernel)).expect("it is there");
        let btf = Btf::parse(&bytes).expect("good");
        assert!(btf.is_classic());
        let task = btf.types().find(|ty| ty.name() == b"task_struct");
        let size = task.and_then(|ty| ty.size());
        assert!(
            (1000..20_000).contains(&size.unwrap_or_default()),
            "{kernel}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// Check that damage does no harm: the BTF is refused, or every part of it can be read.
    #[test]
    fn damage_does_no_harm(damage in prop::collection::vec((0..200_usize, any::<u8>()), 1..8)) {
        let mut bytes = with_layout(
            &made_up_btf(
                &[
                    &INT,
                    &[0, info(Kind::Array, 0), 0, 1, 1, 7],
                    &[1, info(Kind::Struct, 2), 64, 1, 2, 0, 1, 1, 8],
                    &[0, info(Kind::Enum64, 1), 8, 1, 1, 2],
                    &[0, info(Kind::FuncProto, 1), 1, 1, 2],
                    &[0, 22 << 24 | 1, 1, 1, 2, 3],
                ],
                b"\0int\0",
            ),
            &[0, 0, 0, 0, 4, 0, 0, 0],
        );
        for (at, value) in damage {
            let at = at % bytes.len();
            bytes[at] = value;
        }
        if let Ok(btf) = Btf::parse(&bytes) {
            for ty in btf.types() {
                btf.skip_modifiers_and_typedefs(ty.id());
                btf.resolve_size(ty.id());
                ty.members().for_each(drop);
                ty.enumerators().for_each(drop);
                ty.params().for_each(drop);
            }
            let classic = btf.to_classic().into_owned();
            // The classic form has as many types, and everything that they refer to exists.
            let again = Btf::parse(&classic).expect("it is BTF");
            prop_assert_eq!(again.type_count(), btf.type_count());
        }
    }
}
