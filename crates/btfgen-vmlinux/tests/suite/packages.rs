//! Packages of every distribution's kind.

use std::process::Command;

use btfgen_vmlinux::{ErrorKind, Reader};
use rpm::{BuildConfig, CompressionWithLevel, FileOptions, PackageBuilder};

use super::util::*;

/// A file of a package: its path, and its content or where a link leads.
#[derive(Clone)]
pub(crate) enum File<'f> {
    Plain(&'f str, &'f [u8]),
    Symlink(&'f str, &'f str),
    HardLink(&'f str, &'f str),
}

pub(crate) fn tar(files: &[File<'_>]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for file in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(0);
        match *file {
            File::Plain(path, bytes) => {
                header.set_size(bytes.len() as u64);
                // The writer refuses `..`; an attacker's does not.
                if path.len() < 100 {
                    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
                    header.set_cksum();
                    builder.append(&header, bytes).unwrap();
                } else {
                    builder.append_data(&mut header, path, bytes).unwrap();
                }
            }
            File::Symlink(path, target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, path, target).unwrap();
            }
            File::HardLink(path, target) => {
                header.set_entry_type(tar::EntryType::Link);
                builder.append_link(&mut header, path, target).unwrap();
            }
        }
    }
    builder.into_inner().unwrap()
}

/// A Debian package, compressed by the command that gives the ending.
pub(crate) fn deb(arch: &str, files: &[File<'_>], (ending, command): (&str, &[&str])) -> Vec<u8> {
    let control = format!("Package: linux-image\nArchitecture: {arch}\nDescription: a kernel\n");
    let control = tar(&[File::Plain("./control", control.as_bytes())]);
    let mut builder = ar::Builder::new(Vec::new());
    let mut member = |name: &str, bytes: &[u8]| {
        let header = ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64);
        builder.append(&header, bytes).unwrap();
    };
    member("debian-binary", b"2.0\n");
    member("control.tar.gz", &through(&["gzip"], &control));
    member(&format!("data.tar{ending}"), &through(command, &tar(files)));
    builder.into_inner().unwrap()
}

pub(crate) const ZSTD: (&str, &[&str]) = (".zst", &["zstd", "-q", "-1"]);

fn image() -> (Vec<u8>, Vec<u8>) {
    let btf = sample_btf(AMD64);
    let kernel = vmlinux(&btf);
    let payload = through(&["zstd", "-q", "-1"], &kernel);
    let image = bzimage(&payload, kernel.len(), RELEASE);
    (image, btf)
}

/// Check that a Debian package of any compression is read, and that the origin has the path inside.
#[test]
fn deb_packages() {
    let (image, btf) = image();
    for compression in [
        ("", &["cat"][..]),
        (".gz", &["gzip", "-1"]),
        (".xz", &["xz", "-0"]),
        ZSTD,
    ] {
        let package = deb(
            "amd64",
            &[
                File::Plain("./boot/config-6.1.0-47-cloud-amd64", b"CONFIG_BPF=y\n"),
                File::Plain("./boot/vmlinuz-6.1.0-47-cloud-amd64", &image),
                File::Plain("./usr/share/doc/linux-image/copyright", b"GPL-2"),
            ],
            compression,
        );
        let vmlinux = read(&package).unwrap();
        assert!(vmlinux.btf() == btf, "{compression:?}");
        assert_eq!(vmlinux.release(), Some(RELEASE));
        assert_eq!(vmlinux.arch(), Some("x86_64"));
        assert_eq!(
            vmlinux.origin(),
            "boot/vmlinuz-6.1.0-47-cloud-amd64 in the package, x86 boot image, zstd, .BTF section"
        );
    }
}

/// Check that what dpkg-deb makes is read: the real writer of the format.
#[test]
fn dpkg_deb() {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        eprintln!("SKIPPED: dpkg-deb is not there; it is part of Debian and Ubuntu only");
        return;
    }
    let (image, btf) = image();
    let folder = Folder::new();
    folder.write("tree/DEBIAN/control", b"Package: linux-image\nVersion: 1\nArchitecture: amd64\nMaintainer: N <n@n>\nDescription: k\n");
    folder.write("tree/usr/lib/modules/6.1.0-47-cloud-amd64/vmlinuz", &image);
    for compression in ["none", "gzip", "xz", "zstd"] {
        let package = folder.path().join("linux.deb");
        let made = Command::new("dpkg-deb")
            .args([
                "--root-owner-group",
                "-z1",
                &format!("-Z{compression}"),
                "-b",
            ])
            .args([&folder.path().join("tree"), &package])
            .output()
            .unwrap();
        if !made.status.success() {
            eprintln!("SKIPPED: this dpkg-deb has no {compression}");
            continue;
        }
        let vmlinux = Reader::new().read(&package).unwrap();
        assert!(vmlinux.btf() == btf, "{compression}");
        assert_eq!(vmlinux.arch(), Some("x86_64"));
    }
}

/// Check that RPMs of either format and any compression are read.
#[test]
fn rpm_packages() {
    let (image, btf) = image();
    for config in [BuildConfig::v4(), BuildConfig::v6()] {
        for compression in [
            CompressionWithLevel::None,
            CompressionWithLevel::Gzip(1),
            CompressionWithLevel::Xz(0),
            CompressionWithLevel::Zstd(1),
        ] {
            let path = format!("/lib/modules/{RELEASE}");
            let package =
                PackageBuilder::new("kernel-core", "6.1.0", "GPL-2.0-only", "x86_64", "kernel")
                    .using_config(config.compression(compression))
                    .with_file_contents(
                        "CONFIG_BPF=y\n",
                        FileOptions::new(format!("{path}/config")),
                    )
                    .unwrap()
                    .with_symlink(FileOptions::symlink(
                        format!("/boot/vmlinuz-{RELEASE}"),
                        format!("{path}/vmlinuz"),
                    ))
                    .unwrap()
                    .with_file_contents(image.clone(), FileOptions::new(format!("{path}/vmlinuz")))
                    .unwrap()
                    .build()
                    .unwrap();
            let mut bytes = Vec::new();
            package.write(&mut bytes).unwrap();
            let vmlinux = read(&bytes).unwrap();
            assert!(vmlinux.btf() == btf, "{compression:?}");
            assert_eq!(vmlinux.release(), Some(RELEASE));
            assert_eq!(vmlinux.arch(), Some("x86_64"));
        }
    }
}

/// Check that a compressed kernel in a package, SUSE's vmlinux-RELEASE.gz, is read.
#[test]
fn compressed_member() {
    let btf = sample_btf(AMD64);
    let packed = through(&["gzip", "-1"], &vmlinux(&btf));
    let package = deb(
        "amd64",
        &[File::Plain(
            "./boot/vmlinux-6.1.0-47-cloud-amd64.gz",
            &packed,
        )],
        ZSTD,
    );
    let vmlinux = read(&package).unwrap();
    assert!(vmlinux.btf() == btf);
    assert_eq!(vmlinux.release(), Some(RELEASE));
}

/// Check that a plain tar of a kernel, which Arch's packages are, is read.
#[test]
fn tar_of_a_kernel() {
    let (image, btf) = image();
    let path = format!("usr/lib/modules/{RELEASE}/vmlinuz");
    let package = tar(&[
        File::Plain(".PKGINFO", b"arch = x86_64\n"),
        File::Plain(&path, &image),
    ]);
    for package in [through(&["zstd", "-q", "-1"], &package), package] {
        assert!(read(&package).unwrap().btf() == btf);
    }
}

/// Check that the release of the image is taken where the path tells another, and the path's where the image tells none.
#[test]
fn release_of_image_and_path() {
    let btf = sample_btf(AMD64);
    let silent = Elf::vmlinux(vec![(".BTF", btf.clone())]).write();
    for (kernel, expected) in [(vmlinux(&btf), RELEASE), (silent, "9.9.9-other")] {
        let package = deb(
            "amd64",
            &[File::Plain("./boot/vmlinux-9.9.9-other", &kernel)],
            ZSTD,
        );
        assert_eq!(read(&package).unwrap().release(), Some(expected));
    }
}

/// Check that the package tells the architecture where the image does not, and which 32-bit ARM it is.
#[test]
fn arch_of_package() {
    let btf = sample_btf(AMD64);
    let flat = flat(b"", RELEASE, &btf);
    let arm = Elf {
        architecture: object::Architecture::Arm,
        ..Elf::vmlinux(vec![(".BTF", btf.clone())])
    }
    .write();
    for (arch, kernel, expected) in [
        ("ppc64el", &flat, Some("ppc64le")),
        ("all", &flat, None),
        ("armhf", &arm, Some("arm")),
        ("armel", &arm, Some("armel")),
        ("all", &arm, Some("arm")),
        // Debian's i386 had kernels of 64 bits.
        ("i386", &vmlinux(&btf), Some("x86_64")),
    ] {
        let package = deb(arch, &[File::Plain("./boot/vmlinuz-6.1.0", kernel)], ZSTD);
        let vmlinux = read(&package).unwrap();
        assert_eq!(vmlinux.arch(), expected, "{arch}");
        let arms = ["arm", "armhf", "armel", "armv6l"];
        let can_be = arms.map(|arch| vmlinux.can_be(arch));
        let (hard, soft) = (expected == Some("arm"), expected == Some("armel"));
        assert_eq!(
            can_be,
            match (arch, expected) {
                ("all", _) => [true; 4],
                _ => [hard, hard, soft, soft],
            },
            "{arch}"
        );
    }
}

/// Check that links are skipped in favour of their targets, and that the search goes on after a kernel without BTF.
#[test]
fn several_members() {
    let (image, btf) = image();
    let bare = Elf::vmlinux(vec![(".rodata", banner(RELEASE))]).write();
    let package = deb(
        "amd64",
        &[
            File::Symlink("./boot/vmlinuz-6.1.0", "../usr/lib/modules/6.1.0/vmlinuz"),
            File::HardLink("./boot/vmlinux-6.1.0", "./boot/vmlinuz-6.1.0"),
            File::Plain("./usr/lib/debug/boot/vmlinux-6.1.0", b"not yet a kernel"),
            File::Plain("./usr/lib/modules/6.1.0/vmlinux", &bare),
            File::Plain("./usr/lib/modules/6.1.0/vmlinuz", &image),
        ],
        ZSTD,
    );
    let vmlinux = read(&package).unwrap();
    assert!(vmlinux.btf() == btf);
    assert!(
        vmlinux
            .origin()
            .starts_with("usr/lib/modules/6.1.0/vmlinuz in")
    );
}

/// Check that a name that is longer than tar's header has room for is read.
#[test]
fn long_name() {
    let btf = sample_btf(AMD64);
    let release = format!("6.1.0-{}", "x".repeat(58));
    let path = format!("./usr/lib/debug/usr/lib/modules/{release}/vmlinux");
    assert!(path.len() > 100);
    let silent = Elf::vmlinux(vec![(".BTF", btf)]).write();
    let package = deb("amd64", &[File::Plain(&path, &silent)], ZSTD);
    assert_eq!(read(&package).unwrap().release(), Some(&release[..]));
}

/// Check that a package without a kernel says so, and which packages have one.
#[test]
fn no_kernel() {
    let (image, _) = image();
    for files in [
        vec![File::Plain(
            "./usr/share/doc/linux-image/copyright",
            b"GPL-2",
        )],
        vec![File::Symlink("./boot/vmlinuz-6.1.0", "/etc/passwd")],
        vec![File::Plain("./boot/../../boot/vmlinuz-6.1.0", &image)],
        vec![File::Plain("../../boot/vmlinuz/vmlinuz-6.1.0", &image)],
        vec![],
    ] {
        let error = error(&deb("amd64", &files, ZSTD));
        assert_eq!(error.kind(), ErrorKind::NoKernel);
        assert!(error.help().unwrap().contains("linux-image"), "{error:?}");
    }
}

/// Check that a kernel without BTF is named with its path in the package.
#[test]
fn no_btf_in_package() {
    let bare = Elf::vmlinux(vec![(".rodata", banner(RELEASE))]).write();
    let error = error(&deb(
        "amd64",
        &[File::Plain("./boot/vmlinux-6.1.0", &bare)],
        ZSTD,
    ));
    assert_eq!(error.kind(), ErrorKind::NoBtf);
    assert!(
        error.subject().ends_with("/x:boot/vmlinux-6.1.0"),
        "{error}"
    );
}

/// Check that of a tar with two BTFs none is taken.
#[test]
fn two_btfs() {
    let btf = sample_btf(AMD64);
    let archive = tar(&[File::Plain("a.btf", &btf), File::Plain("b.btf", &btf)]);
    assert!(error(&archive).to_string().contains("more than one"));
}
