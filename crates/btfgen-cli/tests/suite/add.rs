//! `btfgen add`

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::tempdir;

use crate::suite::{NEW, OLD, btfgen, names, object, place, run, stdout, xz};

/// The BTF of a kernel of the sample hub.
fn btf(kernel: &str) -> Vec<u8> {
    fs::read(btfgen_testkit::sample_btf(kernel)).unwrap()
}

/// A file with a kernel's BTF, which says nothing of the kernel.
fn raw(folder: &Path, kernel: &str) -> PathBuf {
    place(folder, "raw", &btf(kernel))
}

fn add(file: &Path, hub: &Path) -> assert_cmd::Command {
    let mut command = btfgen();
    command.arg("add").arg(file).arg("--hub").arg(hub);
    command
}

/// What GNU tar and xz find in a hub's file.
fn unpacked(file: &Path) -> Vec<u8> {
    let output = std::process::Command::new("tar")
        .arg("-xJOf")
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// Check that a BTF comes into the hub under the name that is given, in btfhub's form, and that `pack` takes it.
#[test]
fn raw_btf() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("new/hub");
    let file = raw(dir.path(), NEW);
    run(add(&file, &hub).args(["--id", NEW]), 0, &[NEW, "added"]);
    let added = hub.join(format!("{NEW}.btf.tar.xz"));
    assert_eq!(unpacked(&added), btf(NEW));
    let listed = std::process::Command::new("tar")
        .arg("-tJf")
        .arg(&added)
        .output()
        .unwrap();
    let inside = String::from_utf8(listed.stdout).unwrap();
    assert_eq!(inside.trim_end(), "6.1.0-47-cloud-amd64.btf");
    let archive = dir.path().join("a.tar.gz");
    run(&mut crate::suite::pack(&hub, &archive), 0, &["1 kernel"]);
}

/// Check that adding the same BTF again changes nothing, from any type of file.
#[test]
fn unchanged() {
    let dir = tempdir().unwrap();
    let file = raw(dir.path(), NEW);
    let hub = dir.path().join("hub");
    run(add(&file, &hub).args(["--id", NEW]), 0, &[]);
    let added = hub.join(format!("{NEW}.btf.tar.xz"));
    let before = fs::metadata(&added).unwrap().modified().unwrap();
    let packed = place(dir.path(), "raw.xz", &xz(&btf(NEW)));
    for file in [&file, &packed, &added] {
        let mut command = add(file, &hub);
        run(command.args(["--id", NEW]), 0, &["unchanged"]);
    }
    assert_eq!(fs::metadata(&added).unwrap().modified().unwrap(), before);
}

/// Check that a different BTF is only replaced with `--force`, also where the hub has it in another form or under the other
/// name of its architecture.
#[test]
fn replacing() {
    const ARM: &str = "debian/12/arm64/6.1.0-47-cloud-arm64";
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let other = format!("{}.btf", ARM.replace("/arm64/", "/aarch64/"));
    let other = place(&hub, &other, &btf(OLD));
    let file = raw(dir.path(), NEW);
    let mut command = add(&file, &hub);
    run(
        command.args(["--id", ARM]),
        1,
        &[
            "has a different BTF of this kernel",
            "help: --force replaces it",
        ],
    );
    assert_eq!(fs::read(&other).unwrap(), btf(OLD));
    run(command.arg("--force"), 0, &[ARM, "replaced"]);
    assert!(!other.exists());
    assert_eq!(unpacked(&hub.join(format!("{ARM}.btf.tar.xz"))), btf(NEW));
}

/// Check that a damaged file in the kernel's place is not taken for the kernel.
#[test]
fn damaged_in_its_place() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    place(&hub, &format!("{NEW}.btf.tar.xz"), b"no xz");
    let file = raw(dir.path(), NEW);
    let mut command = add(&file, &hub);
    run(command.args(["--id", NEW]), 1, &["is unusable", "damaged"]);
    run(command.arg("--force"), 0, &["replaced"]);
}

/// Check that what the file does not say comes from the host, if asked for, and is missed otherwise.
#[test]
fn from_host() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let os_release = place(dir.path(), "os-release", b"ID=mine\nVERSION_ID=\"1.2\"\n");
    let file = raw(dir.path(), NEW);
    run(
        &mut add(&file, &hub),
        1,
        &[
            "does not contain the kernel's distribution, its version, its architecture and its release",
            "--from-host",
        ],
    );
    assert!(!hub.exists());
    let mut command = add(&file, &hub);
    command.env("BTFGEN_OS_RELEASE", os_release);
    let report: Value =
        serde_json::from_str(&stdout(command.args(["--from-host", "--json"]))).unwrap();
    let uname = std::process::Command::new("uname").arg("-r").output();
    let release = String::from_utf8(uname.unwrap().stdout).unwrap();
    let kernel = report["added"][0]["kernel"].as_str().unwrap();
    assert!(kernel.starts_with("mine/1.2/"), "{kernel}");
    assert!(kernel.ends_with(release.trim_end()), "{kernel}");
    assert_eq!(report["added"][0]["change"], "new");
}

/// Check that the running kernel's own BTF is added unchanged.
#[test]
fn running_kernel() {
    let own = Path::new("/sys/kernel/btf/vmlinux");
    if !own.exists() {
        println!("skipped: this kernel shows no BTF");
        return;
    }
    let dir = tempdir().unwrap();
    let output = stdout(add(own, dir.path()).args(["--from-host", "--json"]));
    let report: Value = serde_json::from_str(&output).unwrap();
    let path = Path::new(report["added"][0]["path"].as_str().unwrap());
    assert_eq!(unpacked(path), fs::read(own).unwrap());
}

/// Check that names which are none are refused, and nothing is made.
#[test]
fn bad_ids() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let file = raw(dir.path(), NEW);
    for id in [
        "debian/../x86_64/6.1",
        "debian/12/x86_64/6.1/0",
        "debian",
        "debian/12/x86_64",
        "/12/x86_64/6.1",
        "debian/12/x86 64/6.1",
        "../../etc/passwd",
        "",
    ] {
        let mut command = add(&file, &hub);
        let id = format!("--id={id}");
        run(command.arg(id), 1, &["is not a kernel's id", "help: write"]);
        assert!(!hub.exists());
    }
}

/// Check that a BTF is not taken for another architecture's.
#[test]
fn other_byte_order() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let file = raw(dir.path(), NEW);
    let mut command = add(&file, &hub);
    command.args(["--id", "debian/12/s390x/6.1.0-47-s390x"]);
    run(&mut command, 1, &["does not have the byte order of s390x"]);
    assert!(!hub.exists());
}

/// Check that files without a kernel are refused, and that the error says what they are.
#[test]
fn no_kernels() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let empty = place(dir.path(), "empty", b"");
    let text = place(dir.path(), "text", b"not a kernel at all");
    let truncated = place(dir.path(), "cut", &btf(NEW)[..100_000]);
    for (file, why) in [
        (empty, "is empty"),
        (text, "unrecognized file type"),
        (truncated, "damaged or truncated"),
        (object(), "is a BPF object"),
        (PathBuf::from("/bin/sh"), "is a program or library"),
        (dir.path().to_owned(), "folder"),
        (dir.path().join("missing"), "No such file"),
    ] {
        run(add(&file, &hub).args(["--id", NEW]), 1, &[why]);
        assert!(!hub.exists(), "{}", file.display());
    }
}

/// Check that the valid files of several are added, and the others are named.
#[test]
fn several() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let packed = |kernel: &str| {
        let (_, release) = kernel.rsplit_once('/').unwrap();
        let name = format!("pool/{release}.btf");
        place(dir.path(), &name, &btf(kernel))
    };
    let (one, two) = (packed(NEW), packed(OLD));
    let mut command = add(&one, &hub);
    run(
        command.arg(&two).args(["--id", NEW]),
        2,
        &["--id names one kernel, but there are several files"],
    );
    let text = place(dir.path(), "text", b"not a kernel at all");
    let mut command = add(&text, &hub);
    command.arg(&one).env("BTFGEN_OS_RELEASE", "/dev/null");
    command.env(
        "BTFGEN_OS_RELEASE",
        place(dir.path(), "os", b"ID=a\nVERSION_ID=1\n"),
    );
    run(
        command.arg("--from-host"),
        1,
        &["unrecognized file type", "added"],
    );
    assert_eq!(names(&hub), [".btfgen", "a"]);
}

/// Check that an unsuitable hub is an error, and is not changed.
#[test]
fn bad_hubs() {
    let dir = tempdir().unwrap();
    let file = raw(dir.path(), NEW);
    for hub in [file.clone(), file.join("below")] {
        let mut command = add(&file, &hub);
        run(command.args(["--id", NEW]), 1, &["is not a folder"]);
    }
    assert_eq!(fs::read(&file).unwrap(), btf(NEW));
}
