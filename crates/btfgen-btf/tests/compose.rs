//! Composing and writing BTF.

use std::collections::BTreeSet;

use btfgen_btf::{
    Btf, ByteOrder, Composer, Enumerator, ErrorKind, Kind, Member, Node, Record, Reserved, Result,
    TypeId,
};
use proptest::prelude::*;

fn int<'a>(types: &mut Composer<'a>, name: &'a [u8]) -> Node {
    let node = types.declare();
    let record = Record::Int {
        name,
        size: 4,
        encoding: 1,
        offset: 0,
        bits: 32,
    };
    types.define(node, record);
    node
}

fn member(
    name: &[u8],
    ty: Option<Node>,
    bit_offset: u32,
    bitfield_size: u32,
) -> Member<'_, Option<Node>> {
    Member {
        name,
        ty,
        bit_offset,
        bitfield_size,
    }
}

fn composite<'a>(
    name: &'a [u8],
    members: Vec<Member<'a, Option<Node>>>,
) -> Record<'a, Option<Node>> {
    Record::Composite {
        kind: Kind::Struct,
        name,
        size: 8,
        members,
    }
}

fn write(types: &Composer<'_>, last: &[Node]) -> Result<Vec<u8>> {
    types.write(ByteOrder::Little, last, &Reserved::default())
}

/// `struct list { struct list *next; }`, with any number of copies, each of which points to the next one.
fn lists(count: usize) -> (Composer<'static>, Vec<Node>) {
    let mut types = Composer::new();
    let lists: Vec<Node> = (0..count).map(|_| types.declare()).collect();
    for (n, &list) in lists.iter().enumerate() {
        let next = types.declare();
        types.define(next, Record::Ptr(Some(lists[(n + 1) % count])));
        types.define(
            list,
            composite(b"list", vec![member(b"next", Some(next), 0, 0)]),
        );
    }
    (types, lists)
}

/// Check that copies become one type, also if they refer to each other in a circle, unless they are kept apart.
#[test]
fn equal_types_become_one() {
    let (one, last) = lists(1);
    let once = write(&one, &last).expect("it can be written");
    let (mut many, last) = lists(50);
    assert_eq!(write(&many, &last), Ok(once));
    many.keep_apart(&last[..2]);
    let apart = write(&many, &last).expect("it can be written");
    let apart = Btf::parse(&apart).expect("it is BTF");
    let is_struct = |ty: &btfgen_btf::Type<'_>| ty.kind() == Kind::Struct;
    assert!(apart.types().filter(is_struct).count() > 1);
}

/// Check that each record is read as it was written, in both byte orders.
#[test]
fn records_survive() {
    let minus_one = u64::MAX;
    for order in [ByteOrder::Little, ByteOrder::Big] {
        let mut types = Composer::new();
        let int = int(&mut types, b"int");
        let mut last = Vec::new();
        let mut add = |record| {
            let node = types.declare();
            types.define(node, record);
            last.push(node);
        };
        add(Record::Float(b"double", 8));
        add(Record::Fwd(b"later", true));
        add(Record::Alias(Kind::Typedef, b"t", Some(int)));
        add(Record::Array(Some(int), Some(int), 3));
        add(Record::FuncProto(vec![Some(int), None], Some(int)));
        for (value, wide) in [
            (7, false),
            (minus_one, false),
            (minus_one, true),
            (1 << 40, true),
        ] {
            add(Record::Enum {
                name: b"e",
                size: 8,
                signed: true,
                wide,
                enumerators: vec![Enumerator { name: b"A", value }],
            });
        }
        add(composite(b"s", vec![member(b"m", Some(int), 9, 3)]));
        let bytes = types.write(order, &last, &Reserved::default());
        let bytes = bytes.expect("it can be written");
        let btf = Btf::parse(&bytes).expect("it is BTF");
        assert_eq!((btf.byte_order(), btf.is_classic()), (order, true));
        let mut read = btf.types();
        let mut next = || read.next().expect("it is there");
        let int = next();
        assert_eq!((int.name(), int.size()), (&b"int"[..], Some(4)));
        assert_eq!(int.int().map(|int| int.bits), Some(32));
        let ty = next();
        assert_eq!(
            (ty.kind(), ty.name(), ty.size()),
            (Kind::Float, &b"double"[..], Some(8))
        );
        let ty = next();
        assert_eq!((ty.kind(), ty.kind_flag()), (Kind::Fwd, true));
        let ty = next();
        assert_eq!((ty.name(), ty.referenced()), (&b"t"[..], Some(int.id())));
        assert_eq!(
            next().array().map(|a| (a.element, a.len)),
            Some((int.id(), 3))
        );
        let ty = next();
        let params: Vec<TypeId> = ty.params().collect();
        assert_eq!(
            (params, ty.referenced()),
            (vec![int.id(), TypeId::VOID], Some(int.id()))
        );
        for (value, kind) in [
            (7, Kind::Enum),
            (minus_one, Kind::Enum),
            (minus_one, Kind::Enum64),
            (1 << 40, Kind::Enum64),
        ] {
            let ty = next();
            let read = ty.enumerator(0).map(|e| e.value);
            assert_eq!((ty.kind(), ty.kind_flag(), read), (kind, true, Some(value)));
        }
        let m = next()
            .member(0)
            .map(|m| (m.name, m.ty, m.bit_offset, m.bitfield_size));
        assert_eq!(m, Some((&b"m"[..], int.id(), 9, 3)));
    }
}

/// Check that the composer refuses types that the format cannot express: too many members, and a bitfield whose offset does
/// not fit into 24 bits.
#[test]
fn limits() {
    let try_to_write = |members| {
        let mut types = Composer::new();
        let s = types.declare();
        types.define(s, composite(b"s", members));
        write(&types, &[s]).map_err(|e| e.kind())
    };
    let refused = Err(ErrorKind::Inexpressible);
    assert_eq!(try_to_write(vec![member(b"m", None, 1 << 24, 3)]), refused);
    assert!(try_to_write(vec![member(b"m", None, 1 << 24, 0)]).is_ok());
    assert!(try_to_write(vec![member(b"m", None, (1 << 24) - 1, 3)]).is_ok());
    assert_eq!(
        try_to_write(vec![member(b"m", None, 0, 0); 1 << 16]),
        refused
    );
}

/// Check that a type which is placed first has the first number, also where others refer to it.
#[test]
fn first_type() {
    let mut types = Composer::new();
    let (int, other) = (int(&mut types, b"int"), int(&mut types, b"other"));
    let s = types.declare();
    let members = vec![
        member(b"a", Some(other), 0, 0),
        member(b"b", Some(int), 32, 0),
    ];
    types.define(s, composite(b"s", members));
    types.place_first(int);
    let bytes = write(&types, &[s]).expect("it can be written");
    let btf = Btf::parse(&bytes).expect("it is BTF");
    let names: Vec<&[u8]> = btf.types().map(|ty| ty.name()).collect();
    assert_eq!(names, [&b"int"[..], b"other", b"s"]);
}

/// Check that reserved names have their places, used or not, within their budget.
#[test]
fn reserved_names() {
    let names: BTreeSet<Vec<u8>> = [&b"a"[..], b"bb", b"z"].map(<[u8]>::to_vec).into();
    let strings = |name: &'static [u8], budget| {
        let mut types = Composer::new();
        let node = int(&mut types, name);
        let reserved = Reserved {
            names: Some(&names),
            budget,
        };
        let bytes = types.write(ByteOrder::Little, &[node], &reserved);
        bytes.expect("it can be written").split_off(24 + 16)
    };
    assert_eq!(strings(b"z", 5), b"\0\0\0\0\0\0z\0");
    assert_eq!(strings(b"bb", 4), b"\0\0\0bb\0\0\0");
    assert_eq!(strings(b"bb", 3), b"\0bb\0");
}

proptest! {
    /// Check that the bytes do not depend on the order in which types are declared and defined.
    #[test]
    fn order_does_not_count(order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle()) {
        let made = |order: &[usize]| {
            let mut types = Composer::new();
            let mut nodes = [None; 6];
            for &n in order {
                nodes[n] = Some(types.declare());
            }
            let to = |n: usize| nodes[n];
            for &n in order {
                let record = match n {
                    0 => Record::Float(b"f", 8),
                    1 => Record::Ptr(to(2)),
                    2 => composite(b"s", vec![member(b"p", to(1), 0, 0), member(b"a", to(3), 64, 0)]),
                    3 => Record::Array(to(4), to(4), 2),
                    4 => Record::Float(b"f", 8),
                    _ => composite(b"t", vec![member(b"f", to(0), 0, 0), member(b"p", to(1), 64, 0)]),
                };
                types.define(nodes[n].expect("it is declared"), record);
            }
            let last = [nodes[5], nodes[2]].map(|node| node.expect("it is declared"));
            write(&types, &last).expect("it can be written")
        };
        prop_assert_eq!(made(&order), made(&[0, 1, 2, 3, 4, 5]));
    }
}
