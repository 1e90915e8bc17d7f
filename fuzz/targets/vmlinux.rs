//! A kernel's BTF out of any file, and out of tars and packages that bytes of a fuzzer never have the checksums of.
#![no_main]

use std::fs;
use std::path::PathBuf;

use btfgen_vmlinux::{Reader, Vmlinux};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

// Small, so that what goes beyond them is met, and is met fast. A kernel that is hunted for has 256 KiB at the least.
const MAX_BTF_BYTES: u64 = 1 << 20;
const MAX_UNPACKED_BYTES: u64 = 4 << 20;

const BTF_MAGICS: [[u8; 3]; 2] = [[0x9f, 0xeb, 1], [0xeb, 0x9f, 1]];

fuzz_target!(|input: &[u8]| {
    let Some((&first, rest)) = input.split_first() else {
        return;
    };
    match first % 5 {
        0 => check(rest),
        1 => check(&btfgen_fuzz::gzip(rest, None, first & 8 != 0)),
        2 => check(&righted(rest)),
        3 => check(&btfgen_fuzz::gzip(&righted(rest), None, first & 8 != 0)),
        _ => check(&btfgen_fuzz::deb(&righted(rest))),
    }
});

/// A tar with right checksums.
fn righted(tar: &[u8]) -> Vec<u8> {
    let mut tar = tar.to_vec();
    btfgen_fuzz::right_checksums(&mut tar);
    tar
}

/// The file that is read, and the folder for what is unpacked of it.
struct Folder {
    file: PathBuf,
    unpacked: TempDir,
    _folder: TempDir,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a place for a folder");
        Self {
            file: folder.path().join("file"),
            unpacked: tempfile::tempdir_in(&folder).expect("a folder in it"),
            _folder: folder,
        }
    }
}

/// What came of reading a file: all that can be compared.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Read(Vmlinux),
    Refused {
        kind: btfgen_vmlinux::ErrorKind,
        text: String,
    },
}

fn reader(folder: &Folder) -> Reader {
    Reader::new()
        .pahole("/nonexistent/pahole")
        .max_btf_bytes(MAX_BTF_BYTES)
        .max_unpacked_bytes(MAX_UNPACKED_BYTES)
        .temp_dir(folder.unpacked.path())
}

/// Read the modules, too, and check that their order and their sizes are those that are promised.
fn read_modules(folder: &Folder) {
    let reader = reader(folder).dwarf_modules(["all".to_owned()]);
    if let Ok(contents) = reader.read_all(&folder.file) {
        let modules = &contents.modules;
        assert!(modules.windows(2).all(|pair| pair[0].name < pair[1].name));
        let bytes: usize = modules.iter().map(|module| module.btf.len()).sum();
        assert!(bytes as u64 <= MAX_BTF_BYTES);
    }
}

fn read(folder: &Folder) -> Outcome {
    match reader(folder).read(&folder.file) {
        Ok(vmlinux) => {
            check_read(&vmlinux);
            Outcome::Read(vmlinux)
        }
        Err(error) => {
            assert!(!error.message().is_empty());
            assert!(error.help().is_none_or(|help| !help.is_empty()));
            // Neither the file nor the folder is at fault.
            assert_ne!(error.kind(), btfgen_vmlinux::ErrorKind::Io, "{error:?}");
            assert!(!error.is_machine_fault(), "{error:?}");
            let (kind, text) = (error.kind(), error.to_string());
            Outcome::Refused { kind, text }
        }
    }
}

/// Check what is read of a file, and that it is the same when it is read again.
fn check(bytes: &[u8]) {
    thread_local! {
        static FOLDER: Folder = Folder::new();
    }
    FOLDER.with(|folder| {
        fs::write(&folder.file, bytes).expect("room for a file");
        let outcome = read(folder);
        assert_eq!(read(folder), outcome);
        read_modules(folder);
        if let Outcome::Read(vmlinux) = outcome {
            check_bare(folder, &vmlinux);
        }
        let left = fs::read_dir(folder.unpacked.path()).expect("our folder");
        assert_eq!(left.count(), 0, "temporary files are gone");
    });
}

fn check_read(vmlinux: &Vmlinux) {
    let btf = vmlinux.btf();
    assert!(BTF_MAGICS.iter().any(|magic| btf.starts_with(magic)));
    assert!(btf.len() as u64 <= MAX_BTF_BYTES);
    assert!(!vmlinux.origin().is_empty());
    // They become names of files, and are shown.
    if let Some(release) = vmlinux.release() {
        assert!(release.starts_with(|c: char| c.is_ascii_digit()));
        assert!(!release.contains(|c: char| c == '/' || c.is_control() || c.is_whitespace()));
    }
    if let Some(arch) = vmlinux.arch() {
        assert!(!arch.is_empty());
        assert!(arch.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    }
    assert!(!vmlinux.origin().contains(char::is_control));
}

/// Check that a BTF that was found somewhere is taken bare too.
fn check_bare(folder: &Folder, found: &Vmlinux) {
    fs::write(&folder.file, found.btf()).expect("room for a file");
    match read(folder) {
        Outcome::Read(bare) => assert_eq!(bare.btf(), found.btf()),
        refused => panic!("{refused:?}"),
    }
}
