//! A disk without room. It is a small file system of its own, which only the superuser can have.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use btfgen_testkit::skipped;

use crate::suite::fetch::{Git, Ground, assert_same, files, kernels, put_series, url};

const FILES: u64 = 160;
const FILE_BYTES: usize = 17_000;

const MINE: &str = "a/1/x86_64/mine.btf";

/// Runs a command twice, with a file system of so many bytes at $0 and then with one of 64 MB. $1 is a folder for what
/// comes of it, $2 the bytes, the rest the command.
const SCRIPT: &str = r#"
    out=$1 size=$2; shift 2
    mount -t tmpfs -o "size=$size" none "$0" || exit
    mkdir -p "$0/a/1/x86_64" && echo old >"$0/a/1/x86_64/mine.btf" || exit
    "$@" 2>"$out/first"; echo $? >"$out/codes"
    cp -a "$0" "$out/before"
    mount -o remount,size=64m none "$0" || exit
    "$@" 2>"$out/second"; echo $? >>"$out/codes"
    cp -a "$0" "$out/after"
"#;

/// Whether a mount of one's own can be had.
fn can_mount(ground: &Ground) -> bool {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "mount", "-t", "tmpfs", "none"]);
    let output = unshare.arg(ground.path("home")).output();
    output.is_ok_and(|output| output.status.success())
}

fn fills(ground: &Ground, git: Git, url: &str, size: &str, all: &BTreeMap<String, Vec<u8>>) {
    let out = ground.path(&format!("{git:?}-{size}"));
    fs::create_dir(&out).unwrap();
    let fetch = ground.command(git, url);
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "sh", "-c", SCRIPT]);
    unshare.arg(ground.hub()).arg(&out).arg(size);
    for (name, value) in fetch.get_envs() {
        match value {
            // The shell needs its own.
            Some(path) if name == "PATH" => {
                unshare.arg("/usr/bin/env");
                unshare.arg(format!("PATH={}", path.display()));
            }
            Some(value) => drop(unshare.env(name, value)),
            None => drop(unshare.env_remove(name)),
        }
    }
    unshare.arg(fetch.get_program()).args(fetch.get_args());
    assert!(unshare.status().unwrap().success());

    let read = |name| fs::read_to_string(out.join(name)).unwrap();
    let (first, second) = (read("first"), read("second"));
    assert_eq!(read("codes"), "1\n0\n", "{first}{second}");
    assert!(first.contains("No space left on device"), "{first}");
    assert!(
        first.contains("help: free some disk space and run the command again"),
        "{first}"
    );
    let mut expected = all.clone();
    expected.insert(MINE.to_owned(), b"old\n".to_vec());
    assert_same(&files(&out.join("after")), &expected);
    expected.retain(|path, _| path == MINE);
    assert_same(&files(&out.join("before")), &expected);
}

/// Check that a disk that gets full at any moment is told, that the hub's kernels are as before, and that the next fetch
/// goes on when there is room.
#[test]
fn full_disks() {
    let ground = Ground::new();
    if !can_mount(&ground) {
        skipped("only the superuser can mount a file system to fill");
        return;
    }
    let repository = ground.repository("kernels");
    put_series(&repository, "ubuntu/20.04/x86_64", FILES, FILE_BYTES);
    repository.commit();
    let daemon = ground.daemon();
    let url = url("git", daemon.address(), "kernels");
    let all = kernels(&repository);
    fs::create_dir(ground.hub()).unwrap();
    for (git, size) in [
        (Git::There, "16k"),
        (Git::There, "1m"),
        (Git::There, "3m"),
        (Git::Missing, "16k"),
        (Git::Missing, "2m"),
        (Git::Missing, "4m"),
    ] {
        fills(&ground, git, &url, size, &all);
    }
}
