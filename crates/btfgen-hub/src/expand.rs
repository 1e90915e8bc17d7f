//! Makes files of the kernels in a hub's chunks, for `btfgen hub expand`: the way back from [`Compact`](crate::Compact).

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use btfgen_archive::KernelId;
use rayon::prelude::*;
use serde::Serialize;

use crate::chunk_file::ChunkFile;
use crate::compact::{changed, sync};
use crate::error::{Error, ErrorKind, Result};
use crate::folder::MadeFolders;
use crate::hub::Hub;
use crate::hub_kernel::HubKernel;
use crate::kernel_file::{self, DEFAULT_MAX_BTF_BYTES, ENDINGS};
use crate::kernel_filter::KernelFilter;
use crate::lock::{LockedHub, OWN_FOLDER, Waiting};
use crate::progress::Progress;
use crate::record::{RECORD, Record, RecordedFile};
use crate::seen::is_as_seen;
use crate::tar_xz;
use crate::threads::in_pool;

/// Makes a file `RELEASE.btf.tar.xz`, as btfhub-archive has it, of each kernel in a hub's chunks.
///
/// ```no_run
/// let expanded = btfgen_hub::Expand::hub("btfhub").replace(true).run()?;
/// for chunk in &expanded.chunks {
///     println!("{}: {} new files", chunk.path.display(), chunk.written);
/// }
/// # Ok::<(), btfgen_hub::Error>(())
/// ```
#[derive(Default)]
pub struct Expand<'a> {
    hub: PathBuf,
    filter: KernelFilter,
    max_btf_bytes: Option<u64>,
    replace: bool,
    waiting: Option<&'a (dyn Fn(Waiting) + Sync)>,
    progress: Option<&'a dyn Progress>,
    cancel: Option<&'a AtomicBool>,
}

impl std::fmt::Debug for Expand<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expand")
            .field("hub", &self.hub)
            .finish_non_exhaustive()
    }
}

/// What [`Expand`] did.
#[derive(Debug)]
#[non_exhaustive]
pub struct Expanded {
    /// The chunks, in the order of their paths.
    pub chunks: Vec<ExpandedChunk>,
    /// Kernels that could not be made a file, and chunks that stay although they were to be removed, with the reason.
    pub left_out: Vec<Error>,
}

/// A chunk, after [`Expand`] made files of its kernels.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ExpandedChunk {
    /// The chunk's file.
    pub path: PathBuf,
    /// Number of kernels in the chunk.
    pub kernels: usize,
    /// Number of kernels that were made a file.
    pub written: usize,
    /// The sum of these files' sizes in bytes.
    pub file_bytes: u64,
    /// Whether the chunk was removed.
    pub removed: bool,
}

impl<'a> Expand<'a> {
    /// Expands the hub in this folder.
    pub fn hub(folder: impl Into<PathBuf>) -> Self {
        Self {
            hub: folder.into(),
            ..Self::default()
        }
    }

    /// Makes files only of kernels that pass the filter.
    #[must_use]
    pub fn filter(mut self, filter: KernelFilter) -> Self {
        self.filter = filter;
        self
    }

    /// The largest BTF to unpack, in bytes; [`DEFAULT_MAX_BTF_BYTES`] by default.
    #[must_use]
    pub fn max_btf_bytes(mut self, bytes: u64) -> Self {
        self.max_btf_bytes = Some(bytes);
        self
    }

    /// Whether to remove each chunk of which every kernel is a sound file now; off by default.
    #[must_use]
    pub fn replace(mut self, on: bool) -> Self {
        self.replace = on;
        self
    }

    /// Calls `callback` several times a second while another process keeps this one from changing the hub.
    #[must_use]
    pub fn waiting(mut self, callback: &'a (dyn Fn(Waiting) + Sync)) -> Self {
        self.waiting = Some(callback);
        self
    }

    /// Reports progress to `progress`.
    #[must_use]
    pub fn progress(mut self, progress: &'a dyn Progress) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Stops soon after the flag is set. The files that are complete stay.
    #[must_use]
    pub fn cancel(mut self, flag: &'a AtomicBool) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Does the work. Each file is read back and compared before it gets its name. Before a chunk is removed, this waits until
    /// nobody reads the hub. Drop every [`Hub`] of this hub before the call, because it counts as a reader.
    ///
    /// # Errors
    /// [`ErrorKind::EmptyHub`] if the hub is missing, [`ErrorKind::NoKernels`] if no kernel passes the filter,
    /// [`ErrorKind::Hub`] if the hub cannot be locked, [`ErrorKind::Io`], [`ErrorKind::Machine`], [`ErrorKind::Cancelled`].
    /// After an error, each kernel is in its chunk, or in a file, or in both.
    pub fn run(&self) -> Result<Expanded> {
        // Fails for a missing hub, which the lock would create.
        drop(self.open()?);
        let lock = LockedHub::lock(&self.hub, || self.wait(Waiting::Writer))?;
        let hub = self.open()?;
        let chunks = hub.chunks().to_vec();
        let kernels = hub.kernels().iter().filter(|k| k.chunk().is_none());
        let files: BTreeMap<KernelId, HubKernel> =
            kernels.map(|k| (k.id().clone(), k.clone())).collect();
        let mut hub = hub.filtered(&self.filter)?;
        let mut left_out = hub.take_rejected();
        let selected: Vec<HubKernel> = hub.kernels().to_vec();
        // Stop being a reader, because readers keep writers out.
        drop(hub);
        let of = |chunk: &Arc<ChunkFile>| -> Vec<&HubKernel> {
            let is_in = |k: &&HubKernel| k.chunk().is_some_and(|c| Arc::ptr_eq(c, chunk));
            selected.iter().filter(is_in).collect()
        };
        if let Some(progress) = self.progress {
            progress.start(chunks.iter().map(|chunk| of(chunk).len()).sum());
        }
        let mut expanded = Vec::new();
        for chunk in &chunks {
            let kernels = of(chunk);
            let mut result = self.write_all(&lock, chunk, &kernels, &mut left_out)?;
            if self.replace {
                result.removed = self.remove(&lock, chunk, &files, &mut left_out)?;
            }
            if result.removed || !kernels.is_empty() {
                expanded.push(result);
            }
        }
        Ok(Expanded {
            chunks: expanded,
            left_out,
        })
    }

    fn open(&self) -> Result<Hub> {
        Hub::open_waiting(&[&self.hub], || self.go_on())
    }

    fn wait(&self, for_whom: Waiting) -> Result<()> {
        if let Some(callback) = self.waiting {
            callback(for_whom);
        }
        self.go_on()
    }

    fn is_cancelled(&self) -> bool {
        self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// Fails if the caller has asked to stop.
    fn go_on(&self) -> Result<()> {
        match self.is_cancelled() {
            true => Err(Error::cancelled("expand")),
            false => Ok(()),
        }
    }

    fn limit(&self) -> u64 {
        self.max_btf_bytes.unwrap_or(DEFAULT_MAX_BTF_BYTES)
    }

    /// Makes files of a chunk's kernels.
    fn write_all(
        &self,
        lock: &LockedHub,
        chunk: &ChunkFile,
        kernels: &[&HubKernel],
        left_out: &mut Vec<Error>,
    ) -> Result<ExpandedChunk> {
        let mut result = ExpandedChunk {
            path: chunk.path().to_owned(),
            kernels: chunk.entries().len(),
            written: 0,
            file_bytes: 0,
            removed: false,
        };
        if kernels.is_empty() {
            return Ok(result);
        }
        let folder = files_of(chunk);
        let _made = MadeFolders::make(&folder)?;
        let written: Vec<(&HubKernel, Result<Metadata>)> = in_pool(0, || {
            let kernels = kernels.par_iter();
            kernels
                .map(|k| (*k, self.write(lock, &folder, k)))
                .collect()
        });
        let mut made = Vec::new();
        for (kernel, written) in written {
            match written {
                Ok(file) => {
                    result.written += 1;
                    result.file_bytes += file.len();
                    made.push((kernel, file));
                }
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::InvalidKernel | ErrorKind::TooLarge | ErrorKind::Exists
                    ) =>
                {
                    left_out.push(e.with_kernel(kernel.id()));
                }
                Err(e) => return Err(e),
            }
        }
        note(lock, &made)?;
        Ok(result)
    }

    /// Makes a kernel's file, and returns its state.
    fn write(&self, lock: &LockedHub, folder: &Path, kernel: &HubKernel) -> Result<Metadata> {
        self.go_on()?;
        let release = kernel.id().release();
        let target = folder.join(format!("{release}{}", ENDINGS[0]));
        let written = self.write_to(lock, &target, kernel, release);
        if let Some(progress) = self.progress {
            progress.kernel(kernel.id(), written.as_ref().err());
        }
        written
    }

    fn write_to(
        &self,
        lock: &LockedHub,
        target: &Path,
        kernel: &HubKernel,
        release: &str,
    ) -> Result<Metadata> {
        let btf = kernel.read(self.limit())?;
        let failed = |e: io::Error| match e.kind() {
            _ if self.is_cancelled() => Error::cancelled("expand"),
            io::ErrorKind::AlreadyExists => changed(target),
            _ => Error::io(target, "cannot be written", e),
        };
        // The next writer of any kind removes what a killed one left here. The ending says how to read the file.
        let own = lock.root().join(OWN_FOLDER);
        let file = tar_xz::write(&own, release, &btf, &|| self.is_cancelled()).map_err(failed)?;
        let back = kernel_file::read_as(ENDINGS[0], file.path(), self.limit())?;
        if back.btf != btf {
            let message = "the file that was written differs from the chunk";
            return Err(Error::new(ErrorKind::Machine, target.display(), message));
        }
        let metadata = file.path().symlink_metadata().map_err(failed)?;
        file.persist_new(target).map_err(failed)?;
        Ok(metadata)
    }

    /// Removes a chunk of which every kernel is a sound file. Returns whether it was removed.
    fn remove(
        &self,
        lock: &LockedHub,
        chunk: &ChunkFile,
        files: &BTreeMap<KernelId, HubKernel>,
        left_out: &mut Vec<Error>,
    ) -> Result<bool> {
        let folder = files_of(chunk);
        let lacks: Vec<Result<Option<String>>> = in_pool(0, || {
            let entries = chunk.entries().par_iter();
            entries
                .map(|entry| {
                    self.go_on()?;
                    let is_file = self.is_sound_file(chunk, &folder, &entry.release, files)?;
                    Ok((!is_file).then(|| entry.release.clone()))
                })
                .collect()
        });
        let lacks: Vec<Option<String>> = lacks.into_iter().collect::<Result<_>>()?;
        let lacks: Vec<String> = lacks.into_iter().flatten().collect();
        if let Some(first) = lacks.first() {
            let more = match lacks.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let message =
                format!("stays, because it has kernels without a sound file: {first}{more}");
            left_out.push(Error::new(
                ErrorKind::Exists,
                chunk.path().display(),
                message,
            ));
            return Ok(false);
        }
        let path = chunk.path();
        let failed = |e| Error::io(path, "cannot be removed", e);
        let _alone = lock.exclude_readers(|| self.wait(Waiting::Readers))?;
        // The files must be on the disk under their names before the chunk goes.
        if folder.is_dir() {
            sync(&folder).map_err(failed)?;
        }
        if !is_as_seen(path, Some(chunk.metadata())).map_err(failed)? {
            left_out.push(changed(path));
            return Ok(false);
        }
        std::fs::remove_file(path).map_err(failed)?;
        Ok(true)
    }

    /// Whether a kernel of a chunk has a file that can be used instead of it.
    fn is_sound_file(
        &self,
        chunk: &ChunkFile,
        folder: &Path,
        release: &str,
        files: &BTreeMap<KernelId, HubKernel>,
    ) -> Result<bool> {
        let Some(id) = chunk.place().kernel(release) else {
            return Ok(false);
        };
        let sound = match files.get(&id) {
            // A file wins, so its BTF may be another one.
            Some(file) => file.read_verified(self.limit()).map(|_| true),
            None => {
                let path = folder.join(format!("{release}{}", ENDINGS[0]));
                let read = kernel_file::read(&path, self.limit());
                let digest = chunk.digest(release);
                read.map(|read| Some(btfgen_chunk::Digest::of(&read.btf)) == digest)
            }
        };
        match sound {
            Err(e) if e.kind() == ErrorKind::Machine => Err(e),
            sound => Ok(sound.unwrap_or(false)),
        }
    }
}

/// Notes in the record that files which a chunk had instead are there again, so that a fetch does not take them for the user's.
fn note(lock: &LockedHub, made: &[(&HubKernel, Metadata)]) -> Result<()> {
    let path = lock.own(RECORD);
    let mut record = Record::read(&path)?;
    let mut is_changed = false;
    for (kernel, metadata) in made {
        let place = format!("{}{}", kernel.id(), ENDINGS[0]);
        if let (Some(file), Some(digest)) = (record.file_mut(&place), kernel.chunk_digest())
            && file.is_compacted(digest)
        {
            *file = RecordedFile::new(file.blob.clone(), metadata);
            is_changed = true;
        }
    }
    match is_changed {
        true => record.write(&path),
        false => Ok(()),
    }
}

/// The folder of the files of a chunk's kernels.
fn files_of(chunk: &ChunkFile) -> PathBuf {
    chunk.path().with_file_name(chunk.place().arch())
}
