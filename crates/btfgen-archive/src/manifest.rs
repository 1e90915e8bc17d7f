//! The manifest: which tool made an archive, with which options, for which objects.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// The first line; the number is the version of the format.
const FIRST_LINE: &str = "btfgen-manifest 1";

/// What an archive was made by and for: a program compares it with its own objects to know that its
/// embedded archive is stale.
///
/// In the archive it is the text file `./.btfgen/manifest`, one fact a line; lines that start with another
/// word are for later versions and skipped:
///
/// ```
/// use btfgen_archive::{Manifest, ManifestObject};
///
/// let manifest = Manifest {
///     tool: "btfgen 0.1.0".to_owned(),
///     options: vec!["no-hard-links".to_owned()],
///     objects: vec![ManifestObject {
///         name: "my app.bpf.o".to_owned(),
///         relocations: [0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10],
///     }],
/// };
/// let text = "btfgen-manifest 1\n\
///             tool btfgen 0.1.0\n\
///             option no-hard-links\n\
///             object my\\u{20}app.bpf.o fedcba9876543210\n";
/// assert_eq!(manifest.to_string(), text);
/// assert_eq!(text.parse::<Manifest>()?, manifest);
/// # Ok::<(), btfgen_archive::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The tool and its version.
    pub tool: String,
    /// The options that had a say in the contents.
    pub options: Vec<String>,
    /// The objects whose relocations the BTFs answer.
    pub objects: Vec<ManifestObject>,
}

/// One object of a [`Manifest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestObject {
    /// The object's name.
    pub name: String,
    /// A digest of its relocations, computed by whoever makes the archive.
    pub relocations: [u8; 8],
}

impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tool,
            options,
            objects,
        } = self;
        writeln!(f, "{FIRST_LINE}")?;
        writeln!(f, "tool {}", Escaped(tool, char::is_control))?;
        for option in options {
            writeln!(f, "option {}", Escaped(option, char::is_control))?;
        }
        for ManifestObject { name, relocations } in objects {
            let digest = u64::from_be_bytes(*relocations);
            let name = Escaped(name, |c| c.is_control() || c.is_whitespace());
            writeln!(f, "object {name} {digest:016x}")?;
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
            return Err(invalid(1, "is not of a known format"));
        }
        let mut manifest = Self::default();
        for (number, line) in lines {
            let (word, value) = line.split_once(' ').unwrap_or((line, ""));
            let unescape = |s| unescape(s).ok_or_else(|| invalid(number, "has a bad escape"));
            match word {
                "tool" => manifest.tool = unescape(value)?,
                "option" => manifest.options.push(unescape(value)?),
                "object" => {
                    let (name, digest) = value
                        .rsplit_once(' ')
                        .ok_or_else(|| invalid(number, "has no digest"))?;
                    let relocations = parse_digest(digest)
                        .ok_or_else(|| invalid(number, "has no digest of 16 digits"))?;
                    let name = unescape(name)?;
                    manifest.objects.push(ManifestObject { name, relocations });
                }
                _ => {}
            }
        }
        Ok(manifest)
    }
}

fn parse_digest(s: &str) -> Option<[u8; 8]> {
    // from_str_radix takes a sign too.
    if s.len() != 16 || !s.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(s, 16).ok().map(u64::to_be_bytes)
}

/// Prints a text with backslashes, and the characters that the second field tells, as `\u{hex}`.
struct Escaped<'a>(&'a str, fn(char) -> bool);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            if c == '\\' || self.1(c) {
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
        let objects = prop::collection::vec((any::<String>(), any::<[u8; 8]>()), 0..4);
        let options = prop::collection::vec(any::<String>(), 0..4);
        (any::<String>(), options, objects).prop_map(|(tool, options, objects)| Manifest {
            tool,
            options,
            objects: objects
                .into_iter()
                .map(|(name, relocations)| ManifestObject { name, relocations })
                .collect(),
        })
    }

    proptest! {
        /// Check that every manifest is parsed back as it was.
        #[test]
        fn round_trip(manifest in manifests()) {
            assert_eq!(manifest.to_string().parse::<Manifest>().unwrap(), manifest);
        }

        /// Check that no text makes the parser panic.
        #[test]
        fn any_text(text in "(btfgen-manifest 1\n)?(object |tool |\\\\u\\{[0-9a-f]{1,8}\\}|[a-f0-9 ]|\n|.){0,60}") {
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
            ("btfgen-manifest 1\nobject a", "line 2"),
            ("btfgen-manifest 1\ntool b\nobject a 123", "line 3"),
            ("btfgen-manifest 1\nobject a +123456789abcdef", "line 2"),
            ("btfgen-manifest 1\ntool \\n", "line 2"),
        ] {
            let error = text.parse::<Manifest>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidManifest);
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
