//! Errors of the machine: they end a run, and say nothing about a file.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::{TempDir, tempdir};

use crate::suite::{NEW, OLD, binary, hub, names, object, place_kernel};

/// A folder with a hub of two kernels, and a place for an archive.
struct Ground(TempDir);

impl Ground {
    fn new() -> Self {
        let ground = Self(tempdir().unwrap());
        for kernel in [NEW, OLD] {
            let path = ground.kernel(kernel);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::copy(hub().join(format!("{kernel}.btf.tar.xz")), path).unwrap();
        }
        ground
    }

    fn kernel(&self, kernel: &str) -> PathBuf {
        self.0.path().join(format!("hub/{kernel}.btf.tar.xz"))
    }

    fn archive(&self) -> PathBuf {
        self.0.path().join("a.tar.gz")
    }

    fn has_both_kernels(&self) -> bool {
        [NEW, OLD].iter().all(|kernel| self.kernel(kernel).exists())
    }

    /// `hub verify --delete` below a wrapper.
    fn verify(&self, wrapper: &[&str]) -> Output {
        self.run(wrapper, &["hub", "verify", "--delete"])
    }

    /// `pack` below a wrapper.
    fn pack(&self, wrapper: &[&str]) -> Output {
        let object = object();
        self.run(
            wrapper,
            &["pack", object.to_str().unwrap(), "-o", "a.tar.gz"],
        )
    }

    fn run(&self, wrapper: &[&str], arguments: &[&str]) -> Output {
        let mut command = Command::new(wrapper[0]);
        command.args(&wrapper[1..]).arg(binary()).args(arguments);
        command.args(["--hub", "hub"]).current_dir(self.0.path());
        command.output().unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Check that with too little memory, whatever little that is, `hub verify --delete` deletes nothing, and that no kernel is
/// left out of an archive.
#[test]
fn too_little_memory() {
    let ground = Ground::new();
    let mut failed = 0;
    for mebibytes in (20..240).step_by(20) {
        let limit = format!("--as={}", mebibytes << 20);
        let wrapper = ["prlimit", &limit];
        let verified = ground.verify(&wrapper);
        let told = stderr(&verified);
        for verdict in ["damaged", "broken"] {
            assert!(!told.contains(verdict), "{mebibytes}: {told}");
        }
        assert!(ground.has_both_kernels(), "{mebibytes}: {told}");

        let packed = ground.pack(&wrapper);
        let (done, told) = (packed.status.success(), stderr(&packed));
        // All or nothing.
        assert!(!told.contains("left out"), "{mebibytes}: {told}");
        assert_eq!(done, ground.archive().exists(), "{mebibytes}: {told}");
        failed += u32::from(!done);
        let _ = fs::remove_file(ground.archive());
    }
    assert!((1..11).contains(&failed), "{failed} failed");
    assert_eq!(names(ground.0.path()), ["hub"]);
}

/// Check that too few descriptors end a run, with that as the reason.
#[test]
fn too_few_descriptors() {
    let ground = Ground::new();
    let mut told = 0;
    for descriptors in 3..16 {
        let limit = format!("--nofile={descriptors}");
        let wrapper = ["prlimit", &limit];
        for output in [ground.verify(&wrapper), ground.pack(&wrapper)] {
            let stderr = stderr(&output);
            for verdict in ["damaged", "broken", "left out"] {
                assert!(!stderr.contains(verdict), "{descriptors}: {stderr}");
            }
            told += u32::from(stderr.contains("Too many open files"));
        }
    }
    assert!(told > 2, "{told}");
    assert!(ground.has_both_kernels());
}

/// Check that a disk that fails, as strace has it, ends `hub verify --delete` and `pack`, and no kernel goes.
#[test]
fn failing_disk() {
    let ground = Ground::new();
    let kernel = ground.kernel(NEW).canonicalize().unwrap();
    let kernel = kernel.to_str().unwrap();
    let inject = "inject=read:error=EIO";
    let wrapper = [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        inject,
        "-P",
        kernel,
    ];
    let traces = Command::new("strace")
        .args(["-qq", "-o", "/dev/null", "true"])
        .status();
    if !traces.is_ok_and(|status| status.success()) {
        return btfgen_testkit::skipped("strace is not installed, or cannot trace here");
    }
    for output in [ground.verify(&wrapper), ground.pack(&wrapper)] {
        let stderr = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        for piece in [NEW, "Input/output error", "the machine failed"] {
            assert!(stderr.contains(piece), "no {piece:?} in: {stderr}");
        }
        assert!(ground.has_both_kernels() && !ground.archive().exists());
    }
}

/// Check that a file size limit is an ordinary error, and leaves no files.
#[test]
fn file_size_limit() {
    let ground = Ground::new();
    fs::write(ground.archive(), "older").unwrap();
    let output = ground.pack(&["prlimit", "--fsize=100"]);
    let stderr = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("File too large"), "{stderr}");
    assert_eq!(names(ground.0.path()), ["a.tar.gz", "hub"]);
    assert_eq!(fs::read(ground.archive()).unwrap(), b"older");
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
