//! The manifest: which tool made an archive, with which options, for which objects.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// The first line; the number is the version of the format.
const FIRST_LINE: &str = "btfgen-manifest 1";

/// The tool, options and objects of an archive. With [`Archive::matches_object`](crate::Archive::matches_object) a program can
/// detect a stale archive.
///
/// In the archive it is the text file `./.btfgen/manifest`, with one fact for each line. Lines that start with another word are
/// for later versions, and are skipped:
///
/// ```
/// use btfgen_archive::Manifest;
///
/// let manifest = Manifest {
///     tool: "btfgen 0.1.0".to_owned(),
///     options: vec!["no-hard-links".to_owned()],
///     objects: vec![0x00dc_ba98, 0xfedc_ba98],
/// };
/// let text = "btfgen-manifest 1\n\
///             tool btfgen 0.1.0\n\
///             option no-hard-links\n\
///             objects 00dcba98 fedcba98\n";
/// assert_eq!(manifest.to_string(), text);
/// assert_eq!(text.parse::<Manifest>()?, manifest);
/// # Ok::<(), btfgen_archive::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The tool and its version.
    pub tool: String,
    /// The options that affect the contents.
    pub options: Vec<String>,
    /// The digest ([`btfgen_object::digest`]) of each object with relocations.
    // Names and longer digests would be the largest part of a small archive. With this size, one of four billion changes goes
    // unnoticed.
    pub objects: Vec<u32>,
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tool,
            options,
            objects,
        } = self;
        writeln!(f, "{FIRST_LINE}")?;
        writeln!(f, "tool {}", Escaped(tool))?;
        for option in options {
            writeln!(f, "option {}", Escaped(option))?;
        }
        if !objects.is_empty() {
            write!(f, "objects")?;
            for digest in objects {
                write!(f, " {digest:08x}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl FromStr for Manifest {
    type Err = Error;

    /// Parse the text form.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`] with the line's number.
    fn from_str(text: &str) -> Result<Self> {
        let invalid = |line: usize, what: &str| {
            let message = format!("line {line} of the manifest {what}");
            Error::new(ErrorKind::InvalidManifest, message)
        };
        let mut lines = (1..).zip(text.split_terminator('\n'));
        if lines.next().is_none_or(|(_, line)| line != FIRST_LINE) {
            return Err(invalid(1, "has an unknown format"));
        }
        let mut manifest = Self::default();
        for (number, line) in lines {
            let (word, value) = line.split_once(' ').unwrap_or((line, ""));
            let unescape = |s| unescape(s).ok_or_else(|| invalid(number, "has a bad escape"));
            match word {
                "tool" => manifest.tool = unescape(value)?,
                "option" => manifest.options.push(unescape(value)?),
                "objects" => {
                    for digest in value.split(' ') {
                        let digest = parse_digest(digest);
                        let digest =
                            digest.ok_or_else(|| invalid(number, "has no digest of 8 digits"))?;
                        manifest.objects.push(digest);
                    }
                }
                _ => {}
            }
        }
        Ok(manifest)
    }
}

fn parse_digest(s: &str) -> Option<u32> {
    // from_str_radix also accepts a sign.
    if s.len() != 8 || !s.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(s, 16).ok()
}

/// Prints a text with backslashes and control characters as `\u{hex}`.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            if c == '\\' || c.is_control() {
                write!(f, "{}", c.escape_unicode())
            } else {
                write!(f, "{c}")
            }
        })
    }
}

fn unescape(s: &str) -> Option<String> {
    let mut parts = s.split('\\');
    let mut text = parts.next()?.to_owned();
    for part in parts {
        let (hex, rest) = part.strip_prefix("u{")?.split_once('}')?;
        text.push(char::from_u32(u32::from_str_radix(hex, 16).ok()?)?);
        text.push_str(rest);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop, proptest};

    fn manifests() -> impl Strategy<Value = Manifest> {
        let objects = prop::collection::vec(any::<u32>(), 0..4);
        let options = prop::collection::vec(any::<String>(), 0..4);
        (any::<String>(), options, objects).prop_map(|(tool, options, objects)| Manifest {
            tool,
            options,
            objects,
        })
    }

    proptest! {
        /// Check that every manifest is parsed back unchanged.
        #[test]
        fn round_trip(manifest in manifests()) {
            assert_eq!(manifest.to_string().parse::<Manifest>().unwrap(), manifest);
        }

        /// Check that the parser does not panic on any text.
        #[test]
        fn any_text(text in "(btfgen-manifest 1\n)?(objects |tool |\\\\u\\{[0-9a-f]{1,8}\\}|[a-f0-9 ]|\n|.){0,60}") {
            let _ = text.parse::<Manifest>();
        }
    }

    /// Check that unknown lines are skipped and broken ones named.
    #[test]
    fn lines() {
        let text = "btfgen-manifest 1\nfuture thing\n\ntool x";
        assert_eq!(text.parse::<Manifest>().unwrap().tool, "x");
        for (text, expected) in [
            ("", "line 1"),
            ("btfgen-manifest 2\n", "line 1"),
            ("btfgen-manifest 1\nobjects", "line 2"),
            ("btfgen-manifest 1\ntool b\nobjects 00000000 123", "line 3"),
            ("btfgen-manifest 1\nobjects +1234567", "line 2"),
            ("btfgen-manifest 1\ntool \\n", "line 2"),
        ] {
            let error = text.parse::<Manifest>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidManifest);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
