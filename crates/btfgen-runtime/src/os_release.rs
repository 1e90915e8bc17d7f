//! os-release(5): which distribution this is.
//!
//! What the file says, as it says it; what that means for a hub of BTFs is in `distribution`.

use std::io::{self, Read as _};
use std::path::Path;

/// A real one has less than 1 KiB.
const MAX_BYTES: usize = 64 << 10;

/// What an os-release file says of its distribution.
///
/// The fields are those that tell which kernels a distribution runs. An empty value counts as none.
///
/// ```
/// use btfgen_runtime::OsRelease;
///
/// let os = OsRelease::parse(b"NAME='Rocky Linux'\nID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nVERSION_ID=8.8\n")?;
/// assert_eq!(os.id(), Some("rocky"));
/// assert_eq!(os.version_id(), Some("8.8"));
/// assert_eq!(os.id_like(), ["rhel", "centos", "fedora"]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsRelease {
    id: Option<String>,
    version_id: Option<String>,
    id_like: Vec<String>,
    version_codename: Option<String>,
    ubuntu_codename: Option<String>,
    debian_codename: Option<String>,
    platform_id: Option<String>,
}

impl OsRelease {
    /// Reads an os-release file.
    ///
    /// Neither a file of any size nor a pipe or a device keeps the caller waiting.
    ///
    /// # Errors
    /// Those of opening and reading, and [`io::ErrorKind::InvalidData`] for what is not an os-release file: larger than
    /// 64 KiB, not a regular file, or without an assignment.
    pub fn read(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = btfgen_files::open_regular(path.as_ref())?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Self::parse(&bytes)
    }

    /// Parses the content of an os-release file.
    ///
    /// A line that is not an assignment as os-release(5) has it is passed over; the last assignment of a variable
    /// counts.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] for what is larger than 64 KiB, or without an assignment.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        if bytes.len() > MAX_BYTES {
            return Err(invalid("larger than 64 KiB: not an os-release file"));
        }
        let mut os = Self::default();
        let mut assignments = 0;
        for line in bytes.split(|&b| b == b'\n') {
            if let Some((key, value)) = assignment(line) {
                os.assign(key, value);
                assignments += 1;
            }
        }
        if assignments == 0 {
            return Err(invalid("without an assignment: not an os-release file"));
        }
        Ok(os)
    }

    fn assign(&mut self, key: &[u8], value: String) {
        let field = match key {
            b"ID" => &mut self.id,
            b"VERSION_ID" => &mut self.version_id,
            b"VERSION_CODENAME" => &mut self.version_codename,
            b"UBUNTU_CODENAME" => &mut self.ubuntu_codename,
            b"DEBIAN_CODENAME" => &mut self.debian_codename,
            b"PLATFORM_ID" => &mut self.platform_id,
            b"ID_LIKE" => {
                self.id_like = value.split_whitespace().map(Into::into).collect();
                return;
            }
            _ => return,
        };
        *field = Some(value).filter(|v| !v.is_empty());
    }

    /// `ID`: the distribution, as `rocky`. Where it is missing, os-release(5) has one assume `linux`, which is nobody's kernel.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// `VERSION_ID`: its version, as `8.8`. Rolling distributions and Debian's testing have none.
    pub fn version_id(&self) -> Option<&str> {
        self.version_id.as_deref()
    }

    /// `ID_LIKE`: the distributions that this one is made from, the closest first.
    pub fn id_like(&self) -> &[String] {
        &self.id_like
    }

    /// `VERSION_CODENAME`: the name of the version, as `bookworm`.
    pub fn version_codename(&self) -> Option<&str> {
        self.version_codename.as_deref()
    }

    /// `UBUNTU_CODENAME`: the name of the Ubuntu that this, or what it is made from, is. Not in os-release(5), but in Ubuntu's
    /// and its derivatives' files.
    pub(crate) fn ubuntu_codename(&self) -> Option<&str> {
        self.ubuntu_codename.as_deref()
    }

    /// `DEBIAN_CODENAME`: the name of the Debian that this is made from. Not in os-release(5), but in Linux Mint's files.
    pub(crate) fn debian_codename(&self) -> Option<&str> {
        self.debian_codename.as_deref()
    }

    /// `PLATFORM_ID`: what its packages are built for, as `platform:el8`. Not in os-release(5), but in the Fedora family's
    /// files.
    pub(crate) fn platform_id(&self) -> Option<&str> {
        self.platform_id.as_deref()
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// The variable and the value of a line that is an assignment.
fn assignment(line: &[u8]) -> Option<(&[u8], String)> {
    let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start();
    let at = line.iter().position(|&b| b == b'=')?;
    let (key, value) = (&line[..at], &line[at + 1..]);
    if line.contains(&b'\0') || !is_variable(key) {
        return None;
    }
    Some((key, unquote(value)?))
}

fn is_variable(name: &[u8]) -> bool {
    name.first().is_some_and(|b| !b.is_ascii_digit())
        && name.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The value of an assignment, as a shell takes it without expanding anything: pieces that are quoted or not, up to a
/// space.
///
/// `None` where a quote is not closed or more than a comment follows: a shell would read on or run a command there.
fn unquote(mut text: &[u8]) -> Option<String> {
    let mut value = Vec::new();
    while let Some(byte) = text.split_off_first() {
        match byte {
            b'\'' => unquote_single(&mut text, &mut value)?,
            b'"' => unquote_double(&mut text, &mut value)?,
            b'\\' => value.push(*text.split_off_first()?),
            b' ' | b'\t' => {
                let rest = text.trim_ascii_start();
                if !rest.is_empty() && rest[0] != b'#' {
                    return None;
                }
                break;
            }
            other => value.push(*other),
        }
    }
    Some(String::from_utf8_lossy(&value).into_owned())
}

/// The rest of `'…'`: everything counts for itself.
fn unquote_single(text: &mut &[u8], value: &mut Vec<u8>) -> Option<()> {
    loop {
        match text.split_off_first()? {
            b'\'' => return Some(()),
            other => value.push(*other),
        }
    }
}

/// The rest of `"…"`: a backslash takes the meaning of what would have one there, and else counts for itself.
fn unquote_double(text: &mut &[u8], value: &mut Vec<u8>) -> Option<()> {
    loop {
        match text.split_off_first()? {
            b'"' => return Some(()),
            b'\\' => match text.split_off_first()? {
                escaped @ (b'$' | b'"' | b'\\' | b'`') => value.push(*escaped),
                other => value.extend([b'\\', *other]),
            },
            other => value.push(*other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rustix::fs::{CWD, FileType, Mode};
    use std::fs::File;

    fn value(text: &str) -> Option<String> {
        unquote(text.as_bytes())
    }

    fn message(result: io::Result<OsRelease>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        error.to_string()
    }

    /// Check that values are unquoted as a shell does it.
    #[test]
    fn quoting() {
        for (text, expected) in [
            ("", ""),
            ("8.4", "8.4"),
            ("''", ""),
            ("\"\"", ""),
            ("'a b'", "a b"),
            ("\"a b\"", "a b"),
            ("'a\\b\"$c'", "a\\b\"$c"),
            (r#""\$\"\\\`""#, "$\"\\`"),
            (r#""a\b""#, "a\\b"),
            ("a\\ b\\'\\ ", "a b' "),
            ("a'b'\"c\"d", "abcd"),
            ("$HOME#1", "$HOME#1"),
            ("a # a comment", "a"),
            ("'a' \t#", "a"),
        ] {
            assert_eq!(value(text).as_deref(), Some(expected), "{text}");
        }
    }

    /// Check that what a shell would read on from, or run, is no value.
    #[test]
    fn no_values() {
        for text in [
            "'", "\"", "'a", "\"a\\\"", "a\"", "\"a\\", "a\\", "a b", "'a' b",
        ] {
            assert_eq!(value(text), None, "{text}");
        }
    }

    /// Check that lines are taken by os-release(5), and the others passed over.
    #[test]
    fn lines() {
        let text = b"\n# ID=comment\n#ID=comment\r\n  ID=first\r\nID LIKE=misread\nID = spaces\nexport ID=shell\n\
            1D=digit\n=nothing\nVERSION_ID='unterminated\nid=lower\nNOT-A-NAME=1\nno assignment\n\
            ID=\"last\"\r\n\tVERSION_ID=\"1\"\t\nVERSION_CODENAME=\nPLATFORM_ID=\"platform:\xff\"\nID_LIKE='a  b\tc'";
        let os = OsRelease::parse(text).unwrap();
        let expected = OsRelease {
            id: Some("last".into()),
            version_id: Some("1".into()),
            id_like: ["a", "b", "c"].map(Into::into).into(),
            platform_id: Some("platform:\u{fffd}".into()),
            ..OsRelease::default()
        };
        assert_eq!(os, expected);
    }

    /// Check that an empty value takes an earlier one back.
    #[test]
    fn last_value_counts() {
        let os = OsRelease::parse(b"ID=a\nID_LIKE=b\nID=\nID_LIKE=''\n").unwrap();
        assert_eq!(os, OsRelease::default());
    }

    /// Check that what assigns nothing is refused, and so is what is too large.
    #[test]
    fn no_os_release() {
        let nothing = "without an assignment: not an os-release file";
        for bytes in [
            &b""[..],
            b"\n\n",
            b"# only\n",
            b"\x7fELF\x02\x01\x01\0=\0",
            b"ID=\0",
            b"ID='",
        ] {
            assert_eq!(message(OsRelease::parse(bytes)), nothing, "{bytes:?}");
        }
        let mut text = b"ID=a\n".repeat(MAX_BYTES / 5);
        text.resize(MAX_BYTES, b'\n');
        assert!(OsRelease::parse(&text).is_ok());
        text.push(b'\n');
        let large = "larger than 64 KiB: not an os-release file";
        assert_eq!(message(OsRelease::parse(&text)), large);
    }

    /// Check that a large file, a pipe, a device and a folder are refused at once, also behind a link.
    #[test]
    fn refused_files() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        // 100 MB that take no space.
        File::create(at("large"))
            .unwrap()
            .set_len(100_000_000)
            .unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(CWD, at("pipe"), FileType::Fifo, mode, 0).unwrap();
        std::os::unix::fs::symlink("pipe", at("link")).unwrap();
        let large = "larger than 64 KiB: not an os-release file";
        assert_eq!(message(OsRelease::read(at("large"))), large);
        for path in [
            at("pipe"),
            at("link"),
            folder.path().to_owned(),
            "/dev/zero".into(),
        ] {
            let error = OsRelease::read(&path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path:?}");
        }
        let missing = OsRelease::read(at("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    /// Check that a program is refused.
    #[test]
    fn program() {
        let program = std::env::current_exe().unwrap();
        let large = "larger than 64 KiB: not an os-release file";
        assert_eq!(message(OsRelease::read(program)), large);
    }

    proptest! {
        /// Check that any bytes are taken or refused.
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = OsRelease::parse(&bytes);
        }

        /// Check that lines made of what has a meaning are taken or refused, with no value longer than they are.
        #[test]
        fn any_lines(text in "(ID|ID_LIKE|VERSION_ID|#| )?[=a'\"\\\\$ \n\r]{0,40}") {
            if let Ok(os) = OsRelease::parse(text.as_bytes()) {
                prop_assert!(os.id().is_none_or(|id| id.len() <= text.len()));
            }
        }

        /// Check that whatever is quoted is read back.
        #[test]
        fn quoted_is_read_back(value in "[^\n\0]*") {
            let mut double = String::from("ID=\"");
            for c in value.chars() {
                if matches!(c, '$' | '"' | '\\' | '`') {
                    double.push('\\');
                }
                double.push(c);
            }
            double.push('"');
            let single = format!("ID='{}'", value.replace('\'', "'\\''"));
            for text in [double, single] {
                let os = OsRelease::parse(text.as_bytes()).unwrap();
                prop_assert_eq!(os.id().unwrap_or_default(), &value);
            }
        }
    }
}
