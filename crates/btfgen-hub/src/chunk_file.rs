//! A chunk of a compact hub: one file `ID/VERSION/ARCH.btfs` with the BTFs of many kernels.

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use btfgen_archive::KernelId;
use btfgen_chunk::{Chunk, Digest, ENDING, Entry};
use btfgen_files::{is_machine_fault, open_regular};
use rayon::prelude::*;

use crate::arch::hub_arch;
use crate::error::{Error, ErrorKind, Result};
use crate::kernel_file::Unpack;
use crate::seen::{FileId, file_id};
use crate::threads::in_pool;

/// The help for a chunk that cannot be read.
pub(crate) const DAMAGED_HELP: &str =
    "restore it from a copy or fetch it again; `btfgen hub verify` can delete it";

/// Whether a file's name, which need not be UTF-8, has the ending of a chunk.
pub fn is_chunk(path: &Path) -> bool {
    let path = path.as_os_str().as_encoded_bytes();
    path.ends_with(ENDING.as_bytes())
}

/// The place of a chunk: the distribution, its version and the architecture that all its kernels have.
///
/// ```
/// use btfgen_hub::ChunkPlace;
///
/// let place = ChunkPlace::of_path("ubuntu/20.04/x86_64.btfs").unwrap();
/// assert_eq!(place.to_string(), "ubuntu/20.04/x86_64.btfs");
/// assert_eq!(place.arch(), "x86_64");
/// assert!(ChunkPlace::of_path("x86_64.btfs").is_none());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkPlace {
    distro: String,
    version: String,
    arch: String,
}

impl ChunkPlace {
    /// The place of a chunk with this path below a hub: `ID/VERSION/ARCH.btfs`, with any name of the architecture. `None` for
    /// other paths.
    pub fn of_path(path: &str) -> Option<Self> {
        let stem = path.strip_suffix(ENDING)?;
        let id: KernelId = format!("{stem}/release").parse().ok()?;
        Some(Self::of(&id))
    }

    /// The place of the chunk for this kernel, with the hub's name of the architecture.
    pub fn of(kernel: &KernelId) -> Self {
        Self {
            distro: kernel.distro().to_owned(),
            version: kernel.version().to_owned(),
            arch: hub_arch(kernel.arch()).to_owned(),
        }
    }

    /// The distribution.
    pub fn distro(&self) -> &str {
        &self.distro
    }

    /// The distribution's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The architecture, as the hub spells it.
    pub fn arch(&self) -> &str {
        &self.arch
    }

    /// The kernel of this release; `None` if the release is not valid.
    pub fn kernel(&self, release: &str) -> Option<KernelId> {
        KernelId::new(&self.distro, &self.version, &self.arch, release).ok()
    }
}

/// The chunk's path below the hub.
impl std::fmt::Display for ChunkPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            distro,
            version,
            arch,
        } = self;
        write!(f, "{distro}/{version}/{arch}{ENDING}")
    }
}

/// An open chunk. The file stays open, so its kernels can still be read after another program has replaced it.
#[derive(Debug)]
pub struct ChunkFile {
    path: PathBuf,
    place: ChunkPlace,
    metadata: Metadata,
    entries: Vec<Entry>,
    file: File,
    recent: Arc<RecentChunks>,
}

/// The chunks of a hub that were read last. A chunk decodes what its kernels have in common only once, and keeps it: megabytes.
/// So a hub with hundreds of chunks keeps only those that its threads are reading.
#[derive(Debug, Default)]
pub(crate) struct RecentChunks(Mutex<VecDeque<(FileId, Arc<Chunk>)>>);

impl ChunkFile {
    /// Opens a chunk and reads its index.
    ///
    /// # Errors
    /// [`ErrorKind::Io`]; [`ErrorKind::InvalidKernel`] if it is damaged or not a chunk; [`ErrorKind::Unsupported`] for another
    /// version of the format; [`ErrorKind::Machine`].
    pub fn open(path: &Path, place: ChunkPlace) -> Result<Self> {
        Self::open_among(path, place, &Arc::default())
    }

    /// As [`ChunkFile::open`], for one of the chunks of a hub.
    pub(crate) fn open_among(
        path: &Path,
        place: ChunkPlace,
        recent: &Arc<RecentChunks>,
    ) -> Result<Self> {
        let unreadable = |e| Error::io(path, "cannot be read", e);
        let file = open_regular(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let again = file.try_clone().map_err(unreadable)?;
        let chunk = Chunk::open(again).map_err(|e| refused(path, None, e))?;
        Ok(Self {
            path: path.to_owned(),
            place,
            metadata,
            entries: chunk.entries().to_vec(),
            file,
            recent: Arc::clone(recent),
        })
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its place in the hub.
    pub fn place(&self) -> &ChunkPlace {
        &self.place
    }

    /// The size of the file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.metadata.len()
    }

    /// The state of the file when it was opened.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The kernels in it, sorted by the bytes of their releases.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The index of the kernel of this release.
    pub fn find(&self, release: &str) -> Option<usize> {
        let entries = self.entries();
        entries
            .binary_search_by(|entry| (*entry.release).cmp(release))
            .ok()
    }

    /// The digest of a kernel's BTF; `None` if the chunk has no kernel of this release.
    pub fn digest(&self, release: &str) -> Option<Digest> {
        Some(self.entries()[self.find(release)?].digest)
    }

    /// Reads a kernel's BTF, which may have at most `max_bytes`.
    ///
    /// # Errors
    /// Those of [`HubKernel::read`](crate::HubKernel::read).
    ///
    /// # Panics
    /// If [`ChunkFile::entries`] has no such index.
    pub fn read(&self, index: usize, max_bytes: u64) -> Result<Vec<u8>> {
        let release = &self.entries()[index].release;
        let chunk = self.recent.get(self)?;
        let btf = chunk.read(index, max_bytes).map_err(|e| match e.kind() {
            btfgen_chunk::ErrorKind::TooLarge => {
                let path = &self.path;
                within(release, Unpack { path, max_bytes }.too_large())
            }
            _ => refused(&self.path, Some(release), e),
        })?;
        if btf.is_empty() {
            let error = Error::new(
                ErrorKind::InvalidKernel,
                self.path.display(),
                "the BTF is empty",
            );
            return Err(within(release, error));
        }
        Ok(btf)
    }

    fn open_again(&self) -> Result<Chunk> {
        let unreadable = |e| Error::io(&self.path, "cannot be read", e);
        let file = self.file.try_clone().map_err(unreadable)?;
        let chunk = Chunk::open(file).map_err(|e| refused(&self.path, None, e))?;
        if chunk.entries() == self.entries {
            return Ok(chunk);
        }
        let message = "another program has written to it";
        let error = Error::new(ErrorKind::Io, self.path.display(), message);
        Err(error.with_help("run the command again"))
    }

    /// Reads all kernels, on all processors, and compares them with their digests.
    ///
    /// # Errors
    /// Those of [`ChunkFile::read`].
    pub fn check(&self, max_bytes: u64) -> Result<()> {
        in_pool(0, || {
            let kernels = (0..self.entries().len()).into_par_iter();
            kernels.try_for_each(|n| self.read(n, max_bytes).map(drop))
        })
    }

    /// The part of the file's size that a kernel accounts for, by the sizes of the BTFs. The parts of all kernels are the file.
    pub(crate) fn shares(&self) -> impl Iterator<Item = u64> {
        let sizes = self.entries().iter().map(|e| u128::from(e.btf_bytes));
        let total = sizes.clone().sum::<u128>().max(1);
        let file = u128::from(self.file_bytes());
        let mut before = 0;
        sizes.map(move |size| {
            let start = file * before / total;
            before += size;
            // Not more than the file's size, which has 64 bits.
            (file * before / total - start) as u64
        })
    }
}

impl RecentChunks {
    /// The chunk of a file, opened again if it was not read for long.
    fn get(&self, of: &ChunkFile) -> Result<Arc<Chunk>> {
        let id = file_id(&of.metadata);
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = recent.iter().position(|(known, _)| *known == id);
        let chunk = match known.and_then(|n| recent.remove(n)) {
            Some((_, chunk)) => chunk,
            None => Arc::new(of.open_again()?),
        };
        recent.push_back((id, Arc::clone(&chunk)));
        // Each thread reads the kernels of one chunk after the other. Asking rayon for its threads would start them.
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        while recent.len() > threads + 1 {
            recent.pop_front();
        }
        Ok(chunk)
    }
}

/// An error about one kernel of a chunk: its message names the release, because the subject is the chunk.
pub(crate) fn within(release: &str, error: Error) -> Error {
    let message = format!("{release}: {}", error.message());
    error.with_message(message)
}

/// The error for a chunk, or for a kernel of it, that cannot be read.
fn refused(path: &Path, release: Option<&str>, e: btfgen_chunk::Error) -> Error {
    let error = match e.kind() {
        _ if is_machine_fault(&e) => Error::io(path, "cannot be read", e),
        btfgen_chunk::ErrorKind::Io => Error::io(path, "cannot be read", e),
        btfgen_chunk::ErrorKind::Version => {
            let message = "is a chunk of kernels that a newer version has written";
            let error = Error::new(ErrorKind::Unsupported, path.display(), message);
            error.with_source(e).with_help("update btfgen")
        }
        btfgen_chunk::ErrorKind::NotChunk => {
            let error = Error::new(
                ErrorKind::InvalidKernel,
                path.display(),
                "is not a chunk of kernels",
            );
            error.with_source(e).with_help(DAMAGED_HELP)
        }
        _ => {
            let error = Error::new(
                ErrorKind::InvalidKernel,
                path.display(),
                "is damaged or truncated",
            );
            error.with_source(e).with_help(DAMAGED_HELP)
        }
    };
    match release {
        Some(release) => within(release, error),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use btfgen_chunk::Encoder;

    use super::*;

    /// Opens a new chunk whose only kernel has this text instead of a BTF.
    fn chunk(folder: &Path, name: &str, text: &str, recent: &Arc<RecentChunks>) -> ChunkFile {
        let mut encoder = Encoder::new();
        encoder.add("1", text.as_bytes()).unwrap();
        let path = folder.join(name);
        std::fs::write(&path, encoder.finish().unwrap()).unwrap();
        let place = ChunkPlace::of_path("a/1/x86_64.btfs").unwrap();
        ChunkFile::open_among(&path, place, recent).unwrap()
    }

    /// Check that any number of chunks can be read in any order, and that few of them stay decoded.
    #[test]
    fn few_stay_decoded() {
        let folder = tempfile::tempdir().unwrap();
        let recent = Arc::default();
        let threads = std::thread::available_parallelism().unwrap().get();
        let texts: Vec<String> = (0..3 * threads + 3).map(|n| n.to_string()).collect();
        let chunks: Vec<ChunkFile> = texts
            .iter()
            .map(|text| chunk(folder.path(), text, text, &recent))
            .collect();
        for _ in 0..2 {
            for (chunk, text) in chunks.iter().zip(&texts) {
                assert_eq!(chunk.read(0, 1000).unwrap(), text.as_bytes());
            }
        }
        assert_eq!(recent.0.lock().unwrap().len(), threads + 1);
    }

    /// Check that a chunk which another program replaces or removes can still be read, and that one which it writes to gives an
    /// error.
    #[test]
    fn replaced_while_open() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let open = |name, text| chunk(folder, name, text, &Arc::default());
        let old = open("chunk", "old");
        drop(open("other", "new"));
        std::fs::rename(folder.join("other"), folder.join("chunk")).unwrap();
        assert_eq!(old.read(0, 1000).unwrap(), b"old");
        std::fs::remove_file(folder.join("chunk")).unwrap();
        assert_eq!(old.read(0, 1000).unwrap(), b"old");
        let written = open("written", "old");
        drop(open("written", "new"));
        let error = written.read(0, 1000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
    }

    /// Check that the shares of the kernels are the whole file, also if the sizes do not divide it.
    #[test]
    fn shares_are_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let mut encoder = Encoder::new();
        for n in 1..8 {
            encoder.add(&n.to_string(), &vec![n; n.into()]).unwrap();
        }
        let path = folder.path().join("chunk");
        std::fs::write(&path, encoder.finish().unwrap()).unwrap();
        let place = ChunkPlace::of_path("a/1/x86_64.btfs").unwrap();
        let chunk = ChunkFile::open(&path, place).unwrap();
        assert_eq!(chunk.shares().sum::<u64>(), chunk.file_bytes());
    }
}
