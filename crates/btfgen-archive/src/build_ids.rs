//! The file `./.btfgen/build-ids` of an archive: which build each kernel is.

#[cfg(feature = "write")]
use std::collections::BTreeMap;

use crate::{BuildId, Error, ErrorKind, KernelId, Result};

/// The name of the file's entry.
pub(crate) const BUILD_IDS_NAME: &str = ".btfgen/build-ids";

/// The first line; the number is the version of the format.
const FIRST_LINE: &[u8] = b"btfgen-build-ids 1\n";

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
// The lines of the file: a lookup asks for a few kernels only. Bytes need less code than text in the programs that embed this.
#[derive(Clone, Debug, Default)]
pub struct BuildIds(Vec<u8>);

impl BuildIds {
    /// Parse the file. Lines of another form are for later versions, and are skipped.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self> {
        if !bytes.starts_with(FIRST_LINE) {
            let message = "the archive's file of build ids has an unknown format";
            return Err(Error::new(ErrorKind::InvalidBuildId, message));
        }
        Ok(Self(bytes))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The id of a kernel; `None` if it is not known.
    pub fn get(&self, kernel: &KernelId) -> Option<BuildId> {
        let name = kernel.as_bytes();
        self.lines().find_map(|line| {
            let rest = line.strip_prefix(name)?;
            BuildId::from_hex(rest.strip_prefix(b" ")?)
        })
    }

    /// All kernels with an id.
    pub fn iter(&self) -> impl Iterator<Item = (KernelId, BuildId)> {
        self.lines().filter_map(|line| {
            let (name, id) = std::str::from_utf8(line).ok()?.split_once(' ')?;
            Some((name.parse().ok()?, BuildId::from_hex(id.as_bytes())?))
        })
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|byte| *byte == b'\n')
    }
}

/// The content of the file. The lines are sorted by their bytes, so that neighbours have much in common.
#[cfg(feature = "write")]
pub(crate) fn encode(ids: &BTreeMap<KernelId, BuildId>) -> Vec<u8> {
    let lines = ids.iter();
    let mut lines: Vec<String> = lines
        .map(|(kernel, id)| format!("{kernel} {}\n", id.short()))
        .collect();
    lines.sort();
    [FIRST_LINE, lines.concat().as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that another version of the file is refused, and that lines of another form are skipped.
    #[test]
    fn lines() {
        for text in ["", "btfgen-build-ids 2\n", "btfgen-build-ids 1"] {
            let error = BuildIds::parse(text.into()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidBuildId);
        }
        let odd = b"btfgen-build-ids 1\na/1/x86_64/5\n\xff\na/1/x86_64/5 4a\n\na/1/x86_64/5 4a5a9b0affb66c43\n";
        let ids = BuildIds::parse(odd.to_vec()).unwrap();
        assert!(ids.get(&"a/1/x86_64/5".parse().unwrap()).is_some());
        assert_eq!(ids.iter().count(), 1);
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
