//! Build ids of kernels, compared with those that readelf prints.

use std::process::Command;

use btfgen_vmlinux::{BuildId, Reader};
use object::{Architecture, Endianness, elf};

use super::pahole::{KERNEL, vmlinux_with_dwarf};
use super::util::*;

const ARM64_MARK: &[u8] = b"ARM\x64";

fn id(seed: u8) -> BuildId {
    BuildId::new(&[seed; 20]).unwrap()
}

/// A kernel's notes: one of Xen, the build id, one of Linux.
fn notes(id: BuildId, order: Endianness) -> Vec<u8> {
    let mut notes = Vec::new();
    let mut note = |kind: u32, owner: &[u8; 4], value: &[u8]| {
        for word in [4, value.len() as u32, kind] {
            notes.extend(match order {
                Endianness::Little => word.to_le_bytes(),
                Endianness::Big => word.to_be_bytes(),
            });
        }
        notes.extend(owner);
        notes.extend(value);
    };
    note(18, b"Xen\0", &[0; 8]);
    note(3, b"GNU\0", id.bytes());
    note(0x100, b"Lin\0", b"salt");
    notes
}

fn build_id(bytes: &[u8]) -> Option<BuildId> {
    read(bytes).unwrap().build_id()
}

/// An ELF file as the kernel has it for its processes, with a note of its own.
fn vdso() -> Vec<u8> {
    let folder = Folder::new();
    let source = folder.write("vdso.c", b"int get_time(void) { return 1; }");
    let out = folder.path().join("vdso.so");
    let built = Command::new("cc")
        .args(["-shared", "-nostdlib", "-Wl,--build-id=sha1", "-o"])
        .args([&out, &source])
        .status();
    assert!(built.unwrap().success());
    std::fs::read(out).unwrap()
}

/// Check that the section of notes gives the id of a vmlinux, also inside a boot image and in either byte order.
#[test]
fn sections() {
    let btf = sample_btf(AMD64);
    let of = |id: BuildId| {
        let notes = notes(id, Endianness::Little);
        let sections = vec![(".rodata", banner(RELEASE)), (".notes", notes)];
        Elf::vmlinux([sections, vec![(".BTF", btf.clone())]].concat())
    };
    let kernel = of(id(1)).write();
    assert_eq!(build_id(&kernel), Some(id(1)));
    assert_eq!(
        build_id(&bzimage(&kernel, kernel.len(), RELEASE)),
        Some(id(1))
    );
    let big = Elf {
        architecture: Architecture::S390x,
        order: Endianness::Big,
        file_type: elf::ET_EXEC,
        sections: vec![
            (".notes", notes(id(2), Endianness::Big)),
            (".rodata", banner(RELEASE)),
            (".BTF", sample_btf(S390X)),
        ],
    };
    assert_eq!(build_id(&big.write()), Some(id(2)));
    assert_eq!(build_id(&vmlinux(&btf)), None);
    let mut several = of(id(1));
    several
        .sections
        .push((".notes", notes(id(3), Endianness::Little)));
    assert_eq!(build_id(&several.write()), None);
}

/// Check that a flat image gives the only note that is in none of the ELF files inside it, wherever these are.
#[test]
fn flat_images() {
    let btf = sample_btf(ARM64);
    let kernel = flat(ARM64_MARK, "6.1.0-47-arm64", &btf);
    let vdso = vdso();
    let own = notes(id(1), Endianness::Little);
    let image = |parts: &[&[u8]]| build_id(&[&[&*kernel], parts].concat().concat());
    assert_eq!(image(&[&own]), Some(id(1)));
    assert_eq!(image(&[&vdso, &own]), Some(id(1)));
    assert_eq!(image(&[b"odd", &own, &vdso, b"bytes", &vdso]), Some(id(1)));
    assert_eq!(image(&[b"\x7fELF\x02\x01\x01", &own]), Some(id(1)));
    assert_eq!(image(&[&own, &vdso, &own]), Some(id(1)));
    assert_eq!(image(&[]), None);
    assert_eq!(image(&[&vdso]), None);
    assert_eq!(image(&[&own, &notes(id(2), Endianness::Little)]), None);
    // An ELF file whose headers are cut off is none, and then its note may be the kernel's.
    assert_eq!(image(&[&own, &vdso[64..]]), None);
    let own = notes(id(3), Endianness::Big);
    let kernel = flat(b"", "6.1.0-47-s390x", &sample_btf(S390X));
    assert_eq!(build_id(&[kernel, own].concat()), Some(id(3)));
}

/// Check that a kernel with debug information only has the id that readelf prints, and that a bare BTF has none.
#[test]
fn debug_information() {
    let folder = Folder::new();
    let path = vmlinux_with_dwarf(&folder, KERNEL);
    let printed = Command::new("readelf").arg("-n").arg(&path).output();
    let printed = String::from_utf8(printed.unwrap().stdout).unwrap();
    let printed = printed
        .lines()
        .find_map(|l| l.trim().strip_prefix("Build ID: "));
    let found = Reader::new().read(&path).unwrap().build_id().unwrap();
    assert_eq!(Some(&*found.to_string()), printed);
    assert_eq!(build_id(&sample_btf(AMD64)), None);
}
