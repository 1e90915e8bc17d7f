//! `btfgen needs`

use serde_json::Value;

use crate::suite::{btfgen, object, run, stdout};

/// The needs of a JSON report.
fn needs(json: &[u8]) -> Vec<Value> {
    let report: Value = serde_json::from_slice(json).unwrap();
    report["needs"].as_array().unwrap().clone()
}

/// Check that relocations are a table with source lines, and that `--verbose` adds all places.
#[test]
fn table() {
    let short = stdout(btfgen().arg("needs").arg(object()));
    assert!(short.starts_with("KIND "), "{short}");
    let line = short.lines().find(|l| l.contains("struct task_struct"));
    assert!(line.unwrap().contains("execsnoop.bpf.c:"), "{short}");
    let long = stdout(btfgen().args(["needs", "-v"]).arg(object()));
    assert!(long.contains("    execsnoop.bpf.o: "), "{long}");
    assert_eq!(stdout(btfgen().args(["needs", "-vv"]).arg(object())), long);
}

/// Check that an object that is given twice asks nothing new, and that all its uses are counted.
#[test]
fn distinct() {
    let json = |count: usize| -> Vec<Value> {
        let mut command = btfgen();
        command
            .args(["needs", "--json"])
            .args(vec![object(); count]);
        needs(stdout(&mut command).as_bytes())
    };
    let (once, twice) = (json(1), json(2));
    assert!(!once.is_empty());
    assert_eq!(once.len(), twice.len());
    for (once, twice) in once.iter().zip(&twice) {
        let uses = |need: &Value| need["places"].as_array().unwrap().len();
        assert_eq!(uses(once) * 2, uses(twice));
        for key in ["kind", "type", "path"] {
            assert!(once[key].is_string());
            assert_eq!(once[key], twice[key]);
        }
    }
}

/// Check that an object without relocations is no error.
#[test]
fn none() {
    for name in ["no-relocations", "maps"] {
        let object = btfgen_testkit::object(name);
        let pieces = ["has no CO-RE relocations"];
        let output = run(btfgen().arg("needs").arg(&object), 0, &pieces);
        assert_eq!(output.stdout, b"");
        let output = run(btfgen().args(["needs", "--json"]).arg(&object), 0, &pieces);
        assert!(needs(&output.stdout).is_empty());
    }
}

/// Check that what libbpf refuses whatever the kernel is told with its source line and the reason, in text and in JSON; the
/// report succeeds, because a program that is never loaded may have such a relocation.
#[test]
fn refused() {
    let object = btfgen_testkit::object("refused");
    let pieces = [
        "warning: libbpf refuses to load objects with these relocations on any kernel:\n",
        "byte_off struct nonsense.four[5], ",
        "refused.bpf.c:",
        "an index is out of range",
        "a bitfield spans more than 8 bytes",
        "help: read the bytes around the bitfield",
        "help: correct the access in the program",
        "help: give the struct in the program a name",
    ];
    run(btfgen().args(["needs", "-v"]).arg(&object), 0, &pieces);
    let output = run(
        btfgen().args(["needs", "-v", "--json"]).arg(&object),
        0,
        &pieces,
    );
    let needs = needs(&output.stdout);
    let refusal = |path: &str| {
        let need = needs.iter().find(|need| need["path"] == path);
        &need.unwrap()["refusal"]
    };
    assert_eq!(*refusal("four[5]"), "invalid");
    assert_eq!(*refusal("four[3]"), Value::Null);
}

/// Check that a signed long that is loaded directly is told with its source line and the way out, in text and in JSON, and no
/// other way to read it.
#[test]
fn refused_on_32_bits() {
    for object in ["words", "words.eb"] {
        let object = btfgen_testkit::object(object);
        let pieces = [
            "warning: libbpf makes these loads and stores invalid on 32-bit kernels",
            "byte_off struct words.direct, ",
            "words.bpf.c:25: the field has another size",
            "help: read the field with BPF_CORE_READ_BITFIELD_PROBED",
        ];
        let output = run(btfgen().args(["needs", "--json"]).arg(&object), 0, &pieces);
        let needs = needs(&output.stdout);
        let refused = needs
            .iter()
            .filter(|need| need["refusal_on_32_bits"] == "size_mismatch");
        let mut paths: Vec<&str> = refused.map(|need| need["path"].as_str().unwrap()).collect();
        paths.sort_unstable();
        assert_eq!(paths, ["direct", "guarded"]);
        let direct = needs.iter().find(|need| need["path"] == "direct").unwrap();
        assert!(direct["help"].as_str().unwrap().contains("BITFIELD"));
        assert_eq!(direct["refusal"], Value::Null);
        assert_eq!(direct["places"][0]["access_bytes"], 8);
    }
}

/// Check that LLVM bitcode is told as such, with the way out.
#[test]
fn bitcode() {
    let dir = tempfile::tempdir().unwrap();
    let object = dir.path().join("app.bpf.o");
    std::fs::write(&object, b"BC\xc0\xde and more").unwrap();
    let pieces = ["app.bpf.o: LLVM bitcode", "help: ", "without -flto"];
    run(btfgen().arg("needs").arg(&object), 1, &pieces);
}
