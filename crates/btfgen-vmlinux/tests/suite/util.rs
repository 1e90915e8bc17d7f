//! Kernels to wrap, tools to wrap them with, and boot images by their headers' documentation.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use btfgen_vmlinux::{Error, ErrorKind, Reader, Vmlinux};
use object::write::{Object, StandardSegment};
use object::{Architecture, BinaryFormat, Endianness, SectionKind, elf};
use tempfile::TempDir;

pub(crate) const AMD64: &str = "debian/12/x86_64/6.1.0-47-cloud-amd64";
pub(crate) const ARM64: &str = "debian/12/arm64/6.1.0-47-cloud-arm64";
pub(crate) const S390X: &str = "debian/13/s390x/6.12.107+deb13-s390x";

pub(crate) const RELEASE: &str = "6.1.0-47-cloud-amd64";

/// A kernel's file in btfhub-sample/.
pub(crate) fn sample(kernel: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../btfhub-sample")
        .join(format!("{kernel}.btf.tar.xz"))
}

pub(crate) fn sample_btf(kernel: &str) -> Vec<u8> {
    Reader::new().read(&sample(kernel)).unwrap().into_btf()
}

/// A folder for one test, and what is read from a file in it.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }
}

/// Reads bytes that lie in a file whose name tells nothing.
pub(crate) fn read(bytes: &[u8]) -> Result<Vmlinux, Error> {
    let folder = Folder::new();
    Reader::new().read(&folder.write("x", bytes))
}

pub(crate) fn error(bytes: &[u8]) -> Error {
    match read(bytes) {
        Ok(vmlinux) => panic!("{vmlinux:?}"),
        Err(error) => error,
    }
}

pub(crate) fn kind(bytes: &[u8]) -> ErrorKind {
    error(bytes).kind()
}

/// What a tool that `scripts/setup` installs makes of its standard input.
pub(crate) fn through(command: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}; scripts/setup installs it", command[0]));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{command:?}");
    output.stdout
}

/// How kernels and packages are compressed: the kernel's scripts/Makefile.lib, less the time it takes.
pub(crate) const COMPRESSIONS: [(&str, &[&str]); 6] = [
    ("gzip", &["gzip", "-n1"]),
    (
        "xz",
        &["xz", "-0", "--check=crc32", "--x86", "--lzma2=preset=0"],
    ),
    ("lzma", &["xz", "--format=lzma", "-0"]),
    ("zstd", &["zstd", "-q", "-1"]),
    ("lz4", &["lz4", "-q", "-l", "-c"]),
    ("lz4", &["lz4", "-q", "-c"]),
];

pub(crate) fn banner(release: &str) -> Vec<u8> {
    format!(
        "%s version %s (%s)\n\0Linux version %s\0Linux version {release} (builder@host) #1 SMP\n\0"
    )
    .into_bytes()
}

/// A vmlinux, or what looks like one as far as its sections go.
pub(crate) struct Elf {
    pub(crate) architecture: Architecture,
    pub(crate) order: Endianness,
    pub(crate) file_type: elf::FileType,
    pub(crate) sections: Vec<(&'static str, Vec<u8>)>,
}

impl Elf {
    pub(crate) fn vmlinux(sections: Vec<(&'static str, Vec<u8>)>) -> Self {
        Self {
            architecture: Architecture::X86_64,
            order: Endianness::Little,
            file_type: elf::ET_EXEC,
            sections,
        }
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut object = Object::new(BinaryFormat::Elf, self.architecture, self.order);
        for (name, bytes) in &self.sections {
            let segment = object.segment_name(StandardSegment::Data).to_vec();
            let kind = match *name {
                ".notes" => SectionKind::Note,
                _ => SectionKind::ReadOnlyData,
            };
            let id = object.add_section(segment, name.as_bytes().to_vec(), kind);
            object.append_section_data(id, bytes, 8);
        }
        let mut bytes = object.write().unwrap();
        // The writer knows relocatable files only.
        let file_type = match self.order {
            Endianness::Little => self.file_type.0.to_le_bytes(),
            Endianness::Big => self.file_type.0.to_be_bytes(),
        };
        bytes[16..18].copy_from_slice(&file_type);
        bytes
    }
}

pub(crate) fn vmlinux(btf: &[u8]) -> Vec<u8> {
    let rodata = banner(RELEASE);
    Elf::vmlinux(vec![(".rodata", rodata), (".BTF", btf.to_vec())]).write()
}

/// x86's boot image (`Documentation/arch/x86/boot.rst`): one setup sector, the release in it, the payload, its size.
pub(crate) fn bzimage(payload: &[u8], unpacked: usize, release: &str) -> Vec<u8> {
    const SETUP_SECTORS: usize = 2;
    const OFFSET: usize = 100;
    let mut image = vec![0; (SETUP_SECTORS + 1) * 512 + OFFSET];
    image[0x1f1] = SETUP_SECTORS as u8;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
    image[0x20e..0x210].copy_from_slice(&0x200_u16.to_le_bytes());
    image[0x236] = 1;
    image[0x248..0x24c].copy_from_slice(&(OFFSET as u32).to_le_bytes());
    image[0x24c..0x250].copy_from_slice(&(payload.len() as u32 + 4).to_le_bytes());
    let version = format!("{release} (builder@host) #1 SMP\0");
    image[0x400..0x400 + version.len()].copy_from_slice(version.as_bytes());
    image.extend(payload);
    image.extend((unpacked as u32).to_le_bytes());
    image.extend(b"signature and padding");
    image
}

/// `drivers/firmware/efi/libstub/zboot-header.S`
pub(crate) fn zboot(payload: &[u8], compression: &str) -> Vec<u8> {
    const START: usize = 0x1000;
    let mut image = vec![0; START];
    image[..8].copy_from_slice(b"MZ\0\0zimg");
    image[8..12].copy_from_slice(&(START as u32).to_le_bytes());
    image[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    image[24..24 + compression.len()].copy_from_slice(compression.as_bytes());
    image.extend(payload);
    image.extend([0xff; 64]);
    image
}

/// A flat kernel: code, the banner, the BTF somewhere, with a mark in its header (arm64's or riscv64's).
pub(crate) fn flat(mark: &[u8], release: &str, btf: &[u8]) -> Vec<u8> {
    let mut image = vec![0x90; 0x40_123];
    image[0x38..0x38 + mark.len()].copy_from_slice(mark);
    image.extend(banner(release));
    image.extend(btf);
    image.extend(vec![0x90; 12_345]);
    image
}
