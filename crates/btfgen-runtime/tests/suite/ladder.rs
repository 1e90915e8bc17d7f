//! Which BTF is taken, and what is said where none is.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use btfgen_archive::Builder;
use btfgen_runtime::{Error, ErrorKind, Found, KernelId, Lookup, Origin, Result, Rung};
use object::{Architecture, Endianness};
use proptest::prelude::*;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::{btf, elf};

const RELEASE: &str = "5.4.0-26-generic";

/// An archive with these kernels of `RELEASE`, as `ID/VERSION/ARCH`, and the texts of their BTFs.
fn archive(kernels: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new();
    for (directory, text) in kernels {
        let kernel: KernelId = format!("{directory}/{RELEASE}").parse().unwrap();
        builder = builder.add(kernel, btf(text)).unwrap();
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes).unwrap();
    bytes
}

/// The lookup of a host whose os-release file has this text.
fn find(archive: &[u8], os_release: &str, machine: &str) -> Result<Found> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, os_release).unwrap();
    let lookup = Lookup::new().archive_bytes(archive).os_release(file.path());
    lookup.release(RELEASE).arch(machine).find()
}

const FOCAL: &str = "ID=ubuntu\nVERSION_ID=\"20.04\"\n";

fn rung(found: &Found) -> Rung {
    let last = found.steps().last().unwrap();
    assert!(last.taken, "{last}");
    last.rung
}

fn outcome(error: &Error) -> &str {
    &error.steps().last().unwrap().outcome
}

/// Check that the path of an entry leads to its bytes until the result is dropped.
#[test]
fn path_has_the_bytes() {
    let archive = archive(&[
        ("ubuntu/20.04/x86_64", "focal"),
        ("debian/10/x86_64", "buster"),
    ]);
    let found = find(&archive, FOCAL, "x86_64").unwrap();
    let kernel = format!("ubuntu/20.04/x86_64/{RELEASE}");
    assert_eq!(found.kernel().unwrap().to_string(), kernel);
    assert_eq!(found.bytes().unwrap(), btf("focal"));
    let path = found.path().unwrap().unwrap().to_owned();
    assert!(path.starts_with("/proc/self/fd"), "{path:?}");
    assert_eq!(fs::read(&path).unwrap(), btf("focal"));
    assert_eq!(rung(&found), Rung::Exact);
}

/// Check that another distribution's entry is taken where all of the release and architecture are equal, and never one of
/// several different ones.
#[test]
fn any_distribution() {
    let equal = archive(&[
        ("debian/10/x86_64", "same"),
        ("rhel/8/x86_64", "same"),
        ("ol/8/arm64", "other"),
    ]);
    let found = find(&equal, FOCAL, "x86_64").unwrap();
    assert_eq!(found.bytes().unwrap(), btf("same"));
    assert_eq!(rung(&found), Rung::AnyDistribution);

    let different = archive(&[("debian/10/x86_64", "one"), ("rhel/8/x86_64", "another")]);
    let error = find(&different, FOCAL, "x86_64").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let names =
        format!("ambiguous, 2 entries differ: debian/10/x86_64/{RELEASE}, rhel/8/x86_64/{RELEASE}");
    assert_eq!(outcome(&error), names);
}

/// Check that a named file comes first, and that it is refused, not skipped, if it is not BTF.
#[test]
fn named_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let focal = archive(&[("ubuntu/20.04/x86_64", "focal")]);
    let named = |path: &Path| Lookup::new().archive_bytes(&focal).btf_file(path).find();
    let elf32 = elf(
        Architecture::I386,
        Endianness::Little,
        ".BTF",
        &btf("named"),
    );
    let elf64 = elf(Architecture::S390x, Endianness::Big, ".BTF", &btf("named"));
    for (name, bytes) in [("raw", btf("named")), ("elf32", elf32), ("elf64", elf64)] {
        let path = write(name, &bytes);
        let found = named(&path).unwrap();
        assert_eq!(found.origin(), &Origin::File(path.clone()));
        assert_eq!(found.path().unwrap(), Some(&*path));
        assert_eq!(found.bytes().unwrap(), btf("named"), "{name}");
        assert_eq!(rung(&found), Rung::Explicit);
    }
    let without_btf = elf(
        Architecture::X86_64,
        Endianness::Little,
        ".BTF.ext",
        b"more",
    );
    let whole = elf(
        Architecture::X86_64,
        Endianness::Little,
        ".BTF",
        &btf("named"),
    );
    for (path, kind) in [
        (write("text", b"hello"), ErrorKind::InvalidBtf),
        (write("empty", b""), ErrorKind::InvalidBtf),
        (write("cut-off", &btf("named")[..30]), ErrorKind::InvalidBtf),
        (write("header", &btf("")[..24]), ErrorKind::InvalidBtf),
        (write("elf", b"\x7fELF..."), ErrorKind::InvalidBtf),
        (write("without", &without_btf), ErrorKind::InvalidBtf),
        (write("cut-off-elf", &whole[..80]), ErrorKind::InvalidBtf),
        (folder.path().join("missing"), ErrorKind::Io),
        (folder.path().to_owned(), ErrorKind::Io),
        ("/dev/zero".into(), ErrorKind::Io),
    ] {
        let error = named(&path).unwrap_err();
        assert_eq!(error.kind(), kind, "{path:?}");
        assert!(error.message().contains(path.to_str().unwrap()), "{error}");
        assert_eq!(error.steps().len(), 1);
    }
}

/// Check that the archive in a file is as good as one in memory, and that what cannot be read is named.
#[test]
fn archive_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("btfs.tar.gz");
    fs::write(&path, archive(&[("debian/10/x86_64", "buster")])).unwrap();
    let find = |path: &Path| {
        Lookup::new()
            .archive_file(path)
            .release(RELEASE)
            .arch("x86_64")
            .find()
    };
    assert_eq!(find(&path).unwrap().bytes().unwrap(), btf("buster"));
    for path in [
        &folder.path().join("missing"),
        folder.path(),
        Path::new("/dev/zero"),
    ] {
        let error = find(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Archive);
        assert!(error.message().contains(path.to_str().unwrap()), "{error}");
    }
}

/// Check that a damaged archive is an error wherever it is cut or changed, never another kernel's BTF.
#[test]
fn damaged_archive() {
    let whole = archive(&[
        ("ubuntu/20.04/x86_64", "focal"),
        ("debian/10/x86_64", "buster"),
    ]);
    for len in 0..whole.len() {
        let error = find(&whole[..len], FOCAL, "x86_64").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Archive, "{len} bytes: {error}");
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 0x10;
        // The header of gzip has bits that mean nothing here, as the time.
        if let Ok(found) = find(&changed, FOCAL, "x86_64") {
            assert_eq!(found.bytes().unwrap(), btf("focal"), "byte {at}");
        }
    }
}

/// Check that an entry which is no BTF, or is cut off, does not reach libbpf.
#[test]
fn entry_is_no_btf() {
    let kernel: KernelId = format!("ubuntu/20.04/x86_64/{RELEASE}").parse().unwrap();
    let whole = btf("focal");
    for content in [
        b"",
        &b"#!/bin/sh"[..],
        b"\x1f\x8b",
        b"\x7fELF",
        &whole[..30],
    ] {
        let mut bytes = Vec::new();
        let builder = Builder::new().add(kernel.clone(), content).unwrap();
        builder.write(&mut bytes).unwrap();
        let error = find(&bytes, FOCAL, "x86_64").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidBtf);
        assert!(error.message().contains("ubuntu/20.04/x86_64/"), "{error}");
    }
}

/// Check that a BTF without types is taken out of an archive: the program fits no type of that kernel, and proves it.
#[test]
fn entry_without_types() {
    let kernel: KernelId = format!("ubuntu/20.04/x86_64/{RELEASE}").parse().unwrap();
    let header = [
        0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0,
    ];
    let empty = [&header[..], &[0]].concat();
    let mut bytes = Vec::new();
    let builder = Builder::new().add(kernel, empty.clone()).unwrap();
    builder.write(&mut bytes).unwrap();
    let found = find(&bytes, FOCAL, "x86_64").unwrap();
    assert_eq!(found.bytes().unwrap(), empty);
}

/// Check that an environment that the program forbids is ignored, and that every variable's step says so.
#[test]
fn forbidden_environment() {
    let archive = archive(&[("debian/10/x86_64", "only one")]);
    let lookup = Lookup::new().archive_bytes(&archive).environment(false);
    let found = lookup.release(RELEASE).arch("x86_64").find().unwrap();
    for variable in ["BTFGEN_BTF", "BTFGEN_OS_RELEASE"] {
        let step = found.steps().iter().find(|s| s.subject == variable);
        assert_eq!(step.unwrap().outcome, "ignored (the program forbids it)");
    }
}

/// Check that an os-release file that is named must be one.
#[test]
fn named_os_release() {
    let archive = archive(&[("debian/10/x86_64", "buster")]);
    for path in ["/nonexistent/os-release", "/proc/self/exe", "/dev/zero"] {
        let lookup = Lookup::new().archive_bytes(&archive).os_release(path);
        let error = lookup.release(RELEASE).arch("x86_64").find().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{path}: {error}");
        assert!(error.message().contains(path), "{error}");
    }
}

/// Check that the error without an archive has the other steps, and that its text has one line for each step.
#[test]
fn no_archive() {
    let error = Lookup::new().release(RELEASE).find().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoArchive);
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + error.steps().len());
    for (line, step) in lines[1..].iter().zip(error.steps()) {
        assert_eq!(*line, format!("  {step}"));
    }
}

/// Check that a file which changes after the lookup gives an error with its name and the steps, and no other bytes.
#[test]
fn named_file_changes() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, btf("named")).unwrap();
    let found = Lookup::new().btf_file(file.path()).find().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (bytes, kind) in [
        (Some(b"hello"), ErrorKind::InvalidBtf),
        (None, ErrorKind::Io),
    ] {
        match bytes {
            Some(bytes) => fs::write(&file, bytes).unwrap(),
            None => fs::rename(file.path(), folder.path().join("away")).unwrap(),
        }
        let error = found.bytes().unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(
            error.message().contains(file.path().to_str().unwrap()),
            "{error}"
        );
        assert_eq!(error.steps(), found.steps());
    }
}

/// Check that the bytes of the kernel's own BTF are those of its file.
#[test]
fn kernels_own_bytes() {
    let Ok(expected) = fs::read("/sys/kernel/btf/vmlinux") else {
        println!("skipped: this kernel has no BTF of its own");
        return;
    };
    let found = Lookup::new().environment(false).find().unwrap();
    assert_eq!(found.origin(), &Origin::Kernel);
    assert_eq!(found.path().unwrap(), None);
    assert!(found.bytes().unwrap() == expected);
}

/// Links of /proc/self/fd to memory for BTFs. Other tests have some, too.
fn memory() -> HashSet<PathBuf> {
    let links = fs::read_dir("/proc/self/fd").unwrap();
    let links = links.filter_map(|fd| Some(fd.ok()?.path()));
    let is_btf = |link: &PathBuf| {
        fs::read_link(link).is_ok_and(|to| to.to_string_lossy().contains("memfd:btfgen"))
    };
    links.filter(is_btf).collect()
}

/// Check that who reads bytes gets no memory file, that the first call for a path makes one, that it stays the same for all
/// threads, and that nothing stays open.
#[test]
fn path_on_demand() {
    let archive = archive(&[("ubuntu/20.04/x86_64", "focal")]);
    // More than all other tests could have at once.
    let kept: Vec<Found> = (0..100)
        .map(|_| find(&archive, FOCAL, "x86_64").unwrap())
        .collect();
    for found in &kept {
        assert_eq!(found.bytes().unwrap(), btf("focal"));
    }
    assert!(memory().len() < 50);
    let paths = || -> Vec<&Path> {
        let paths = kept.iter().map(|found| found.path().unwrap().unwrap());
        paths.collect()
    };
    let (one, another) = thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(paths));
        let [one, another] = threads.map(|thread| thread.join().unwrap());
        (one, another)
    });
    assert_eq!(one, another);
    assert_eq!(one, paths());
    let open = memory();
    assert!(one.iter().all(|path| open.contains(*path)));
    let _: &(dyn Send + Sync) = &kept;
    drop(kept);
    assert!(memory().len() < 50);
}

/// Check that a path without a place is an error with the steps, and that the bytes need none. Runs in a process of its own,
/// which may open no files.
#[test]
fn no_place() {
    const IS_CHILD: &str = "BTFGEN_TEST_IS_CHILD";
    if std::env::var_os(IS_CHILD).is_none() {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", "ladder::no_place"])
            .env(IS_CHILD, "1");
        let output = child.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(printed.contains("1 passed"), "{output:?}");
        return;
    }
    let archive = archive(&[("ubuntu/20.04/x86_64", "focal")]);
    let found = find(&archive, FOCAL, "x86_64").unwrap();
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Nofile, none).unwrap();
    let error = found.path().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoPlace);
    assert_eq!(error.steps(), found.steps());
    assert_eq!(found.bytes().unwrap(), btf("focal"));
}

proptest! {
    /// Check that an ELF file with any changed bytes, or cut off anywhere, gives BTF or an error.
    #[test]
    fn changed_elf(
        is_64 in any::<bool>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        len in any::<prop::sample::Index>(),
    ) {
        let architecture = if is_64 { Architecture::X86_64 } else { Architecture::Arm };
        let mut bytes = elf(architecture, Endianness::Little, ".BTF", &btf("named"));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        // Half of the files are whole.
        bytes.truncate(len.index(2 * bytes.len()) + 1);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, &bytes).unwrap();
        match Lookup::new().btf_file(file.path()).find() {
            Ok(found) => prop_assert!(found.bytes().unwrap().len() <= bytes.len()),
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::InvalidBtf),
        }
    }
}
