//! Files that are none: pipes, devices, sockets, and what has no end.

use std::fs::{self, File};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::tempdir;

use crate::suite::{NEW, btfgen, object, place_kernel, run};

/// Nothing that is refused at once takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

fn fifo(path: PathBuf) -> PathBuf {
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    path
}

/// Check that no command waits for a pipe, or reads a device, that it is given.
#[test]
fn arguments() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    place_kernel(&at("hub"), NEW);
    let _socket = UnixListener::bind(at("socket")).unwrap();
    let huge = at("huge");
    File::create(&huge).unwrap().set_len(1 << 40).unwrap();
    let kernel = btfgen_testkit::sample_btf(NEW);
    let object = object();
    for (special, piece) in [
        (fifo(at("fifo")), "not a regular file"),
        ("/dev/zero".into(), "not a regular file"),
        (at("socket"), "not a regular file"),
        (huge, "larger"),
    ] {
        let special: &Path = &special;
        let told = |arguments: &[&Path], piece| {
            let mut command = btfgen();
            command.timeout(PATIENCE).current_dir(dir.path());
            let pieces = [special.to_str().unwrap(), piece];
            run(command.args(arguments), 1, &pieces);
        };
        let refused = |arguments: &[&Path]| told(arguments, piece);
        let [pack, needs, minimize, extract, list, hub, o, out] = [
            "pack", "needs", "minimize", "extract", "list", "--hub", "-o", "out",
        ]
        .map(Path::new);
        refused(&[needs, special]);
        refused(&[pack, special, hub, Path::new("hub"), o, out]);
        let json = Path::new("--package-json");
        refused(&[pack, &object, json, special, hub, Path::new("hub"), o, out]);
        refused(&[minimize, &kernel, special, o, out]);
        refused(&[extract, special, Path::new(NEW), o, out]);
        refused(&[list, special]);
        refused(&[
            Path::new("lookup"),
            special,
            Path::new("--release"),
            Path::new("1"),
        ]);
        if piece != "larger" {
            refused(&[minimize, special, &object, o, out]);
            let id = ["--id", "a/1/x86_64/1"].map(Path::new);
            let add = [
                Path::new("add"),
                special,
                id[0],
                id[1],
                hub,
                Path::new("hub"),
            ];
            told(&add, "not a regular file");
        }
        assert!(!dir.path().join("out").exists());
    }
}

/// Check that every reader of a hub leaves out and names special files, without blocking.
#[test]
fn in_a_hub() {
    let dir = tempdir().unwrap();
    let place = dir.path().join("a/1/x86_64");
    place_kernel(dir.path(), "a/1/x86_64/good");
    let fifo = fifo(place.join("fifo.btf"));
    let _socket = UnixListener::bind(place.join("socket.btf.xz")).unwrap();
    std::os::unix::fs::symlink("fifo.btf", place.join("link.btf.tar.xz")).unwrap();
    std::os::unix::fs::symlink("nowhere", place.join("dangling.btf")).unwrap();
    let pieces = [
        "fifo.btf: is not a regular file",
        "socket.btf.xz: is not a regular file",
        "link.btf.tar.xz: is not a regular file",
        "dangling.btf: cannot be read: No such file",
    ];
    let out = dir.path().join("a.tar.gz");
    let command = |arguments: &[&str]| {
        let mut command = btfgen();
        command.timeout(PATIENCE).args(arguments);
        command
    };
    let read = |command: &mut assert_cmd::Command, code| {
        run(command.arg("--hub").arg(dir.path()), code, &pieces);
    };
    read(command(&["pack", "-o"]).arg(&out).arg(object()), 0);
    read(&mut command(&["list"]), 0);
    read(&mut command(&["hub", "status"]), 0);
    // They stay, so the hub is not sound.
    read(&mut command(&["hub", "verify", "--delete"]), 1);
    assert!(fs::symlink_metadata(fifo).is_ok());
}

/// Check that an output to a pipe that nobody reads is an error and no wait.
#[test]
fn pipe_without_a_reader() {
    let dir = tempdir().unwrap();
    let fifo = fifo(dir.path().join("fifo"));
    let mut command = btfgen();
    command.timeout(PATIENCE).arg("minimize");
    command.arg(btfgen_testkit::sample_btf(NEW)).arg(object());
    run(
        command.arg("-o").arg(&fifo),
        1,
        &["fifo: cannot be written"],
    );
}

/// Check that a folder which another program holds a lock on is written to all the same, after some seconds.
#[test]
fn held_folder() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    place_kernel(&at("hub"), NEW);
    // Without a child, so that it can be ended.
    let mut holder = Command::new("flock");
    holder.arg("--no-fork");
    holder
        .arg(dir.path())
        .args(["sh", "-c", "touch \"$0/held\"; exec sleep 60"]);
    let mut holder = holder.arg(dir.path()).spawn().unwrap();
    let begin = std::time::Instant::now();
    while !at("held").exists() {
        assert!(begin.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut command = btfgen();
    command.timeout(PATIENCE).arg("pack").arg(object());
    command
        .arg("--hub")
        .arg(at("hub"))
        .arg("-o")
        .arg(at("a.tar.gz"));
    run(command.arg("--emit-obj").arg(at("a.o")), 0, &[]);
    assert!(at("a.tar.gz").exists() && at("a.o").exists());
    holder.kill().unwrap();
    holder.wait().unwrap();
}
