//! BTF bare and compressed, and btfhub's own form.

use btfgen_vmlinux::{ErrorKind, Reader};

use super::util::*;

/// Check that every kernel of the sample hub is read from btfhub's form, with the release by its name.
#[test]
fn sample_hub() {
    for kernel in [AMD64, ARM64, S390X] {
        let vmlinux = Reader::new().read(&sample(kernel)).unwrap();
        let release = kernel.rsplit('/').next();
        assert_eq!(vmlinux.release(), release);
        assert_eq!(vmlinux.arch(), None);
        let origin = format!("xz, {}.btf in the archive, bare BTF", release.unwrap());
        assert_eq!(vmlinux.origin(), origin);
    }
}

/// Check that bare BTF of either byte order comes out as it went in.
#[test]
fn bare() {
    for kernel in [AMD64, S390X] {
        let btf = sample_btf(kernel);
        let vmlinux = read(&btf).unwrap();
        assert!(vmlinux.btf() == btf);
        assert_eq!((vmlinux.release(), vmlinux.arch()), (None, None));
        assert_eq!(vmlinux.origin(), "bare BTF");
    }
}

/// Check that this machine's own kernel is read, whatever size /sys reports.
#[test]
fn this_kernel() {
    let path = std::path::Path::new("/sys/kernel/btf/vmlinux");
    let Ok(expected) = std::fs::read(path) else {
        eprintln!("SKIPPED: {} is not there", path.display());
        return;
    };
    assert!(Reader::new().read(path).unwrap().into_btf() == expected);
}

/// Check that a BTF compressed in any way, and twice, is unpacked.
#[test]
fn compressed() {
    let btf = sample_btf(AMD64);
    for (name, command) in COMPRESSIONS {
        let packed = through(command, &btf);
        let vmlinux = read(&packed).unwrap();
        assert!(vmlinux.btf() == btf, "{command:?}");
        assert_eq!(vmlinux.origin(), format!("{name}, bare BTF"));
        let twice = through(&["gzip", "-1"], &packed);
        assert!(read(&twice).unwrap().btf() == btf, "{command:?} and gzip");
    }
}

/// Check that a file in several parts, as `cat a.gz b.gz` makes, is read to its end.
#[test]
fn concatenated() {
    let btf = sample_btf(AMD64);
    let (front, back) = btf.split_at(1_000_000);
    for (_, command) in &COMPRESSIONS[..4] {
        if command.contains(&"--format=lzma") {
            continue;
        }
        let packed = [through(command, front), through(command, back)].concat();
        assert!(read(&packed).unwrap().btf() == btf, "{command:?}");
    }
}

/// Check that the limit for a BTF holds in every type of file, and that a BTF of exactly this size is accepted.
#[test]
fn limit() {
    let btf = sample_btf(AMD64);
    let folder = Folder::new();
    let exact = Reader::new().max_btf_bytes(btf.len() as u64);
    let less = Reader::new().max_btf_bytes(btf.len() as u64 - 1);
    for bytes in [
        btf.clone(),
        through(&["gzip", "-1"], &btf),
        vmlinux(&btf),
        flat(b"ARM\x64", RELEASE, &btf),
    ] {
        let path = folder.write("x", &bytes);
        assert!(exact.read(&path).unwrap().btf() == btf);
        assert_eq!(less.read(&path).unwrap_err().kind(), ErrorKind::TooLarge);
    }
}
