//! Modules files: as written, damaged, and of others.

use std::fs;

use btfgen_btf::testing::made_up_btf;
use tempfile::TempDir;

use super::*;
use crate::hub::Hub;

const PLACE: &str = "debian/12/x86_64/6.1.0";
const MAX: u64 = 1 << 20;

fn int(name: u32) -> [u32; 4] {
    [name, 1 << 24, 4, 32]
}

fn kernel_btf() -> Vec<u8> {
    made_up_btf(&[&int(1)], b"\0int\0")
}

/// A module that defines one int, which begins its own strings.
fn module(name: &str) -> Module {
    Module {
        name: name.to_owned(),
        btf: made_up_btf(&[&int(5)], format!("{name}_t\0").as_bytes()),
    }
}

fn written(modules: &[Module]) -> Vec<u8> {
    let mut out = Vec::new();
    write_modules(&mut out, &kernel_btf(), "6.1.0", modules).unwrap();
    out
}

/// A hub with one kernel and this modules file.
fn hub(modules: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("{PLACE}.btf"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, kernel_btf()).unwrap();
    let modules_path = folder.path().join(format!("{PLACE}{MODULES_ENDING}"));
    fs::write(modules_path, modules).unwrap();
    folder
}

fn read_back(modules: &[u8], max_bytes: u64) -> Result<Vec<Module>> {
    let folder = hub(modules);
    let hub = Hub::open(&[folder.path()]).unwrap();
    let base = kernel_btf();
    let base = Btf::parse(&base).unwrap();
    hub.kernels()[0].read_modules(&base, max_bytes)
}

/// Check that modules are read as they were written, and that their order and the time make no difference.
#[test]
fn read_as_written() {
    let (a, b) = (module("nf_conntrack"), module("8021q"));
    let file = written(&[a.clone(), b.clone()]);
    assert_eq!(file, written(&[b.clone(), a.clone()]));
    assert_eq!(read_back(&file, MAX).unwrap(), [b, a]);
    assert_eq!(read_back(&written(&[]), MAX).unwrap(), []);
    for bad in ["", "..", "a/b", "a-b", "a\n", &"x".repeat(65)] {
        let written = write_modules(Vec::new(), &kernel_btf(), "6.1.0", &[module(bad)]);
        assert!(written.is_err(), "{bad:?}");
    }
    let twice = [module("a"), module("a")];
    assert!(write_modules(Vec::new(), &kernel_btf(), "6.1.0", &twice).is_err());
}

/// Check that any program can unpack the file: zstd within its default memory, and a tar with the members' names.
#[test]
fn plain_tar() {
    let file = written(&[module("b"), module("a")]);
    let tar = zstd::stream::decode_all(&*file).unwrap();
    let mut archive = tar::Archive::new(&*tar);
    let names = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        String::from_utf8(entry.path_bytes().into_owned()).unwrap()
    });
    assert_eq!(names.collect::<Vec<_>>(), ["base", "a.btf", "b.btf"]);
    let digest = Digest::of(&kernel_btf());
    let base = format!("digest {digest}\nrelease 6.1.0\n");
    assert!(tar[512..].starts_with(base.as_bytes()));
}

/// Check that modules of another BTF are refused with both files' names, and that a module has to continue the BTF.
#[test]
fn other_base() {
    let other = made_up_btf(&[&int(1), &int(1)], b"\0int\0");
    let mut out = Vec::new();
    write_modules(&mut out, &other, "6.1.0", &[module("a")]).unwrap();
    let error = read_back(&out, MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidName);
    assert!(error.subject().ends_with("6.1.0.modules.tar.zst"));
    assert!(error.message().ends_with("6.1.0.btf"), "{error}");
    let misfit = Module {
        btf: made_up_btf(&[&int(2)], b"a\0"),
        ..module("a")
    };
    let error = read_back(&written(&[misfit]), MAX).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidKernel);
    assert!(error.message().contains("module a "), "{error}");
}

/// Check that no damaged byte and no missing end goes unnoticed, and that the limit holds for all modules together.
#[test]
fn damage_is_noticed() {
    let (a, b) = (module("a"), module("b"));
    let bytes = (a.btf.len() + b.btf.len()) as u64;
    let file = written(&[a, b]);
    assert!(read_back(&file, bytes).is_ok());
    let error = read_back(&file, bytes - 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 0x10;
        let kind = read_back(&damaged, MAX).map_err(|e| e.kind());
        // Of the frame's header, a bit may be unused.
        assert!(kind.is_err() || at < 16, "{at}");
        assert!(read_back(&file[..at], MAX).is_err(), "{at}");
    }
}

/// Check that a tar of another form is refused: unsorted, with links, with paths, or without its base.
#[test]
fn other_tars() {
    let base = format!("digest {}\n", Digest::of(&kernel_btf()));
    let packed = |members: &[(&str, EntryType)]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, kind) in members {
            let content = match *name {
                BASE => base.clone().into_bytes(),
                _ => module("a").btf,
            };
            let mut header = tar::Header::new_ustar();
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            tar.append(&header, &*content).unwrap();
        }
        zstd::encode_all(&*tar.into_inner().unwrap(), 1).unwrap()
    };
    let file = EntryType::Regular;
    let of = |members: &[(&str, EntryType)]| read_back(&packed(members), MAX);
    assert!(of(&[(BASE, file), ("a.btf", file), ("b.btf", file)]).is_ok());
    for members in [
        &[][..],
        &[("a.btf", file)],
        &[(BASE, file), ("b.btf", file), ("a.btf", file)],
        &[(BASE, file), ("a.btf", file), ("a.btf", file)],
        &[(BASE, file), ("../a.btf", file)],
        &[(BASE, file), ("a", file)],
        &[(BASE, file), ("a.btf", EntryType::Symlink)],
        &[(BASE, file), ("a.btf", EntryType::GNULongName)],
    ] {
        let error = of(members).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidKernel, "{members:?}");
    }
}

/// Check that modules whose kernel is not in the hub are reported, and that those of a kernel are not.
#[test]
fn without_their_kernel() {
    let folder = hub(&written(&[]));
    let mut listed = Hub::open(&[folder.path()]).unwrap();
    assert!(listed.take_rejected().is_empty());
    assert_eq!(listed.files().count(), 2);
    drop(listed);
    fs::remove_file(folder.path().join(format!("{PLACE}.btf"))).unwrap();
    let mut listed = Hub::open(&[folder.path()]).unwrap();
    assert!(listed.kernels().is_empty());
    let [error] = &*listed.take_rejected() else {
        panic!("one file is left out");
    };
    assert!(error.message().contains("modules without their kernel"));
    assert_eq!(
        error.kernel().map(ToString::to_string).as_deref(),
        Some(PLACE)
    );
}
