//! Ctrl-C

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::tempdir;

use crate::suite::{NEW, binary, hub, names, object};

/// A hub that takes minutes: many names of one file.
fn large_hub(folder: &Path) {
    let kernel = hub().join(format!("{NEW}.btf.tar.xz"));
    let place = folder.join("a/1/x86_64");
    fs::create_dir_all(&place).unwrap();
    let first = place.join("0.btf.tar.xz");
    fs::copy(kernel, &first).unwrap();
    for i in 1..5000 {
        fs::hard_link(&first, place.join(format!("{i}.btf.tar.xz"))).unwrap();
    }
}

/// Starts `btfgen pack`, and waits until it listens to signals and has had some time to work.
fn start(hub: &Path, output: &Path) -> Child {
    // A background job's child has SIGINT ignored, which it would respect.
    let mut command = Command::new("env");
    command.arg("--default-signal=INT,TERM,HUP").arg(binary());
    command.arg("pack").arg(object()).arg("--hub").arg(hub);
    command.arg("-o").arg(output).args(["-j", "1"]);
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let begin = Instant::now();
    let listens = || {
        let status = fs::read_to_string(&status).unwrap();
        let caught = status.lines().find_map(|l| l.strip_prefix("SigCgt:\t"));
        u64::from_str_radix(caught.unwrap().trim(), 16).unwrap() & 0b10 != 0
    };
    while !listens() {
        assert!(begin.elapsed() < Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(300));
    child
}

fn kill(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Check that signals to end stop the work soon, with exit code 130, nothing left behind and an older output
/// untouched.
#[test]
fn stops() {
    let (dir, large) = (tempdir().unwrap(), tempdir().unwrap());
    large_hub(large.path());
    let output = dir.path().join("a.tar.gz");
    fs::write(&output, "older").unwrap();
    for signal in [Signal::INT, Signal::TERM] {
        let child = start(large.path(), &output);
        let begin = Instant::now();
        kill(&child, signal);
        let done = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(130), "{stderr}");
        assert!(stderr.contains("nothing was written"), "{stderr}");
        assert!(begin.elapsed() < Duration::from_secs(20));
        assert_eq!(names(dir.path()), ["a.tar.gz"]);
        assert_eq!(fs::read(&output).unwrap(), b"older");
    }
}

/// Check that two signals in a row end it too.
#[test]
fn stops_at_once() {
    let (dir, large) = (tempdir().unwrap(), tempdir().unwrap());
    large_hub(large.path());
    let child = start(large.path(), &dir.path().join("a.tar.gz"));
    kill(&child, Signal::INT);
    std::thread::sleep(Duration::from_millis(5));
    // It may have ended by the first one.
    let _ = kill_process(Pid::from_child(&child), Signal::INT);
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(130));
    assert_eq!(names(dir.path()), [""; 0]);
}

/// Check that a signal ends `add` and the pahole that it has started, and that neither leaves anything in the hub or in the
/// folder for temporary files.
#[test]
fn stops_pahole() {
    const KERNEL: &str = r#"
        struct task_struct { int pid; } init_task;
        const char linux_banner[] = "Linux version 6.1.0-dwarf (builder@host) #1 SMP\n";
        int start(struct task_struct *task) { return task->pid + init_task.pid + linux_banner[0]; }"#;
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("tmp")).unwrap();
    fs::create_dir(at("bin")).unwrap();
    fs::write(at("kernel.c"), KERNEL).unwrap();
    let pahole = "#!/bin/sh\n[ \"$1\" = --version ] && echo v1.24 && exit\necho $$ > pid.new; mv pid.new pid\nexec sleep 600\n";
    fs::write(at("bin/pahole"), pahole).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(at("bin/pahole"), mode).unwrap();
    let mut cc = Command::new("cc");
    cc.args([
        "-g",
        "-nostdlib",
        "-static",
        "-no-pie",
        "-Wl,-e,start",
        "-o",
        "vmlinux",
        "kernel.c",
    ]);
    assert!(cc.current_dir(dir.path()).status().unwrap().success());
    let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let mut add = Command::new("env");
        add.arg("--default-signal=INT,TERM,HUP").arg(binary());
        add.args(["add", "vmlinux", "--id", "a/1/x86_64/1", "--hub", "hub"]);
        add.current_dir(dir.path())
            .env("PATH", &path)
            .env("TMPDIR", at("tmp"));
        let child = add.stderr(Stdio::piped()).spawn().unwrap();
        let begin = Instant::now();
        while !at("pid").exists() {
            assert!(begin.elapsed() < Duration::from_secs(30));
            std::thread::sleep(Duration::from_millis(10));
        }
        let pahole = fs::read_to_string(at("pid")).unwrap();
        kill(&child, signal);
        let done = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(130), "{stderr}");
        assert!(!Path::new("/proc").join(pahole.trim()).exists());
        assert!(names(&at("tmp")).is_empty() && !at("hub").exists());
        fs::remove_file(at("pid")).unwrap();
    }
}
