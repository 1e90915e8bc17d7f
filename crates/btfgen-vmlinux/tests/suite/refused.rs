//! What is no kernel, or one without BTF.

use std::fs::File as DiskFile;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use btfgen_vmlinux::{ErrorKind, Reader};
use object::{Architecture, elf};

use super::packages::{File, tar};
use super::util::*;

/// Check that a missing file is an error, and does not count as a failure of the machine.
#[test]
fn no_file() {
    let folder = Folder::new();
    let error = Reader::new()
        .read(&folder.path().join("missing"))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(!error.is_machine_fault(), "{error:?}");
}

/// Check that a special file is refused at once, with a help text, even if nobody writes to the pipe.
#[test]
fn only_regular_files() {
    let folder = Folder::new();
    let pipe = folder.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&pipe, &link).unwrap();
    let socket = folder.path().join("socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    for path in [&*pipe, &link, &socket, Path::new("/dev/zero")] {
        let error = Reader::new().read(path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unrecognized);
        assert!(error.to_string().starts_with(path.to_str().unwrap()));
        assert!(error.message().contains("is a pipe"), "{error}");
        assert!(error.help().unwrap().contains("to a file"), "{error:?}");
    }
    let error = Reader::new().read(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unrecognized);
    assert_eq!(error.message(), "is a folder");
    assert!(error.help().unwrap().contains("in the folder"), "{error:?}");
}

/// Check that files that are larger than any kernel's, or have no end, are not read for hours.
#[test]
fn files_without_end() {
    const GIB: u64 = 1 << 30;
    let folder = Folder::new();
    let started = std::time::Instant::now();
    let sparse = |head: &[u8], len: u64| {
        let path = folder.write("sparse", head);
        let file = DiskFile::options().append(true).open(&path).unwrap();
        // A file system may have no room for the name of so much.
        file.set_len(len).is_ok().then_some(path)
    };
    for len in [4 << 50, 8 << 40, 9 * GIB] {
        let Some(path) = sparse(b"", len) else {
            eprintln!("SKIPPED: the file system has no files of {len} bytes");
            continue;
        };
        let error = Reader::new().read(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    }
    let one_stream = through(&["gzip", "-1"], b"one stream");
    let program = Elf::vmlinux(vec![(".rodata", b"usage: ls".to_vec())]).write();
    for (head, expected) in [
        (&b"nothing that is known"[..], ErrorKind::Unrecognized),
        (&program, ErrorKind::NotAKernel),
        (&one_stream, ErrorKind::Damaged),
    ] {
        let Some(path) = sparse(head, 7 * GIB) else {
            eprintln!("SKIPPED: the file system has no files of 7 GiB");
            continue;
        };
        let error = Reader::new().read(&path).unwrap_err();
        assert_eq!(error.kind(), expected, "{error}");
    }
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}

/// Check that empty, short and meaningless files are refused.
#[test]
fn nothing() {
    assert_eq!(kind(b""), ErrorKind::Damaged);
    assert_eq!(kind(b"x"), ErrorKind::Unrecognized);
    assert_eq!(kind(&vec![0; 1 << 20]), ErrorKind::Unrecognized);
    assert_eq!(kind(b"#!/bin/sh\nexit 1\n"), ErrorKind::Unrecognized);
}

/// Check that a module, its BTF, and a BPF object are distinguished from a kernel.
#[test]
fn other_elf_files() {
    let btf = sample_btf(AMD64);
    let file = |architecture, file_type, sections| Elf {
        architecture,
        file_type,
        ..Elf::vmlinux(sections)
    };
    let modinfo = (".modinfo", b"license=GPL\0".to_vec());
    for (file, expected) in [
        (
            file(
                Architecture::X86_64,
                elf::ET_REL,
                vec![modinfo.clone(), (".BTF", btf.clone())],
            ),
            ErrorKind::Module,
        ),
        (
            file(
                Architecture::X86_64,
                elf::ET_REL,
                vec![(".text", vec![0x90])],
            ),
            ErrorKind::NotAKernel,
        ),
        (
            file(Architecture::Bpf, elf::ET_REL, vec![(".BTF", btf.clone())]),
            ErrorKind::NotAKernel,
        ),
        (
            file(
                Architecture::X86_64,
                elf::ET_DYN,
                vec![(".rodata", b"usage: ls".to_vec())],
            ),
            ErrorKind::NotAKernel,
        ),
        (
            file(
                Architecture::X86_64,
                elf::ET_EXEC,
                vec![(".rodata", banner(RELEASE))],
            ),
            ErrorKind::NoBtf,
        ),
    ] {
        let error = error(&file.write());
        assert_eq!(error.kind(), expected, "{error}");
        assert!(error.help().is_some(), "{error}");
    }
    // A vmlinux has a .modinfo too, of what is built in.
    let vmlinux = file(
        Architecture::X86_64,
        elf::ET_EXEC,
        vec![modinfo, (".BTF", btf.clone())],
    );
    assert!(read(&vmlinux.write()).unwrap().btf() == btf);
}

/// Check that a module's split BTF is refused by what is in it.
#[test]
fn split_btf() {
    let mut btf = sample_btf(AMD64);
    // The first type's name, 28 bytes behind the magic, in a string section that is not here.
    btf[24..28].copy_from_slice(&0x00ff_ffff_u32.to_le_bytes());
    assert_eq!(kind(&btf), ErrorKind::Module);
}

/// Check that kernels without BTF of each kind say so, with the remedy.
#[test]
fn no_btf() {
    let bare = Elf::vmlinux(vec![(".rodata", banner(RELEASE))]).write();
    for image in [
        bzimage(&through(&["gzip", "-1"], &bare), bare.len(), RELEASE),
        flat(b"ARM\x64", RELEASE, b""),
        flat(b"", RELEASE, b""),
        zboot(
            &through(&["gzip", "-1"], &flat(b"ARM\x64", RELEASE, b"")),
            "gzip",
        ),
    ] {
        let error = error(&image);
        assert_eq!(error.kind(), ErrorKind::NoBtf, "{error}");
        assert!(error.help().unwrap().contains("pahole"), "{error:?}");
    }
}

/// Check that a BPF program's BTF in a kernel without its own is not taken for the kernel's.
#[test]
fn bpf_program_in_a_kernel() {
    let mut btf = sample_btf(AMD64);
    // No struct of this BTF has this name any more.
    while let Some(at) = memchr::memmem::find(&btf, b"\0task_struct\0") {
        btf[at + 1] = b'T';
    }
    assert_eq!(kind(&flat(b"ARM\x64", RELEASE, &btf)), ErrorKind::NoBtf);
}

/// Check that compressions that are not undone are named, with the way out.
#[test]
fn unsupported() {
    let lzo = b"\x89LZO\0\r\n\x1a\n and so on".to_vec();
    let bzip2 = through(&["bzip2", "-1"], &vec![0; 1000]);
    for (packed, name) in [(lzo, "lzo"), (bzip2, "bzip2")] {
        for bytes in [packed.clone(), bzimage(&packed, 1000, RELEASE)] {
            let error = error(&bytes);
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
            assert!(error.message().contains(name), "{error}");
            assert!(error.help().is_some(), "{error}");
        }
    }
}

/// Check that a kernel image in which no kernel is found is not said to be without BTF, and that there is a help.
#[test]
fn unknown_compression() {
    let mut image = vec![0x5a; 1 << 20];
    image[0x24..0x28].copy_from_slice(&0x016f_2818_u32.to_le_bytes());
    for bytes in [zboot(&image, "lzo"), image] {
        let error = error(&bytes);
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.help().unwrap().contains("decompress"), "{error}");
    }
}

/// Check the error for a kernel without BTF in a stream of an image.
#[test]
fn no_btf_in_a_stream() {
    let mut image = vec![0; 0x11_000];
    image[0x10_008..0x10_00e].copy_from_slice(b"S390EP");
    image.extend(through(&["gzip", "-1"], &flat(b"", RELEASE, b"")));
    assert_eq!(kind(&image), ErrorKind::NoBtf);
}

/// Check that something small that unpacks to more than any kernel is refused, wherever it lies.
#[test]
fn bombs() {
    let zeros = vec![0; 600 << 20];
    let bomb = through(&["xz", "-0"], &zeros);
    drop(zeros);
    assert!(bomb.len() < 1 << 20);
    for bytes in [bomb.clone(), bzimage(&bomb, 600 << 20, RELEASE)] {
        assert_eq!(kind(&bytes), ErrorKind::TooLarge);
    }
}

/// Check that the limit of what is unpacked holds for all layers together, also for what is passed over, and that a
/// file that takes just so much is read.
#[test]
fn unpacked_limit() {
    let folder = Folder::new();
    let btf = sample_btf(AMD64);
    let kernel = vmlinux(&btf);
    let gzip = |bytes: &[u8]| through(&["gzip", "-1"], bytes);
    let once = gzip(&kernel);
    let image = bzimage(&once, kernel.len(), RELEASE);
    let archive = tar(&[
        File::Plain("usr/share/doc/linux-image/changelog", &[b'*'; 1 << 20]),
        File::Plain("boot/vmlinuz-6.1.0", &image),
    ]);
    for (bytes, unpacked) in [
        (gzip(&once), once.len() + kernel.len()),
        (gzip(&image), image.len() + kernel.len()),
        (gzip(&archive), (1 << 20) + image.len() + kernel.len()),
        (image, kernel.len()),
    ] {
        let path = folder.write("x", &bytes);
        let read = |limit: usize| Reader::new().max_unpacked_bytes(limit as u64).read(&path);
        // What a tar has around files, and behind them in the buffer of a decoder.
        assert!(read(unpacked + (256 << 10)).unwrap().btf() == btf);
        let error = read(unpacked - 1).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    }
    let path = folder.write("x", &once);
    let exact = Reader::new().max_unpacked_bytes(kernel.len() as u64);
    assert!(exact.read(&path).unwrap().btf() == btf);
}

/// Check that many streams in an image, which alone unpack to little but hold what unpacks to much, are stopped by the
/// limit for all of them.
#[test]
fn bombs_in_streams() {
    let zeros = through(&["gzip", "-1"], &vec![0; 64 << 20]);
    let stream = through(&["gzip", "-1"], &zeros);
    assert!(zeros.len() > 256 << 10);
    let image = [b"x", &stream.repeat(64)[..]].concat();
    let folder = Folder::new();
    let error = Reader::new()
        .max_unpacked_bytes(200 << 20)
        .read(&folder.write("x", &image))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(error.message(), "unpacks to more than the limit");
}

/// Check that files full of magics, and of streams that end in an error, take seconds and not hours.
#[test]
fn magics_without_end() {
    let started = std::time::Instant::now();
    for magic in [
        &b"\x9f\xeb\x01"[..],
        b"\x1f\x8b\x08",
        b"Linux version ",
        b"\x28\xb5\x2f\xfd",
    ] {
        let bytes = [b"x", &magic.repeat((4 << 20) / magic.len())[..]].concat();
        assert_eq!(kind(&bytes), ErrorKind::Unrecognized);
    }
    let mut stream = through(&["gzip", "-1"], &vec![0; 128 << 20]);
    let end = stream.len() - 8;
    stream[end..].fill(0xff);
    let bytes = [b"x", &stream.repeat(64)[..]].concat();
    assert_eq!(kind(&bytes), ErrorKind::Unrecognized);
    assert!(started.elapsed().as_secs() < 120, "{:?}", started.elapsed());
}

/// Check that nesting has an end.
#[test]
fn nested() {
    let mut bytes = sample_btf(AMD64);
    for _ in 0..20 {
        bytes = through(&["zstd", "-q", "-1"], &bytes);
    }
    let error = error(&bytes);
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.message().contains("nested"), "{error}");
}
