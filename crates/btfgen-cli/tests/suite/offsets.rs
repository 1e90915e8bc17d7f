//! `btfgen offsets`

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::suite::{NEW, OLD, btfgen, hub, run, stdout};

fn offsets(arguments: &[&str]) -> assert_cmd::Command {
    let mut command = btfgen();
    command.args(["offsets", "--no-store", "--hub"]).arg(hub());
    command.args(["--only", NEW, "--only", OLD]);
    command.args(arguments);
    command
}

/// Check that kernels with equal answers are together, and that the fallback that answered is named.
#[test]
fn text() {
    let text = stdout(&mut offsets(&["task_struct.__state | task_struct.state"]));
    assert!(text.contains("4 bytes: 1 kernel\n"), "{text}");
    assert!(
        text.contains("8 bytes (task_struct.state): 1 kernel\n"),
        "{text}"
    );
}

/// Check that JSON and YAML are the same, and that CSV has a line for each answer.
#[test]
fn data() {
    let facts = ["task_struct.pid", "size:iphdr", "iphdr.ihl"];
    let with = |format: &[&str]| stdout(&mut offsets(&[&facts[..], format].concat()));
    let json: Value = serde_json::from_str(&with(&["--json"])).unwrap();
    let yaml: Value = serde_norway::from_str(&with(&["--format", "yaml"])).unwrap();
    assert_eq!(json, yaml);
    assert_eq!(json["rows"].as_array().unwrap().len(), 2);
    assert_eq!(json["rows"][0]["answers"][1]["bytes"], 20);
    let csv = with(&["--format", "csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 5, "{csv}");
    assert!(
        lines[3].starts_with("size_iphdr,found,20,0,0,0,2,"),
        "{csv}"
    );
    assert!(lines[4].starts_with("iphdr_ihl,found,0,1,0,4,2,"), "{csv}");
}

fn output(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Check that the C header and the Rust module compile without warnings, and find a kernel by machine and release.
#[test]
fn code() {
    let folder = tempfile::tempdir().unwrap();
    let facts = ["iphdr.ihl", "no_such.member"];
    let made = |format| stdout(&mut offsets(&[&facts[..], &["--format", format]].concat()));
    let path = |name: &str| folder.path().join(name);
    fs::write(path("facts.h"), made("c")).unwrap();
    let c = r#"
#include <stdio.h>
#include "facts.h"
int main(int argc, char **argv)
{
	const struct btfgen_facts *facts = argc == 3 ? btfgen_facts_lookup(argv[1], argv[2]) : NULL;
	if (facts)
		printf("%u %d", facts->iphdr_ihl.bits, facts->no_such_member.found);
	return 0;
}
"#;
    fs::write(path("main.c"), c).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-o"]);
    assert!(
        cc.arg(path("c"))
            .arg(path("main.c"))
            .status()
            .unwrap()
            .success()
    );
    fs::write(path("facts.rs"), made("rust")).unwrap();
    let rust = r#"
mod facts;
fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(facts) = facts::lookup(&arguments[1], &arguments[2]) {
        let found = u8::from(facts.no_such_member.is_some());
        print!("{} {found}", facts.iphdr_ihl.unwrap().bits);
    }
}
"#;
    fs::write(path("main.rs"), rust).unwrap();
    let mut rustc = Command::new("rustc");
    rustc.args([
        "--edition",
        "2021",
        "-D",
        "warnings",
        "-A",
        "dead_code",
        "-o",
    ]);
    let status = rustc.arg(path("rust")).arg(path("main.rs")).status();
    assert!(status.unwrap().success());
    for program in ["c", "rust"].map(path) {
        assert_eq!(output(&program, &["x86_64", "6.1.0-47-cloud-amd64"]), "4 0");
        assert_eq!(output(&program, &["aarch64", "6.1.0-47-cloud-amd64"]), "");
        assert_eq!(output(&program, &["x86_64", "6.1.0"]), "");
    }
}

/// Check that a file of facts may be YAML or JSON, and that an error names the file, the line and the column.
#[test]
fn files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("facts");
    let with = |text: &str| {
        fs::write(&path, text).unwrap();
        offsets(&["--facts", path.to_str().unwrap(), "--json"])
    };
    let yaml = "facts:\n  - fact: no.member\n    name: state\n    fallback: [no.other, task_struct.state]\n";
    let json =
        r#"{"facts": [{"fact": "no.member", "fallback": "task_struct.state", "name": "state"}]}"#;
    for text in [yaml, json] {
        let report: Value = serde_json::from_str(&stdout(&mut with(text))).unwrap();
        assert_eq!(report["facts"][0]["name"], "state", "{report}");
        assert_eq!(report["unknown"], Value::Array(Vec::new()), "{report}");
    }
    for (text, place) in [
        ("facts:\n  - a.b\n  - x y\n", "line 3 column 5"),
        (
            "facts:\n  - fact: a.b\n    fallbak: c.d\n",
            "line 3 column 5",
        ),
        ("facts: [", "line 2 column 1"),
        ("[]", "line 1 column 1"),
    ] {
        let output = with(text).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        let named = format!("{}: is no file of facts", path.display());
        assert!(
            errors.contains(&named) && errors.contains(place),
            "{errors}"
        );
    }
}

/// Check that a fact that no kernel has is a warning with the nearest name, and that bad and equal facts are bad usage.
#[test]
fn unknown_and_bad() {
    let told = [
        "task_struct.pidd; near: pid",
        "func:tty_writee; near: tty_write",
    ];
    let mut command = offsets(&["task_struct.pidd", "func:tty_writee"]);
    run(&mut command, 0, &told);
    for facts in [&["task_struct"][..], &["a.b", "a.b"], &["a..b"], &[]] {
        let output = offsets(facts).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{facts:?}");
    }
}
