//! The file `./.btfgen/build-ids` of an archive: which build each kernel is.

#[cfg(feature = "write")]
use std::collections::BTreeMap;

use crate::{BuildId, Error, ErrorKind, KernelId, Result};

/// The name of the file's entry.
pub(crate) const BUILD_IDS_NAME: &str = ".btfgen/build-ids";

/// The first line; the number is the version of the format.
const FIRST_LINE: &str = "btfgen-build-ids 1";

/// The build ids of an archive's kernels. The ids are [short](BuildId::short).
///
/// ```
/// # #[cfg(feature = "write")] {
/// use btfgen_archive::{Archive, BuildId, Builder, KernelId};
///
/// let kernel = KernelId::new("debian", "12", "x86_64", "6.1.0-47-amd64")?;
/// let id: BuildId = "4a5a9b0affb66c437abcd455d2738af879985fa9".parse()?;
/// let mut bytes = Vec::new();
/// Builder::new()
///     .add(kernel.clone(), *b"BTF")?
///     .build_id(kernel.clone(), id)
///     .write(&mut bytes)?;
///
/// let ids = Archive::from_bytes(&bytes)?.build_ids()?;
/// assert_eq!(ids.get(&kernel), Some(id.short()));
/// # }
/// # Ok::<(), btfgen_archive::Error>(())
/// ```
// The text of the file: a lookup asks for a few kernels only.
#[derive(Clone, Debug, Default)]
pub struct BuildIds(String);

impl BuildIds {
    /// Parse the file.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self> {
        let invalid = |message: String| Error::new(ErrorKind::InvalidBuildId, message);
        let text = String::from_utf8(bytes)
            .map_err(|_| invalid("the archive's file of build ids is not UTF-8".to_owned()))?;
        let bad_line = |number: usize| {
            let message = format!("line {number} of the archive's build ids is not valid");
            invalid(message)
        };
        let mut lines = (1..).zip(text.split_terminator('\n'));
        if lines.next().is_none_or(|(_, line)| line != FIRST_LINE) {
            return Err(bad_line(1));
        }
        if let Some((number, _)) = lines.find(|(_, line)| parse_line(line).is_none()) {
            return Err(bad_line(number));
        }
        Ok(Self(text))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines().next().is_none()
    }

    /// The id of a kernel; `None` if it is not known.
    pub fn get(&self, kernel: &KernelId) -> Option<BuildId> {
        let mut lines = self.lines();
        lines.find_map(|(name, id)| kernel.is_named(name).then_some(id))
    }

    /// All kernels with an id.
    pub fn iter(&self) -> impl Iterator<Item = (KernelId, BuildId)> {
        self.lines()
            .filter_map(|(name, id)| Some((name.parse().ok()?, id)))
    }

    fn lines(&self) -> impl Iterator<Item = (&str, BuildId)> {
        let lines = self.0.split_terminator('\n').skip(1);
        lines.filter_map(parse_line)
    }
}

/// A kernel's name and its id.
fn parse_line(line: &str) -> Option<(&str, BuildId)> {
    let (name, id) = line.split_once(' ')?;
    Some((name, id.parse().ok()?))
}

/// The content of the file. The lines are sorted by their bytes, so that neighbours have much in common.
#[cfg(feature = "write")]
pub(crate) fn encode(ids: &BTreeMap<KernelId, BuildId>) -> String {
    let lines = ids.iter();
    let mut lines: Vec<String> = lines
        .map(|(kernel, id)| format!("{kernel} {}\n", id.short()))
        .collect();
    lines.sort();
    format!("{FIRST_LINE}\n{}", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a broken file is refused with the number of the line.
    #[test]
    fn broken_lines() {
        for (text, expected) in [
            ("", "line 1"),
            ("btfgen-build-ids 2\n", "line 1"),
            ("btfgen-build-ids 1\na/1/x86_64/5\n", "line 2"),
            ("btfgen-build-ids 1\na/1/x86_64/5 4a5a\n", "line 2"),
            (
                "btfgen-build-ids 1\na/1/x86_64/5 4a5a9b0affb66c43\n\n",
                "line 3",
            ),
        ] {
            let error = BuildIds::parse(text.into()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidBuildId);
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(BuildIds::parse(vec![0xff]).is_err());
    }

    /// Check that a kernel whose name begins like another's does not get that one's id.
    #[test]
    fn whole_names() {
        let text = "btfgen-build-ids 1\na/1/x86_64/5.4 4a5a9b0affb66c43\n";
        let ids = BuildIds::parse(text.into()).unwrap();
        let get = |name: &str| ids.get(&name.parse().unwrap());
        assert!(get("a/1/x86_64/5.4").is_some());
        assert!(get("a/1/x86_64/5").is_none());
        assert!(get("a/1/x86_64/5.44").is_none());
        assert!(!ids.is_empty());
        assert!(BuildIds::default().is_empty());
    }
}
