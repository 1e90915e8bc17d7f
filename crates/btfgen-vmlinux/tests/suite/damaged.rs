//! Files that are cut off or changed: an error, never a panic, and never a BTF that is not the one that went in.

use btfgen_vmlinux::ErrorKind;
use object::{Architecture, elf};
use proptest::prelude::*;
use rpm::{BuildConfig, CompressionWithLevel, FileOptions, PackageBuilder};

use super::packages::{File, ZSTD, deb};
use super::util::*;

/// A BTF of one struct, `task_struct`, so that thousands of files can be made around it.
fn small_btf() -> Vec<u8> {
    let strings = b"\0task_struct\0pid\0int\0";
    let types = [17, 1 << 24, 4, 0x0100_0020, 1, 4 << 24 | 1, 4, 13, 1, 0];
    let mut btf = vec![0x9f, 0xeb, 1, 0];
    for word in [24, 0, 40, 40, strings.len() as u32].iter().chain(&types) {
        btf.extend(word.to_le_bytes());
    }
    btf.extend(strings);
    btf
}

fn small_rpm(kernel: &[u8], compression: CompressionWithLevel) -> Vec<u8> {
    let package = PackageBuilder::new("kernel", "6.1.0", "GPL-2.0-only", "x86_64", "kernel")
        .using_config(BuildConfig::v4().compression(compression))
        .with_file_contents(kernel, FileOptions::new("/boot/vmlinuz-6.1.0"))
        .unwrap()
        .build()
        .unwrap();
    let mut bytes = Vec::new();
    package.write(&mut bytes).unwrap();
    bytes
}

/// One small file of each form.
fn small_files() -> Vec<Vec<u8>> {
    let btf = small_btf();
    let kernel = vmlinux(&btf);
    let gzip = |bytes: &[u8]| through(&["gzip", "-n"], bytes);
    let mut flat = vec![0x90; 0x100];
    flat[0x38..0x3c].copy_from_slice(b"ARM\x64");
    flat.extend(banner(RELEASE));
    flat.extend(&btf);
    let wrapper = Elf::vmlinux(vec![(".kernel:vmlinux.strip", gzip(&kernel))]);
    let mut files = vec![
        bzimage(&gzip(&kernel), kernel.len(), RELEASE),
        bzimage(&kernel, kernel.len(), RELEASE),
        zboot(&gzip(&flat), "gzip"),
        wrapper.write(),
        deb(
            "amd64",
            &[File::Plain("./boot/vmlinuz-6.1.0", &kernel)],
            ("", &["cat"]),
        ),
        deb(
            "amd64",
            &[File::Plain("./boot/vmlinuz-6.1.0", &kernel)],
            ZSTD,
        ),
        small_rpm(&kernel, CompressionWithLevel::None),
        small_rpm(&kernel, CompressionWithLevel::Gzip(1)),
        super::packages::tar(&[File::Plain("6.1.0.btf", &btf)]),
        flat,
        btf,
    ];
    files.extend(
        COMPRESSIONS
            .iter()
            .map(|(_, command)| through(command, &kernel)),
    );
    files.push(kernel);
    files
}

/// Check that every one of the small files is read: they are good to be damaged.
#[test]
fn whole() {
    for file in small_files() {
        assert!(read(&file).unwrap().btf() == small_btf());
    }
}

/// Check that a file that ends too soon is an error, or still gives the very BTF if only what follows it is cut off.
#[test]
fn truncated() {
    for file in small_files() {
        let step = (file.len() / 400).max(1);
        for cut in (0..file.len()).step_by(step) {
            if let Ok(vmlinux) = read(&file[..cut]) {
                assert!(vmlinux.btf() == small_btf(), "{cut} of {}", file.len());
            }
        }
    }
}

/// Check that a real boot image that ends too soon says that it is damaged.
#[test]
fn truncated_boot_image() {
    let kernel = vmlinux(&sample_btf(AMD64));
    for (_, command) in COMPRESSIONS {
        let image = bzimage(&through(command, &kernel), kernel.len(), RELEASE);
        for part in [2, 3, 10] {
            let error = error(&image[..image.len() - image.len() / part]);
            assert_eq!(error.kind(), ErrorKind::Damaged, "{command:?}: {error}");
        }
    }
}

/// Check that headers whose numbers lead far outside, or ask for gigabytes, are refused.
#[test]
fn hostile_numbers() {
    let kernel = vmlinux(&small_btf());
    let rpm = small_rpm(&kernel, CompressionWithLevel::None);
    for at in [96 + 8, 96 + 12] {
        let mut bytes = rpm.clone();
        bytes[at..at + 4].copy_from_slice(&[0xff; 4]);
        assert_eq!(kind(&bytes), ErrorKind::Damaged);
    }
    let deb = deb("amd64", &[], ZSTD);
    let mut bytes = deb.clone();
    bytes[8 + 48..8 + 58].copy_from_slice(b"9999999999");
    assert_eq!(kind(&bytes), ErrorKind::Damaged);
    let mut bytes = deb;
    bytes[8 + 60 + 4..][..16].copy_from_slice(b"/5              ");
    assert!(read(&bytes).is_err());

    let mut elf = kernel.clone();
    elf[0x28..0x30].copy_from_slice(&[0xff; 8]);
    assert_eq!(kind(&elf), ErrorKind::Damaged);
    let many = Elf {
        architecture: Architecture::X86_64,
        file_type: elf::ET_EXEC,
        ..Elf::vmlinux((0..20_000).map(|_| ("s", vec![0])).collect())
    };
    assert_eq!(kind(&many.write()), ErrorKind::TooLarge);
}

/// An RPM with these tags, as type, count and value, and this payload.
fn made_up_rpm(tags: &[(u32, u32, u32, Vec<u8>)], payload: &[u8]) -> Vec<u8> {
    let (mut index, mut store) = (Vec::new(), Vec::new());
    for (tag, kind, count, value) in tags {
        for number in [*tag, *kind, store.len() as u32, *count] {
            index.extend(number.to_be_bytes());
        }
        store.extend(value);
    }
    let header = |count: usize, len: usize| {
        let numbers = [count as u32, len as u32].map(u32::to_be_bytes);
        [&b"\x8e\xad\xe8\x01\0\0\0\0"[..], numbers.as_flattened()].concat()
    };
    let lead = [&b"\xed\xab\xee\xdb"[..], &[0; 92]].concat();
    let signature = header(0, 0);
    let header = header(tags.len(), store.len());
    [&lead[..], &signature, &header, &index, &store, payload].concat()
}

const DIR_INDEXES: u32 = 1116;
const BASE_NAMES: u32 = 1117;
const DIR_NAMES: u32 = 1118;
const FILE_MODES: u32 = 1030;
const LONG_FILE_SIZES: u32 = 5008;

/// Check that a size next to the largest number there is, of a file that the payload does not name, is refused.
#[test]
fn rpm_with_a_size_without_end() {
    for size in [u64::MAX, u64::MAX - 4, i64::MAX as u64] {
        for mode in [0o100_644_u16, 0o120_777] {
            let package = made_up_rpm(
                &[
                    (LONG_FILE_SIZES, 5, 1, size.to_be_bytes().to_vec()),
                    (FILE_MODES, 3, 1, mode.to_be_bytes().to_vec()),
                    (DIR_INDEXES, 4, 1, vec![0; 4]),
                    (DIR_NAMES, 8, 1, b"/boot/\0".to_vec()),
                    (BASE_NAMES, 8, 1, b"vmlinuz-6.1\0".to_vec()),
                ],
                b"07070X00000000\0\0 and no more",
            );
            assert_eq!(kind(&package), ErrorKind::Damaged, "{size} {mode:o}");
        }
    }
}

/// Check that a header's long name of a folder is not taken into memory for each of many files: it would be 64 GiB.
#[test]
fn rpm_with_a_long_folder() {
    const COUNT: usize = 1 << 16;
    let folder = [vec![b'/'; 1 << 20], b"boot/\0".to_vec()].concat();
    let package = made_up_rpm(
        &[
            (LONG_FILE_SIZES, 5, COUNT as u32, vec![0; 8 * COUNT]),
            (FILE_MODES, 3, COUNT as u32, vec![0; 2 * COUNT]),
            (DIR_INDEXES, 4, COUNT as u32, vec![0; 4 * COUNT]),
            (DIR_NAMES, 8, 1, folder),
            (BASE_NAMES, 8, COUNT as u32, b"f\0".repeat(COUNT)),
        ],
        b"07070X00000000\0\0",
    );
    assert_eq!(kind(&package), ErrorKind::Damaged);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Check that no change of some bytes makes a panic.
    #[test]
    fn changed(
        which in 0..100_usize,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        thread_local! {
            static FILES: Vec<Vec<u8>> = small_files();
        }
        let mut file = FILES.with(|files| files[which % files.len()].clone());
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let _ = read(&file);
    }

    /// Check that random bytes are no kernel, also behind a magic that promises one.
    #[test]
    fn random(magic in 0..12_usize, bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        const MAGICS: [&[u8]; 12] = [
            b"", b"\x9f\xeb\x01\x00\x18\0\0\0", b"\x7fELF\x02\x01", b"\x7fELF\x01\x02", b"\x1f\x8b\x08", b"\xfd7zXZ\0",
            b"\x28\xb5\x2f\xfd", b"\x02\x21\x4c\x18", b"\x04\x22\x4d\x18", b"!<arch>\ndebian-binary   ",
            b"\xed\xab\xee\xdb", b"MZ\0\0zimg",
        ];
        prop_assert!(read(&[MAGICS[magic], &bytes[..]].concat()).is_err());
    }
}
