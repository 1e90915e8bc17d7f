//! Any bytes as a BTF, alone and behind a base: all that can be asked of it, and the form that older readers get.
#![no_main]

use std::sync::LazyLock;

use btfgen_btf::{Btf, ByteOrder, Composer, Header, Kind, Record, Type, TypeId};
use libfuzzer_sys::fuzz_target;

/// What a module's BTF would go on from: an int, and a pointer to it.
static BASE: LazyLock<Btf<'static>> = LazyLock::new(|| {
    let mut types = Composer::new();
    let (int, pointer) = (types.declare(), types.declare());
    let record = Record::Int {
        name: b"long int",
        size: 8,
        encoding: 1,
        offset: 0,
        bits: 64,
    };
    types.define(int, record);
    types.define(pointer, Record::Ptr(Some(int)));
    let bytes = types.write(ByteOrder::Little, &[int, pointer], &Default::default());
    Btf::parse(bytes.expect("it can be written")).expect("what we write is BTF")
});

fuzz_target!(|bytes: &[u8]| {
    match Btf::parse(bytes) {
        Ok(btf) => {
            check(&btf);
            check_classic(&btf, None);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(split) = Btf::parse_split(bytes, &BASE) {
        check(&split);
        assert!(split.type_count() >= BASE.type_count());
        let _ = split.check_base();
        for base in BASE.types() {
            let same = split.type_by_id(base.id()).expect("the base has it");
            assert_eq!((same.kind(), same.name()), (base.kind(), base.name()));
        }
        assert_eq!(split.pointer_size(), BASE.pointer_size());
        check_classic(&split, Some(&BASE));
    }
});

/// Ask everything, and check what must agree.
fn check(btf: &Btf<'_>) {
    // Only split BTF can do without strings of its own.
    if let Ok(header) = Header::parse(btf.bytes()) {
        assert_eq!(header.byte_order(), btf.byte_order());
        assert!(header.btf_len() <= btf.bytes().len() as u64);
    }
    assert!(matches!(btf.pointer_size(), None | Some(4 | 8)));
    let count = btf.type_count();
    assert_eq!(btf.types().count(), count as usize - 1);
    assert!(btf.type_by_id(TypeId(count)).is_none());
    assert!(btf.type_by_id(TypeId(u32::MAX)).is_none());
    assert_eq!(btf.string(0), Some(&b""[..]));
    assert_eq!(btf.string(u32::MAX), None);
    for ty in btf.types() {
        check_type(btf, ty);
    }
}

fn check_type(btf: &Btf<'_>, ty: Type<'_>) {
    let known = |id: TypeId| assert!(btf.type_by_id(id).is_some(), "{ty:?} refers to [{id}]");
    assert_ne!(ty.kind(), Kind::Void);
    assert_eq!(btf.string(ty.name_offset()), Some(ty.name()));
    assert!(ty.size().is_none() || ty.referenced().is_none());
    assert_eq!(ty.int().is_some(), ty.kind() == Kind::Int);
    assert!(ty.long_size().is_none_or(|size| ty.size() == Some(size)));
    ty.referenced().into_iter().for_each(known);
    if let Some(array) = ty.array() {
        [array.element, array.index].into_iter().for_each(known);
    }
    ty.params().for_each(known);
    let is_listed = ty.kind().is_composite() || ty.kind().is_enum();
    assert_eq!(
        ty.members().len() + ty.enumerators().len(),
        if is_listed { ty.len() } else { 0 }
    );
    for (i, member) in (0..).zip(ty.members()) {
        assert_eq!(ty.member(i), Some(member));
        assert!(member.bitfield_size == 0 || ty.kind_flag());
        known(member.ty);
    }
    for (i, enumerator) in (0..).zip(ty.enumerators()) {
        assert_eq!(ty.enumerator(i), Some(enumerator));
    }
    let behind = ty.len() as u32;
    assert!(ty.member(behind).is_none() && ty.enumerator(behind).is_none());
    if let Some(behind) = btf.skip_modifiers_and_typedefs(ty.id()) {
        assert!(!behind.kind().is_modifier_or_typedef());
        if let (Some(size), Some(resolved)) = (behind.size(), btf.resolve_size(ty.id())) {
            assert_eq!(size, resolved);
        }
    }
    // Where no pointer has a part, its size has none.
    if !matches!(ty.kind(), Kind::Ptr | Kind::Array) && ty.size().is_some() {
        assert_eq!(btf.resolve_size_with(ty.id(), 4), ty.size());
    }
}

/// Check that older readers get the same types, but for placeholders.
fn check_classic(btf: &Btf<'_>, base: Option<&Btf<'_>>) {
    let bytes = btf.to_classic();
    let classic = match base {
        None => Btf::parse(&*bytes),
        Some(base) => Btf::parse_split(&*bytes, base),
    };
    let classic = classic.expect("what we write is BTF");
    assert!(classic.is_classic());
    assert!(!btf.is_classic() || *bytes == *btf.bytes());
    assert!(bytes.len() <= btf.bytes().len());
    assert_eq!(classic.type_count(), btf.type_count());
    assert_eq!(*classic.to_classic(), *bytes);
    for (old, new) in classic.types().zip(btf.types()) {
        if !new.is_classic() {
            assert_eq!((old.kind(), old.len()), (Kind::Datasec, 0));
            continue;
        }
        assert!(btfgen_fuzz::is_same(old, new), "{new:?}");
        assert_eq!(old.size(), new.size());
    }
}
