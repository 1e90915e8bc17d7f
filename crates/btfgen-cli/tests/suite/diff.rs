//! `btfgen diff`

use std::collections::HashSet;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::suite::{NEW, OLD, btfgen, hub, object, place, place_kernel, run, stdout};

/// `btfgen diff` of two kernels of the sample hub.
fn diff(types: &[&str]) -> assert_cmd::Command {
    let mut command = btfgen();
    command.arg("diff").arg("--hub").arg(hub());
    command.args([OLD, NEW]).args(types);
    command
}

/// `btfgen diff --since` of the sample hub.
fn since(since: &str, types: &[&str]) -> assert_cmd::Command {
    let mut command = btfgen();
    command.args(["diff", "--since", since, "--hub"]);
    command.arg(hub()).args(types);
    command
}

fn json(command: &mut assert_cmd::Command) -> Value {
    serde_json::from_str(&stdout(command.arg("--json"))).unwrap()
}

/// What tells fields apart in a line: pahole and btfgen separate words differently, and pahole guesses alignments.
fn without_spaces(line: &str) -> String {
    let line: String = line.split_whitespace().collect();
    match line.split_once("__attribute__((__aligned__(") {
        Some((start, rest)) => format!("{start}{}", rest.split_once(")))").unwrap().1),
        None => line,
    }
}

/// The fields of a struct by pahole.
fn pahole(kernel: &str, name: &str) -> HashSet<String> {
    let mut command = Command::new("pahole");
    command.args(["-F", "btf", "-C", name]);
    let output = command.arg(btfgen_testkit::sample_btf(kernel)).output();
    let output = output.expect("pahole is installed, see scripts/setup");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(without_spaces).collect()
}

/// Check that the fields of both kernels have the declaration, offset and size that pahole shows, bitfields included.
#[test]
fn as_pahole() {
    let mut compared = 0;
    for name in [
        "task_struct",
        "sched_entity",
        "signal_struct",
        "mm_struct",
        "net_device",
    ] {
        let text = stdout(diff(&[&format!("struct {name}")]).arg("-v"));
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some(&*format!("--- {OLD}")));
        assert_eq!(lines.next(), Some(&*format!("+++ {NEW}")));
        assert!(
            lines
                .next()
                .unwrap()
                .starts_with(&format!("@@ struct {name}, "))
        );
        let (old, new) = (pahole(OLD, name), pahole(NEW, name));
        // pahole shows the fields of a struct without a name inside of it, and shows moves in no form.
        for line in lines.filter(|line| !line.contains(['→', '…', '.'])) {
            let (sign, field) = line.split_at(1);
            let theirs = if sign == "-" { &old } else { &new };
            assert!(theirs.contains(&without_spaces(field)), "{name}: {line}");
            compared += 1;
        }
    }
    assert!(compared > 50, "{compared}");
}

/// Check that fields that only move by the same distance are one line, and that all are shown with `--verbose`.
#[test]
fn moves() {
    let short = stdout(&mut diff(&["task_struct"]));
    assert!(
        short.contains("\n 6 fields move by +8 bytes: stack … wake_entry\n"),
        "{short}"
    );
    let long = stdout(diff(&["task_struct"]).arg("-v"));
    assert!(!long.contains("fields move by"), "{long}");
    let on_cpu = long.lines().find(|line| line.starts_with(" int on_cpu;"));
    assert!(
        on_cpu.unwrap().ends_with(" /* 44 → 52     4 */"),
        "{on_cpu:?}"
    );
}

/// Check that fields, enums, typedefs and functions can be named, and that what is equal is not shown.
#[test]
fn named() {
    let text = stdout(&mut diff(&[
        "task_struct.state",
        "task_struct.__state",
        "list_head",
    ]));
    let lines: Vec<&str> = text.lines().skip(2).map(str::trim_end).collect();
    let state = "-volatile long int state;                         /*    16     8 */";
    let new_state = "+unsigned int __state;                            /*    24     4 */";
    assert_eq!(
        lines,
        ["@@ struct task_struct, 9728 bytes @@", state, new_state]
    );
    let enums = stdout(&mut diff(&["enum bpf_prog_type"]));
    assert!(
        enums.contains("\n+BPF_PROG_TYPE_SYSCALL = 31,\n"),
        "{enums}"
    );
    let typedef = stdout(&mut diff(&["typedef vm_fault_t", "typedef rwlock_t"]));
    assert_eq!(typedef.lines().count(), 0, "{typedef}");
    let function = stdout(&mut diff(&["vfs_rename"]));
    assert!(
        function.contains("@@ function vfs_rename @@\n-int vfs_rename(struct inode *"),
        "{function}"
    );
    assert!(
        function.contains("\n+int vfs_rename(struct renamedata *"),
        "{function}"
    );
    run(&mut diff(&["list_head"]), 0, &["do not differ"]);
}

/// Check that all types are compared if none is named, and functions only if they are asked for.
#[test]
fn all_types() {
    let text = stdout(&mut diff(&[]));
    assert!(text.contains("\n@@ struct task_struct, 9344 → 9728 bytes @@\n"));
    assert!(
        text.contains(
            "\n@@ struct mm_slot, removed, 48 bytes, one of 2 → 1 types of this name @@\n"
        )
    );
    assert!(!text.contains("@@ function "));
    let all = stdout(diff(&[]).arg("--functions"));
    assert!(all.contains("\n@@ function vfs_rename @@\n") && all.len() > text.len());
}

/// Check the exit codes, which do not depend on the kernels unless the user asks for it.
#[test]
fn exit_codes() {
    run(&mut diff(&["task_struct"]), 0, &["1 changed type, 0 added"]);
    run(
        diff(&["task_struct"]).arg("--exit-code"),
        1,
        &["error: the kernels differ"],
    );
    run(diff(&["list_head"]).arg("--exit-code"), 0, &[]);
    let output = run(
        diff(&["task_struct"]).args(["--exit-code", "--json"]),
        1,
        &[],
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["error"], "the kernels differ");
    assert_eq!(report["types"].as_array().unwrap().len(), 1);
}

/// Check the JSON: a changed field before and after, and a function.
#[test]
fn as_json() {
    let report = json(&mut diff(&["task_struct", "vfs_rename"]));
    assert_eq!(
        (&report["before"], &report["after"]),
        (&OLD.into(), &NEW.into())
    );
    let [task, rename] = &report["types"].as_array().unwrap()[..] else {
        panic!("{report}");
    };
    assert_eq!(
        (&task["kind"], &task["name"]),
        (&"struct".into(), &"task_struct".into())
    );
    assert_eq!(task["change"], "changed");
    assert_eq!(task["before"]["size"], 9344);
    assert_eq!(task["definitions"], serde_json::json!([1, 1]));
    let fields = task["fields"].as_array().unwrap();
    let field = |path: &str| fields.iter().find(|field| field["path"] == path).unwrap();
    assert_eq!(field("state")["changes"], serde_json::json!(["removed"]));
    assert_eq!(field("state")["after"], Value::Null);
    let se = field("se");
    assert_eq!(se["changes"], serde_json::json!(["resized"]));
    let after = serde_json::json!({
        "path": "se",
        "declaration": "struct sched_entity se",
        "bit_offset": 1024,
        "size": 256,
        "bitfield_size": 0,
    });
    assert_eq!(se["after"], after);
    assert_eq!(rename["kind"], "function");
    assert_ne!(
        rename["before"]["declaration"],
        rename["after"]["declaration"]
    );
}

/// Check that `--needs` shows only what the object asks for.
#[test]
fn what_an_object_needs() {
    let report = json(diff(&[]).arg("--needs").arg(object()));
    let types = report["types"].as_array().unwrap();
    assert_eq!(types.len(), 1, "{report}");
    let fields = types[0]["fields"].as_array().unwrap();
    let paths: Vec<&str> = fields.iter().map(|f| f["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["state", "__state", "tgid", "real_parent"]);
}

/// Check that a history shows at which kernel something changes, in the order of releases, for each series.
#[test]
fn history() {
    let fields = ["task_struct.state", "task_struct.__state"];
    let text = stdout(&mut since("5", &fields));
    let last = "debian x86_64 cloud-amd64: 4 kernels from 5.10.0-30-cloud-amd64 to 7.2.13+deb14-cloud-amd64, 1 change";
    let (_, changes) = text.split_once(&format!("{last}\n")).unwrap();
    assert!(
        changes.starts_with(&format!("--- {OLD}\n+++ {NEW}\n@@ struct task_struct")),
        "{text}"
    );
    assert!(text.starts_with("debian arm64 cloud-arm64: 2 kernels from 6.1.0-47-cloud-arm64"));
    let report = json(&mut since(OLD, &["task_struct"]));
    let series = report["series"].as_array().unwrap();
    assert_eq!(series.len(), 1, "{report}");
    assert_eq!(series[0]["flavour"], "cloud-amd64");
    let steps = series[0]["steps"].as_array().unwrap();
    let pairs: Vec<[&str; 2]> = steps
        .iter()
        .map(|step| ["before", "after"].map(|key| step[key].as_str().unwrap()))
        .collect();
    assert_eq!(pairs.len(), 3);
    assert_eq!(pairs[0], [OLD, NEW]);
    assert_eq!(pairs[0][1], pairs[1][0]);
    let later = json(since("6.2", &["task_struct"]).args(["--arch", "amd64"]));
    assert_eq!(later["series"][0]["kernels"].as_array().unwrap().len(), 2);
    run(
        since("5", &fields).arg("--exit-code"),
        1,
        &["the kernels differ"],
    );
}

/// Check that a history goes on without a broken kernel, and names it.
#[test]
fn broken_kernel() {
    let hub = tempfile::tempdir().unwrap();
    place_kernel(hub.path(), "debian/12/x86_64/6.1.0-1-amd64");
    place(hub.path(), "debian/12/x86_64/6.1.0-2-amd64.btf", b"no BTF");
    let mut command = btfgen();
    command.args(["diff", "--json", "--since", "6", "task_struct", "--hub"]);
    let output = run(
        command.arg(hub.path()),
        0,
        &["warning: 1 file left out:", "6.1.0-2-amd64"],
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        report["left_out"][0]["kernel"],
        "debian/12/x86_64/6.1.0-2-amd64"
    );
    assert_eq!(report["series"][0]["kernels"].as_array().unwrap().len(), 1);
}

/// Check that a kernel may be a file, also one in a chunk, or a release of the hub.
#[test]
fn kernels_as_files() {
    let [old, new] = [OLD, NEW].map(|kernel| hub().join(format!("{kernel}.btf.tar.xz")));
    let from_files = |types: &[&str]| stdout(btfgen().arg("diff").args([&old, &new]).args(types));
    let lines = |text: &str| text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
    let from_hub = stdout(&mut diff(&["task_struct"]));
    assert_eq!(lines(&from_files(&["task_struct"])), lines(&from_hub));
    let mut by_release = btfgen();
    by_release.args(["diff", "5.10.0-30-cloud-amd64", "6.1.0-47-cloud-amd64"]);
    by_release.args(["task_struct", "--hub"]).arg(hub());
    assert_eq!(stdout(&mut by_release), from_hub);
    let copy = tempfile::tempdir().unwrap();
    for kernel in [OLD, NEW] {
        place(
            copy.path(),
            &format!("{kernel}.btf"),
            &fs::read(btfgen_testkit::sample_btf(kernel)).unwrap(),
        );
    }
    run(
        btfgen()
            .args(["hub", "compact", "--replace", "--hub"])
            .arg(copy.path()),
        0,
        &[],
    );
    let mut in_chunk = btfgen();
    in_chunk
        .arg("diff")
        .args([OLD, NEW].map(|kernel| copy.path().join(kernel)));
    assert_eq!(
        lines(&stdout(in_chunk.arg("task_struct"))),
        lines(&from_hub)
    );
}

/// Check that what does not exist is an error with the nearest name, and that missing arguments are bad usage.
#[test]
fn errors() {
    let near = [
        "there is no type task_strct",
        "help: did you mean task_struct?",
    ];
    run(&mut diff(&["task_strct"]), 1, &near);
    let near = [
        "there is no field stat of struct task_struct",
        "help: did you mean stats?",
    ];
    run(&mut diff(&["struct task_struct.stat"]), 1, &near);
    run(
        &mut since("5", &["task_strct"]),
        1,
        &["8 kernels: there is no type", "task_struct?"],
    );
    run(
        &mut diff(&["class x"]),
        1,
        &["not the name of a type", "help: write for instance"],
    );
    run(
        &mut since("99", &["task_struct"]),
        1,
        &["of this release or a later one"],
    );
    run(
        &mut since("debian/9/x86_64/4.9", &["task_struct"]),
        1,
        &["of this release"],
    );
    let mut unknown = btfgen();
    unknown
        .arg("diff")
        .arg("--hub")
        .arg(hub())
        .args([OLD, "6.1.0-48-cloud-amd64"]);
    run(
        &mut unknown,
        1,
        &["has no kernel 6.1.0-48-cloud-amd64", "nearest kernels"],
    );
    run(
        btfgen().args(["diff", OLD]),
        2,
        &["two kernels are missing"],
    );
    run(
        &mut since("5", &[]),
        2,
        &["--since needs to know which types to follow"],
    );
}

/// Check that colours are those of a diff.
#[test]
fn colours() {
    let text = stdout(diff(&["task_struct.state"]).args(["--color", "always"]));
    assert!(
        text.contains("\u{1b}[31m-volatile long int state;"),
        "{text:?}"
    );
    assert!(!stdout(&mut diff(&["task_struct.state"])).contains('\u{1b}'));
}
