//! `btfgen hub`

use std::fs;

use serde_json::Value;
use tempfile::tempdir;

use crate::suite::{NEW, OLD, btfgen, hub, names, place, place_kernel, run, stdout, tar, xz};

fn command(name: &str) -> assert_cmd::Command {
    let mut command = btfgen();
    command.args(["hub", name]);
    command
}

/// Check that the hub is found where the environment names it, and where XDG has it otherwise.
#[test]
fn path() {
    assert_eq!(stdout(command("path").args(["--hub", "x y"])), "x y\n");
    assert_eq!(
        stdout(command("path").env("BTFHUB_CACHE_DIR", "/a")),
        "/a\n"
    );
    assert_eq!(stdout(command("path").env("BTFHUB_CACHE", "/b")), "/b\n");
    let mut all = command("path");
    all.env("BTFHUB_CACHE", "/b").env("BTFHUB_CACHE_DIR", "/a");
    assert_eq!(stdout(&mut all), "/a\n");
    assert_eq!(stdout(all.env("BTFGEN_HUB", "/c")), "/c\n");
    let home = stdout(command("path").env("HOME", "/h"));
    assert_eq!(home, "/h/.cache/btfgen/btfhub\n");
    let xdg = stdout(command("path").env("XDG_CACHE_HOME", "/c"));
    assert_eq!(xdg, "/c/btfgen/btfhub\n");
    run(&mut command("path"), 1, &["no hub is named"]);
}

/// Check that every command refuses a folder whose hub is in btfhub-archive below it, with the folder to name, and the cache of
/// bpf-compatible's script, whose kernels are minimized.
#[test]
fn parent_of_a_hub() {
    let dir = tempdir().unwrap();
    place_kernel(&dir.path().join("btfhub-archive"), NEW);
    let kernel = btfgen_testkit::sample_btf(NEW);
    let out = dir.path().join("out.tar.gz");
    let (object, kernel) = (crate::suite::object(), kernel.to_str().unwrap());
    let pack = [
        "pack",
        object.to_str().unwrap(),
        "-o",
        out.to_str().unwrap(),
    ];
    let commands: [&[&str]; 6] = [
        &pack,
        &["list"],
        &["hub", "status"],
        &["hub", "verify"],
        &["add", kernel, "--id", NEW],
        &["fetch"],
    ];
    let folder = dir.path().to_str().unwrap();
    let name = format!("help: name {folder}/btfhub-archive\n");
    let refused = |pieces: &[&str]| {
        for arguments in commands {
            let mut named = btfgen();
            run(named.args(arguments).arg("--hub").arg(folder), 1, pieces);
            let mut set = btfgen();
            run(set.args(arguments).env("BTFHUB_CACHE", folder), 1, pieces);
        }
    };
    refused(&[
        "is not a hub: the kernels are in its folder btfhub-archive",
        &name,
    ]);
    fs::create_dir(dir.path().join("btfhub-archive-repos")).unwrap();
    refused(&["is the cache of bpf-compatible's script", "BTFGEN_HUB"]);
    assert_eq!(
        names(dir.path()),
        ["btfhub-archive", "btfhub-archive-repos"]
    );
}

/// Check that kernels are counted by kind, with their sizes, and repositories are only there after a fetch.
#[test]
fn status() {
    let output = stdout(command("status").arg("--hub").arg(hub()));
    let total = output.lines().last().unwrap();
    assert!(
        total.starts_with("total") && total.contains(" 8 "),
        "{output}"
    );
    let json = stdout(command("status").arg("--json").arg("--hub").arg(hub()));
    let status: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(status["repositories"].as_array().unwrap().len(), 0);
    let kinds = status["counts"].as_array().unwrap();
    let amd64 = kinds
        .iter()
        .find(|k| k["version"] == "12" && k["arch"] == "x86_64")
        .unwrap();
    assert_eq!(amd64["kernels"], 1);
    let file = hub().join(format!("{NEW}.btf.tar.xz"));
    assert_eq!(amd64["bytes"], file.metadata().unwrap().len());
}

/// Check that a missing hub is an error, and that its help says how to make one.
#[test]
fn missing() {
    for name in ["status", "verify"] {
        let mut command = command(name);
        run(
            command.args(["--hub", "/nonexistent"]),
            1,
            &["/nonexistent: the hub does not exist", "btfgen fetch"],
        );
    }
}

/// Check that a hub of real kernels is sound.
#[test]
fn sound() {
    let mut command = command("verify");
    run(command.arg("--hub").arg(hub()), 0, &["8 kernels sound"]);
}

/// Check that every kind of damage is named, that only `--delete` deletes, and only what is damaged in its own place.
#[test]
fn broken() {
    let dir = tempdir().unwrap();
    let own = dir.path();
    place_kernel(own, "a/1/x86_64/good");
    place_kernel(own, "a/1/s390x/byte-order");
    let full = fs::read(hub().join(format!("{OLD}.btf.tar.xz"))).unwrap();
    place(own, "a/1/x86_64/cut.btf.tar.xz", &full[..full.len() / 2]);
    place(own, "a/1/x86_64/empty.btf.tar.xz", b"");
    place(own, "a/1/x86_64/text.btf", b"not BTF");
    // What its user may want to keep.
    place(own, "a/1/x86_64/name.btf.tar.xz", &full);
    place(own, "a/1/x86_64/nothing.btf.tar.xz", &xz(&tar(&[])));
    let two: [(&str, &[u8]); 2] = [("1.btf", b"x"), ("2.btf", b"x")];
    place(own, "a/1/x86_64/two.btf.tar.xz", &xz(&tar(&two)));
    place(own, "a/1/x86_64/good.btf.xz", b"another form");
    place(own, "a/misplaced.btf", b"");
    let damaged = [
        ("a/1/x86_64/cut.btf.tar.xz", "damaged or truncated"),
        ("a/1/x86_64/empty.btf.tar.xz", "the file is empty"),
        ("a/1/x86_64/text.btf", "not a usable BTF"),
    ];
    let users = [
        ("a/1/s390x/byte-order.btf", "byte order"),
        ("a/1/x86_64/good.btf.xz", "the same kernel is in"),
        ("a/1/x86_64/name.btf.tar.xz", "5.10.0-30-cloud-amd64.btf"),
        ("a/1/x86_64/nothing.btf.tar.xz", "contains no .btf file"),
        ("a/1/x86_64/two.btf.tar.xz", "contains more than one .btf"),
        ("a/misplaced.btf", "ID/VERSION/ARCH/RELEASE"),
    ];
    let mut verify = command("verify");
    verify.arg("-v").arg("--hub").arg(own);
    let all = [&damaged[..], &users[..]].concat();
    let pieces: Vec<&str> = all.iter().flat_map(|(path, why)| [*path, *why]).collect();
    run(&mut verify, 1, &pieces);
    let would_be = run(
        verify.args(["--delete", "--json"]).arg("--dry-run"),
        1,
        &pieces,
    );
    let report: Value = serde_json::from_slice(&would_be.stdout).unwrap();
    let of = |key: &str, report: &Value| {
        let broken = report["broken"].as_array().unwrap().iter();
        broken.filter(|b| b[key] == true).count()
    };
    assert_eq!((of("deletable", &report), of("deleted", &report)), (3, 0));
    assert!(all.iter().all(|(path, _)| own.join(path).exists()));

    let mut verify = command("verify");
    verify.args(["-v", "--delete", "--json", "--hub"]).arg(own);
    let output = run(
        &mut verify,
        1,
        &[
            "1 kernel sound",
            "empty.btf.tar.xz: the file is empty (deleted)",
        ],
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["sound"], 1);
    assert_eq!((of("deletable", &report), of("deleted", &report)), (3, 3));
    assert!(!damaged.iter().any(|(path, _)| own.join(path).exists()));
    assert!(users.iter().all(|(path, _)| own.join(path).exists()));
}

/// Check that nothing is deleted from a folder that is not a hub.
#[test]
fn no_hub() {
    let dir = tempdir().unwrap();
    let project = dir.path();
    place(project, "src/kernel.btf", b"mine");
    place(project, "build/x86_64/debug/types.btf", b"mine, too");
    let mut verify = command("verify");
    verify.args(["--delete", "--hub"]).arg(project);
    run(
        &mut verify,
        1,
        &["is probably not a hub", "nothing was deleted"],
    );
    assert_eq!(names(project), ["build", "src"]);
    assert!(project.join("build/x86_64/debug/types.btf").exists());
    fs::remove_dir_all(project.join("build")).unwrap();
    run(&mut verify, 1, &["src/kernel.btf"]);
    assert!(project.join("src/kernel.btf").exists());
}

/// Check that what was deleted is done with: the exit code lets a fetch follow.
#[test]
fn deleted_is_done() {
    let dir = tempdir().unwrap();
    place_kernel(dir.path(), "a/1/x86_64/good");
    place(dir.path(), "a/1/x86_64/empty.btf", b"");
    let mut verify = command("verify");
    verify.arg("--hub").arg(dir.path());
    run(&mut verify, 1, &["1 file broken"]);
    run(verify.arg("--delete"), 0, &["(deleted)"]);
    assert_eq!(names(&dir.path().join("a/1/x86_64")), ["good.btf"]);
    assert_eq!(names(dir.path()), ["a"]);
}

/// Check that what is merely too large is named and stays.
#[test]
fn too_large_stays() {
    let dir = tempdir().unwrap();
    place_kernel(dir.path(), "a/1/x86_64/good");
    let mut verify = command("verify");
    verify.args(["--delete", "--max-btf-size", "1000", "--hub"]);
    run(verify.arg(dir.path()), 1, &["has more than 1000 bytes"]);
    assert!(dir.path().join("a/1/x86_64/good.btf").exists());
}
