//! `btfgen list`

use serde_json::Value;
use tempfile::tempdir;

use crate::suite::{NEW, OLD, btfgen, hub, pack, pack_all, place_kernel, run, stdout};

fn list() -> assert_cmd::Command {
    let mut command = btfgen();
    command.arg("list");
    command
}

/// Check that a hub's kernels are listed one a line.
#[test]
fn hub_kernels() {
    let output = stdout(list().arg("--hub").arg(hub()));
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, btfgen_testkit::sample_kernels());
}

/// Check that kernels are filtered and in the order of people.
#[test]
fn filters_and_order() {
    let own = tempdir().unwrap();
    for release in ["5.10", "5.4", "5.9"] {
        place_kernel(own.path(), &format!("a/1/x86_64/{release}"));
    }
    place_kernel(own.path(), "b/1/aarch64/5.4");
    let mut command = list();
    command.args(["--arch", "amd64", "--hub"]).arg(own.path());
    assert_eq!(
        stdout(&mut command),
        "a/1/x86_64/5.4\na/1/x86_64/5.9\na/1/x86_64/5.10\n"
    );
}

/// Check that a filter that matches nothing is one error with one text in all commands that filter, and that it names the
/// nearest name, also beside a filter that matches.
#[test]
fn filters_that_match_nothing() {
    let dir = tempdir().unwrap();
    let (archive, out) = (dir.path().join("a.tar.gz"), dir.path().join("out"));
    run(&mut pack_all(&archive), 0, &[]);
    let mut verify = btfgen();
    verify.args(["hub", "verify", "--hub"]).arg(hub());
    let mut in_hub = list();
    in_hub.arg("--hub").arg(hub());
    let mut in_archive = list();
    in_archive.arg(&archive);
    for mut command in [pack(&hub(), &out), verify, in_hub, in_archive] {
        command.args(["--distro", "debian/12", "--distro", "debain"]);
        let pieces = [
            ": none of the 8 kernels is of the distribution debain\n",
            "help: did you mean debian?\n",
        ];
        run(&mut command, 1, &pieces);
    }
}

/// Check that kernels are counted, with a total.
#[test]
fn count() {
    let mut command = list();
    command
        .args(["--count", "--distro", "debian/12", "--hub"])
        .arg(hub());
    let output = stdout(&mut command);
    let words: Vec<Vec<&str>> = output
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    assert_eq!(
        words[0],
        ["DISTRIBUTION", "VERSION", "ARCH", "KERNELS", "SIZE"]
    );
    assert!(
        words
            .iter()
            .any(|w| w.starts_with(&["debian", "12", "x86_64", "1"])),
        "{output}"
    );
    assert_eq!(words.last().unwrap()[..2], ["total", "3"]);
    let counts: Value = serde_json::from_str(&stdout(command.arg("--json"))).unwrap();
    assert_eq!(counts["counts"].as_array().unwrap().len(), 3);
    assert_eq!(counts["counts"][0]["distro"], "debian");
}

/// Check that JSON has the kernel, its file and the file's size.
#[test]
fn json() {
    let output = stdout(list().args(["--json", "--only", NEW, "--hub"]).arg(hub()));
    let report: Value = serde_json::from_str(&output).unwrap();
    let kernels = &report["kernels"];
    let path = hub()
        .canonicalize()
        .unwrap()
        .join(format!("{NEW}.btf.tar.xz"));
    assert_eq!(kernels[0]["kernel"], NEW);
    assert_eq!(kernels[0]["path"], path.to_str().unwrap());
    assert_eq!(kernels[0]["bytes"], path.metadata().unwrap().len());
}

/// Check that an archive is listed as a hub is, with sizes if asked for.
#[test]
fn archive() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("a.tar.gz");
    run(
        pack(&hub(), &out).args(["--only", NEW, "--only", OLD]),
        0,
        &[],
    );
    let archive = || {
        let mut command = list();
        command.arg(&out);
        command
    };
    assert_eq!(stdout(&mut archive()), format!("{OLD}\n{NEW}\n"));
    assert_eq!(
        stdout(archive().args(["--distro", "debian/11"])),
        format!("{OLD}\n")
    );
    assert!(stdout(archive().arg("--long")).starts_with("KERNEL "));
    run(
        archive().arg("--verbose"),
        0,
        &["made by btfgen ", " for 1 object\n"],
    );
    let report: Value = serde_json::from_str(&stdout(archive().arg("--json"))).unwrap();
    let kernels = &report["kernels"];
    assert_eq!(kernels.as_array().unwrap().len(), 2);
    assert!(kernels[0]["bytes"].as_u64().unwrap() > 0);
    run(archive().args(["--hub", "x"]), 2, &["cannot be used with"]);
    let pieces = ["is a folder, not an archive", "help: name a hub with --hub"];
    run(list().arg(dir.path()), 1, &pieces);
}
