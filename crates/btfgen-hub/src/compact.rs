//! Puts the kernels of a hub into chunks, for `btfgen hub compact`.
//!
//! For each distribution, version and architecture:
//!
//! 1. Read the kernels' files, and compare them with the chunk, if there is one.
//! 2. Write a chunk under a temporary name, read it back, and compare each kernel with its source, byte for byte.
//! 3. Rename it, and then remove the files that are in it, if the caller wants that. Readers are kept out meanwhile.
//!
//! A run that ends at any moment loses no kernel: a kernel is in its file until it is in the chunk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, Metadata};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use btfgen_chunk::{Digest, Encoder};
use btfgen_files::{TempFile, is_machine_fault};
use rayon::prelude::*;
use serde::Serialize;

use crate::arch::other_ids;
use crate::chunk_file::{ChunkFile, ChunkPlace};
use crate::error::{Error, ErrorKind, Result};
use crate::hub::Hub;
use crate::hub_kernel::HubKernel;
use crate::kernel_file::DEFAULT_MAX_BTF_BYTES;
use crate::kernel_filter::KernelFilter;
use crate::lock::{LockedHub, OWN_FOLDER, Waiting};
use crate::progress::Progress;
use crate::record::{RECORD, Record};
use crate::seen::{is_as_seen, look};
use crate::threads::in_pool;

/// Puts the kernels of each distribution, version and architecture of a hub into one small file.
///
/// ```no_run
/// let compacted = btfgen_hub::Compact::hub("btfhub").replace(true).run()?;
/// for chunk in &compacted.chunks {
///     println!("{}: {} kernels", chunk.path.display(), chunk.kernels);
/// }
/// # Ok::<(), btfgen_hub::Error>(())
/// ```
#[derive(Default)]
pub struct Compact<'a> {
    hub: PathBuf,
    filter: KernelFilter,
    max_btf_bytes: Option<u64>,
    replace: bool,
    dry_run: bool,
    waiting: Option<&'a (dyn Fn(Waiting) + Sync)>,
    progress: Option<&'a dyn Progress>,
    cancel: Option<&'a AtomicBool>,
}

impl std::fmt::Debug for Compact<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compact")
            .field("hub", &self.hub)
            .finish_non_exhaustive()
    }
}

/// What [`Compact`] did.
#[derive(Debug)]
#[non_exhaustive]
pub struct Compacted {
    /// The chunks of the selected kernels, in the order of their places.
    pub chunks: Vec<CompactedChunk>,
    /// Files that were not put into a chunk, or were not removed, with the reason. They stay.
    pub left_out: Vec<Error>,
}

/// A chunk, after [`Compact`] looked at the kernels for it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CompactedChunk {
    /// The chunk's file.
    pub path: PathBuf,
    /// What was done.
    pub change: ChunkChange,
    /// Number of kernels in the chunk.
    pub kernels: usize,
    /// Number of kernels that the chunk did not have.
    pub added: usize,
    /// Number of kernels of which the chunk had another BTF.
    pub updated: usize,
    /// The size of the chunk in bytes; `None` if it would first be written, with [`Compact::dry_run`].
    pub bytes: Option<u64>,
    /// Number of files whose BTFs are in the chunk.
    pub files: usize,
    /// The sum of these files' sizes in bytes.
    pub file_bytes: u64,
    /// Number of these files that were removed.
    pub removed: usize,
}

/// How a chunk changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ChunkChange {
    /// There was no chunk.
    New,
    /// The chunk was written again, with new or other kernels.
    Updated,
    /// The chunk has all kernels, and was not written.
    Unchanged,
}

/// The kernels' files of one place, and the chunk that is there.
struct Group {
    place: ChunkPlace,
    /// The chunk's file, which may be missing.
    target: PathBuf,
    chunk: Option<Arc<ChunkFile>>,
    kernels: Vec<HubKernel>,
}

/// A file whose BTF is to be in the chunk.
struct Source {
    kernel: HubKernel,
    seen: Metadata,
    digest: Digest,
}

impl<'a> Compact<'a> {
    /// Compacts the hub in this folder.
    pub fn hub(folder: impl Into<PathBuf>) -> Self {
        Self {
            hub: folder.into(),
            ..Self::default()
        }
    }

    /// Puts only kernels into chunks that pass the filter. Kernels that are already in a chunk stay there.
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

    /// Whether to remove the files whose BTFs are in a chunk; off by default. A file stays if it has changed since it was read,
    /// or if the kernel has a second file, which readers would then take.
    #[must_use]
    pub fn replace(mut self, on: bool) -> Self {
        self.replace = on;
        self
    }

    /// Whether to write and remove nothing, and only say what would be done.
    #[must_use]
    pub fn dry_run(mut self, on: bool) -> Self {
        self.dry_run = on;
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

    /// Stops soon after the flag is set. The chunks that are complete stay.
    #[must_use]
    pub fn cancel(mut self, flag: &'a AtomicBool) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Does the work, one chunk after the other. Before a chunk gets its name, this waits until nobody reads the hub. Drop every
    /// [`Hub`] of this hub before the call, because it counts as a reader.
    ///
    /// # Errors
    /// [`ErrorKind::EmptyHub`] if the hub is missing, [`ErrorKind::NoKernels`] if no kernel passes the filter,
    /// [`ErrorKind::Hub`] if the hub cannot be locked, [`ErrorKind::Io`], [`ErrorKind::Machine`], [`ErrorKind::Cancelled`].
    /// After an error, each kernel is in its file, or in a chunk, or in both.
    pub fn run(&self) -> Result<Compacted> {
        // Fails for a missing hub, which the lock would create.
        drop(self.open()?);
        let lock = match self.dry_run {
            true => None,
            false => Some(LockedHub::lock(&self.hub, || self.wait(Waiting::Writer))?),
        };
        let mut hub = self.open()?.filtered(&self.filter)?;
        let mut left_out = hub.take_rejected();
        let groups = groups(&hub);
        // Stop being a reader, because readers keep writers out.
        drop(hub);
        if let Some(progress) = self.progress {
            progress.start(groups.iter().map(|g| g.kernels.len()).sum());
        }
        let mut chunks = Vec::new();
        in_pool(0, || {
            for group in &groups {
                match self.compact(lock.as_ref(), group, &mut left_out) {
                    Ok(chunk) => chunks.extend(chunk),
                    Err(e) if is_about_this(&e) => left_out.push(e),
                    Err(e) => return Err(e),
                }
            }
            Ok(())
        })?;
        Ok(Compacted { chunks, left_out })
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

    /// Fails if the caller has asked to stop.
    fn go_on(&self) -> Result<()> {
        if self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(Error::cancelled("compact"));
        }
        Ok(())
    }

    fn limit(&self) -> u64 {
        self.max_btf_bytes.unwrap_or(DEFAULT_MAX_BTF_BYTES)
    }

    /// Makes or updates one chunk. `None` if no file is in it.
    fn compact(
        &self,
        lock: Option<&LockedHub>,
        group: &Group,
        left_out: &mut Vec<Error>,
    ) -> Result<Option<CompactedChunk>> {
        let target = &group.target;
        let unreadable = |e| Error::io(target, "cannot be read", e);
        if group.chunk.is_none() && look(target).map_err(unreadable)?.is_some() {
            let message = "is in the place of a chunk and cannot be used, so the kernels of this place stay files";
            left_out.push(Error::new(ErrorKind::Exists, target.display(), message));
            return Ok(None);
        }
        let mut encoder = Encoder::new();
        let makes_new = group.chunk.is_none() && lock.is_some();
        let first = makes_new.then_some(&mut encoder);
        let sources = self.read_files(group, &group.kernels, first, self.progress, left_out)?;
        if sources.is_empty() {
            return Ok(None);
        }
        let mut result = self.comparison(group, &sources);
        let Some(lock) = lock else {
            return Ok(Some(result));
        };
        let written = match result.change {
            ChunkChange::Unchanged => None,
            ChunkChange::New => Some(self.write(lock, group, &sources, encoder)?),
            ChunkChange::Updated => {
                self.encode_again(group, &sources, &mut encoder)?;
                Some(self.write(lock, group, &sources, encoder)?)
            }
        };
        if let (None, true, Some(chunk)) = (&written, self.replace, &group.chunk) {
            self.compare(chunk, group, &sources)?;
        }
        if written.is_some() || self.replace {
            self.change_names(lock, group, &sources, written, &mut result, left_out)?;
        }
        Ok(Some(result))
    }

    /// Reads files, in parallel and so many at once as there are threads, and adds their BTFs to the encoder. Broken ones are
    /// left out.
    fn read_files(
        &self,
        group: &Group,
        kernels: &[HubKernel],
        mut encoder: Option<&mut Encoder>,
        progress: Option<&dyn Progress>,
        left_out: &mut Vec<Error>,
    ) -> Result<Vec<Source>> {
        let mut sources = Vec::new();
        for batch in kernels.chunks(rayon::current_num_threads()) {
            let read: Vec<Result<(Source, Vec<u8>)>> =
                batch.par_iter().map(|k| self.read_file(k)).collect();
            for (kernel, read) in batch.iter().zip(read) {
                if let Some(progress) = progress {
                    progress.kernel(kernel.id(), read.as_ref().err());
                }
                match read {
                    Ok((source, btf)) => {
                        if let Some(encoder) = &mut encoder {
                            add(encoder, group, kernel.id().release(), &btf)?;
                        }
                        sources.push(source);
                    }
                    Err(e) if matches!(e.kind(), ErrorKind::Machine | ErrorKind::Cancelled) => {
                        return Err(e);
                    }
                    Err(e) => left_out.push(e.with_kernel(kernel.id())),
                }
            }
        }
        Ok(sources)
    }

    fn read_file(&self, kernel: &HubKernel) -> Result<(Source, Vec<u8>)> {
        self.go_on()?;
        let path = kernel.path();
        let seen = path.symlink_metadata();
        let seen = seen.map_err(|e| Error::io(path, "cannot be read", e))?;
        let btf = kernel.read_verified(self.limit())?;
        let source = Source {
            kernel: kernel.clone(),
            seen,
            digest: Digest::of(&btf),
        };
        Ok((source, btf))
    }

    /// What the chunk has of the files.
    fn comparison(&self, group: &Group, sources: &[Source]) -> CompactedChunk {
        let digest = |s: &Source| {
            let chunk = group.chunk.as_ref()?;
            chunk.digest(s.kernel.id().release())
        };
        let added = sources.iter().filter(|s| digest(s).is_none()).count();
        let has_other = |s: &&Source| digest(s).is_some_and(|there| there != s.digest);
        let updated = sources.iter().filter(has_other).count();
        let change = match (&group.chunk, added + updated) {
            (None, _) => ChunkChange::New,
            (Some(_), 0) => ChunkChange::Unchanged,
            (Some(_), _) => ChunkChange::Updated,
        };
        let chunk = group.chunk.as_ref();
        CompactedChunk {
            path: group.target.clone(),
            change,
            kernels: chunk.map_or(0, |c| c.entries().len()) + added,
            added,
            updated,
            bytes: chunk
                .filter(|_| change == ChunkChange::Unchanged)
                .map(|c| c.file_bytes()),
            files: sources.len(),
            file_bytes: sources.iter().map(|s| s.kernel.file_bytes()).sum(),
            removed: 0,
        }
    }

    /// Adds the files and the chunk's other kernels to the encoder.
    fn encode_again(&self, group: &Group, sources: &[Source], encoder: &mut Encoder) -> Result<()> {
        let kernels: Vec<HubKernel> = sources.iter().map(|s| s.kernel.clone()).collect();
        let mut broken = Vec::new();
        self.read_files(group, &kernels, Some(encoder), None, &mut broken)?;
        if let Some(e) = broken.into_iter().next() {
            // It was sound a moment ago.
            return Err(e);
        }
        let Some(chunk) = &group.chunk else {
            return Ok(());
        };
        let files = releases(sources);
        for (n, entry) in chunk.entries().iter().enumerate() {
            self.go_on()?;
            if !files.contains_key(&*entry.release) {
                add(
                    encoder,
                    group,
                    &entry.release,
                    &chunk.read(n, self.limit())?,
                )?;
            }
        }
        Ok(())
    }

    /// Writes a chunk under a temporary name, reads it back, and compares it with its sources.
    fn write(
        &self,
        lock: &LockedHub,
        group: &Group,
        sources: &[Source],
        encoder: Encoder,
    ) -> Result<(TempFile, u64)> {
        self.go_on()?;
        let bytes = encoder.finish().map_err(|e| refused(group, e))?;
        let failed = |e| Error::io(&group.target, "cannot be written", e);
        // The next writer of any kind removes what a killed one left here.
        let mut file = TempFile::create_in(&lock.root().join(OWN_FOLDER)).map_err(failed)?;
        file.as_file_mut().write_all(&bytes).map_err(failed)?;
        file.sync().map_err(failed)?;
        let len = bytes.len() as u64;
        drop(bytes);
        let written = ChunkFile::open(file.path(), group.place.clone());
        let written = written.map_err(|e| match e.kind() {
            ErrorKind::InvalidKernel => differs(group, "it is damaged").with_source(e),
            _ => e,
        })?;
        self.compare(&written, group, sources)?;
        Ok((file, len))
    }

    /// Compares the kernels of a chunk with the files, and with the older chunk for the others, byte for byte.
    fn compare(&self, chunk: &ChunkFile, group: &Group, sources: &[Source]) -> Result<()> {
        let files = releases(sources);
        let entries = chunk.entries();
        let all = entries.len() >= files.len();
        let found = entries.iter().filter(|e| files.contains_key(&*e.release));
        if !all || found.count() != files.len() {
            return Err(differs(group, "it lacks a kernel"));
        }
        entries.par_iter().enumerate().try_for_each(|(n, entry)| {
            self.go_on()?;
            let release = &entry.release;
            let original = match (files.get(&**release), &group.chunk) {
                (Some(source), _) => source.kernel.read(self.limit())?,
                // Not compared with itself.
                (None, Some(older)) if !std::ptr::eq(&**older, chunk) => {
                    let place = older.find(release);
                    let place = place.ok_or_else(|| differs(group, release))?;
                    older.read(place, self.limit())?
                }
                (None, Some(_)) => return Ok(()),
                (None, None) => return Err(differs(group, release)),
            };
            if chunk.read(n, self.limit())? == original {
                return Ok(());
            }
            match files.get(&**release) {
                Some(source) if !source.is_as_seen() => Err(changed(source.kernel.path())),
                _ => Err(differs(group, release)),
            }
        })
    }

    /// Gives the chunk its name, and removes the files that are in it.
    fn change_names(
        &self,
        lock: &LockedHub,
        group: &Group,
        sources: &[Source],
        written: Option<(TempFile, u64)>,
        result: &mut CompactedChunk,
        left_out: &mut Vec<Error>,
    ) -> Result<()> {
        let target = &group.target;
        let failed = |e| Error::io(target, "cannot be written", e);
        let _alone = lock.exclude_readers(|| self.wait(Waiting::Readers))?;
        let seen = group.chunk.as_ref().map(|chunk| chunk.metadata());
        // Only btfgen's commands respect the lock.
        if !is_as_seen(target, seen).map_err(failed)? {
            return Err(changed(target));
        }
        if let Some((file, len)) = written {
            match seen {
                Some(_) => file.persist(target),
                None => file.persist_new(target),
            }
            .map_err(failed)?;
            result.bytes = Some(len);
        }
        if !self.replace {
            return Ok(());
        }
        // The chunk must be on the disk under its name before its kernels' files go.
        if let Some(folder) = target.parent() {
            sync(folder).map_err(failed)?;
        }
        self.note(lock, sources)?;
        for source in sources {
            let path = source.kernel.path();
            let failed = |e| Error::io(path, "cannot be removed", e);
            if group.has_second_form(source).map_err(failed)? {
                let message = "stays, because the kernel has another file, too";
                let error = Error::new(ErrorKind::Exists, path.display(), message);
                left_out.push(error.with_kernel(source.kernel.id()));
            } else if is_as_seen(path, Some(&source.seen)).map_err(failed)? {
                std::fs::remove_file(path).map_err(failed)?;
                result.removed += 1;
            } else {
                left_out.push(changed(path).with_kernel(source.kernel.id()));
            }
        }
        let folders = sources.iter().filter_map(|s| s.kernel.path().parent());
        for folder in folders.collect::<BTreeSet<_>>() {
            // Succeeds only if the folder is empty now.
            let _ = std::fs::remove_dir(folder);
        }
        Ok(())
    }

    /// Notes in the record which fetched files a chunk has instead, so that the next fetch does not bring them again.
    fn note(&self, lock: &LockedHub, sources: &[Source]) -> Result<()> {
        let path = lock.own(RECORD);
        let mut record = Record::read(&path)?;
        let mut is_changed = false;
        for source in sources {
            let kernel = source.kernel.path();
            let inside = crate::kernel_file::ENDINGS
                .map(|ending| format!("{}{ending}", source.kernel.id()))
                .into_iter()
                .find(|inside| kernel.ends_with(inside));
            if let Some(file) = inside.and_then(|inside| record.file_mut(&inside))
                && file.is_unchanged(&source.seen)
            {
                file.set_compacted(source.digest);
                is_changed = true;
            }
        }
        match is_changed {
            true => record.write(&path),
            false => Ok(()),
        }
    }
}

/// The files of each place that has files, and its chunk.
fn groups(hub: &Hub) -> Vec<Group> {
    let mut groups: BTreeMap<ChunkPlace, Group> = BTreeMap::new();
    for kernel in hub.kernels().iter().filter(|k| k.chunk().is_none()) {
        let place = ChunkPlace::of(kernel.id());
        let group = groups.entry(place.clone()).or_insert_with(|| {
            let mut chunks = hub.chunks().iter();
            let chunk = chunks.find(|chunk| *chunk.place() == place).cloned();
            let folder = kernel.path().parent().unwrap_or(Path::new(""));
            // The folder may have another name of the architecture.
            let new = || folder.with_file_name(format!("{}{}", place.arch(), btfgen_chunk::ENDING));
            let target = chunk.as_ref().map_or_else(new, |c| c.path().to_owned());
            Group {
                chunk,
                target,
                place,
                kernels: Vec::new(),
            }
        });
        group.kernels.push(kernel.clone());
    }
    groups.into_values().collect()
}

impl Group {
    /// Whether a kernel has another file than this one, also under another name of the architecture.
    fn has_second_form(&self, source: &Source) -> std::io::Result<bool> {
        let kernel = source.kernel.id();
        for id in std::iter::once(kernel.clone()).chain(other_ids(kernel)) {
            let folder = self.target.with_file_name(id.arch());
            for ending in crate::kernel_file::ENDINGS {
                let other = folder.join(format!("{}{ending}", id.release()));
                if other != source.kernel.path() && look(&other)?.is_some() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl Source {
    fn is_as_seen(&self) -> bool {
        is_as_seen(self.kernel.path(), Some(&self.seen)).unwrap_or(false)
    }
}

fn releases(sources: &[Source]) -> BTreeMap<&str, &Source> {
    let named = sources.iter().map(|s| (s.kernel.id().release(), s));
    named.collect()
}

/// Whether an error is about the kernels of one place, so that the work can go on with the next one.
fn is_about_this(e: &Error) -> bool {
    matches!(
        e.kind(),
        ErrorKind::InvalidKernel
            | ErrorKind::OtherForm
            | ErrorKind::Unsupported
            | ErrorKind::TooLarge
            | ErrorKind::Exists
    )
}

fn add(encoder: &mut Encoder, group: &Group, release: &str, btf: &[u8]) -> Result<()> {
    encoder.add(release, btf).map_err(|e| refused(group, e))
}

/// An error of the encoder.
fn refused(group: &Group, e: btfgen_chunk::Error) -> Error {
    if is_machine_fault(&e) {
        return Error::io(&group.target, "cannot be made", e);
    }
    let kind = match e.kind() {
        btfgen_chunk::ErrorKind::TooLarge => ErrorKind::TooLarge,
        _ => ErrorKind::OtherForm,
    };
    Error::new(kind, group.target.display(), "cannot be made").with_source(e)
}

/// The error if a chunk that was read back is not what was written.
fn differs(group: &Group, release: &str) -> Error {
    let message = format!("the chunk that was written differs from its sources: {release}");
    Error::new(ErrorKind::Machine, group.target.display(), message)
}

pub(crate) fn changed(path: &Path) -> Error {
    Error::new(
        ErrorKind::Exists,
        path.display(),
        "another program changed this file meanwhile",
    )
    .with_help("nothing was lost; run the command again")
}

/// Waits until a folder's names are on the disk.
pub(crate) fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}
