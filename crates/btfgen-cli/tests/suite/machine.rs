//! Errors of the machine: they end a run, and say nothing about a file.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::tempdir;

use crate::suite::{NEW, OLD, binary, hub, names, object, place_kernel};

/// The command below a limit of `prlimit`, on one thread where it can be told.
fn limited(limit: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("prlimit");
    command.arg(limit).arg(binary()).args(arguments);
    command.env_remove("BTFHUB_CACHE_DIR").output().unwrap()
}

fn small_hub(folder: &Path) {
    for kernel in [NEW, OLD] {
        let path = folder.join(format!("{kernel}.btf.tar.xz"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::copy(hub().join(format!("{kernel}.btf.tar.xz")), path).unwrap();
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Check that with too little memory, whatever little that is, `hub verify --delete` deletes nothing, and that no kernel is
/// left out of an archive.
#[test]
fn too_little_memory() {
    let dir = tempdir().unwrap();
    let (own, archive) = (dir.path().join("hub"), dir.path().join("a.tar.gz"));
    small_hub(&own);
    let object = object();
    let mut failed = 0;
    for mebibytes in (20..240).step_by(20) {
        let limit = format!("--as={}", mebibytes << 20);
        let verified = limited(&limit, &["hub", "verify", "--delete", "--hub", text(&own)]);
        let stderr = String::from_utf8_lossy(&verified.stderr);
        assert_ne!(verified.status.code(), Some(1), "{mebibytes}: {stderr}");
        assert!(!stderr.contains("damaged"), "{mebibytes}: {stderr}");
        for kernel in [NEW, OLD] {
            assert!(
                own.join(format!("{kernel}.btf.tar.xz")).exists(),
                "{mebibytes}: {stderr}"
            );
        }
        let arguments = [
            "pack",
            text(&object),
            "--hub",
            text(&own),
            "-o",
            text(&archive),
        ];
        let packed = limited(&limit, &arguments);
        let stderr = String::from_utf8_lossy(&packed.stderr);
        // All or nothing.
        assert_ne!(packed.status.code(), Some(1), "{mebibytes}: {stderr}");
        assert_eq!(
            packed.status.success(),
            archive.exists(),
            "{mebibytes}: {stderr}"
        );
        failed += u32::from(!packed.status.success());
        let _ = fs::remove_file(&archive);
    }
    assert!((1..11).contains(&failed), "{failed} failed");
    assert_eq!(names(dir.path()), ["hub"]);
}

/// Check that too few descriptors end a run, with that as the reason.
#[test]
fn too_few_descriptors() {
    let dir = tempdir().unwrap();
    let (own, archive) = (dir.path().join("hub"), dir.path().join("a.tar.gz"));
    small_hub(&own);
    let object = object();
    let mut told = 0;
    for descriptors in 3..16 {
        let limit = format!("--nofile={descriptors}");
        let verified = limited(&limit, &["hub", "verify", "--delete", "--hub", text(&own)]);
        let arguments = [
            "pack",
            text(&object),
            "--hub",
            text(&own),
            "-o",
            text(&archive),
        ];
        let packed = limited(&limit, &arguments);
        for output in [verified, packed] {
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_ne!(output.status.code(), Some(1), "{descriptors}: {stderr}");
            told += u32::from(stderr.contains("Too many open files"));
        }
        let _ = fs::remove_file(&archive);
    }
    assert!(told > 2, "{told}");
    for kernel in [NEW, OLD] {
        assert!(own.join(format!("{kernel}.btf.tar.xz")).exists());
    }
}

/// Check that a disk that fails, as strace has it, ends `hub verify --delete` and `pack`, and no kernel goes.
#[test]
fn failing_disk() {
    let dir = tempdir().unwrap();
    let (own, archive) = (dir.path().join("hub"), dir.path().join("a.tar.gz"));
    small_hub(&own);
    let kernel = own.join(format!("{NEW}.btf.tar.xz"));
    let object = object();
    let verify = ["hub", "verify", "--delete", "--hub", text(&own)];
    let pack = [
        "pack",
        text(&object),
        "--hub",
        text(&own),
        "-o",
        text(&archive),
    ];
    for arguments in [&verify[..], &pack[..]] {
        let mut strace = Command::new("strace");
        strace.args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "inject=read:error=EIO",
            "-P",
        ]);
        let output = strace.arg(&kernel).arg(binary()).args(arguments).output();
        let Ok(output) = output else {
            btfgen_testkit::skipped(format_args!("strace is not installed"));
            return;
        };
        let stderr = String::from_utf8_lossy(&output.stderr);
        if stderr.contains("ptrace") {
            btfgen_testkit::skipped(format_args!("strace cannot trace here: {stderr}"));
            return;
        }
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        for piece in [text(&kernel), "Input/output error", "the machine failed"] {
            assert!(stderr.contains(piece), "no {piece:?} in: {stderr}");
        }
        assert!(kernel.exists() && !archive.exists());
    }
}

/// Check that a limit of a file's size is an error as any other, and leaves nothing.
#[test]
fn file_size_limit() {
    let dir = tempdir().unwrap();
    let (own, archive) = (dir.path().join("hub"), dir.path().join("a.tar.gz"));
    small_hub(&own);
    fs::write(&archive, "older").unwrap();
    let object = object();
    let arguments = [
        "pack",
        text(&object),
        "--hub",
        text(&own),
        "-o",
        text(&archive),
    ];
    let output = limited("--fsize=100", &arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("File too large"), "{stderr}");
    assert_eq!(names(dir.path()), ["a.tar.gz", "hub"]);
    assert_eq!(fs::read(&archive).unwrap(), b"older");
}

/// Check that threads which cannot be started are done without.
#[test]
fn no_threads() {
    let dir = tempdir().unwrap();
    place_kernel(&dir.path().join("hub"), NEW);
    let script = r#"cp "$1" btfgen && cp "$2" a.o && chmod -R a+rX . && mkdir -m 777 out && mkdir -m 777 -p hub/.btfgen
        drop="setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all"
        $drop true || exit 77
        $drop prlimit --nproc=1 ./btfgen hub verify --hub hub &&
        $drop prlimit --nproc=1 ./btfgen hub verify --delete --hub hub &&
        $drop prlimit --nproc=1 ./btfgen pack a.o --hub hub -o out/a.tar.gz"#;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", binary()]).arg(object());
    // The folder of a test is its user's alone.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(dir.path(), mode).unwrap();
    let output = command.current_dir(dir.path()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        return btfgen_testkit::skipped(format_args!("no other user can be had: {stderr}"));
    }
    assert!(output.status.success(), "{stderr}");
    assert!(dir.path().join("out/a.tar.gz").exists());
}
