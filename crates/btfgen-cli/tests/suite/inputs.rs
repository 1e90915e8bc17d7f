//! Inputs that are not what they should be: a clear error that names the file, never a panic.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use tempfile::tempdir;

use crate::suite::{
    NEW, binary, btfgen, hub, names, object, pack, place, place_kernel, run, tar, xz,
};

/// Check that every wrong object gives an error before the work starts.
#[test]
fn objects() {
    let dir = tempdir().unwrap();
    let path = |name: &str, content: &[u8]| place(dir.path(), name, content);
    let full = fs::read(object()).unwrap();
    let cases: [(PathBuf, &str); 8] = [
        (dir.path().join("none.o"), "No such file"),
        (dir.path().to_owned(), "is a folder"),
        (path("empty.o", b""), "is empty"),
        (path("text.o", b"int main;"), "not an ELF file"),
        (binary().into(), "not for BPF"),
        (btfgen_testkit::object("no-btf"), "no .BTF section"),
        (path("half.o", &full[..full.len() / 2]), "half.o: "),
        (path("head.o", &full[..40]), "head.o: "),
    ];
    for (object, piece) in cases {
        let name = object.display().to_string();
        let pieces = ["error: ", &*name, piece];
        let out = dir.path().join("out");
        let mut command = btfgen();
        command.arg("pack").arg(&object).arg("--hub").arg(hub());
        run(command.arg("-o").arg(&out), 1, &pieces);
        run(btfgen().arg("needs").arg(&object), 1, &pieces);
        let mut command = btfgen();
        command.arg("minimize").arg(btfgen_testkit::sample_btf(NEW));
        run(command.arg(&object).arg("-o").arg(&out), 1, &pieces);
        assert!(!out.exists());
    }
}

/// A BTF with one type of this kind, which is without a name.
fn btf(magic: u16, version: u8, kind: u32) -> Vec<u8> {
    let mut btf = magic.to_le_bytes().to_vec();
    btf.extend([version, 0]);
    for word in [24, 0, 12, 12, 1, 0, kind << 24, 4_u32] {
        btf.extend(word.to_le_bytes());
    }
    btf.push(0);
    btf
}

fn bad_kernels() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let full = fs::read(btfgen_testkit::sample_btf(NEW)).unwrap();
    let packed = fs::read(hub().join(format!("{NEW}.btf.tar.xz"))).unwrap();
    let tar_xz = |entries: &[(&str, &[u8])]| xz(&tar(entries));
    vec![
        (
            "half.btf.tar.xz",
            packed[..packed.len() / 2].to_vec(),
            "damaged or truncated",
        ),
        (
            "half.btf.xz",
            xz(&full)[..10_000].to_vec(),
            "damaged or truncated",
        ),
        (
            "half.btf",
            full[..full.len() / 2].to_vec(),
            "not a usable BTF",
        ),
        ("text.btf.tar.xz", b"no xz".to_vec(), "damaged or truncated"),
        ("no-tar.btf.tar.xz", xz(&[7; 2000]), "no-tar"),
        (
            "none.btf.tar.xz",
            tar_xz(&[("readme", b"x")]),
            "contains no .btf file",
        ),
        (
            "two.btf.tar.xz",
            tar_xz(&[("a.btf", b"x"), ("b.btf", b"x")]),
            "more than one .btf",
        ),
        (
            "climb.btf.tar.xz",
            tar_xz(&[("../x.btf", b"x")]),
            "leads out of its folder",
        ),
        ("zero.btf.tar.xz", Vec::new(), "is empty"),
        ("zero.btf.xz", Vec::new(), "zero.btf.xz"),
        ("zero.btf", Vec::new(), "is empty"),
        ("zero-in.btf.tar.xz", tar_xz(&[("a.btf", b"")]), "is empty"),
        ("magic.btf", btf(0x1234, 1, 1), "not a usable BTF"),
        ("version.btf", btf(0xeb9f, 9, 1), "not a usable BTF"),
        ("kind.btf", btf(0xeb9f, 1, 31), "not a usable BTF"),
        (
            "bomb.btf.xz",
            xz(&vec![0; 64 << 20]),
            "has more than 8388608 bytes",
        ),
        (
            "bomb.btf.tar.xz",
            tar_xz(&[("a.btf", &vec![0; 64 << 20])]),
            "has more than 8388608 bytes",
        ),
    ]
}

/// Check that every way a kernel can be wrong leaves out this kernel, names it with the reason, and stops no other.
#[test]
fn kernels_of_a_hub() {
    let (dir, own) = (tempdir().unwrap(), tempdir().unwrap());
    place_kernel(own.path(), "a/1/x86_64/good");
    let bad = bad_kernels();
    for (i, (name, content, _)) in bad.iter().enumerate() {
        place(own.path(), &format!("b/{i}/x86_64/{name}"), content);
    }
    let out = dir.path().join("a.tar.gz");
    let mut command = pack(own.path(), &out);
    let output = run(
        command.args(["-v", "--max-btf-size", "8M"]),
        0,
        &[": 1 kernel for"],
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    for (i, (name, _, piece)) in bad.iter().enumerate() {
        let place = format!("/b/{i}/x86_64/{name}: ");
        let line = stderr.lines().find(|l| l.contains(&place));
        assert!(line.is_some_and(|l| l.contains(piece)), "{name}: {stderr}");
    }
}

/// Check that a bad kernel that is given by itself is an error that names it.
#[test]
fn kernels_by_themselves() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("out.btf");
    for (name, content, piece) in bad_kernels() {
        let kernel = place(dir.path(), name, &content);
        let mut command = btfgen();
        command.arg("minimize").arg(&kernel).arg(object());
        command.args(["--max-btf-size", "8M", "-o"]).arg(&out);
        run(&mut command, 1, &[name, piece]);
        fs::remove_file(kernel).unwrap();
    }
    assert_eq!(names(dir.path()), [""; 0]);
    let mut command = btfgen();
    command.arg("minimize").arg(dir.path()).arg(object());
    run(command.arg("-o").arg(&out), 1, &["is a folder"]);
}

/// Check that the error for a folder that is not a hub says what a hub is.
#[test]
fn hubs() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("a.tar.gz");
    let file = place(dir.path(), "file", b"x");
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    run(
        &mut pack(&empty, &out),
        1,
        &[
            "empty: the hub has no kernels",
            "help: `btfgen fetch` brings",
        ],
    );
    run(
        &mut pack(&file, &out),
        1,
        &["file: is not a folder", "help: a hub contains ID/VERSION"],
    );
    let missing = dir.path().join("missing");
    run(
        &mut pack(&missing, &out),
        1,
        &[
            "missing: the hub does not exist",
            "help: run `btfgen fetch` to create it",
        ],
    );
    let mut command = btfgen();
    command.arg("pack").arg(object()).arg("-o").arg(&out);
    run(
        &mut command,
        1,
        &["no hub is named", "help: name one with --hub"],
    );
    run(
        pack(&hub(), &out).args(["--arch", "mips"]),
        1,
        &[
            "none of the 8 kernels has the architecture mips",
            "help: it has debian/11/x86_64, ",
        ],
    );
    place(&empty, "b/1/x86_64/1.btf", b"broken");
    run(
        &mut pack(&empty, &out),
        1,
        &["none of the kernels could be packed", "1.btf: "],
    );
    assert!(!out.exists());
}

/// Check that what lies in a hub's wrong place, or leads out of it, is left out and named.
#[test]
fn misplaced() {
    let (dir, own) = (tempdir().unwrap(), tempdir().unwrap());
    place_kernel(own.path(), "a/1/x86_64/good");
    place(own.path(), "a/1/flat.btf", b"x");
    place(own.path(), "a/1/x86_64/y/deep.btf", b"x");
    let link = own.path().join("a/1/x86_64/link.btf");
    symlink(btfgen_testkit::sample_btf(NEW), link).unwrap();
    let pieces = [
        "flat.btf: its path is not ID/VERSION/ARCH/RELEASE",
        "deep.btf: its path is not ID/VERSION/ARCH/RELEASE",
        "link.btf: symbolic links out of the hub are not followed",
    ];
    run(
        &mut pack(own.path(), &dir.path().join("a.tar.gz")),
        0,
        &pieces,
    );
    let output = run(btfgen().args(["list", "--hub"]).arg(own.path()), 0, &pieces);
    assert_eq!(output.stdout, b"a/1/x86_64/good\n");
}

/// Check that control characters in a file's name do not reach the terminal.
#[test]
fn hostile_names() {
    let own = tempdir().unwrap();
    place(own.path(), "a/\x1b[2J.btf", b"x");
    let output = run(
        btfgen().args(["list", "--hub"]).arg(own.path()),
        0,
        &["\\u{1b}[2J"],
    );
    assert!(!output.stderr.contains(&0x1b));
}

/// Check that names which an archive cannot hold, or that are no text, leave out their kernel, name it, and stop no other.
#[test]
fn impossible_names() {
    let (dir, own) = (tempdir().unwrap(), tempdir().unwrap());
    place_kernel(own.path(), "a/1/x86_64/good");
    let long = format!("a/1/x86_64/{}", "l".repeat(101));
    place_kernel(own.path(), &long);
    let folder = own.path().join("a/1/x86_64");
    fs::copy(
        folder.join("good.btf"),
        folder.join(OsStr::from_bytes(b"latin-\xe9.btf")),
    )
    .unwrap();
    let archive = dir.path().join("a.tar.gz");
    let pieces = [
        "lll.btf: its name is too long for an archive",
        ".btf: its name is not UTF-8",
        "2 kernels left out",
    ];
    run(&mut pack(own.path(), &archive), 0, &pieces);
    let output = run(btfgen().args(["list"]).arg(&archive), 0, &[]);
    assert_eq!(output.stdout, b"a/1/x86_64/good\n");
    run(
        btfgen().args(["list", "--hub"]).arg(own.path()),
        0,
        &["not UTF-8"],
    );
    run(
        pack(own.path(), &archive).arg("--strict"),
        1,
        &["not UTF-8"],
    );
    // What fits by itself may not fit below a folder of the archive.
    let mut deeper = pack(own.path(), &archive);
    deeper.args(["--prefix", &"p".repeat(150)]);
    run(&mut deeper, 0, &pieces);
}
