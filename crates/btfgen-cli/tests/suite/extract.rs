//! Tests of `btfgen extract` and `btfgen minimize`.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::{TempDir, tempdir};

use crate::suite::{
    NEW, OLD, btfgen, hub, names, object, pack, pack_all, place, place_kernel, run,
};

fn archive(dir: &TempDir) -> PathBuf {
    let out = dir.path().join("a.tar.gz");
    run(&mut pack_all(&out), 0, &[]);
    out
}

fn extract(archive: &Path, kernel: &str) -> assert_cmd::Command {
    let mut command = btfgen();
    command.arg("extract").arg(archive).arg(kernel);
    command
}

/// Check that what is extracted is what the kernel is minimized to, in every form of its file.
#[test]
fn as_minimized() {
    let dir = tempdir().unwrap();
    let archive = archive(&dir);
    let content = fs::read(btfgen_testkit::sample_btf(NEW)).unwrap();
    let xz = place(dir.path(), "k.btf.xz", &crate::suite::xz(&content));
    let extracted = run(extract(&archive, NEW).args(["-o", "-"]), 0, &[]).stdout;
    let packed = hub().join(format!("{NEW}.btf.tar.xz"));
    for kernel in [packed, xz, btfgen_testkit::sample_btf(NEW)] {
        let out = dir.path().join("min.btf");
        let mut command = btfgen();
        command.arg("minimize").arg(&kernel).arg(object());
        let pieces = [&*kernel.display().to_string(), " -> ", "relocations\n"];
        run(command.arg("-o").arg(&out), 0, &pieces);
        assert_eq!(fs::read(&out).unwrap(), extracted);
    }
}

/// Check that relocations that find nothing are counted and named.
#[test]
fn missing_relocations() {
    let mut command = btfgen();
    command.arg("minimize").arg(btfgen_testkit::sample_btf(NEW));
    command.arg(btfgen_testkit::object("missing"));
    let pieces = [
        "found nothing in this kernel:\n",
        "task_struct___missing.no_such_field",
    ];
    run(command.args(["-o", "-"]), 0, &pieces);
}

/// Check that the file is RELEASE.btf in the current folder unless it is named.
#[test]
fn default_name() {
    let (dir, here) = (tempdir().unwrap(), tempdir().unwrap());
    let archive = archive(&dir);
    run(
        extract(&archive, "6.1.0-47-cloud-amd64").current_dir(&here),
        0,
        &[NEW],
    );
    run(
        extract(&archive, OLD)
            .args(["-o", "x", "-q"])
            .current_dir(&here),
        0,
        &[],
    );
    assert_eq!(names(here.path()), ["6.1.0-47-cloud-amd64.btf", "x"]);
}

/// Check that a release alone says which kernel where others of its name are equal, and that different ones are
/// listed.
#[test]
fn ambiguous() {
    let (dir, own) = (tempdir().unwrap(), tempdir().unwrap());
    place_kernel(own.path(), "a/1/x86_64/5");
    place_kernel(own.path(), "b/1/x86_64/5");
    let out = dir.path().join("a.tar.gz");
    run(&mut pack(own.path(), &out), 0, &[]);
    run(extract(&out, "5").args(["-o", "-"]), 0, &[]);

    let other = btfgen_testkit::sample_kernels();
    let other = other.iter().find(|k| k.contains("/s390x/")).unwrap();
    let other = fs::read(btfgen_testkit::sample_btf(other)).unwrap();
    place(own.path(), "c/1/s390x/5.btf", &other);
    let mut both_orders = pack(own.path(), &out);
    both_orders.arg(btfgen_testkit::object("execsnoop.eb"));
    run(&mut both_orders, 0, &[]);
    run(
        extract(&out, "5").args(["-o", "-"]),
        1,
        &[
            "a/1/x86_64/5, b/1/x86_64/5, c/1/s390x/5",
            "help: give the full name of one of them",
        ],
    );
    run(
        extract(&out, "5").args(["-o", "-", "--arch", "s390x"]),
        0,
        &[],
    );
}

/// Check that a kernel that is not there is answered with the nearest ones.
#[test]
fn nearest() {
    let (dir, here) = (tempdir().unwrap(), tempdir().unwrap());
    let archive = archive(&dir);
    for kernel in [
        "6.1.0-48-cloud-amd64",
        "debian/12/x86_64/6.1.0-46-cloud-amd64",
    ] {
        let help = format!("help: the nearest kernels are {NEW}");
        let pieces = ["has no kernel", kernel, &*help];
        run(extract(&archive, kernel).current_dir(&here), 1, &pieces);
    }
    let mut command = extract(&archive, "6.1.0-47-cloud-amd64");
    let pieces = ["of s390x\n", "the nearest kernels are ", NEW];
    run(
        command.args(["--arch", "s390x"]).current_dir(&here),
        1,
        &pieces,
    );
    run(
        &mut extract(&archive, "debian/12"),
        2,
        &["ID/VERSION/ARCH/RELEASE"],
    );
    assert_eq!(names(here.path()), [""; 0]);
}

/// Check that other files and incomplete archives give an error.
#[test]
fn no_archive() {
    let dir = tempdir().unwrap();
    let bytes = fs::read(archive(&dir)).unwrap();
    let half = place(dir.path(), "half.tar.gz", &bytes[..bytes.len() / 2]);
    let text = place(dir.path(), "text.tar.gz", b"no gzip at all");
    let empty = place(dir.path(), "empty.tar.gz", b"");
    for (path, piece) in [
        (half, "half.tar.gz: cannot be read: "),
        (text, "text.tar.gz: not an archive"),
        (empty, "empty.tar.gz: "),
        (dir.path().join("none"), "No such file"),
        (dir.path().to_owned(), "is a folder"),
    ] {
        run(extract(&path, NEW).args(["-o", "-"]), 1, &[piece]);
        run(btfgen().args(["list"]).arg(&path), 1, &[piece]);
    }
}
