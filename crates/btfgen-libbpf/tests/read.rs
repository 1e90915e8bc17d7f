//! Compares btfgen's reader of BTF with libbpf's.

use std::ffi::CStr;
use std::ptr::NonNull;

use btfgen_btf::{Btf, Kind, TypeId};
use btfgen_object::Sections;
use btfgen_testkit::{made_up_btf, object, object_names, sample_btf, sample_kernels};

/// The `.BTF` sections of all objects in both byte orders, and some real kernels.
fn real_btfs() -> impl Iterator<Item = (String, Vec<u8>)> {
    let objects = object_names().into_iter();
    let objects = objects
        .filter(|name| name != "no-btf")
        .flat_map(|name| [name.clone(), format!("{name}.eb")])
        .map(|name| {
            let file = std::fs::read(object(&name)).expect("it is there");
            let sections = Sections::of(&file).expect("the object is good");
            (name, sections.btf.to_vec())
        });
    let kernels = sample_kernels().into_iter().step_by(3);
    objects.chain(kernels.map(|kernel| {
        let path = sample_btf(&kernel);
        (kernel, std::fs::read(path).expect("it is there"))
    }))
}

/// libbpf's facts of a type: name, info word, size or type, and resolved size.
fn as_libbpf_sees_it(raw: NonNull<libbpf_sys::btf>, id: u32) -> (Vec<u8>, u32, u32, Option<u32>) {
    // SAFETY: the BTF is valid, and libbpf checks ids and offsets; the test's BTFs have only good ones.
    unsafe {
        let ty = &*libbpf_sys::btf__type_by_id(raw.as_ptr(), id);
        let name = libbpf_sys::btf__name_by_offset(raw.as_ptr(), ty.name_off);
        let size = libbpf_sys::btf__resolve_size(raw.as_ptr(), id);
        let name = CStr::from_ptr(name).to_bytes().to_vec();
        (
            name,
            ty.info,
            ty.__bindgen_anon_1.size,
            size.try_into().ok(),
        )
    }
}

/// Requires that libbpf sees the same types.
fn compare(case: &str, bytes: &[u8]) {
    let btf = Btf::parse(bytes).expect("it is good");
    let size = bytes.len().try_into().expect("it is small");
    // SAFETY: the pointer and the length are those of one live slice, which libbpf copies.
    let raw = NonNull::new(unsafe { libbpf_sys::btf__new(bytes.as_ptr().cast(), size) });
    let raw = raw.expect("libbpf takes it");
    // SAFETY: the BTF is valid.
    let (count, pointer_size) = unsafe {
        (
            libbpf_sys::btf__type_cnt(raw.as_ptr()),
            libbpf_sys::btf__pointer_size(raw.as_ptr()),
        )
    };
    assert_eq!(btf.type_count(), count, "{case}");
    assert!(btf.type_by_id(TypeId(count)).is_none(), "{case}");
    // libbpf answers 0 if no type gives the size.
    let own = btf.pointer_size().unwrap_or(0);
    // size_t is another type on targets of 32 bits.
    assert_eq!(usize::try_from(pointer_size), Ok(own as usize), "{case}");
    if own == 0 {
        // libbpf would take the size of this host's pointers.
        // SAFETY: the BTF is valid.
        unsafe { libbpf_sys::btf__set_pointer_size(raw.as_ptr(), 8) };
    }
    for id in 0..count {
        let ty = btf.type_by_id(TypeId(id)).expect("it is in range");
        let (name, info, word, size) = as_libbpf_sees_it(raw, id);
        assert_eq!(ty.name(), name, "{case}: {ty:?}");
        assert_eq!(ty.kind(), Kind::of_number(info >> 24 & 0x1f), "{case}");
        assert_eq!(ty.kind_flag(), info >> 31 == 1, "{case}: {ty:?}");
        assert_eq!(ty.len(), (info & 0xffff) as usize, "{case}: {ty:?}");
        if let Some(own) = ty.size().or(ty.referenced().map(|id| id.0)) {
            assert_eq!(own, word, "{case}: {ty:?}");
        }
        assert_eq!(btf.resolve_size(TypeId(id)), size, "{case}: {ty:?}");
    }
    // SAFETY: it is not used again.
    unsafe { libbpf_sys::btf__free(raw.as_ptr()) }
}

/// Check that libbpf sees the same types and sizes in all objects and in real kernels.
#[test]
fn types_are_those_of_libbpf() {
    for (case, bytes) in real_btfs() {
        compare(&case, &bytes);
    }
}

/// Check that unusual sizes are those of libbpf: arrays without elements, of void and of too many bytes, and endless
/// chains.
#[test]
fn sizes_at_the_edges() {
    let info = |kind: Kind| (kind as u32) << 24;
    let int = vec![1, info(Kind::Int), 4, 32];
    let array = |element, len| vec![0, info(Kind::Array), 0, element, 1, len];
    let mut types: Vec<Vec<u32>> = vec![
        int.clone(),
        array(1, 0),
        array(2, u32::MAX),
        array(1, (1 << 29) - 1),
        array(4, 1),
        array(0, 3),
        array(7, 1),
    ];
    for next in 8..48 {
        types.push(vec![0, info(Kind::Const), next + 1]);
    }
    types.push(int);
    let types: Vec<&[u32]> = types.iter().map(Vec::as_slice).collect();
    let bytes = made_up_btf(&types, b"\0int\0");
    compare("made up", &bytes);
}
