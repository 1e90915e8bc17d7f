//! The directories of a hub that may have a host's kernel, by the rules of `spec/README.md` and the data of
//! `spec/distributions.tsv`.

use btfgen_archive::Architecture;

use crate::os_release::OsRelease;

/// A directory of a hub that may have a host's kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    /// The distribution: the first part of the directory's path.
    pub(crate) distro: String,
    /// The version: the second part.
    pub(crate) version: String,
    /// Which variables both are from, in a few words.
    pub(crate) reason: String,
    /// Whether both are literally `ID` and `VERSION_ID`.
    pub(crate) exact: bool,
}

/// The directories that may have a host's kernel, the closest first, without repetitions.
pub(crate) fn directories(os: &OsRelease) -> Vec<Directory> {
    let mut directories = Directories::default();
    if let Some(id) = os.id() {
        let lower = id.to_ascii_lowercase();
        let versions = own_versions(os, &lower);
        directories.extend(id, "ID", &versions);
        directories.extend(&lower, "ID in lower case", &versions);
        for other in other_names(&lower) {
            directories.extend(other, "another name of ID", &versions);
        }
    }
    let relatives = os.id_like().iter().take(MAX_RELATIVES);
    for relative in relatives.map(|id| id.to_ascii_lowercase()) {
        if has_other_kernels(os, &relative) {
            continue;
        }
        let versions = inherited_versions(os, &relative);
        directories.extend(&relative, "ID_LIKE", &versions);
        for other in other_names(&relative) {
            directories.extend(other, "another name of ID_LIKE", &versions);
        }
    }
    directories.0
}

/// The largest number of names in `ID_LIKE`. The longest one in use has four.
const MAX_RELATIVES: usize = 16;

/// The longest name of a directory: the kernel's `NAME_MAX`.
const MAX_NAME: usize = 255;

#[derive(Default)]
struct Directories(Vec<Directory>);

impl Directories {
    fn extend(&mut self, distro: &str, whence: &str, versions: &[Version]) {
        for Version { name, whence: of } in versions {
            let known = |d: &Directory| d.distro == distro && d.version == *name;
            if !is_name(distro) || !is_name(name) || self.0.iter().any(known) {
                continue;
            }
            self.0.push(Directory {
                distro: distro.to_owned(),
                version: name.clone(),
                reason: format!("{whence} and {of}"),
                exact: whence == "ID" && *of == VERSION_ID,
            });
        }
    }
}

/// Whether a hub can have a directory of this name.
fn is_name(name: &str) -> bool {
    let is_graphic = name.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    is_graphic && !matches!(name, "" | "." | "..") && name.len() <= MAX_NAME
}

/// A name of a version, and the variable that it is from.
struct Version {
    name: String,
    whence: &'static str,
}

impl Version {
    fn new(name: impl Into<String>, whence: &'static str) -> Self {
        let name = name.into();
        Self { name, whence }
    }
}

const VERSION_ID: &str = "VERSION_ID";
const CODENAME: &str = "the codename";

/// The names of the host's version, the closest first. `distro` is `ID` in lower case.
fn own_versions(os: &OsRelease, distro: &str) -> Vec<Version> {
    let mut versions = numbers(os);
    if let Some(codename) = codename(os, distro) {
        let number = number_of(distro, codename);
        versions.extend(number.map(|number| Version::new(number, CODENAME)));
        versions.push(Version::new(codename, CODENAME));
    }
    let (when, whence) = match os.version_id() {
        None => ("missing", "no VERSION_ID"),
        Some(id) if id.contains('.') => ("dotted", "VERSION_ID with a dot"),
        Some(_) => return versions,
    };
    let further = rows("version", distro).into_iter();
    let further = further.filter(|row| row.0 == when);
    versions.extend(further.map(|(_, name)| Version::new(name, whence)));
    versions
}

/// `VERSION_ID`, then without its last number, then only its first number.
fn numbers(os: &OsRelease) -> Vec<Version> {
    let Some(id) = os.version_id() else {
        return Vec::new();
    };
    let mut versions = vec![Version::new(id, VERSION_ID)];
    if let (Some((but_last, _)), Some((first, _))) = (id.rsplit_once('.'), id.split_once('.')) {
        versions.push(Version::new(but_last, "VERSION_ID without its last number"));
        versions.push(Version::new(first, "the first number of VERSION_ID"));
    }
    versions
}

/// The names of the version of a distribution that the host's distribution is derived from.
fn inherited_versions(os: &OsRelease, relative: &str) -> Vec<Version> {
    let codename = codename(os, relative);
    let number = codename.and_then(|name| number_of(relative, name));
    if let (Some(number), Some(codename)) = (number, codename) {
        return [number, codename]
            .map(|name| Version::new(name, CODENAME))
            .into();
    }
    let mut versions = numbers(os);
    if let Some(number) = os.platform_id().and_then(|p| p.strip_prefix("platform:el")) {
        versions.push(Version::new(number, "PLATFORM_ID"));
    }
    versions
}

/// The codename of a host's version in a distribution.
fn codename<'a>(os: &'a OsRelease, distro: &str) -> Option<&'a str> {
    let of_base = match distro {
        "debian" => os.debian_codename(),
        "ubuntu" => os.ubuntu_codename(),
        _ => None,
    };
    of_base.or_else(|| os.version_codename())
}

const TABLE: &str = include_str!("../spec/distributions.tsv");

/// The table's rows of a kind about a distribution: their last columns, of which the second may be empty.
fn rows(kind: &str, distro: &str) -> Vec<(&'static str, &'static str)> {
    // Not an iterator, to keep the code that programs embed small.
    let mut rows = Vec::new();
    for line in TABLE.lines() {
        let mut columns = line.split('\t');
        if columns.next() == Some(kind) && columns.next() == Some(distro) {
            let mut last = || columns.next().unwrap_or_default();
            rows.push((last(), last()));
        }
    }
    rows
}

/// The version of a codename.
fn number_of(distro: &str, codename: &str) -> Option<&'static str> {
    let names = rows("codename", distro);
    let (_, number) = names.into_iter().find(|(name, _)| *name == codename)?;
    Some(number)
}

/// Other names than `ID` under which a hub may have the kernels of a distribution.
fn other_names(distro: &str) -> impl Iterator<Item = &'static str> + use<> {
    let rows = rows("name", distro).into_iter();
    rows.flat_map(|(names, _)| names.split(' '))
}

/// Whether a distribution in `ID_LIKE` has neither the host's kernels nor its version numbers.
fn has_other_kernels(os: &OsRelease, relative: &str) -> bool {
    let is_hosts = |name: &str| {
        let others = os.id_like().iter().map(String::as_str);
        let mut ids = os.id().into_iter().chain(others);
        ids.any(|id| id.eq_ignore_ascii_case(name))
    };
    let rows = rows("other-kernels", relative);
    rows.iter().any(|(names, _)| names.split(' ').any(is_hosts))
}

/// The spellings of an architecture: the given one, then the hub's, then all others.
pub(crate) fn arch_spellings(machine: &str) -> Vec<&str> {
    let mut spellings = vec![machine];
    let names = Architecture::named(machine).map(Architecture::names);
    for name in names.into_iter().flatten() {
        if name != machine {
            spellings.push(name);
        }
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Check that each row of the table has a known kind and all its columns, and that the names in it are valid in a hub.
    #[test]
    fn table() {
        for line in TABLE.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = line.split('\t').collect();
            let names: Vec<&str> = match columns[..] {
                ["name" | "other-kernels", distro, names] => {
                    names.split(' ').chain([distro]).collect()
                }
                ["codename", distro, codename, version] => vec![distro, codename, version],
                ["version", distro, "dotted" | "missing", version] => vec![distro, version],
                _ => panic!("not a row: {line}"),
            };
            assert!(names.into_iter().all(is_name), "{line}");
            assert_eq!(columns[1], columns[1].to_lowercase(), "{line}");
        }
    }

    /// Check that the machine's own spelling comes first, then the hub's, and that each name of an architecture leads to the
    /// hub's.
    #[test]
    fn architectures() {
        assert_eq!(
            arch_spellings("aarch64"),
            ["aarch64", "arm64", "arm64ilp32"]
        );
        for arch in Architecture::all() {
            for name in arch.names() {
                let spellings = arch_spellings(name);
                assert_eq!(spellings[0], name);
                assert!(spellings[..2.min(spellings.len())].contains(&arch.name()));
                assert_eq!(spellings.len(), arch.names().count());
            }
        }
        for unknown in ["vax", "-", ""] {
            assert_eq!(arch_spellings(unknown), [unknown]);
        }
    }

    proptest! {
        /// Check that each directory appears once, and that all names are valid in a hub.
        #[test]
        fn each_once(
            id in "[a-z. /A-Z]{0,6}|amzn|debian|rhel|ubuntu|sles",
            version in "[0-9./]{0,8}",
            like in "((debian|ubuntu|rhel|suse|sles|Ubuntu|[a-z/]{0,3}) ){0,5}",
            codename in "(focal|bullseye|)",
        ) {
            let text = format!("ID='{id}'\nVERSION_ID='{version}'\nID_LIKE='{like}'\nVERSION_CODENAME={codename}");
            let os = OsRelease::parse(text.as_bytes()).unwrap();
            let directories = directories(&os);
            prop_assert!(directories.iter().filter(|d| d.exact).count() <= 1);
            for (n, d) in directories.iter().enumerate() {
                prop_assert!(is_name(&d.distro) && is_name(&d.version));
                let again = directories[..n].iter().any(|e| e.distro == d.distro && e.version == d.version);
                prop_assert!(!again);
            }
        }
    }
}
