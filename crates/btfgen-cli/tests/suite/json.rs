//! `--json` of all commands

use serde_json::Value;
use tempfile::tempdir;

use crate::suite::{NEW, btfgen, hub, object, pack, place, place_kernel, run};

fn report(command: &mut assert_cmd::Command, code: i32) -> Value {
    let output = run(command.arg("--json"), code, &[]);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Check that every command that reports something prints one object with the expected field, and no error.
#[test]
fn of_every_command() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    run(
        pack(&hub(), at("a.tar.gz").as_ref()).args(["--only", NEW]),
        0,
        &[],
    );
    let (hub, object) = (hub(), object());
    let (hub, object) = (hub.to_str().unwrap(), object.to_str().unwrap());
    let kernel = btfgen_testkit::sample_btf(NEW);
    let kernel = kernel.to_str().unwrap();
    let commands: [(&[&str], &str); 10] = [
        (&["add", kernel, "--id", NEW, "--hub", &at("hub")], "added"),
        (&["hub", "status", "--hub", hub], "counts"),
        (&["hub", "verify", "--hub", &at("hub")], "sound"),
        (&["hub", "path", "--hub", hub], "path"),
        (&["needs", object], "needs"),
        (&["list", "--hub", hub], "kernels"),
        (&["list", "--hub", hub, "--count"], "counts"),
        (
            &["minimize", kernel, object, "-o", &at("m.btf")],
            "minimal_bytes",
        ),
        (
            &["extract", &at("a.tar.gz"), NEW, "-o", &at("x.btf")],
            "bytes",
        ),
        (
            &["pack", object, "--hub", &at("hub"), "-o", &at("b.tar.gz")],
            "totals",
        ),
    ];
    for (arguments, key) in commands {
        let report = report(btfgen().args(arguments), 0);
        assert!(!report[key].is_null(), "{arguments:?}: {report}");
        assert!(report["error"].is_null(), "{arguments:?}: {report}");
    }
    let size = std::fs::metadata(at("x.btf")).unwrap().len();
    let extract = ["extract", &at("a.tar.gz"), NEW, "-o", &at("x.btf")];
    let extracted = report(btfgen().args(extract), 0);
    assert_eq!(
        (&extracted["kernel"], &extracted["bytes"]),
        (&NEW.into(), &size.into())
    );
}

/// Check that a command that fails prints one object with the error of stderr and its help.
#[test]
fn errors() {
    let dir = tempdir().unwrap();
    let none = dir.path().join("none").to_str().unwrap().to_owned();
    let out = dir.path().join("out").to_str().unwrap().to_owned();
    let object = object();
    let object = object.to_str().unwrap();
    let commands: [&[&str]; 10] = [
        &["fetch", "--repo", &none, "--hub", &out],
        &["add", &none, "--id", NEW, "--hub", &out],
        &["hub", "status", "--hub", &none],
        &["hub", "verify", "--hub", &none],
        &["hub", "path"],
        &["needs", &none],
        &["list", "--hub", &none],
        &["minimize", &none, object, "-o", &out],
        &["extract", &none, NEW, "-o", &out],
        &["pack", object, "--hub", &none, "-o", &out],
    ];
    for arguments in commands {
        let mut command = btfgen();
        let output = run(command.args(arguments).arg("--json"), 1, &[]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let error = report["error"].as_str().unwrap();
        assert!(stderr.contains(&format!("error: {error}\n")), "{stderr}");
        if let Some(help) = report["help"].as_str() {
            assert!(stderr.contains(&format!("help: {help}\n")), "{stderr}");
        } else {
            assert!(!stderr.contains("help: "), "{stderr}");
        }
    }
}

/// Check that names that are not UTF-8 do not panic.
#[test]
fn names_that_are_not_utf8() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = tempdir().unwrap();
    let own = dir.path().join(std::ffi::OsStr::from_bytes(b"h\xffb"));
    place_kernel(&own, NEW);
    let mut path = btfgen();
    path.args(["hub", "path", "--hub"]).arg(&own);
    let path = report(&mut path, 0);
    assert!(path["path"].as_str().unwrap().ends_with("h\u{fffd}b"));
    let mut list = btfgen();
    let listed = report(list.args(["list", "--hub"]).arg(&own), 0);
    assert!(listed["kernels"][0]["path"].is_string(), "{listed}");
    let mut status = btfgen();
    let status = report(status.args(["hub", "status", "--hub"]).arg(&own), 1);
    assert!(status["error"].as_str().unwrap().contains("UTF-8"));
    let archive = own.join("a.tar.gz");
    run(&mut pack(&own, &archive), 0, &[]);
    let mut extract = btfgen();
    extract
        .arg("extract")
        .arg(&archive)
        .args([NEW, "-o"])
        .arg(own.join("x"));
    assert!(report(&mut extract, 0)["path"].is_string());
}

/// Check that a command that does a part of its work has both in its JSON: what was done, and the error.
#[test]
fn part_of_the_work() {
    let dir = tempdir().unwrap();
    let own = dir.path().join("hub");
    let text = place(dir.path(), "text", b"not a kernel");
    let kernel = btfgen_testkit::sample_btf(NEW);
    let mut add = btfgen();
    add.arg("add").arg(text).arg(kernel).arg("--hub").arg(&own);
    add.args(["--from-host"]);
    let os_release = place(dir.path(), "os-release", b"ID=a\nVERSION_ID=1\n");
    let added = report(add.env("BTFGEN_OS_RELEASE", os_release), 1);
    assert_eq!(added["added"].as_array().unwrap().len(), 1);
    let left_out = &added["left_out"][0];
    assert!(left_out["path"].as_str().unwrap().ends_with("text"));
    assert_eq!(added["error"], "1 file not added");

    place_kernel(&own, "a/1/x86_64/good");
    place(&own, "a/1/x86_64/bad.btf", b"bad");
    let verify = || {
        let mut verify = btfgen();
        verify.args(["hub", "verify", "--hub"]).arg(&own);
        verify
    };
    let verified = report(&mut verify(), 1);
    assert_eq!(verified["sound"], 2);
    assert_eq!(verified["error"], "1 file broken");
    let done = report(verify().arg("--delete"), 0);
    assert!(done["error"].is_null() && done["broken"][0]["deleted"] == true);
}
