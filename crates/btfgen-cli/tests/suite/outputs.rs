//! Outputs that cannot be written: the error comes before the work if possible, and no output is incomplete.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::tempdir;

use crate::suite::{NEW, binary, btfgen, hub, names, object, pack, place, run};

/// Check that an output that cannot be written is an error before the objects are read.
#[test]
fn before_the_work() {
    let dir = tempdir().unwrap();
    let file = place(dir.path(), "file", b"x");
    for (output, piece) in [
        (
            dir.path().join("none/a.tar.gz"),
            "its folder does not exist",
        ),
        (file.join("a.tar.gz"), "its folder does not exist"),
        (dir.path().to_owned(), "is a folder"),
        ("/proc/a.tar.gz".into(), "its folder is not writable"),
    ] {
        let name = output.display().to_string();
        let mut command = btfgen();
        command.args(["pack", "none.o"]).arg("--hub").arg(hub());
        run(command.arg("-o").arg(&output), 1, &[&*name, piece]);
        let mut command = btfgen();
        command.args(["minimize", "none.btf", "none.o", "-o"]);
        run(command.arg(&output), 1, &[&*name, piece]);
    }
    assert_eq!(names(dir.path()), ["file"]);
    assert_eq!(fs::read(file).unwrap(), b"x");
}

/// Check that `-` is no archive's name, and is stdout for a BTF.
#[test]
fn dash() {
    run(
        &mut pack(&hub(), Path::new("-")),
        2,
        &["cannot be written to stdout", "./-"],
    );
    let mut command = btfgen();
    command.arg("minimize").arg(btfgen_testkit::sample_btf(NEW));
    let output = run(command.arg(object()).args(["-o", "-"]), 0, &[]);
    assert!(output.stdout.starts_with(&0xeb9f_u16.to_le_bytes()));
}

/// Check that a full disk is an error, and leaves neither an archive nor a temporary file.
#[test]
fn full_disk() {
    let dir = tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=16k none "$1" || exit 77
        head -c 1M /dev/zero > "$1/fill" 2> /dev/null
        "$2" pack "$3" --hub "$4" --only "$5" -o "$1/a.tar.gz"
        code=$?
        ls -A "$1"
        exit $code"#;
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(dir.path())
        .arg(binary())
        .arg(object())
        .arg(hub())
        .arg(NEW)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    // unshare itself fails with 1, where that is not allowed.
    if stderr.contains("unshare:") || output.status.code() == Some(77) {
        btfgen_testkit::skipped(format_args!(
            "a file system cannot be mounted here: {stderr}"
        ));
        return;
    }
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("error: ") && stderr.contains("No space left"),
        "{stderr}"
    );
    assert_eq!(output.stdout, b"fill\n");
}

/// Check that a full disk behind stdout is an error.
#[test]
fn full_stdout() {
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = Command::new(binary())
        .args(["list", "--hub"])
        .arg(hub())
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("error: stdout: "));
}

/// Check that a reader of stdout that has seen enough is no error.
#[test]
fn broken_pipe() {
    let sub = |arguments: &[&str]| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(binary());
        command.args(arguments).env("BTFGEN_HUB", hub());
        let output = command.stdout(writer).stderr(Stdio::piped()).output();
        let output = output.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
        assert_eq!(stderr, "", "{arguments:?}");
    };
    let object = btfgen_testkit::object("fields");
    let object = object.to_str().unwrap();
    sub(&["list"]);
    sub(&["list", "--long"]);
    sub(&["list", "--count", "--json"]);
    sub(&["needs", object]);
    sub(&["needs", object, "--json"]);
    sub(&["completions", "zsh"]);
    sub(&["man"]);
    sub(&["--help"]);
    sub(&["--version"]);
}

/// Check that nothing panics where nobody reads stderr.
#[test]
fn closed_stderr() {
    for (arguments, code) in [(&["needs", "none.o"][..], 1), (&["--nonsense"], 2)] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(binary());
        let status = command.args(arguments).stderr(writer).status().unwrap();
        assert_eq!(status.code(), Some(code), "{arguments:?}");
    }
}
