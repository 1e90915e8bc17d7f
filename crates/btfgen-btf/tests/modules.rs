//! A kernel's BTF together with those of its modules.

use btfgen_btf::{Btf, ErrorKind, Kind, Type, TypeId};
use btfgen_testkit::made_up_btf;

const INT: [u32; 4] = [1, 1 << 24, 4, 32];

/// The strings of the kernel: `int` at 1.
const STRINGS: &[u8] = b"\0int\0";

fn info(kind: Kind, vlen: u32) -> u32 {
    (kind as u32) << 24 | vlen
}

/// A module with a type of every kind that refers to names or types: its own from type 2 and name 5 on.
fn module(name: &[u8]) -> Vec<u8> {
    let types: [&[u32]; 12] = [
        &[5, info(Kind::Struct, 2), 8, 1, 1, 0, 7, 3, 32],
        &[0, info(Kind::Ptr, 0), 2],
        &[0, info(Kind::Array, 0), 0, 2, 1, 3],
        &[5, info(Kind::Enum, 1), 4, 7, 3],
        &[5, info(Kind::Enum64, 1), 8, 7, 3, 6],
        &[0, info(Kind::FuncProto, 2), 1, 7, 2, 0, 3],
        &[5, info(Kind::Func, 0), 7],
        &[5, info(Kind::Var, 0), 2, 1],
        &[7, info(Kind::Datasec, 1), 8, 9, 0, 8],
        &[7, info(Kind::DeclTag, 0), 2, 1],
        &[5, info(Kind::Typedef, 0), 2],
        // Linux 7.3's location parameter, which older readers do not know.
        &[0, 20 << 24, 4, 0],
    ];
    let strings = [name, b"\0x\0"].concat();
    made_up_btf(&types, &strings)
}

/// Everything that a type says, with its references as names.
fn facts(btf: &Btf<'_>, ty: Type<'_>) -> String {
    let name = |id: TypeId| btf.type_by_id(id).map(|ty| (ty.kind(), ty.name()));
    let array = ty.array().map(|a| (name(a.element), name(a.index), a.len));
    let members = ty.members().map(|m| (m.name, name(m.ty), m.bit_offset));
    let sections = match ty.kind() {
        Kind::Datasec => ty.words().u32(12).map(TypeId).and_then(name),
        _ => None,
    };
    format!(
        "{:?} {:?} {:?} {:?} {array:?} {:?} {:?} {:?} {sections:?}",
        ty.kind(),
        ty.name(),
        ty.size(),
        ty.referenced().map(name),
        members.collect::<Vec<_>>(),
        ty.enumerators().collect::<Vec<_>>(),
        ty.params().map(name).collect::<Vec<_>>(),
    )
}

/// Check that the types of all modules follow those of the kernel, say the same as in their own BTFs, and are known as
/// their modules'.
#[test]
fn modules_are_joined() {
    let kernel = made_up_btf(&[&INT], STRINGS);
    let kernel = Btf::parse(&kernel).expect("it is good");
    let parts = [
        ("a", module(b"p")),
        ("b", module(b"q")),
        ("c", module(b"r")),
    ];
    let all = kernel.with_modules(parts.iter().map(|(name, btf)| (*name, &btf[..])));
    let all = all.expect("the modules fit");
    assert!(all.has_modules() && all.is_classic());
    assert_eq!(all.module_of(TypeId(1)), None);
    let mut id = 2;
    for (name, bytes) in &parts {
        let own = Btf::parse_split(bytes, &kernel).expect("it is good");
        for ty in own.types().skip(1) {
            let joined = all.type_by_id(TypeId(id)).expect("it is there");
            assert_eq!(all.module_of(TypeId(id)), Some(*name));
            id += 1;
            if ty.is_classic() {
                assert_eq!(facts(&all, joined), facts(&own, ty));
            } else {
                assert_eq!((joined.kind(), joined.name()), (Kind::Datasec, &b""[..]));
            }
        }
    }
    assert_eq!(all.type_count(), id);
    assert!(!kernel.has_modules());
}

/// Check that the error of a module that does not fit names the module.
#[test]
fn modules_that_do_not_fit() {
    let kernel = made_up_btf(&[&INT], STRINGS);
    let kernel = Btf::parse(&kernel).expect("it is good");
    let dangling = made_up_btf(&[&[0, info(Kind::Ptr, 0), 9]], b"p\0");
    let mut big_endian = module(b"p");
    big_endian[..4].copy_from_slice(&[0xeb, 0x9f, 1, 0]);
    let words = big_endian.len() - 4;
    for word in big_endian[4..words].chunks_exact_mut(4) {
        word.reverse();
    }
    for (bytes, kind, message) in [
        (&dangling, ErrorKind::Dangling, "module m: type [2] refers"),
        (
            &big_endian,
            ErrorKind::Damaged,
            "module m: it has another byte order",
        ),
        (&b"no".to_vec(), ErrorKind::NotBtf, "module m: "),
    ] {
        let error = kernel
            .with_modules([("m", &bytes[..])])
            .expect_err("it does not fit");
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().starts_with(message), "{error}");
    }
}
