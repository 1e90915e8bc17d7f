//! Signatures of made-up types.

use super::*;
use crate::ErrorKind;
use crate::error::Error;
use crate::path::accessor_path;
use crate::relo_kind::ReloKind::{
    EnumvalValue, FieldByteOffset, FieldExists, TypeExists, TypeIdLocal, TypeMatches, TypeSize,
};
use crate::testing::{info, section};
use btfgen_btf::Btf;

const INT: [u32; 4] = [1, 1 << 24, 4, 1 << 24 | 32];

fn ask(btf: &Btf<'_>, kind: ReloKind, root: u32, accessors: &[u32]) -> Result<String, Error> {
    let relocation = Relocation {
        kind,
        root: TypeId(root),
        accessors: accessors.to_vec(),
    };
    let signature = signature(&mut Walk::new(btf), &relocation)?;
    accessor_path(&mut Walk::new(btf), &relocation)?;
    Ok(String::from_utf8(signature.0).expect("the names are UTF-8"))
}

/// Strings, each of which can be found by its text.
struct Strings(Vec<u8>);

impl Strings {
    fn new(all: &[&str]) -> Self {
        Self(format!("\0{}\0", all.join("\0")).into())
    }

    fn at(&self, name: &str) -> u32 {
        let terminated = format!("{name}\0");
        let found = self
            .0
            .windows(terminated.len())
            .position(|w| w == terminated.as_bytes());
        found.expect("it is one of them") as u32
    }
}

/// Check that signatures have the form of the README's specification, because archives hold digests of them.
#[test]
fn form() {
    let s = Strings::new(&["int", "a", "b", "s___old", "e", "ONE", "cb", "w", "bits"]);
    let at = |name| s.at(name);
    let bytes = section(
        &[
            // [1] int, [2] int[3][2], [3] enum e { ONE }, [4] union w; [5] int (*)(struct s *), [6], [7]
            &[at("int"), 1 << 24, 4, 1 << 24 | 32],
            &[0, info(Kind::Array, 0), 0, 8, 1, 2],
            &[at("e"), info(Kind::Enum, 1), 4, at("ONE"), 1],
            &[at("w"), 1 << 31 | info(Kind::Fwd, 0), 0],
            &[0, info(Kind::Ptr, 0), 6],
            &[0, info(Kind::FuncProto, 1), 1, 0, 7],
            &[0, info(Kind::Ptr, 0), 9],
            &[0, info(Kind::Array, 0), 0, 1, 1, 3],
            // [9] struct s___old { int a[3][2]; union { cb b; }; enum e e; union w *w; int bits : 3; }
            &[
                at("s___old"),
                1 << 31 | info(Kind::Struct, 5),
                64,
                at("a"),
                2,
                0,
                0,
                10,
                192,
                at("e"),
                3,
                256,
                at("w"),
                12,
                320,
                at("bits"),
                1,
                3 << 24 | 384,
            ],
            &[0, info(Kind::Union, 1), 8, at("b"), 11, 0],
            &[at("cb"), info(Kind::Typedef, 0), 5],
            &[0, info(Kind::Ptr, 0), 4],
        ],
        &s.0,
    );
    let btf = Btf::parse(&bytes).expect("good");
    for (kind, root, accessors, expected) in [
        (
            FieldByteOffset,
            9,
            &[0, 0, 1][..],
            "0 s s [0].a:aai[1]=ai4,1",
        ),
        (FieldByteOffset, 9, &[0, 1, 0], "0 s s [0].b:p=p8,0"),
        (FieldByteOffset, 9, &[0, 4], "0 s s [0].bits:i#"),
        (FieldExists, 9, &[1, 2], "2 s s [1].e:ee="),
        (FieldExists, 9, &[0, 5], "2 s s !:0:5"),
        (FieldExists, 4, &[0], "2 w w [0]=?"),
        (TypeIdLocal, 9, &[0], "6 s 9s___old "),
        (TypeExists, 11, &[0], "8 t cb pP(ps)i0"),
        (TypeSize, 4, &[0], "9 w w ?wu"),
        (TypeSize, 9, &[0, 0], "9 s s !s"),
        (EnumvalValue, 3, &[0], "11 e e ::ONE"),
        (EnumvalValue, 3, &[1], "11 e e !:1"),
        (
            TypeMatches,
            9,
            &[0],
            "12 s s ss;{a;a;2;a;3;iint;04;1;u;{b;p;P;(p;ss;)iint;04;1}e;ee;4{ONE;}w;p;ww;ubits;iint;04;1}",
        ),
    ] {
        let signature = ask(&btf, kind, root, accessors);
        assert_eq!(signature.as_deref(), Ok(expected));
    }
}

/// Check that a signature does not depend on ids, offsets, sizes of fields that are not loaded, modifiers, typedefs and
/// flavours.
#[test]
fn layout_does_not_count() {
    let s = Strings::new(&["int", "f", "g", "s", "s___x", "u32"]);
    let at = |name| s.at(name);
    let one = section(
        &[&INT, &[at("s"), info(Kind::Struct, 1), 4, at("f"), 1, 0]],
        &s.0,
    );
    let two = section(
        &[
            &[
                at("s___x"),
                info(Kind::Struct, 2),
                72,
                at("g"),
                4,
                0,
                at("f"),
                2,
                512,
            ],
            &[0, info(Kind::Const, 0), 3],
            &[at("u32"), info(Kind::Typedef, 0), 4],
            &INT,
        ],
        &s.0,
    );
    let (one, two) = (
        Btf::parse(&one).expect("good"),
        Btf::parse(&two).expect("good"),
    );
    for &kind in ReloKind::ALL.iter().filter(|kind| kind.is_field()) {
        assert_eq!(ask(&one, kind, 2, &[0, 0]), ask(&two, kind, 1, &[0, 1]));
        assert_ne!(ask(&one, kind, 2, &[0, 0]), ask(&two, kind, 1, &[0, 0]));
    }
    assert_eq!(
        ask(&one, TypeExists, 2, &[0]),
        ask(&two, TypeExists, 1, &[0])
    );
    assert_ne!(
        ask(&one, TypeMatches, 2, &[0]),
        ask(&two, TypeMatches, 1, &[0])
    );
}

fn kinds_of_errors(types: &[Vec<u32>], strings: &[u8], root: u32) -> Vec<Option<ErrorKind>> {
    let types: Vec<&[u32]> = types.iter().map(Vec::as_slice).collect();
    let bytes = section(&types, strings);
    let btf = Btf::parse(&bytes).expect("good");
    [FieldExists, TypeExists, TypeSize, TypeMatches]
        .map(|kind| {
            let asked = ask(&btf, kind, root, &[0, 0, 0, 0]);
            asked.err().map(|e| e.kind())
        })
        .to_vec()
}

/// Check that types that contain themselves are refused only where a walk would be endless.
#[test]
fn endless_types() {
    let too_large = Some(ErrorKind::TooLarge);
    let pointer = vec![0, info(Kind::Ptr, 0), 1];
    assert_eq!(
        kinds_of_errors(&[pointer], b"\0", 1),
        [None, too_large, too_large, too_large]
    );
    let array = vec![0, info(Kind::Array, 0), 0, 1, 1, 1];
    assert_eq!(
        kinds_of_errors(&[array], b"\0", 1),
        [None, too_large, too_large, too_large]
    );
    let prototype = vec![0, info(Kind::FuncProto, 1), 1, 0, 1];
    assert_eq!(
        kinds_of_errors(&[prototype], b"\0", 1),
        [None, too_large, too_large, too_large]
    );
    let own = vec![1, info(Kind::Struct, 1), 8, 1, 1, 0];
    assert_eq!(
        kinds_of_errors(&[own], b"\0a\0", 1),
        [None, None, None, too_large]
    );
}

/// Check that a relocation which libbpf refuses on every kernel has another signature than one that it accepts: an index
/// beyond the local array, and a bitfield that no load reads. An array also differs from its element, because libbpf resizes
/// loads of it by other rules.
#[test]
fn local_types_count_where_libbpf_looks_at_them() {
    let s = Strings::new(&["int", "s", "a", "flex", "b"]);
    let at = |name| s.at(name);
    let array = |element, len| [0, info(Kind::Array, 0), 0, element, 1, len];
    let of = |len, width_and_offset: u32| {
        section(
            &[
                &[at("int"), 1 << 24, 8, 64],
                &array(1, len),
                &array(1, 0),
                &[
                    at("s"),
                    1 << 31 | info(Kind::Struct, 4),
                    128,
                    at("a"),
                    2,
                    0,
                    at("a"),
                    3,
                    512,
                    at("b"),
                    1,
                    width_and_offset,
                    at("flex"),
                    3,
                    1024,
                ],
                &array(2, 3),
            ],
            &s.0,
        )
    };
    let (four, eight) = (of(4, 60 << 24 | 512), of(8, 60 << 24 | 520));
    let four = Btf::parse(&four).expect("good");
    let eight = Btf::parse(&eight).expect("good");
    let far = &[0, 0, 5];
    for (btf, kind, root, accessors, expected) in [
        (&four, FieldExists, 4, &far[..], "2 s s [0].a:ai[5!]="),
        (&eight, FieldExists, 4, far, "2 s s [0].a:ai[5]="),
        // Only the last member of a struct is a flexible array.
        (&four, FieldExists, 4, &[0, 1, 0], "2 s s [0].a:ai[0!]="),
        (&four, FieldExists, 4, &[0, 3, 9], "2 s s [0].flex:ai[9]="),
        (&four, FieldByteOffset, 4, &[0, 2], "0 s s [0].b:i#"),
        (&eight, FieldByteOffset, 4, &[0, 2], "0 s s [0].b:i#!"),
        (&eight, FieldExists, 4, &[0, 2], "2 s s [0].b:i#"),
        // If the struct is not the first of an array, the bitfield begins in the middle of a load.
        (&four, FieldByteOffset, 4, &[1, 2], "0 s s [1].b:i#"),
        (&four, FieldByteOffset, 5, &[0], "0 a  [0]=aai8,0"),
        (&four, FieldByteOffset, 5, &[0, 2], "0 a  [0][2]=ai8,0"),
        (&four, FieldByteOffset, 5, &[0, 2, 3], "0 a  [0][2][3]=i8,0"),
    ] {
        assert_eq!(ask(btf, kind, root, accessors).as_deref(), Ok(expected));
    }
}

/// Check that members that double at every level are refused, and long names that are repeated, too.
#[test]
fn expansion() {
    let mut doubling: Vec<Vec<u32>> = vec![INT.to_vec()];
    for inner in 1..=40 {
        doubling.push(vec![0, info(Kind::Struct, 2), 4, 0, inner, 0, 0, inner, 0]);
    }
    let expected = [None, None, None, Some(ErrorKind::TooLarge)];
    assert_eq!(kinds_of_errors(&doubling, b"\0int\0", 41), expected);
    assert_eq!(kinds_of_errors(&doubling, b"\0int\0", 9), [None; 4]);

    let name = [b"\0", &vec![b'n'; 1 << 20][..], b"\0"].concat();
    let mut repeating = vec![1, info(Kind::Struct, 1000), 4];
    repeating.extend([1, 2, 0].repeat(1000));
    let types = [repeating, vec![0, info(Kind::Struct, 0), 0]];
    assert_eq!(kinds_of_errors(&types, &name, 1), expected);
}

/// Check that all signatures of an object share one budget.
#[test]
fn budget_is_shared() {
    let name = [b"\0", &vec![b'n'; 1 << 20][..], b"\0"].concat();
    let bytes = section(&[&INT], &name);
    let btf = Btf::parse(&bytes).expect("good");
    let mut walk = Walk::new(&btf);
    let relocation = Relocation {
        kind: TypeExists,
        root: TypeId(1),
        accessors: vec![0],
    };
    let signatures = (0..100).map_while(|_| signature(&mut walk, &relocation).ok());
    assert!((25..35).contains(&signatures.count()));
}

/// Check that this crate accepts nesting as deep as the engine accepts.
#[test]
fn depth() {
    let mut types: Vec<Vec<u32>> = vec![INT.to_vec()];
    for inner in 1..=200 {
        types.push(vec![1, info(Kind::Struct, 1), 4, 1, inner, 0]);
    }
    assert_eq!(kinds_of_errors(&types, b"\0int\0", 128)[3], None);
    let too_large = Some(ErrorKind::TooLarge);
    assert_eq!(kinds_of_errors(&types, b"\0int\0", 200)[3], too_large);
}

/// Check the definition of the digest: gzip's CRC-32, over each signature once, in sorted order.
#[test]
fn digests() {
    let signature = |s: &str| Signature(s.into());
    assert_eq!(digest_of([]), 0);
    let (a, b) = (signature("1234"), signature("678"));
    assert_eq!(digest_of([&b, &a, &b]), crc32fast::hash(b"1234\x00678\0"));
    // Specifications of this CRC give this value for the nine digits.
    assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
}
