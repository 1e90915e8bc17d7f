//! Any os-release file, and a lookup on a host that has it.
#![no_main]

use std::io::{ErrorKind, Seek as _, Write as _};
use std::sync::LazyLock;

use btfgen_runtime::{Lookup, Origin, OsRelease};
use libfuzzer_sys::fuzz_target;
use tempfile::NamedTempFile;

fuzz_target!(|bytes: &[u8]| {
    match OsRelease::parse(bytes) {
        Ok(os) => {
            check_values(&os, bytes.len());
            check_read_back(&os);
            check_lines(&os, bytes);
            check_lookup(bytes);
        }
        Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidData),
    }
});

fn values(os: &OsRelease) -> [(&'static str, Option<&str>); 3] {
    [
        ("ID", os.id()),
        ("VERSION_ID", os.version_id()),
        ("VERSION_CODENAME", os.version_codename()),
    ]
}

/// Check that values are parts of a line that a shell would take.
fn check_values(os: &OsRelease, len: usize) {
    let values = values(os).into_iter().filter_map(|(_, value)| value);
    for value in values.chain(os.id_like().iter().map(String::as_str)) {
        assert!(!value.is_empty());
        assert!(!value.contains(['\0', '\n']));
        // A byte that is no UTF-8 becomes a character of three.
        assert!(value.len() <= 3 * len);
    }
    assert!(
        os.id_like()
            .iter()
            .all(|id| !id.contains(char::is_whitespace))
    );
}

/// Check that what was read, quoted, is read again.
fn check_read_back(os: &OsRelease) {
    let quoted = |value: &str| format!("'{}'\n", value.replace('\'', "'\\''"));
    let mut text = String::from("A=\n");
    for (key, value) in values(os) {
        text += &value.map_or(String::new(), |value| format!("{key}={}", quoted(value)));
    }
    text += &format!("ID_LIKE={}", quoted(&os.id_like().join(" ")));
    if let Ok(again) = OsRelease::parse(text.as_bytes()) {
        assert_eq!(values(&again), values(os));
        assert_eq!(again.id_like(), os.id_like());
    } else {
        // Three bytes for one may make it too large.
        assert!(text.len() > 64 << 10);
    }
}

/// Check that empty lines and comments make no difference, nor how lines end.
fn check_lines(os: &OsRelease, bytes: &[u8]) {
    let with_more = [b"\n# ID=none\n", bytes, b"\n\n"].concat();
    if let Ok(again) = OsRelease::parse(&with_more) {
        assert_eq!(again, *os);
    }
}

const RELEASE: &str = "6";

/// Kernels of one release, whose contents differ: BTFs without types, and with nothing but NULs for strings.
static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let hub = [
        "ubuntu/20.04",
        "rhel/8",
        "debian/11",
        "amzn/2",
        "sles/15.3",
        "ol/8",
    ];
    let contents: [Vec<u8>; 6] = std::array::from_fn(|n| {
        let mut btf = vec![0; 25 + n];
        btf[..5].copy_from_slice(&[0x9f, 0xeb, 1, 0, 24]);
        btf[20] = n as u8 + 1;
        btf
    });
    let name = |directory: &str| format!("./{directory}/x86_64/{RELEASE}.btf");
    let files = hub.iter().zip(&contents);
    btfgen_fuzz::archive_of(files.map(|(directory, btf)| (name(directory), &btf[..])))
});

/// Check that a host gets a BTF of its own release and architecture, or none.
fn check_lookup(os_release: &[u8]) {
    thread_local! {
        static FILE: NamedTempFile = NamedTempFile::new().expect("a place for a file");
    }
    FILE.with(|file| {
        let mut writer = file.as_file();
        writer.set_len(0).expect("an empty file");
        writer.rewind().expect("its beginning");
        writer.write_all(os_release).expect("room for a file");
        let lookup = Lookup::new()
            .archive_bytes(&ARCHIVE)
            .os_release(file.path())
            .release(RELEASE)
            .arch("x86_64");
        match lookup.find() {
            Ok(found) => {
                let Origin::Archive(kernel) = found.origin() else {
                    panic!("{:?}", found.origin());
                };
                assert_eq!((kernel.arch(), kernel.release()), ("x86_64", RELEASE));
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
}
