//! The directories of a hub that may have a host's kernel.
//!
//! A hub names its directories `ID/VERSION/ARCH` after os-release(5) and uname(2), but it has other names than os-release for
//! some distributions. btfhub-archive, whose layout is the common one, has for `x86_64` and `arm64`:
//!
//! | directory | of |
//! | --- | --- |
//! | `amzn/1`, `amzn/2018`, `amzn/2` | Amazon Linux, which says 2018.03 in both of the first |
//! | `centos/7`, `centos/8` | |
//! | `debian/9`, `debian/10`, `debian/11`, `debian/bullseye` | Debian, which says 11 in both of the last |
//! | `fedora/24` … `fedora/32` | |
//! | `ol/7`, `ol/8` | Oracle Linux, which says 7.9 |
//! | `rhel/7`, `rhel/8` | RHEL, which says 8.4 |
//! | `sles/12.3`, `sles/12.5`, `sles/15.3` | its builder also names 15.1, 15.2 and 15.4 |
//! | `ubuntu/16.04`, `ubuntu/18.04`, `ubuntu/20.04` | also linked as `xenial`, `bionic`, `focal` |
//!
//! Its fork `DataDog/btfhub` adds `opensuse-leap/15.0` … `opensuse-leap/15.3`. Different directories may have different kernels
//! with the same release: `4.15.0-101-generic` is in `ubuntu/16.04` and in `ubuntu/18.04`, from different compilers, and RHEL,
//! its derivatives and Oracle build the same releases. So the closest directory comes first, and another version of the same
//! distribution is never used.

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
        let versions = own_versions(os, id);
        directories.extend(id, "ID", &versions);
        let lower = id.to_ascii_lowercase();
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

/// The names of the host's version, the closest first.
fn own_versions(os: &OsRelease, id: &str) -> Vec<Version> {
    let mut versions = numbers(os);
    // The versions of Amazon Linux 1 are months, 2011.09 … 2018.03, and btfhub's builder calls them 1.
    if id == "amzn" && os.version_id().is_some_and(|v| v.contains('.')) {
        versions.push(Version::new("1", "Amazon Linux 1"));
    }
    if let Some(codename) = codename(os, id) {
        let number = number_of(id, codename);
        versions.extend(number.map(|number| Version::new(number, CODENAME)));
        versions.push(Version::new(codename, CODENAME));
    }
    // Testing and unstable have the same os-release file, and the same kernels at different times.
    if id == "debian" && os.version_id().is_none() {
        versions.push(Version::new("sid", "no VERSION_ID"));
    }
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
    // Linux Mint 20.2 is derived from Ubuntu 20.04, and has its own version numbers.
    if let (Some(number), Some(codename)) = (number, codename) {
        return [number, codename]
            .map(|name| Version::new(name, CODENAME))
            .into();
    }
    let mut versions = numbers(os);
    // RHEL CoreOS 4.12 is derived from RHEL 8, and has its own version numbers.
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

/// Codenames and their versions.
const DEBIAN: [(&str, &str); 8] = [
    ("jessie", "8"),
    ("stretch", "9"),
    ("buster", "10"),
    ("bullseye", "11"),
    ("bookworm", "12"),
    ("trixie", "13"),
    ("forky", "14"),
    ("duke", "15"),
];
const UBUNTU: [(&str, &str); 6] = [
    ("trusty", "14.04"),
    ("xenial", "16.04"),
    ("bionic", "18.04"),
    ("focal", "20.04"),
    ("jammy", "22.04"),
    ("noble", "24.04"),
];

/// The version of a codename.
fn number_of(distro: &str, codename: &str) -> Option<&'static str> {
    let names: &[_] = match distro {
        "debian" => &DEBIAN,
        "ubuntu" => &UBUNTU,
        _ => return None,
    };
    let (_, number) = names.iter().find(|(name, _)| *name == codename)?;
    Some(number)
}

/// Other names than `ID` under which a hub may have the kernels of a distribution.
fn other_names(id: &str) -> &'static [&'static str] {
    match id {
        "amzn" => &["amazon"],
        "ol" => &["oracle"],
        "rhel" => &["redhat"],
        "sles" => &["suse"],
        // All products of SUSE Linux Enterprise have the same kernel. No distribution has the ID suse, but ID_LIKE may have it.
        "suse" | "sled" | "sles_sap" | "sle_hpc" => &["sles"],
        // Since 15.3, openSUSE Leap has the packages of SUSE Linux Enterprise. Earlier releases have an `lp`.
        "opensuse-leap" => &["opensuse", "sles"],
        "opensuse" => &["opensuse-leap"],
        _ => &[],
    }
}

/// Whether a distribution in `ID_LIKE` has neither the host's kernels nor its version numbers.
fn has_other_kernels(os: &OsRelease, relative: &str) -> bool {
    let is_one_of = |family: &[&str]| {
        let ids = os
            .id()
            .into_iter()
            .chain(os.id_like().iter().map(String::as_str));
        ids.into_iter().any(|id| family.contains(&id))
    };
    match relative {
        "centos" | "rhel" => is_one_of(&["amzn"]),
        "fedora" => is_one_of(&["amzn", "centos", "ol", "rhel"]),
        "debian" => is_one_of(&["ubuntu"]),
        _ => false,
    }
}

/// The spellings of an architecture: the given one, then the other names in hubs.
///
/// uname(2) says `aarch64`, and btfhub and Debian say `arm64`.
pub(crate) fn arch_spellings(machine: &str) -> Vec<&str> {
    const SPELLINGS: [&[&str]; 7] = [
        &["x86_64", "amd64"],
        &["aarch64", "arm64"],
        &["ppc64le", "ppc64el"],
        &["loongarch64", "loong64"],
        &["i386", "i486", "i586", "i686", "x86"],
        &["armv7l", "armv8l", "armhf", "arm"],
        &["armv5tel", "armv6l", "armel"],
    ];
    let group = SPELLINGS.iter().find(|group| group.contains(&machine));
    let others = group.into_iter().copied().flatten().copied();
    std::iter::once(machine)
        .chain(others.filter(|&other| other != machine))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn paths(text: &str) -> Vec<String> {
        let os = OsRelease::parse(text.as_bytes()).unwrap();
        let directories = directories(&os);
        directories
            .iter()
            .map(|d| format!("{}/{}", d.distro, d.version))
            .collect()
    }

    /// Check that the literal names come first, and are the only exact ones.
    #[test]
    fn exact_first() {
        let os = OsRelease::parse(b"ID=Ubuntu\nVERSION_ID=20.04\nVERSION_CODENAME=focal").unwrap();
        let directories = directories(&os);
        assert_eq!(
            (&*directories[0].distro, &*directories[0].version),
            ("Ubuntu", "20.04")
        );
        assert_eq!(directories[0].reason, "ID and VERSION_ID");
        assert!(directories[0].exact);
        assert!(directories[1..].iter().all(|d| !d.exact));
        assert!(
            directories
                .iter()
                .any(|d| (&*d.distro, &*d.version) == ("ubuntu", "20.04"))
        );
    }

    /// Check the order of the directories: names of the version before names of the distribution, `ID_LIKE` last.
    #[test]
    fn order() {
        assert_eq!(
            paths("ID=rhel\nVERSION_ID=8.4\nID_LIKE=fedora"),
            ["rhel/8.4", "rhel/8", "redhat/8.4", "redhat/8"]
        );
        let rocky = paths(
            "ID=rocky\nID_LIKE='rhel centos fedora'\nVERSION_ID=8.8\nPLATFORM_ID=platform:el8",
        );
        let expected = [
            "rocky/8.8",
            "rocky/8",
            "rhel/8.8",
            "rhel/8",
            "redhat/8.8",
            "redhat/8",
            "centos/8.8",
            "centos/8",
        ];
        assert_eq!(rocky, expected);
        let leap = paths("ID=opensuse-leap\nVERSION_ID=15\nID_LIKE='suse opensuse'");
        assert_eq!(
            leap,
            ["opensuse-leap/15", "opensuse/15", "sles/15", "suse/15"]
        );
        assert_eq!(
            paths("ID=amzn\nVERSION_ID=2018.03\nID_LIKE='rhel fedora'")[..3],
            ["amzn/2018.03", "amzn/2018", "amzn/1"]
        );
    }

    /// Check that a derivative's own version is not used for the distribution that it is derived from.
    #[test]
    fn inherited() {
        let mint = "ID=linuxmint\nID_LIKE=ubuntu\nVERSION_ID=20.2\nVERSION_CODENAME=uma\nUBUNTU_CODENAME=focal";
        let mint = paths(mint);
        assert!(
            mint.ends_with(&["ubuntu/20.04".into(), "ubuntu/focal".into()]),
            "{mint:?}"
        );
        assert!(!mint.contains(&"ubuntu/20.2".into()), "{mint:?}");
        let coreos = "ID=rhcos\nID_LIKE='rhel fedora'\nVERSION_ID=4.12\nPLATFORM_ID=platform:el8";
        assert!(paths(coreos).contains(&"rhel/8".into()));
    }

    /// Check that only known codenames give a version.
    #[test]
    fn without_version() {
        assert_eq!(
            paths("ID=debian\nVERSION_CODENAME=trixie"),
            ["debian/13", "debian/trixie", "debian/sid"]
        );
        assert_eq!(paths("ID=debian\nNAME=stretch/sid"), ["debian/sid"]);
        assert_eq!(paths("ID=void"), [""; 0]);
        assert_eq!(paths("NAME=Linux"), [""; 0]);
    }

    /// Check that invalid names are left out, and that a hostile file gives few directories.
    #[test]
    fn hostile() {
        assert_eq!(paths("ID=..\nVERSION_ID=a/b\nID_LIKE='../.. . x'"), [""; 0]);
        assert_eq!(
            paths(&format!("ID=a\nVERSION_ID={}", "1".repeat(300))),
            [""; 0]
        );
        let hostile = format!(
            "ID=a\nVERSION_ID=1{}\nID_LIKE='{}'",
            ".1".repeat(99),
            "b c ".repeat(9000)
        );
        assert_eq!(paths(&hostile).len(), 3 * 3);
        let many: String = (0..9000).map(|n| format!("d{n} ")).collect();
        assert_eq!(
            paths(&format!("VERSION_ID=1\nID_LIKE='{many}'")).len(),
            MAX_RELATIVES
        );
    }

    /// Check that the machine's own spelling comes first.
    #[test]
    fn architectures() {
        assert_eq!(arch_spellings("x86_64"), ["x86_64", "amd64"]);
        assert_eq!(arch_spellings("aarch64"), ["aarch64", "arm64"]);
        assert_eq!(arch_spellings("arm64"), ["arm64", "aarch64"]);
        assert_eq!(
            arch_spellings("i686"),
            ["i686", "i386", "i486", "i586", "x86"]
        );
        assert_eq!(arch_spellings("s390x"), ["s390x"]);
        assert_eq!(arch_spellings(""), [""]);
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
