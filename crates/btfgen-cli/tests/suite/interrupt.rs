//! Ctrl-C

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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

fn kill(child: &Child, signal: &str) {
    let mut kill = Command::new("kill");
    let status = kill.arg(signal).arg(child.id().to_string()).status();
    assert!(status.unwrap().success());
}

/// Check that signals to end stop the work soon, with exit code 130, nothing left behind and an older output
/// untouched.
#[test]
fn stops() {
    let (dir, large) = (tempdir().unwrap(), tempdir().unwrap());
    large_hub(large.path());
    let output = dir.path().join("a.tar.gz");
    fs::write(&output, "older").unwrap();
    for signal in ["-INT", "-TERM"] {
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
    kill(&child, "-INT");
    std::thread::sleep(Duration::from_millis(5));
    // It may have ended by the first one.
    let _ = Command::new("kill")
        .arg("-INT")
        .arg(child.id().to_string())
        .stderr(Stdio::null())
        .status();
    let done = child.wait_with_output().unwrap();
    assert_eq!(done.status.code(), Some(130));
    assert_eq!(names(dir.path()), [""; 0]);
}
