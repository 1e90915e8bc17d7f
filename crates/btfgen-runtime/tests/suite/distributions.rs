//! Real os-release files, and where in a hub the kernels of their distributions are.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use btfgen_archive::Builder;
use btfgen_runtime::{ErrorKind, Found, KernelId, Lookup, OsRelease, Result};

use crate::btf;

/// The directories of btfhub-archive, and those that its builder makes.
const BTFHUB: [&str; 31] = [
    "amzn/1",
    "amzn/2018",
    "amzn/2",
    "centos/7",
    "centos/8",
    "debian/9",
    "debian/10",
    "debian/11",
    "debian/bullseye",
    "fedora/24",
    "fedora/25",
    "fedora/26",
    "fedora/27",
    "fedora/28",
    "fedora/29",
    "fedora/30",
    "fedora/31",
    "fedora/32",
    "ol/7",
    "ol/8",
    "rhel/7",
    "rhel/8",
    "sles/12.3",
    "sles/12.5",
    "sles/15.1",
    "sles/15.2",
    "sles/15.3",
    "sles/15.4",
    "ubuntu/16.04",
    "ubuntu/18.04",
    "ubuntu/20.04",
];

/// Each file of `tests/os-release`, and the directory of btfhub-archive that has this distribution's kernels.
const DISTRIBUTIONS: [(&str, Option<&str>); 54] = [
    ("almalinux-8.3", Some("rhel/8")),
    ("almalinux-9.6", None),
    ("alpine-3.18.5", None),
    ("amzn-2", Some("amzn/2")),
    ("amzn-2018.03", Some("amzn/2018")),
    ("amzn-2023", None),
    ("arch", None),
    ("azurelinux-3.0", None),
    ("bottlerocket-0.4.0", None),
    ("centos-7", Some("centos/7")),
    ("centos-8", Some("centos/8")),
    ("centos-stream-8", Some("centos/8")),
    ("centos-stream-9", None),
    ("cos-97", None),
    ("debian-10", Some("debian/10")),
    ("debian-11", Some("debian/11")),
    ("debian-12", None),
    ("debian-9", Some("debian/9")),
    ("debian-testing-stretch", None),
    ("debian-testing-trixie", None),
    ("fedora-31", Some("fedora/31")),
    ("fedora-37", None),
    ("flatcar-3139.2.0", None),
    ("gentoo-2.18", None),
    ("linuxmint-20.2", Some("ubuntu/20.04")),
    ("lmde-6", None),
    ("mariner-2.0", None),
    ("nixos-23.11", None),
    ("nixos-26.05", None),
    ("ol-7.9", Some("ol/7")),
    ("ol-8.9", Some("ol/8")),
    ("ol-9.0", None),
    ("opensuse-leap-15.1", Some("sles/15.1")),
    ("opensuse-leap-15.3", Some("sles/15.3")),
    ("opensuse-leap-15.6", None),
    ("opensuse-tumbleweed-20240823", None),
    ("photon-5.0", None),
    ("pop-20.04", Some("ubuntu/20.04")),
    ("raspbian-12", None),
    ("rhel-7.7", Some("rhel/7")),
    ("rhel-8.4", Some("rhel/8")),
    ("rhel-9.3", None),
    ("rocky-8.8", Some("rhel/8")),
    ("rocky-9.5", None),
    ("sles-12.3", Some("sles/12.3")),
    ("sles-12.5", Some("sles/12.5")),
    ("sles-15.2", Some("sles/15.2")),
    ("sles-15.3", Some("sles/15.3")),
    ("sles-15.6", None),
    ("ubuntu-16.04", Some("ubuntu/16.04")),
    ("ubuntu-18.04", Some("ubuntu/18.04")),
    ("ubuntu-20.04", Some("ubuntu/20.04")),
    ("ubuntu-22.04", None),
    ("void", None),
];

/// Only os-release tells the entries of the archives here apart.
const RELEASE: &str = "4.18.0-147.el8";

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/os-release"))
}

/// An archive with an entry in each of these directories, no two with the same content.
fn archive<'a>(directories: impl IntoIterator<Item = &'a str>, arch: &str) -> Vec<u8> {
    let mut builder = Builder::new();
    for directory in directories {
        let kernel: KernelId = format!("{directory}/{arch}/{RELEASE}").parse().unwrap();
        builder = builder.add(kernel, btf(directory)).unwrap();
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes).unwrap();
    bytes
}

fn find(archive: &[u8], os_release: &str, machine: &str) -> Result<Found> {
    Lookup::new()
        .archive_bytes(archive)
        .require_custom(true)
        .os_release(folder().join(os_release))
        .release(RELEASE)
        .arch(machine)
        .find()
}

/// The directory of the entry that is found, if one is.
fn directory(archive: &[u8], os_release: &str, machine: &str) -> Option<String> {
    match find(archive, os_release, machine) {
        Ok(found) => {
            let kernel = found.kernel().unwrap();
            Some(format!("{}/{}", kernel.distro(), kernel.version()))
        }
        Err(e) => {
            assert_eq!(e.kind(), ErrorKind::NotFound, "{os_release}: {e}");
            None
        }
    }
}

/// Check that each file is read and in the table, and has an ID.
#[test]
fn all_files() {
    let files = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut names = BTreeSet::new();
    for path in files.filter(|path| !path.ends_with("README.md")) {
        let os = OsRelease::read(&path).unwrap();
        assert!(os.id().is_some(), "{path:?}");
        names.insert(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    let table = DISTRIBUTIONS.map(|(name, _)| name.to_owned());
    assert_eq!(names, BTreeSet::from(table));
}

/// Check that each distribution's kernel is found in its directory of btfhub-archive, as uname and as btfhub spell the
/// architecture, and that one which btfhub does not have is not taken from another distribution.
#[test]
fn btfhub() {
    for (machine, arch) in [("x86_64", "x86_64"), ("aarch64", "arm64")] {
        let archive = archive(BTFHUB, arch);
        for (name, expected) in DISTRIBUTIONS {
            let found = directory(&archive, name, machine);
            assert_eq!(found.as_deref(), expected, "{name}");
        }
    }
}

/// Check that a directory which is closer than btfhub's is taken, and the next one where it is missing.
#[test]
fn closest_directory() {
    for (name, directories) in [
        (
            "rocky-8.8",
            &["rocky/8.8", "rocky/8", "rhel/8.8", "rhel/8", "centos/8"][..],
        ),
        ("amzn-2018.03", &["amzn/2018.03", "amzn/2018", "amzn/1"]),
        ("opensuse-leap-15.3", &["opensuse-leap/15.3", "sles/15.3"]),
        ("debian-11", &["debian/11", "debian/bullseye"]),
        (
            "debian-testing-trixie",
            &["debian/13", "debian/trixie", "debian/sid"],
        ),
        (
            "raspbian-12",
            &[
                "raspbian/12",
                "raspbian/bookworm",
                "debian/12",
                "debian/bookworm",
            ],
        ),
        (
            "lmde-6",
            &[
                "linuxmint/6",
                "linuxmint/faye",
                "debian/12",
                "debian/bookworm",
            ],
        ),
        ("ubuntu-20.04", &["ubuntu/20.04", "ubuntu/focal"]),
        ("centos-stream-9", &["centos/9", "rhel/9"]),
        ("arch", &["arch/TEMPLATE_VERSION_ID"]),
    ] {
        for (n, expected) in directories.iter().enumerate() {
            // The others are there in an order that is not theirs.
            let rest = directories[n..].iter().rev().copied();
            let archive = archive(rest.chain(["elsewhere/1", "fedora/8"]), "x86_64");
            let found = directory(&archive, name, "x86_64");
            assert_eq!(found.as_deref(), Some(*expected), "{name}");
        }
    }
}

/// Check that an error names the directories that were tried, in their order.
#[test]
fn directories_are_told() {
    let error = find(&archive(BTFHUB, "x86_64"), "ubuntu-22.04", "x86_64").unwrap_err();
    let text = error.to_string();
    let at = |directory: &str| {
        let entry = format!("{directory}/x86_64|amd64/{RELEASE}: not in the archive");
        text.find(&entry)
            .unwrap_or_else(|| panic!("{directory}: {text}"))
    };
    assert!(at("ubuntu/22.04") < at("ubuntu/jammy"));
    assert!(!text.contains("debian/22.04"));
}
