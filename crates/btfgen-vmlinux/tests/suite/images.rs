//! Kernel images of every architecture.

use object::{Architecture, Endianness, elf};

use super::util::*;

/// Check that a vmlinux of any class and byte order gives its BTF, its architecture and its release.
#[test]
fn elf_files() {
    let little = sample_btf(AMD64);
    let big = sample_btf(S390X);
    for (architecture, order, btf, arch) in [
        (Architecture::X86_64, Endianness::Little, &little, "x86_64"),
        (Architecture::Aarch64, Endianness::Little, &little, "arm64"),
        (
            Architecture::PowerPc64,
            Endianness::Little,
            &little,
            "ppc64le",
        ),
        (
            Architecture::Riscv64,
            Endianness::Little,
            &little,
            "riscv64",
        ),
        (Architecture::S390x, Endianness::Big, &big, "s390x"),
        (Architecture::I386, Endianness::Little, &little, "i386"),
        (Architecture::Arm, Endianness::Little, &little, "arm"),
    ] {
        let file = Elf {
            architecture,
            order,
            file_type: elf::ET_EXEC,
            sections: vec![(".rodata", banner(RELEASE)), (".BTF", btf.clone())],
        };
        let vmlinux = read(&file.write()).unwrap();
        assert!(vmlinux.btf() == *btf, "{arch}");
        assert_eq!(vmlinux.arch(), Some(arch));
        assert_eq!(vmlinux.release(), Some(RELEASE));
        assert_eq!(vmlinux.origin(), ".BTF section");
    }
}

/// Check that the banner is found in a section of any name, also where it lies across the pieces that are read.
#[test]
fn banner_anywhere() {
    let btf = sample_btf(AMD64);
    for padding in (0xff_f00..0x100_010).step_by(7) {
        let section = [vec![b'x'; padding], banner("6.1.0-test")].concat();
        let file = Elf::vmlinux(vec![(".init.rodata", section), (".BTF", btf.clone())]);
        assert_eq!(read(&file.write()).unwrap().release(), Some("6.1.0-test"));
    }
}

/// Check that x86's boot image is read with every compression that its build offers, and uncompressed.
#[test]
fn bzimages() {
    let btf = sample_btf(AMD64);
    let kernel = vmlinux(&btf);
    let others = [("uncompressed", vec!["cat"])];
    let compressions = COMPRESSIONS.map(|(name, command)| (name, command.to_vec()));
    for (name, command) in compressions.into_iter().chain(others) {
        let image = bzimage(&through(&command, &kernel), kernel.len(), RELEASE);
        let vmlinux = read(&image).unwrap();
        assert!(vmlinux.btf() == btf, "{command:?}");
        assert_eq!(vmlinux.arch(), Some("x86_64"));
        assert_eq!(vmlinux.release(), Some(RELEASE));
        assert_eq!(
            vmlinux.origin(),
            format!("x86 boot image, {name}, .BTF section")
        );
    }
}

/// Check that a kernel of more than one lz4 block, the last of them full or not, is read whole.
#[test]
fn lz4_blocks() {
    const BLOCK: usize = 8 << 20;
    let btf = sample_btf(AMD64);
    for len in [2 * BLOCK - 1, 2 * BLOCK, 2 * BLOCK + 1] {
        let filler = |len| vec![("filler", vec![7; len]), (".BTF", btf.clone())];
        let base = Elf::vmlinux(filler(8)).write().len();
        let mut kernel = Elf::vmlinux(filler(len - base)).write();
        kernel.resize(len, 0);
        let image = bzimage(&through(&["lz4", "-q", "-l", "-c"], &kernel), len, RELEASE);
        assert!(read(&image).unwrap().btf() == btf, "{len}");
    }
}

/// Check that flat images are searched for the kernel's BTF: the largest with `task_struct`, not the first.
#[test]
fn flat_images() {
    let arm64 = sample_btf(ARM64);
    let amd64 = sample_btf(AMD64);
    let (smaller, larger) = if arm64.len() < amd64.len() {
        (arm64, amd64)
    } else {
        (amd64, arm64)
    };
    for (mark, arch) in [
        (&b"ARM\x64"[..], Some("arm64")),
        (b"RSC\x05", Some("riscv64")),
        (b"", None),
    ] {
        for (first, second) in [(&smaller, &larger), (&larger, &smaller)] {
            let mut image = flat(mark, RELEASE, first);
            image.extend(second);
            let vmlinux = read(&image).unwrap();
            assert!(vmlinux.btf() == larger);
            assert_eq!(vmlinux.arch(), arch);
            assert_eq!(vmlinux.release(), Some(RELEASE));
            assert_eq!(vmlinux.origin(), "BTF by its header");
        }
    }
}

/// Check that a compressed flat image, as arm64 distributions ship it, is read.
#[test]
fn compressed_flat_image() {
    let btf = sample_btf(ARM64);
    let image = through(
        &["gzip", "-1"],
        &flat(b"ARM\x64", "6.1.0-47-cloud-arm64", &btf),
    );
    let vmlinux = read(&image).unwrap();
    assert!(vmlinux.btf() == btf);
    assert_eq!(vmlinux.arch(), Some("arm64"));
    assert_eq!(vmlinux.release(), Some("6.1.0-47-cloud-arm64"));
}

/// Check that EFI's own compressed image is read.
#[test]
fn zboot_images() {
    let btf = sample_btf(ARM64);
    let kernel = flat(b"ARM\x64", "6.1.0-47-cloud-arm64", &btf);
    for (name, command) in COMPRESSIONS {
        let vmlinux = read(&zboot(&through(command, &kernel), name)).unwrap();
        assert!(vmlinux.btf() == btf, "{command:?}");
        assert_eq!(vmlinux.arch(), Some("arm64"));
        assert_eq!(
            vmlinux.origin(),
            format!("EFI zboot image, {name}, BTF by its header")
        );
    }
}

/// Check that a compressed kernel is found in an image that does not tell where it is, behind other streams and
/// magics that are there by chance.
#[test]
fn hidden_streams() {
    let btf = sample_btf(S390X);
    let kernel = flat(b"", "6.12.107+deb13-s390x", &btf);
    let config = through(&["gzip", "-1"], b"CONFIG_BPF=y\n");
    for (name, command) in COMPRESSIONS {
        let mut image = vec![0; 0x11_000];
        image[0x10_008..0x10_00e].copy_from_slice(b"S390EP");
        image.extend(b"\x28\xb5\x2f\xfd by chance \x1f\x8b\x08\xff\xff");
        image.extend(b"\x02\x21\x4c\x18\x10\x00\x00\x00 by chance too");
        image.extend(&config);
        image.extend(through(command, &kernel));
        image.extend(b"\xab\xcd\xef\x01 and the rest");
        let vmlinux = read(&image).unwrap();
        assert!(vmlinux.btf() == btf, "{command:?}");
        assert_eq!(vmlinux.arch(), Some("s390x"));
        assert_eq!(vmlinux.release(), Some("6.12.107+deb13-s390x"));
        assert_eq!(vmlinux.origin(), format!("{name}, BTF by its header"));
    }
}

/// Check that POWER's boot wrapper, a program of 32 bits around the kernel, is read.
#[test]
fn power_wrapper() {
    let btf = sample_btf(AMD64);
    let kernel = Elf {
        architecture: Architecture::PowerPc64,
        ..Elf::vmlinux(vec![(".rodata", banner(RELEASE)), (".BTF", btf.clone())])
    };
    let wrapper = Elf {
        architecture: Architecture::PowerPc,
        order: Endianness::Big,
        ..Elf::vmlinux(vec![(
            ".kernel:vmlinux.strip",
            through(&["gzip", "-1"], &kernel.write()),
        )])
    };
    let vmlinux = read(&wrapper.write()).unwrap();
    assert!(vmlinux.btf() == btf);
    assert_eq!(vmlinux.arch(), Some("ppc64le"));
}
