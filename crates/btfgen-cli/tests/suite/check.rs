//! `btfgen check`

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};

use crate::suite::{NEW, OLD, btfgen, hub, run, stdout};

/// `btfgen check` of an object that does not load on Linux 5.10, over kernels of `x86_64`.
fn check() -> Command {
    let mut command = btfgen();
    let object = btfgen_testkit::object("guards");
    command.arg("check").arg(object).arg("--hub").arg(hub());
    command.args(["--arch", "x86_64", "--no-store"]);
    command
}

fn report(command: &mut Command) -> Value {
    serde_json::from_str(&stdout(command.arg("--json"))).expect("it is JSON")
}

/// Check that the text has the verdicts with kernels as ranges, and for what breaks the relocation, the reason, the source line
/// and the kernels; and that the harmless things are shown with `--verbose`.
#[test]
fn text() {
    let text = stdout(&mut check());
    for piece in [
        "guards.bpf.o: loads on 3 of 4 kernels\n",
        "  fails             debian/11/x86_64 5.10.0-30-cloud-amd64\n",
        "  program without_guard (raw_tp/sys_enter): loads on 3\n",
        "  program with_guard (raw_tp/sys_enter): loads on 4\n",
        "  poisoned: byte_off struct task_struct.__state: no field `__state` in `struct task_struct`; nearest: `state`\n",
        "guards.bpf.c:21 in without_guard (raw_tp/sys_enter)\n",
        "      on debian/11/x86_64 5.10.0-30-cloud-amd64\n",
        "find nothing somewhere, and the program expects that",
    ] {
        assert!(text.contains(piece), "{piece:?} in {text}");
    }
    assert!(!text.contains("guarded"), "{text}");
    assert!(!text.contains("in the program"), "{text}");
    let long = stdout(check().arg("-v"));
    assert!(
        long.contains("  guarded: byte_off struct task_struct___old.state"),
        "{long}"
    );
    assert!(
        long.contains("  answer is no: field_exists struct task_struct.__state"),
        "{long}"
    );
    assert!(
        long.contains("byte_off struct task_struct.__state: 2 different answers"),
        "{long}"
    );
    let beside = long
        .lines()
        .find(|line| line.contains("  volatile long int state  at 16, 8 bytes"));
    let beside = beside.expect("the kernel's field is shown");
    assert!(beside.contains("|"), "{beside}");
}

/// Check the JSON: its version, the verdicts, and the details of what breaks.
#[test]
fn json() {
    let report = report(&mut check());
    assert_eq!(report["schema"], 1);
    assert_eq!(report["kernels"], 4);
    let object = &report["objects"][0];
    assert_eq!(object["verdicts"]["loads"]["kernels"], 3);
    assert_eq!(
        object["verdicts"]["fails"]["ranges"],
        json!([{"first": OLD, "last": OLD, "kernels": 1}])
    );
    let program = &object["programs"][0];
    assert_eq!(program["name"], "without_guard");
    assert_eq!(program["autoload"], true);
    let finding = &object["findings"][0];
    assert_eq!(finding["effect"], "poisoned");
    assert_eq!(
        finding["details"],
        json!({"why": "no_field", "type": "struct task_struct", "field": "__state", "similar": ["state"]})
    );
    let mut all = object["findings"].as_array().expect("an array").iter();
    let no_type = all.find(|finding| finding["details"]["why"] == "no_type");
    assert_eq!(
        no_type.expect("a type is lacking")["details"],
        json!({
            "why": "no_type", "type": "struct no_such_struct", "only_declared": false, "other_kinds": [], "similar": []
        })
    );
    let layouts = &finding["layouts"];
    assert_eq!(layouts["on"], OLD);
    assert_eq!(layouts["program"]["type"], "struct task_struct");
    let shown = layouts["kernel"][0]["shown"].as_array().expect("an array");
    let state = json!({"offset": 16, "bytes": 8, "declaration": "volatile long int state"});
    assert!(shown.contains(&state), "{shown:?}");
    let place = &finding["places"][0];
    assert_eq!(place["effect"], "poisoned");
    assert_eq!(place["function"], "without_guard");
    assert_eq!(place["line"], 21);
    let group = finding["groups"][0].as_u64().expect("a group") as usize;
    assert_eq!(report["groups"][group], json!([OLD]));
}

/// Check that `--require` fails with the line that breaks, and passes where the objects load; that the JSON says the same; and that
/// a requirement for which there is no kernel is an error.
#[test]
fn require() {
    run(check().args(["--require", ">=6.1"]), 0, &[]);
    run(check().args(["--require", "debian/1[23]/*"]), 0, &[]);
    for requirement in ["<6", "debian/11/*"] {
        let pieces = [
            "error: guards.bpf.o does not load on 1 kernel that --require",
            "guards.bpf.c:21 in without_guard",
            "no field `__state`",
            OLD,
        ];
        run(
            check().args(["--require", ">=6.1", "--require", requirement]),
            1,
            &pieces,
        );
    }
    let output = check().args(["--require", "<6", "--json"]).output();
    let report: Value = serde_json::from_slice(&output.expect("it runs").stdout).expect("JSON");
    assert_eq!(report["broken"][0]["kernels"], json!([OLD]));
    assert!(report["error"].is_string());
    let pieces = ["none of the checked kernels", "btfgen list"];
    run(check().args(["--require", ">=9.0"]), 1, &pieces);
    run(check().args(["--require", ">=x"]), 2, &["'>=5.4'"]);
}

/// A baseline in which the object loads on these kernels.
fn write_baseline(path: &Path, schema: &str, kernels: &[&str]) {
    let baseline = json!({"schema": schema, "objects": {"guards.bpf.o": kernels}});
    fs::write(path, baseline.to_string()).expect("writable");
}

/// Check that a baseline that the command wrote passes, and that one in which the object loads on more kernels fails with the line
/// that breaks.
#[test]
fn baseline() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("support.json");
    run(check().arg("--write-baseline").arg(&path), 0, &[]);
    run(check().arg("--baseline").arg(&path), 0, &[]);
    let text = fs::read_to_string(&path).expect("it was written");
    assert!(text.contains(NEW) && !text.contains(OLD), "{text}");
    let schema = "btfgen-baseline/1";
    write_baseline(&path, schema, &[NEW, OLD, "debian/12/x86_64/1.0"]);
    let pieces = [
        "error: guards.bpf.o no longer loads on 1 kernel of the baseline",
        "guards.bpf.c:21 in without_guard",
        "1 kernel of the baseline were not checked",
    ];
    run(check().arg("--baseline").arg(&path), 1, &pieces);
}

/// Check that a baseline of two objects with one name has the kernels on which both load, so that it passes.
#[test]
fn baseline_of_one_name() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("support.json");
    let other = dir.path().join("guards.bpf.o");
    fs::copy(btfgen_testkit::object("guarded"), &other).expect("it can be copied");
    run(
        check().arg(&other).arg("--write-baseline").arg(&path),
        0,
        &[],
    );
    let text = fs::read_to_string(&path).expect("it was written");
    assert!(text.contains(NEW) && !text.contains(OLD), "{text}");
    run(check().arg(&other).arg("--baseline").arg(&path), 0, &[]);
}

/// Check that a file that is no baseline, and a baseline of another form, are refused, and that nothing is written over an input.
#[test]
fn bad_baselines() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let path = dir.path().join("support.json");
    run(check().arg("--baseline").arg(&path), 1, &["support.json"]);
    fs::write(&path, "{}").expect("writable");
    let pieces = ["support.json: is not a baseline", "schema"];
    run(check().arg("--baseline").arg(&path), 1, &pieces);
    write_baseline(&path, "btfgen-baseline/9", &[]);
    let pieces = ["btfgen-baseline/9", "--write-baseline"];
    run(check().arg("--baseline").arg(&path), 1, &pieces);
    let object = btfgen_testkit::object("guards");
    let copy = dir.path().join("app.bpf.o");
    fs::copy(object, &copy).expect("it can be copied");
    let mut command = btfgen();
    command.arg("check").arg(&copy).arg("--hub").arg(hub());
    command.arg("--write-baseline").arg(&copy);
    run(&mut command, 1, &["app.bpf.o"]);
}

/// Check that a kernel that cannot be read is named, and that the others are checked.
#[test]
fn broken_kernel() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    for kernel in [NEW, OLD] {
        let path = dir.path().join(format!("{kernel}.btf"));
        fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        fs::copy(btfgen_testkit::sample_btf(kernel), path).expect("it can be copied");
    }
    fs::write(dir.path().join(format!("{NEW}.btf")), "no BTF").expect("writable");
    let mut command = btfgen();
    let object = btfgen_testkit::object("guards");
    command
        .arg("check")
        .arg(object)
        .arg("--hub")
        .arg(dir.path());
    let output = run(&mut command, 0, &["1 kernel left out", NEW]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.contains("loads on 0 of 1 kernel\n"), "{text}");
}

/// The paths of all values, with `[]` for the items of an array.
fn paths(value: &Value, path: &str, all: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                let dot = if path.is_empty() { "" } else { "." };
                paths(value, &format!("{path}{dot}{name}"), all);
            }
        }
        Value::Array(items) if items.is_empty() => {
            all.insert(format!("{path}[]"));
        }
        Value::Array(items) => {
            for item in items {
                paths(item, &format!("{path}[]"), all);
            }
        }
        _ => {
            all.insert(path.to_owned());
        }
    }
}

/// Check that the README of example/check documents all keys of the JSON, and no others.
#[test]
fn documented_json() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let baseline = dir.path().join("support.json");
    write_baseline(&baseline, "btfgen-baseline/1", &[OLD]);
    let mut command = check();
    command.arg(btfgen_testkit::object("programs"));
    command
        .args(["--require", "<6", "--json", "--baseline"])
        .arg(baseline);
    let output = command.output().expect("it runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let mut known = BTreeSet::new();
    paths(&report, "", &mut known);
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../example/check/README.md");
    let readme = fs::read_to_string(readme).expect("it is there");
    let (_, table) = readme.split_once("## The JSON").expect("it has the table");
    let keys = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let keys: Vec<&str> = keys.filter_map(|line| line.split('`').next()).collect();
    for path in &known {
        // Nothing is known of the items of an empty array.
        let is_empty = |key: &str| path.ends_with("[]") && key.starts_with(&path[..]);
        let is_documented = keys
            .iter()
            .any(|key| path.starts_with(key) || is_empty(key));
        assert!(is_documented, "{path} is not documented");
    }
    for key in keys {
        let is_there = known.iter().any(|path| path.starts_with(key));
        assert!(is_there, "{key} is documented, but not there");
    }
}

/// The commands of a README with what they print, as the README says.
fn told(readme: &str) -> Vec<(String, String)> {
    let blocks = readme.split("```console\n$ ").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().expect("it is not empty"));
    let blocks = blocks.map(|block| block.split_once('\n').expect("it prints something"));
    blocks
        .map(|(command, printed)| (command.to_owned(), printed.to_owned()))
        .collect()
}

/// Check that the commands of example/check print what its README says.
#[test]
fn story() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let root = root.canonicalize().expect("it is there");
    let readme = fs::read_to_string(root.join("example/check/README.md")).expect("it is there");
    let told = told(&readme);
    assert_eq!(told.len(), 3);
    for (line, expected) in told {
        let words = line.split(' ').map(|word| word.trim_matches('\''));
        let words: Vec<&str> = words.collect();
        assert_eq!(words[0], "btfgen");
        let is_silent = words.contains(&">/dev/null");
        let mut command = btfgen();
        command.current_dir(&root).arg("check").arg("--no-store");
        for word in words[2..].iter().filter(|word| **word != ">/dev/null") {
            match word.strip_prefix("target/bpf/") {
                Some(object) => {
                    command.arg(btfgen_testkit::object(object.trim_end_matches(".bpf.o")))
                }
                None => command.arg(word),
            };
        }
        let output = command.output().expect("it runs");
        let printed = if is_silent {
            output.stderr
        } else {
            output.stdout
        };
        let printed =
            String::from_utf8_lossy(&printed).replace(&format!("{}/", root.display()), "");
        assert_eq!(printed, expected, "{line}");
    }
}
