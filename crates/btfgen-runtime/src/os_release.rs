//! Reads os-release(5), which names the distribution.
//!
//! This module only parses the file. The module `distribution` derives the folders of a hub from it.

use std::io::{self, Read as _};
use std::path::Path;

/// The largest file to read. A real os-release file has less than 1 KiB.
const MAX_BYTES: usize = 64 << 10;

/// The fields of an os-release file that help to find a distribution's kernels.
///
/// An empty value counts as a missing one.
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
    /// Large files, pipes and devices do not block the caller.
    ///
    /// # Errors
    /// The errors of opening and reading, among them [`io::ErrorKind::InvalidInput`] if the file is not a regular file, and
    /// [`io::ErrorKind::InvalidData`] if it is larger than 64 KiB or has no assignment.
    pub fn read(path: impl AsRef<Path>) -> io::Result<Self> {
        let file = btfgen_files::open_regular(path.as_ref())?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Self::parse(&bytes)
    }

    /// Parses the content of an os-release file.
    ///
    /// Lines that are not assignments by os-release(5) are ignored. The last assignment of a variable wins.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if the content is larger than 64 KiB or has no assignment.
    pub fn parse(bytes: &[u8]) -> io::Result<Self> {
        if bytes.len() > MAX_BYTES {
            return Err(invalid("not an os-release file: larger than 64 KiB"));
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
            return Err(invalid("not an os-release file: no assignment"));
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
                self.id_like = value.split_ascii_whitespace().map(Into::into).collect();
                return;
            }
            _ => return,
        };
        *field = Some(value).filter(|v| !v.is_empty());
    }

    /// `ID`: the distribution, for example `rocky`. os-release(5) defines the default `linux`, but no hub has kernels under this
    /// name, so a missing `ID` is `None`.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// `VERSION_ID`: the version, for example `8.8`. Rolling distributions and Debian testing have no version.
    pub fn version_id(&self) -> Option<&str> {
        self.version_id.as_deref()
    }

    /// `ID_LIKE`: the distributions that this one is derived from, the closest first.
    pub fn id_like(&self) -> &[String] {
        &self.id_like
    }

    /// `VERSION_CODENAME`: the name of the version, for example `bookworm`.
    pub fn version_codename(&self) -> Option<&str> {
        self.version_codename.as_deref()
    }

    /// `UBUNTU_CODENAME`: the codename of the Ubuntu version that this distribution is, or is derived from. Ubuntu and its
    /// derivatives have it, but os-release(5) does not define it.
    pub(crate) fn ubuntu_codename(&self) -> Option<&str> {
        self.ubuntu_codename.as_deref()
    }

    /// `DEBIAN_CODENAME`: the codename of the Debian version that this distribution is derived from. Linux Mint has it, but
    /// os-release(5) does not define it.
    pub(crate) fn debian_codename(&self) -> Option<&str> {
        self.debian_codename.as_deref()
    }

    /// `PLATFORM_ID`: the platform of its packages, for example `platform:el8`. os-release(5) does not define it, but the Fedora
    /// family has it.
    pub(crate) fn platform_id(&self) -> Option<&str> {
        self.platform_id.as_deref()
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Parses a line that is an assignment into variable and value.
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

/// Parses the value of an assignment like a shell, but without expansions: quoted and unquoted pieces, up to a space.
///
/// Returns `None` if a quote is not closed or anything but a comment follows, because a shell would read the next line or run a
/// command.
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

/// The rest of `'…'`: every character is literal.
fn unquote_single(text: &mut &[u8], value: &mut Vec<u8>) -> Option<()> {
    loop {
        match text.split_off_first()? {
            b'\'' => return Some(()),
            other => value.push(*other),
        }
    }
}

/// The rest of `"…"`: a backslash escapes special characters; before other characters it is literal.
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

    fn message(result: io::Result<OsRelease>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        error.to_string()
    }

    /// Check that a file without an assignment and a file that is too large are refused.
    #[test]
    fn no_os_release() {
        let nothing = "not an os-release file: no assignment";
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
        let large = "not an os-release file: larger than 64 KiB";
        assert_eq!(message(OsRelease::parse(&text)), large);
    }

    /// Check that a large file, a pipe, a device and a folder are refused without blocking, also through a link.
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
        let large = "not an os-release file: larger than 64 KiB";
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
        let large = "not an os-release file: larger than 64 KiB";
        assert_eq!(message(OsRelease::read(program)), large);
    }

    proptest! {
        /// Check that any bytes are accepted or refused without a panic.
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = OsRelease::parse(&bytes);
        }

        /// Check that lines of special characters are accepted or refused, and that no value is longer than its line.
        #[test]
        fn any_lines(text in "(ID|ID_LIKE|VERSION_ID|#| )?[=a'\"\\\\$ \n\r]{0,40}") {
            if let Ok(os) = OsRelease::parse(text.as_bytes()) {
                prop_assert!(os.id().is_none_or(|id| id.len() <= text.len()));
            }
        }

        /// Check that any quoted value is read back.
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
