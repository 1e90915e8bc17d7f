//! The record of a hub's fetches: the repositories, their commits, and the files that came from them.
//!
//! The record only saves work. If a file differs from its entry, the fetch reads the file. If the record is lost or damaged,
//! the fetch reads all files.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::time::UNIX_EPOCH;

use btfgen_chunk::Digest;
use btfgen_files::{TempFile, read_regular};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::seen::is_missing;

/// The name of the record's file in the hub's own folder.
pub const RECORD: &str = "record.json";

/// The name of the folder beside it, where files wait until all of them have arrived.
pub const STAGING: &str = "staging";

/// The version of the record's format. A record of another version is ignored.
const VERSION: u32 = 1;

/// The largest record to read. 200 bytes for each of a million files are less.
const MAX_BYTES: u64 = 256 << 20;

/// The record of a hub.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    version: u32,
    /// By address, without passwords.
    pub repositories: BTreeMap<String, RecordedRepository>,
    /// Blobs that are about to get their names, by path. Later they become entries of `files`; a fetch that is killed between
    /// the two leaves them here.
    pub pending: BTreeMap<String, String>,
}

/// What came from one repository.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RecordedRepository {
    /// The commit of the last fetch.
    pub commit: String,
    /// The files of the hub that came from this repository, by path below the hub's folder.
    pub files: BTreeMap<String, RecordedFile>,
    /// Blobs that are not kernels, by path, so that they are not transferred again.
    pub useless: BTreeMap<String, Useless>,
}

/// The state of a file when it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFile {
    /// Git's id of the content.
    pub blob: String,
    bytes: u64,
    /// Nanoseconds since 1970.
    modified: u128,
    /// The digest of the BTF, if the file was put into a chunk and removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    compacted: Option<String>,
}

/// A file of a repository that is not a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Useless {
    /// Git's id of the content.
    pub blob: String,
    /// Why it is not a kernel.
    pub why: String,
    /// Whether the file is damaged. Otherwise it just contains no kernel.
    pub broken: bool,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            version: VERSION,
            repositories: BTreeMap::new(),
            pending: BTreeMap::new(),
        }
    }
}

impl Record {
    /// Reads the record in a file. The result is empty if the file is missing or damaged.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if a file may exist and cannot be read: without its record, fetched files would
    /// count as the user's own for ever.
    pub fn read(path: &Path) -> Result<Self> {
        match read_regular(path, MAX_BYTES) {
            Ok(bytes) => Ok(serde_json::from_slice::<Self>(&bytes)
                .ok()
                .filter(|record| record.version == VERSION)
                .unwrap_or_default()),
            Err(e) if is_missing(&e) => Ok(Self::default()),
            Err(e) => Err(Error::io(path, "cannot be read", e)),
        }
    }

    /// Replaces the file in one step.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = |e| Error::io(path, "cannot be written", e);
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = TempFile::create_in(folder).map_err(failed)?;
        let mut out = io::BufWriter::new(file.as_file_mut());
        serde_json::to_writer(&mut out, self).map_err(|e| failed(e.into()))?;
        out.into_inner().map_err(|e| failed(e.into_error()))?;
        file.persist(path).map_err(failed)
    }

    /// The entry of a file, from whichever repository.
    pub fn file(&self, path: &str) -> Option<&RecordedFile> {
        self.repositories.values().find_map(|r| r.files.get(path))
    }

    /// The entry of a file, from whichever repository, to change it.
    pub fn file_mut(&mut self, path: &str) -> Option<&mut RecordedFile> {
        self.repositories
            .values_mut()
            .find_map(|r| r.files.get_mut(path))
    }

    /// Records that a file came from this repository, and removes its other entries.
    pub fn set_file(&mut self, repository: &str, path: &str, file: RecordedFile) {
        self.forget(path);
        self.pending.remove(path);
        let repository = self.repositories.entry(repository.to_owned()).or_default();
        repository.useless.remove(path);
        repository.files.insert(path.to_owned(), file);
    }

    /// Forgets a file.
    pub fn forget(&mut self, path: &str) {
        for repository in self.repositories.values_mut() {
            repository.files.remove(path);
        }
    }
}

impl RecordedFile {
    /// The state of a file with this content.
    pub fn new(blob: String, metadata: &Metadata) -> Self {
        Self {
            blob,
            bytes: metadata.len(),
            modified: modified(metadata),
            compacted: None,
        }
    }

    /// Notes that the file is about to be removed, because a chunk has its BTF, which has this digest.
    pub fn set_compacted(&mut self, digest: Digest) {
        self.compacted = Some(digest.to_string());
    }

    /// Whether the file was removed because a chunk has a BTF with this digest.
    pub fn is_compacted(&self, digest: Digest) -> bool {
        self.compacted.as_deref() == Some(&*digest.to_string())
    }

    /// Whether nobody has written to the file since.
    pub fn is_unchanged(&self, metadata: &Metadata) -> bool {
        self.bytes == metadata.len() && self.modified == modified(metadata)
    }
}

fn modified(metadata: &Metadata) -> u128 {
    metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |since| since.as_nanos())
}
