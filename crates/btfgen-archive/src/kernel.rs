//! The name of a kernel: distribution, its version, architecture and release.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// The extension of a BTF in a hub and in an archive.
const EXTENSION: &str = ".btf";

/// The name of a kernel in a hub.
///
/// The parts are `ID` and `VERSION_ID` of os-release(5), and machine and release of uname(2). Each is a
/// non-empty string of printable ASCII without spaces and slashes, and neither `.` nor `..`, so that
/// they make a path.
///
/// Ids are ordered naturally: runs of digits are compared as numbers.
///
/// ```
/// use btfgen_archive::KernelId;
///
/// let old = KernelId::new("ubuntu", "20.04", "x86_64", "5.4.0-9-generic")?;
/// let new: KernelId = "ubuntu/20.04/x86_64/5.4.0-26-generic".parse()?;
/// assert!(old < new);
/// assert_eq!(new.release(), "5.4.0-26-generic");
/// assert_eq!(new.to_string(), "ubuntu/20.04/x86_64/5.4.0-26-generic");
/// # Ok::<(), btfgen_archive::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KernelId {
    // The Display form, to need one allocation instead of four. No part can contain the separator.
    path: String,
}

impl KernelId {
    /// Make an id from its parts.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`] if a part is empty, `.` or `..`, or has a slash, a space, or a character that is not printable
    /// ASCII.
    pub fn new(distro: &str, version: &str, arch: &str, release: &str) -> Result<Self> {
        let parts = [
            ("distribution", distro),
            ("version", version),
            ("architecture", arch),
            ("release", release),
        ];
        for (what, part) in parts {
            if !is_component(part) {
                let message = format!("{part:?} is not a valid {what} of a kernel");
                return Err(Error::new(ErrorKind::InvalidName, message));
            }
        }
        Ok(Self {
            path: format!("{distro}/{version}/{arch}/{release}"),
        })
    }

    /// Parse the path of a BTF in a hub: `ID/VERSION/ARCH/RELEASE.btf`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`] if the path has another form.
    ///
    /// ```
    /// # use btfgen_archive::KernelId;
    /// let id = KernelId::from_btf_path("debian/12/arm64/6.1.0-47-cloud-arm64.btf")?;
    /// assert_eq!(id.arch(), "arm64");
    /// # Ok::<(), btfgen_archive::Error>(())
    /// ```
    pub fn from_btf_path(rel: &str) -> Result<Self> {
        let stem = rel.strip_suffix(EXTENSION).ok_or_else(|| {
            let message = format!("{rel:?} is not of the form ID/VERSION/ARCH/RELEASE.btf");
            Error::new(ErrorKind::InvalidName, message)
        })?;
        stem.parse()
    }

    /// The path of this kernel's BTF in a hub: `ID/VERSION/ARCH/RELEASE.btf`.
    ///
    /// ```
    /// # use btfgen_archive::KernelId;
    /// let id = KernelId::new("debian", "12", "arm64", "6.1.0-47-cloud-arm64")?;
    /// assert_eq!(id.btf_path(), "debian/12/arm64/6.1.0-47-cloud-arm64.btf");
    /// # Ok::<(), btfgen_archive::Error>(())
    /// ```
    pub fn btf_path(&self) -> String {
        format!("{}{EXTENSION}", self.path)
    }

    /// The kernel of a normalized entry name, which may have directories in front.
    pub(crate) fn from_entry_path(path: &str) -> Option<Self> {
        let start = path.rmatch_indices('/').nth(3).map_or(0, |(at, _)| at + 1);
        Self::from_btf_path(&path[start..]).ok()
    }

    /// The id of the distribution, as in os-release(5): `ubuntu`.
    pub fn distro(&self) -> &str {
        self.part(0)
    }

    /// The version of the distribution, as in os-release(5): `20.04`.
    pub fn version(&self) -> &str {
        self.part(1)
    }

    /// The architecture, as the hub spells it: `x86_64`.
    pub fn arch(&self) -> &str {
        self.part(2)
    }

    /// The kernel release, as in uname(2): `5.4.0-26-generic`.
    pub fn release(&self) -> &str {
        self.part(3)
    }

    /// The name of this kernel's entry in an archive without a prefix:
    /// `./ID/VERSION/ARCH/RELEASE.btf`.
    pub fn entry_name(&self) -> String {
        self.entry_name_under("")
    }

    /// The name of this kernel's entry below a prefix, which may be empty.
    pub(crate) fn entry_name_under(&self, prefix: &str) -> String {
        let path = &self.path;
        if prefix.is_empty() {
            format!("./{path}{EXTENSION}")
        } else {
            format!("./{prefix}/{path}{EXTENSION}")
        }
    }

    /// The id's text form.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.path.as_bytes()
    }

    fn part(&self, n: usize) -> &str {
        // There are always four parts, because only `new` makes an id.
        self.path.split('/').nth(n).unwrap_or_default()
    }
}

impl fmt::Display for KernelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)
    }
}

impl FromStr for KernelId {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        let mut parts = s.split('/');
        match (
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
            parts.next(),
        ) {
            (Some(distro), Some(version), Some(arch), Some(release), None) => {
                Self::new(distro, version, arch, release)
            }
            _ => {
                let message = format!("{s:?} is not of the form ID/VERSION/ARCH/RELEASE");
                Err(Error::new(ErrorKind::InvalidName, message))
            }
        }
    }
}

impl Ord for KernelId {
    fn cmp(&self, other: &Self) -> Ordering {
        let (mine, others) = (self.path.split('/'), other.path.split('/'));
        mine.zip(others)
            .map(|(a, b)| compare_natural(a.as_bytes(), b.as_bytes()))
            .find(|order| order.is_ne())
            // Equal as numbers but not as text, for example 5.04 and 5.4.
            .unwrap_or_else(|| self.path.cmp(&other.path))
    }
}

impl PartialOrd for KernelId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Whether `s` is a valid component of a name.
pub(crate) fn is_component(s: &str) -> bool {
    !s.is_empty() && s != "." && s != ".." && s.bytes().all(|b| b.is_ascii_graphic() && b != b'/')
}

/// Compare with runs of digits as numbers, of any length and without regard to leading zeros.
fn compare_natural(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while let (Some(x), Some(y)) = (a.first(), b.first()) {
        let order = if x.is_ascii_digit() && y.is_ascii_digit() {
            let (m, n) = (take_number(&mut a), take_number(&mut b));
            m.len().cmp(&n.len()).then_with(|| m.cmp(n))
        } else {
            let order = x.cmp(y);
            (a, b) = (&a[1..], &b[1..]);
            order
        };
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

/// Split the digits off the front of `s` and return them without leading zeros.
fn take_number<'a>(s: &mut &'a [u8]) -> &'a [u8] {
    let end = s.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = s.split_at(end);
    *s = rest;
    let zeros = digits.iter().take_while(|&&b| b == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(release: &str) -> KernelId {
        KernelId::new("ubuntu", "20.04", "x86_64", release).unwrap()
    }

    /// Check that numbers in releases and versions are compared as numbers.
    #[test]
    fn natural_order() {
        let sorted = [
            "4.18.0-147.el8",
            "4.18.0-1047.el8",
            "5.4.0-9-generic",
            "5.4.0-26-generic",
            "5.04.0-26-generic",
            "5.4.0-26-generic+",
            "5.4.0-99999999999999999999998",
            "5.4.0-99999999999999999999999",
            "5.10.0",
        ];
        for pair in sorted.windows(2) {
            // The pair that is equal by number is compared as text.
            if pair[1].starts_with("5.04") {
                assert!(id(pair[1]) < id(pair[0]));
            } else if !pair[0].starts_with("5.04") {
                assert!(id(pair[0]) < id(pair[1]), "{pair:?}");
            }
        }
        let old = KernelId::new("ubuntu", "9.10", "x86_64", "5").unwrap();
        assert!(old < id("1"));
        assert_eq!(id("5").cmp(&id("5")), Ordering::Equal);
    }

    /// Check that each form is printed and parsed back.
    #[test]
    fn forms() {
        let id = id("5.4.0-26-generic");
        assert_eq!(id.to_string().parse::<KernelId>().unwrap(), id);
        assert_eq!(
            id.entry_name(),
            "./ubuntu/20.04/x86_64/5.4.0-26-generic.btf"
        );
        let path = "ubuntu/20.04/x86_64/5.4.0-26-generic.btf";
        assert_eq!(KernelId::from_btf_path(path).unwrap(), id);
        assert_eq!(KernelId::from_entry_path(path), Some(id.clone()));
        assert_eq!(KernelId::from_entry_path(&format!("a/b/{path}")), Some(id));
        assert_eq!(KernelId::from_entry_path("20.04/x86_64/5.4.btf"), None);
    }

    /// Check that invalid names are refused, and that the error names the invalid part.
    #[test]
    fn refuses() {
        for bad in ["", ".", "..", "a/b", "a b", "a\n", "a\0", "ä", "\u{7f}"] {
            let error = KernelId::new("ubuntu", bad, "x86_64", "5").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidName);
            assert!(error.to_string().contains("version"), "{error}");
        }
        for bad in ["", "a", "a/b/c", "a/b/c/d/e", "a/b//d", "/a/b/c/d"] {
            assert!(bad.parse::<KernelId>().is_err(), "{bad}");
        }
        for bad in ["a/b/c/d", "a/b/c/.btf", "./a/b/c/d.btf", "a/b/c/d.btf/"] {
            assert!(KernelId::from_btf_path(bad).is_err(), "{bad}");
        }
    }
}
