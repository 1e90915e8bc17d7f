//! Types in C's spelling.

use std::collections::HashSet;
use std::process::Command;

use btfgen_btf::{Btf, Kind, TypeId};
use btfgen_testkit::{made_up_btf, sample_btf, sample_kernels};

/// The lines that bpftool writes of a kernel's BTF.
fn bpftool_lines(kernel: &str) -> HashSet<String> {
    let output = Command::new("bpftool")
        .args(["btf", "dump", "file"])
        .arg(sample_btf(kernel))
        .args(["format", "c"])
        .output()
        .expect("bpftool is installed, see scripts/setup");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// Whether bpftool defines a type inside of the declaration, or numbers one of several types of a name.
fn is_spelled_otherwise(declaration: &str, ambiguous: &HashSet<&[u8]>) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut words = declaration.split(|c| !is_name(c));
    declaration.contains('…') || words.any(|word| ambiguous.contains(word.as_bytes()))
}

/// Check that every member of every named struct is spelled as bpftool spells it.
#[test]
fn members_as_bpftool() {
    for kernel in sample_kernels() {
        let bytes = std::fs::read(sample_btf(&kernel)).unwrap();
        let btf = Btf::parse(&bytes).unwrap();
        let (mut seen, mut ambiguous) = (HashSet::new(), HashSet::new());
        for ty in
            btf.types_of(|kind| kind.is_composite() || kind.is_enum() || kind == Kind::Typedef)
        {
            let is_typedef = ty.kind() == Kind::Typedef;
            if !ty.name().is_empty() && !seen.insert((is_typedef, ty.name())) {
                ambiguous.insert(ty.name());
            }
        }
        let lines = bpftool_lines(&kernel);
        let mut members = 0;
        // bpftool leaves out a struct without a name that nothing contains.
        let composites = btf.types_of(Kind::is_composite);
        for ty in composites.filter(|ty| !ty.name().is_empty()) {
            for member in ty.members() {
                let ours = btf.c_member(&member) + ";";
                if !is_spelled_otherwise(&ours, &ambiguous) {
                    assert!(lines.contains(&ours), "{kernel}: {ours} of {ty:?}");
                    members += 1;
                }
            }
        }
        assert!(members > 30_000, "{kernel}: {members}");
    }
}

fn word(kind: Kind, vlen: u32) -> u32 {
    (kind as u32) << 24 | vlen
}

/// Check the spelling of each kind of type, with and without a name.
#[test]
fn spelling() {
    let strings = b"\0int\0s\0f\0a\0user\0caf\xe9\0";
    let (int, s, f, a, user, cafe) = (1, 5, 7, 9, 11, 16);
    let flag = 1 << 31;
    let types: [&[u32]; 16] = [
        &[int, word(Kind::Int, 0), 4, 32],
        &[s, word(Kind::Struct, 0), 0],
        &[0, word(Kind::Ptr, 0), 2],
        &[0, word(Kind::Array, 0), 0, 1, 1, 16],
        // 5: int (*)(int a, ...)
        &[0, word(Kind::Ptr, 0), 6],
        &[0, word(Kind::FuncProto, 2), 1, a, 1, 0, 0],
        &[f, word(Kind::Func, 0), 6],
        // 8: volatile const int
        &[0, word(Kind::Const, 0), 9],
        &[0, word(Kind::Volatile, 0), 1],
        // 10: an array of arrays of pointers to const
        &[0, word(Kind::Array, 0), 0, 11, 1, 2],
        &[0, word(Kind::Array, 0), 0, 12, 1, 3],
        &[0, word(Kind::Ptr, 0), 8],
        &[0, flag | word(Kind::Union, 1), 4, a, 1, 3 << 24],
        &[user, word(Kind::TypeTag, 0), 1],
        // 15: a pointer to an array
        &[0, word(Kind::Ptr, 0), 4],
        &[cafe, flag | word(Kind::Fwd, 0), 0],
    ];
    let bytes = made_up_btf(&types, strings);
    let btf = Btf::parse(&bytes).unwrap();
    for (id, name, declaration) in [
        (0, "void", "void x"),
        (1, "int", "int x"),
        (2, "struct s", "struct s x"),
        (3, "struct s *", "struct s *x"),
        (4, "int[16]", "int x[16]"),
        (5, "int (*)(int a, ...)", "int (*x)(int a, ...)"),
        (6, "int(int a, ...)", "int x(int a, ...)"),
        (7, "int f(int a, ...)", "int x(int a, ...)"),
        (8, "volatile const int", "volatile const int x"),
        (
            10,
            "volatile const int *[2][3]",
            "volatile const int *x[2][3]",
        ),
        (13, "union { … }", "union { … } x"),
        (
            14,
            "int __attribute__((btf_type_tag(\"user\")))",
            "int __attribute__((btf_type_tag(\"user\"))) x",
        ),
        (15, "int(*)[16]", "int (*x)[16]"),
        (16, "union caf\u{fffd}", "union caf\u{fffd} x"),
    ] {
        assert_eq!(btf.c_name(TypeId(id)), name, "{id}");
        assert_eq!(btf.c_declaration(TypeId(id), b"x"), declaration, "{id}");
    }
    let union = btf.type_by_id(TypeId(13)).unwrap();
    assert_eq!(btf.c_member(&union.member(0).unwrap()), "int a: 3");
}
