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

/// Check that LLVM bitcode is told as such, with the way out.
#[test]
fn bitcode() {
    let dir = tempfile::tempdir().unwrap();
    let object = dir.path().join("app.bpf.o");
    std::fs::write(&object, b"BC\xc0\xde and more").unwrap();
    let pieces = ["app.bpf.o: LLVM bitcode", "help: ", "without -flto"];
    run(btfgen().arg("needs").arg(&object), 1, &pieces);
}
