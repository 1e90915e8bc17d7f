//! BPF objects and kernel BTFs for the tests of btfgen's crates.
//!
//! The build script compiles them from the sources in `example/c`, `example/check` and `crates/testkit/objects`, and unpacks the
//! kernels of `btfhub-sample`. Each source begins with a line on what it is there for. This is test support: what
//! does not exist is a mistake in the test, so the functions panic and name what there is.
//!
//! With the feature `git` there are repositories of kernels and servers for them as well.

#[cfg(feature = "git")]
pub mod git;

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::{fs, thread};

pub use btfgen_btf::testing::{made_up_btf, module_btf};

const OBJECTS: &str = concat!(env!("OUT_DIR"), "/objects");
const KERNELS: &str = concat!(env!("OUT_DIR"), "/kernels");
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// Sources of objects that have no relocations, or such that libbpf refuses to relocate the object, or programs that not every
/// loader takes.
const WITHOUT_RELOCATIONS: [&str; 7] = [
    "maps",
    "no-btf",
    "no-btf-ext",
    "no-relocations",
    "programs",
    "refused",
    "twins",
];

/// The BPF object that was compiled from `NAME.bpf.c`. `NAME.eb` is its big-endian twin.
///
/// # Panics
///
/// Panics if there is no such source.
#[must_use]
pub fn object(name: &str) -> PathBuf {
    let source = name.strip_suffix(".eb").unwrap_or(name);
    let names = object_names();
    assert!(
        names.iter().any(|known| known == source),
        "no object is called {name:?}; there are {names:?}, each also with \".eb\" for big-endian"
    );
    Path::new(OBJECTS).join(format!("{name}.bpf.o"))
}

/// All little-endian objects that have CO-RE relocations and that libbpf can relocate, sorted by name.
#[must_use]
pub fn objects() -> Vec<PathBuf> {
    object_names()
        .iter()
        .filter(|name| !WITHOUT_RELOCATIONS.contains(&name.as_str()))
        .map(|name| object(name))
        .collect()
}

/// The names that [`object`] knows, sorted, without the big-endian twins.
#[must_use]
pub fn object_names() -> Vec<String> {
    let mut names = Vec::new();
    for directory in ["example/c", "example/check", "crates/testkit/objects"] {
        names.extend(stems(&Path::new(ROOT).join(directory), ".bpf.c"));
    }
    names.sort();
    names
}

/// The BTF of the made-up kernel `objects/targets/NAME.c`. `NAME.eb` is its big-endian twin, where it has one.
///
/// # Panics
///
/// Panics if there is no such kernel.
#[must_use]
pub fn target_btf(name: &str) -> PathBuf {
    let path = Path::new(OBJECTS).join(format!("{name}.btf"));
    let names = target_names();
    let source = name.strip_suffix(".eb").unwrap_or(name);
    assert!(
        names.iter().any(|known| known == source) && path.exists(),
        "no made-up kernel is called {name:?}; there are {names:?}, most also with \".eb\" for big-endian"
    );
    path
}

/// The names that [`target_btf`] knows, sorted, without the big-endian twins.
#[must_use]
pub fn target_names() -> Vec<String> {
    let mut names = stems(
        &Path::new(ROOT).join("crates/testkit/objects/targets"),
        ".c",
    );
    names.sort();
    names
}

/// The committed hub of a few real kernels: `ID/VERSION/ARCH/RELEASE.btf.tar.xz`.
#[must_use]
pub fn sample_hub() -> PathBuf {
    Path::new(ROOT).join("btfhub-sample")
}

/// The kernels of [`sample_hub`] as `ID/VERSION/ARCH/RELEASE`, sorted.
#[must_use]
pub fn sample_kernels() -> Vec<String> {
    let mut kernels = Vec::new();
    let hub = sample_hub();
    for distribution in directories(&hub) {
        for version in directories(&distribution) {
            for architecture in directories(&version) {
                let place = architecture.strip_prefix(&hub).expect("it is in the hub");
                for release in stems(&architecture, ".btf.tar.xz") {
                    kernels.push(format!("{}/{release}", place.display()));
                }
            }
        }
    }
    kernels.sort();
    kernels
}

/// The unpacked BTF of a kernel of [`sample_hub`], such as `debian/12/x86_64/6.1.0-47-cloud-amd64`.
///
/// # Panics
///
/// Panics if there is no such kernel in the hub.
#[must_use]
pub fn sample_btf(kernel: &str) -> PathBuf {
    let kernels = sample_kernels();
    assert!(
        kernels.iter().any(|known| known == kernel),
        "no sample kernel is called {kernel:?}; there are {kernels:?}"
    );
    // Not with_extension(): releases have dots of their own.
    Path::new(KERNELS).join(format!("{kernel}.btf"))
}

/// The examples of the README compile. They need several crates, and the README is outside their packages.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;

/// Rust's name of the target that a test is compiled for, if it is not this machine's own one, but its programs run here.
pub const OTHER_TARGET: Option<&str> = match cfg!(target_arch = "x86") {
    true => Some("i686-unknown-linux-gnu"),
    false => None,
};

/// The name of a tool that makes programs (`cc`, `c++`, `ld`), for the architecture that the test is compiled for.
#[must_use]
pub fn tool(name: &str) -> String {
    if OTHER_TARGET.is_none() {
        return name.to_owned();
    }
    let name = match name {
        "cc" => "gcc",
        "c++" => "g++",
        name => name,
    };
    format!("i686-linux-gnu-{name}")
}

/// Says that a test, or a part of it, cannot run here, and why. The test harness would hide what a passing test prints.
pub fn skipped(reason: impl Display) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    // Ignore an error: then nobody reads stderr.
    let _ = writeln!(io::stderr(), "skipped: {test}: {reason}");
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| entry.expect("a directory is read to its end").path())
}

fn directories(directory: &Path) -> impl Iterator<Item = PathBuf> {
    entries(directory).filter(|path| path.is_dir())
}

/// The names of the files in a directory that end in `suffix`, without it.
fn stems(directory: &Path, suffix: &str) -> Vec<String> {
    entries(directory)
        .filter_map(|path| Some(path.file_name()?.to_str()?.strip_suffix(suffix)?.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of a BTF of either byte order begin with this magic.
    const MAGIC: u16 = 0xeb9f;

    fn starts_with(path: &Path, magic: &[u8]) -> bool {
        fs::read(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
            .starts_with(magic)
    }

    /// Check that every object was compiled for both byte orders.
    #[test]
    fn objects_are_elf_of_both_byte_orders() {
        for name in object_names() {
            assert!(starts_with(&object(&name), b"\x7fELF\x02\x01"), "{name}");
            let twin = object(&format!("{name}.eb"));
            assert!(starts_with(&twin, b"\x7fELF\x02\x02"), "{name}.eb");
        }
    }

    /// Check that the objects without relocations are left out of the list, and are there.
    #[test]
    fn objects_without_relocations_exist() {
        for name in WITHOUT_RELOCATIONS {
            assert!(!objects().contains(&object(name)), "{name}");
        }
    }

    /// Check that made-up kernels are BTFs of the byte order that their name says.
    #[test]
    fn targets_are_btfs() {
        for name in target_names() {
            assert!(
                starts_with(&target_btf(&name), &MAGIC.to_le_bytes()),
                "{name}"
            );
        }
        assert!(starts_with(&target_btf("same.eb"), &MAGIC.to_be_bytes()));
    }

    /// Check that every sample kernel is unpacked, s390x ones in big-endian order.
    #[test]
    fn sample_kernels_are_unpacked() {
        let kernels = sample_kernels();
        assert!(!kernels.is_empty());
        for kernel in kernels {
            let magic = if kernel.contains("/s390x/") {
                MAGIC.to_be_bytes()
            } else {
                MAGIC.to_le_bytes()
            };
            assert!(starts_with(&sample_btf(&kernel), &magic), "{kernel}");
        }
    }

    /// Check that an unknown name is answered with the known ones.
    #[test]
    #[should_panic(expected = "\"fields\"")]
    fn unknown_objects_panic_with_the_known_names() {
        let _ = object("no-such-object");
    }
}
