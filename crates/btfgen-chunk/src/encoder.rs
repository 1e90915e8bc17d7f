//! Writes a chunk.

use std::collections::BTreeMap;

use crate::index::{Entry, Index, is_release};
use crate::{Digest, Error, ErrorKind, Result};

const LEVEL: i32 = 9;

/// Puts the BTFs of kernels into a chunk.
///
/// The bytes of the chunk depend only on the kernels and their BTFs, not on the order in which they are added.
#[derive(Debug, Default)]
pub struct Encoder {
    kernels: BTreeMap<String, Kernel>,
}

#[derive(Debug)]
struct Kernel {
    btf_bytes: u64,
    digest: Digest,
    part: Vec<u8>,
}

impl Encoder {
    /// A chunk without kernels.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Add a kernel of this release. The bytes may be anything: what is not BTF is stored as it is.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRelease`], [`ErrorKind::DuplicateRelease`], [`ErrorKind::TooLarge`].
    pub fn add(&mut self, release: &str, btf: &[u8]) -> Result<()> {
        if !is_release(release) || u16::try_from(release.len()).is_err() {
            let message = format!("{release:?} is not a valid release of a kernel");
            return Err(Error::new(ErrorKind::InvalidRelease, message));
        }
        if self.kernels.contains_key(release) {
            let message = format!("the kernel {release} was added before");
            return Err(Error::new(ErrorKind::DuplicateRelease, message));
        }
        let part = zstd::bulk::compress(btf, LEVEL)
            .map_err(|error| Error::io("a BTF cannot be compressed", error))?;
        let kernel = Kernel {
            btf_bytes: btf.len() as u64,
            digest: Digest::of(btf),
            part,
        };
        self.kernels.insert(release.to_owned(), kernel);
        Ok(())
    }

    /// The chunk. Every kernel in it was read again, and its BTF is the one that was added.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] if the kernels do not fit into a chunk.
    pub fn finish(self) -> Result<Vec<u8>> {
        let mut index = Index::default();
        let mut parts = Vec::new();
        for (release, kernel) in self.kernels {
            index.entries.push(Entry {
                release,
                btf_bytes: kernel.btf_bytes,
                digest: kernel.digest,
            });
            index.part_lens.push(kernel.part.len() as u32);
            parts.extend(kernel.part);
        }
        let mut chunk = index.write();
        chunk.extend(parts);
        Ok(chunk)
    }
}
