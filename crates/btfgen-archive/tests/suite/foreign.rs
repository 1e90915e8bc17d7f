//! We read what other programs write.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use btfgen_archive::{Archive, ErrorKind, KernelId};

use super::forge::{self, entry, file};
use super::{Kernels, kernels};

/// A hub of BTFs on disk, with a hard link, a symbolic link and a file that is none.
fn hub(kernels: &Kernels) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (id, btf) in kernels {
        let path = dir.path().join(id.entry_name());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, btf).unwrap();
    }
    let first = dir.path().join(kernels.keys().next().unwrap().entry_name());
    fs::hard_link(&first, first.with_file_name("linked.btf")).unwrap();
    symlink(&first, first.with_file_name("symbolic.btf")).unwrap();
    fs::write(dir.path().join("package.json"), "{}").unwrap();
    dir
}

fn check(archive: &Path, kernels: &Kernels) {
    let archive = Archive::from_vec(fs::read(archive).unwrap()).unwrap();
    let mut expected = kernels.clone();
    let (first, btf) = kernels.first_key_value().unwrap();
    let path = first.to_string().replace(first.release(), "linked");
    let linked: KernelId = path.parse().unwrap();
    expected.insert(linked, btf.clone());
    let ids: Vec<_> = expected.keys().cloned().collect();
    assert_eq!(archive.kernels().unwrap(), ids);
    for (id, btf) in &expected {
        assert_eq!(archive.get(id).unwrap().as_ref(), Some(btf), "{id}");
    }
    let links = archive.entries().unwrap();
    assert_eq!(links.iter().filter(|e| e.link_target.is_some()).count(), 1);
    let json = archive.file("package.json").unwrap();
    assert_eq!(json.as_deref(), Some(&b"{}"[..]));
    assert_eq!(archive.manifest().unwrap(), None);
}

/// Names that need every way a tar has to spell them.
fn with_long_names() -> Kernels {
    let mut kernels = kernels(12, 5, 3000);
    for len in [70, 150, 220] {
        let release = "r".repeat(len);
        let id = KernelId::new("ubuntu", "20.04", "x86_64", &release).unwrap();
        kernels.insert(id, release.into_bytes());
    }
    kernels
}

/// Check that GNU tar's archives are read in each of its formats, with and without the leading `./`, from below a
/// directory, and in several gzip members.
#[test]
fn gnu_tar() {
    let kernels = with_long_names();
    let hub = hub(&kernels);
    let out = tempfile::tempdir().unwrap();
    let path = out.path().join("a.tar.gz");
    let tar = |args: &[&str]| {
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(hub.path()).arg("-czf").arg(&path);
        assert!(tar.args(args).status().unwrap().success(), "{args:?}");
    };
    for format in ["gnu", "oldgnu", "pax"] {
        let format = format!("--format={format}");
        tar(&[&format, "."]);
        check(&path, &kernels);
        tar(&[&format, "ubuntu", "package.json"]);
        check(&path, &kernels);
        tar(&[
            &format,
            "--transform=s,^ubuntu,some/where/ubuntu,",
            "ubuntu",
            "package.json",
        ]);
        check(&path, &kernels);
    }
    let short = self::kernels(12, 5, 3000);
    let short_hub = self::hub(&short);
    for format in ["v7", "ustar"] {
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(short_hub.path()).arg("-czf").arg(&path);
        let format = format!("--format={format}");
        assert!(tar.args([&format, "."]).status().unwrap().success());
        check(&path, &short);
    }

    tar(&["."]);
    let mut bytes = fs::read(&path).unwrap();
    bytes.extend([0; 100]);
    fs::write(&path, &bytes).unwrap();
    check(&path, &kernels);

    // What followed the only member was padding; now another member does.
    let split = out.path().join("split.tar.gz");
    let script =
        "gzip -dc $1 | head -c 5000 | gzip > $2 && gzip -dc $1 | tail -c +5001 | gzip >> $2";
    fs::write(&path, &bytes[..bytes.len() - 100]).unwrap();
    let mut sh = Command::new("sh");
    sh.args(["-c", script, "sh"]).arg(&path).arg(&split);
    assert!(sh.status().unwrap().success());
    check(&split, &kernels);
}

/// Check that Python's archives are read in each of its formats.
#[test]
fn python() {
    let script = "import sys, tarfile\n\
                  format = getattr(tarfile, sys.argv[3] + '_FORMAT')\n\
                  with tarfile.open(sys.argv[1], 'w:gz', format=format) as tar:\n    \
                      tar.add(sys.argv[2], '.')\n";
    for (format, kernels) in [
        ("USTAR", kernels(12, 5, 3000)),
        ("GNU", with_long_names()),
        ("PAX", with_long_names()),
    ] {
        let hub = hub(&kernels);
        let out = tempfile::tempdir().unwrap();
        let path = out.path().join("a.tar.gz");
        let mut python = Command::new("python3");
        python.args(["-c", script]).arg(&path).arg(hub.path());
        if python.arg(format).status().is_err() {
            btfgen_testkit::skipped("python3 is not installed");
            return;
        }
        check(&path, &kernels);
    }
}

fn gzip(entries: &[Vec<u8>]) -> Archive<'static> {
    Archive::from_vec(forge::gzip(&entries.concat(), true)).unwrap()
}

fn id() -> KernelId {
    KernelId::new("a", "b", "c", "d").unwrap()
}

/// Check that special files and names that lead out of the archive are skipped, and that the first of equal names wins.
#[test]
fn odd_entries() {
    let path = "a/b/c/d.btf";
    let archive = gzip(&[
        entry(path, b'2', "/dev/null", "0", b""),
        entry(path, b'3', "", "7777", b""),
        entry("a/b/c/", b'5', "", "7777", b""),
        entry("a/b/c/d.btf/", 0, "", "", b""),
        entry(path, b'V', "", "3", b"abc"),
        entry("pax", b'g', "", "10", b"8 path=a"),
        file("../a/b/c/d.btf", b"up"),
        file("x/../a/b/c/d.btf", b"down and up"),
        file("/a/b/c/d.btf", b"absolute"),
        entry(path, 0, "", "      5 ", b"first"),
        file(path, b"second"),
    ]);
    assert_eq!(archive.kernels().unwrap(), [id()]);
    assert_eq!(archive.get(&id()).unwrap().as_deref(), Some(&b"first"[..]));
    let entries = archive.entries().unwrap();
    assert_eq!((entries.len(), entries[0].size), (1, 5));
}

/// Check that entries in any order are read, a link before what it leads to and a manifest before all.
#[test]
fn any_order() {
    let archive = gzip(&[
        file("./.btfgen/manifest", b"btfgen-manifest 1\ntool x\n"),
        entry("./a/b/c/link.btf", b'1', "./a/b/c/d.btf", "0", b""),
        file("./z/b/c/d.btf", b"last by name"),
        file("./a/b/c/d.btf", b"content"),
    ]);
    let link = KernelId::new("a", "b", "c", "link").unwrap();
    let last = KernelId::new("z", "b", "c", "d").unwrap();
    assert_eq!(
        archive.kernels().unwrap(),
        [id(), link.clone(), last.clone()]
    );
    for (id, content) in [(id(), "content"), (link, "content"), (last, "last by name")] {
        assert_eq!(
            archive.get(&id).unwrap().as_deref(),
            Some(content.as_bytes())
        );
    }
    assert_eq!(archive.manifest().unwrap().unwrap().tool, "x");
}

/// Check that extended headers are held to their form, and that broken tars are errors that say where.
#[test]
fn broken() {
    let kind = |entries: &[Vec<u8>]| {
        let error = gzip(entries).get(&id()).unwrap_err();
        assert!(error.to_string().contains("byte") || error.kind() == ErrorKind::Unsupported);
        error.kind()
    };
    for records in [
        "5 a=b",
        "99 path=a\n",
        "0 \n",
        "x path=a\n",
        "6 path\n",
        "13 size=many\n",
        "18446744073709551616 a=b\n",
    ] {
        let size = format!("{:o}", records.len());
        let pax = entry("pax", b'x', "", &size, records.as_bytes());
        assert_eq!(
            kind(&[pax, file("a", b"")]),
            ErrorKind::Corrupt,
            "{records}"
        );
    }
    let path = "a/b/c/d.btf";
    let mut flipped = file(path, b"BTF");
    flipped[3] ^= 1;
    assert_eq!(kind(&[flipped]), ErrorKind::Corrupt);
    assert_eq!(kind(&[entry(path, b'0', "", "9", b"")]), ErrorKind::Corrupt);
    assert_eq!(
        kind(&[file(path, b"BTF")[..700].to_vec()]),
        ErrorKind::Truncated
    );
    assert_eq!(
        kind(&[file(path, b"BTF")[..300].to_vec()]),
        ErrorKind::Truncated
    );
    assert_eq!(
        kind(&[entry("x", b'S', "", "0", b"")]),
        ErrorKind::Unsupported
    );
    assert_eq!(
        kind(&[entry("x", b'L', "", "77777777777", b"")]),
        ErrorKind::Corrupt
    );
}

/// Check that absurd sizes cost neither memory nor a panic.
#[test]
fn absurd_sizes() {
    let path = "a/b/c/d.btf";
    let huge = "\u{7f}".repeat(11);
    for (size, expected) in [
        ("77777777777", ErrorKind::TooLarge),
        ("370000000", ErrorKind::Truncated),
        (huge.as_str(), ErrorKind::Corrupt),
    ] {
        let archive = gzip(&[entry(path, b'0', "", size, b"")]);
        assert_eq!(archive.get(&id()).unwrap_err().kind(), expected);
        assert!(archive.kernels().is_err());
    }
    let pax = "29 size=18446744073709551615\n";
    let archive = gzip(&[
        entry("pax", b'x', "", "35", pax.as_bytes()),
        file(path, b"BTF"),
    ]);
    assert_eq!(archive.get(&id()).unwrap_err().kind(), ErrorKind::Corrupt);
}
