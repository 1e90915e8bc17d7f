//! Other readers of BTF agree with libbpf about our BTFs: btf-rs, which does not use libbpf, and bpftool.

use btf_rs::{BtfType as _, Type};
use btfgen::LoadedBtf;

use super::util::{btf, kernels, minimal, name, needs, objects, run};

/// Check that bpftool dumps all types of our BTFs.
#[test]
fn bpftool_dumps_them() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let file = dir.path().join("minimal.btf");
    for (kernel, path) in kernels() {
        let full = btf(&path);
        for object in btfgen_testkit::objects() {
            let bytes = minimal(&needs(&object), &full);
            let case = format!("{kernel} for {}", name(&object));
            std::fs::write(&file, &bytes).expect("the temporary folder can be written");
            let args = ["btf", "dump", "file"].map(std::ffi::OsStr::new);
            let out = run("bpftool", &[args.as_slice(), &[file.as_os_str()]].concat());
            assert!(
                out.status.success(),
                "{case}: {}",
                String::from_utf8_lossy(&out.stderr)
            );
            let dumped = out
                .stdout
                .split(|b| *b == b'\n')
                .filter(|l| l.starts_with(b"["))
                .count();
            let types = LoadedBtf::parse(&bytes)
                .expect("what we write is BTF")
                .type_count()
                - 1;
            assert_eq!(dumped, types as usize, "{case}");
        }
    }
}

/// Check that btf-rs sees the same types, names, sizes and members in our BTFs as libbpf.
#[test]
fn btf_rs_agrees_with_libbpf() {
    let objects: Vec<_> = objects().into_iter().map(|o| (needs(&o), o)).collect();
    let mut types = 0;
    for (kernel, path) in kernels() {
        let full = btf(&path);
        for (needs, object) in &objects {
            let bytes = minimal(needs, &full);
            let case = format!("{kernel} for {}", name(object));
            types += compare(&case, &bytes);
        }
    }
    assert!(types > 0, "there were types to compare");
    println!("{types} types");
}

fn compare(case: &str, bytes: &[u8]) -> u32 {
    let ours = LoadedBtf::parse(bytes).unwrap_or_else(|e| panic!("{case}: {e}"));
    let theirs = btf_rs::Btf::from_bytes(bytes).unwrap_or_else(|e| panic!("{case}: {e}"));
    for id in ours.ids() {
        let a = ours.type_by_id(id).expect("an id of the BTF");
        let b = theirs
            .resolve_type_by_id(id.0)
            .unwrap_or_else(|e| panic!("{case}: type [{id}]: {e}"));
        let kind = format!("{:?}", a.kind()).to_lowercase();
        assert_eq!(
            b.name().replace(['-', '_'], ""),
            kind,
            "{case}: type [{id}]"
        );
        if !a.name().is_empty() {
            let named = b.as_btf_type().expect("a named type has a name");
            let b_name = theirs.resolve_name(named).expect("the name is there");
            assert_eq!(b_name.as_bytes(), a.name(), "{case}: type [{id}]");
        }
        match &b {
            Type::Int(t) => {
                assert_eq!(Some(t.size() as u32), a.size(), "{case}: type [{id}]");
                assert_eq!(
                    t.is_signed(),
                    a.int().is_some_and(|int| int.encoding & 1 == 1),
                    "{case}: type [{id}]"
                );
            }
            Type::Struct(t) | Type::Union(t) => {
                assert_eq!(Some(t.size() as u32), a.size(), "{case}: type [{id}]");
                assert_eq!(t.members.len(), a.members().len(), "{case}: type [{id}]");
                for (m, n) in t.members.iter().zip(a.members()) {
                    assert_eq!(m.bit_offset(), n.bit_offset, "{case}: type [{id}]");
                    assert_eq!(
                        m.bitfield_size().unwrap_or(0),
                        n.bitfield_size,
                        "{case}: type [{id}]"
                    );
                    assert_eq!(m.get_type_id().unwrap_or(0), n.ty.0, "{case}: type [{id}]");
                    let m_name = theirs.resolve_name(m).unwrap_or_default();
                    assert_eq!(m_name.as_bytes(), n.name, "{case}: type [{id}]");
                }
            }
            Type::Array(t) => {
                assert_eq!(
                    t.len(),
                    a.array().map_or(0, |x| x.len as usize),
                    "{case}: type [{id}]"
                );
            }
            Type::Enum(t) => assert_eq!(t.members.len(), a.len(), "{case}: type [{id}]"),
            Type::Enum64(t) => assert_eq!(t.members.len(), a.len(), "{case}: type [{id}]"),
            _ => {}
        }
    }
    assert!(
        theirs.resolve_type_by_id(ours.type_count()).is_err(),
        "{case}: btf-rs sees more types"
    );
    ours.type_count() - 1
}
