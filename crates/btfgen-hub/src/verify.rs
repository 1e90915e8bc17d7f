//! Checks the files of a hub, for `btfgen hub verify`.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;

use crate::build_id;
use crate::chunk_file::ChunkFile;
use crate::error::{Error, ErrorKind, Result};
use crate::hub::Hub;
use crate::hub_kernel::HubKernel;
use crate::kernel_file::{DEFAULT_MAX_BTF_BYTES, ENDINGS, read_kernel};
use crate::kernel_filter::KernelFilter;
use crate::lock::{LockedHub, OWN_FOLDER, Waiting};
use crate::progress::Progress;
use crate::record::{RECORD, Record};
use crate::seen::is_as_seen;
use crate::threads::in_pool;

/// Reads and checks every kernel of a hub, and its modules.
///
/// ```no_run
/// let verified = btfgen_hub::Verify::hub("btfhub").run()?;
/// for broken in &verified.broken {
///     eprintln!("{}", broken.error);
/// }
/// # Ok::<(), btfgen_hub::Error>(())
/// ```
#[derive(Default)]
pub struct Verify<'a> {
    hub: PathBuf,
    filter: KernelFilter,
    max_btf_bytes: Option<u64>,
    delete: bool,
    dry_run: bool,
    waiting: Option<&'a (dyn Fn(Waiting) + Sync)>,
    progress: Option<&'a dyn Progress>,
    cancel: Option<&'a AtomicBool>,
}

impl std::fmt::Debug for Verify<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verify")
            .field("hub", &self.hub)
            .finish_non_exhaustive()
    }
}

/// The result of a check.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verified {
    /// Number of sound kernels.
    pub sound: usize,
    /// The broken files, in the order of their paths.
    pub broken: Vec<Broken>,
}

/// A file that is not a kernel's BTF, or is under the name of another kernel.
#[derive(Debug)]
#[non_exhaustive]
pub struct Broken {
    /// What is wrong with the file. The error's subject is the file.
    pub error: Error,
    /// What happens to the file.
    pub fate: Fate,
}

/// What happens to a broken file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// The file is never deleted: it may be sound, or the user put it there.
    Stays,
    /// The file has the right name and is damaged, or a fetch brought it: [`Verify::delete`] deletes it.
    Deletable,
    /// The file was deleted.
    Deleted,
}

/// A kernel that failed the check, and the state of its file when it was read.
struct Failed {
    error: Error,
    kernel: HubKernel,
    /// The kernel's modules file, if that is broken and the kernel is sound.
    modules: Option<PathBuf>,
    seen: Option<Metadata>,
}

/// A file that can be deleted, and its state when it was read.
struct Deletable {
    error: Error,
    path: PathBuf,
    seen: Option<Metadata>,
}

impl<'a> Verify<'a> {
    /// Checks the hub in this folder.
    pub fn hub(folder: impl Into<PathBuf>) -> Self {
        Self {
            hub: folder.into(),
            ..Self::default()
        }
    }

    /// Checks only kernels that pass the filter. Files that only look like kernels are always reported.
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

    /// Whether to delete files that are [`Fate::Deletable`]. A chunk is deletable only if no kernel in it is sound. Files stay that cannot be read, are too large, are newer than this
    /// libbpf, or that the user put under another kernel's name.
    #[must_use]
    pub fn delete(mut self, on: bool) -> Self {
        self.delete = on;
        self
    }

    /// Whether to delete nothing even with [`Verify::delete`]: [`Fate::Deletable`] marks the files that would be deleted.
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

    /// Stops soon after the flag is set.
    #[must_use]
    pub fn cancel(mut self, flag: &'a AtomicBool) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Runs the check on all processors. Before it deletes files, it waits until no other process changes or reads the hub. Drop
    /// every [`Hub`] of this hub before the call, because it counts as a reader.
    ///
    /// # Errors
    /// [`ErrorKind::EmptyHub`] if the hub is missing, [`ErrorKind::NoKernels`] if no kernel passes the filter;
    /// [`ErrorKind::Hub`] if the hub cannot be locked, or if files would be deleted from a folder that is not known to be a hub:
    /// btfgen has never written to it, and no kernel in it is sound; [`ErrorKind::Io`] if a broken file cannot be deleted,
    /// [`ErrorKind::Machine`], [`ErrorKind::Cancelled`].
    pub fn run(&self) -> Result<Verified> {
        let was_written = self.hub.join(OWN_FOLDER).is_dir();
        // Fails for a missing hub, which the lock would create.
        drop(self.open()?);
        let lock = if self.delete && !self.dry_run {
            Some(LockedHub::lock(&self.hub, || self.wait(Waiting::Writer))?)
        } else {
            None
        };
        let mut hub = self.open()?.filtered(&self.filter)?;
        let record = Record::read(&self.hub.join(OWN_FOLDER).join(RECORD))?;
        let failed = self.check_all(&hub)?;
        let broken_kernels = failed.iter().filter(|failed| failed.modules.is_none());
        let sound = hub.kernels().len() - broken_kernels.count();
        let bad_ids = build_id::check_all(&hub)?;
        let damaged_chunks = hub.damaged_chunks().to_vec();
        let rejected = hub.take_rejected();
        // Stop being a reader, because readers keep writers out.
        drop(hub);

        let (mut broken, mut deletable) = self.fates(failed, &record)?;
        broken.extend(bad_ids.into_iter().map(Broken::stays));
        for error in rejected {
            let is_its =
                |(path, _): &&(PathBuf, Metadata)| path.display().to_string() == error.subject();
            match damaged_chunks.iter().find(is_its) {
                Some((path, seen)) => deletable.push(Deletable {
                    error,
                    path: path.clone(),
                    seen: Some(seen.clone()),
                }),
                None => broken.push(Broken::stays(error)),
            }
        }
        let is_hub = was_written || sound > 0;
        if self.delete && !deletable.is_empty() && !is_hub && !self.has_sound_kernel()? {
            return Err(Error::new(
                ErrorKind::Hub,
                self.hub.display(),
                "is probably not a hub: no kernel in it is sound, and btfgen has never written to it",
            )
            .with_help("nothing was deleted; name the hub with --hub"));
        }
        let _alone = match &lock {
            Some(lock) if !deletable.is_empty() => {
                Some(lock.exclude_readers(|| self.wait(Waiting::Readers))?)
            }
            _ => None,
        };
        for file in deletable {
            let fate = if lock.is_some() {
                file.delete()?
            } else {
                Fate::Deletable
            };
            let error = file.error;
            broken.push(Broken { error, fate });
        }
        broken.sort_by(|a, b| a.error.subject().cmp(b.error.subject()));
        Ok(Verified { sound, broken })
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
            return Err(Error::cancelled("verify"));
        }
        Ok(())
    }

    fn limit(&self) -> u64 {
        self.max_btf_bytes.unwrap_or(DEFAULT_MAX_BTF_BYTES)
    }

    /// Whether any kernel of the hub is sound, regardless of the filter.
    fn has_sound_kernel(&self) -> Result<bool> {
        let hub = self.open()?;
        let mut kernels = hub.kernels().iter();
        Ok(kernels.any(|kernel| kernel.verify(self.limit()).is_ok()))
    }

    /// Which of the files with broken kernels stay, and which can be deleted. All kernels of a chunk are one file.
    fn fates(&self, failed: Vec<Failed>, record: &Record) -> Result<(Vec<Broken>, Vec<Deletable>)> {
        let (mut broken, mut deletable) = (Vec::new(), Vec::new());
        let (in_chunks, in_files): (Vec<_>, Vec<_>) = failed
            .into_iter()
            .partition(|failed| failed.kernel.chunk().is_some() && failed.modules.is_none());
        for failed in in_files {
            match failed.is_deletable(record) {
                true => deletable.push(Deletable {
                    path: failed.path().to_owned(),
                    error: failed.error,
                    seen: failed.seen,
                }),
                false => broken.push(Broken::stays(failed.error)),
            }
        }
        for (chunk, failed) in by_chunk(in_chunks) {
            let error = in_one(&chunk, failed);
            match self.has_sound_kernel_in(&chunk)? {
                true => broken.push(Broken::stays(error)),
                false => deletable.push(Deletable {
                    error,
                    path: chunk.path().to_owned(),
                    seen: Some(chunk.metadata().clone()),
                }),
            }
        }
        Ok((broken, deletable))
    }

    /// Whether a chunk has a kernel that is sound, or may be sound for all that is known.
    fn has_sound_kernel_in(&self, chunk: &Arc<ChunkFile>) -> Result<bool> {
        let (kernels, _) = HubKernel::in_chunk(chunk);
        let checks = in_pool(0, || {
            let checks = kernels.par_iter().map(|kernel| {
                self.go_on()?;
                match kernel.verify(self.limit()) {
                    Err(e) if e.kind() == ErrorKind::Machine => Err(e),
                    Err(e) => Ok(e.kind() != ErrorKind::InvalidKernel),
                    Ok(()) => Ok(true),
                }
            });
            checks.collect::<Result<Vec<bool>>>()
        });
        Ok(checks?.contains(&true))
    }

    fn check_all(&self, hub: &Hub) -> Result<Vec<Failed>> {
        let kernels = hub.kernels();
        if let Some(progress) = self.progress {
            progress.start(kernels.len());
        }
        let checked: Vec<Option<Failed>> = in_pool(0, || {
            let checks = kernels.par_iter().map(|kernel| self.check(kernel));
            checks.collect::<Result<_>>()
        })?;
        Ok(checked.into_iter().flatten().collect())
    }

    fn check(&self, kernel: &HubKernel) -> Result<Option<Failed>> {
        self.go_on()?;
        let mut seen = kernel.path().symlink_metadata().ok();
        let (mut modules, mut error) = (None, None);
        match kernel.read_verified(self.limit()) {
            Err(e) => error = Some(e),
            Ok(btf) => {
                if let Some(path) = kernel.modules_path() {
                    let seen_modules = path.symlink_metadata().ok();
                    error = verify_modules(kernel, &btf, self.limit()).err();
                    if error.is_some() {
                        (modules, seen) = (Some(path.to_owned()), seen_modules);
                    }
                }
            }
        }
        if let Some(progress) = self.progress {
            progress.kernel(kernel.id(), error.as_ref());
        }
        match error {
            // The file may be sound.
            Some(e) if e.kind() == ErrorKind::Machine => Err(e),
            error => Ok(error.map(|error| Failed {
                error,
                kernel: kernel.clone(),
                modules,
                seen,
            })),
        }
    }
}

/// Reads the modules of a kernel with this BTF.
fn verify_modules(kernel: &HubKernel, btf: &[u8], max_bytes: u64) -> Result<()> {
    let base = read_kernel(kernel.path(), btf)?;
    kernel.read_modules(&base, max_bytes).map(drop)
}

impl Failed {
    /// The broken file.
    fn path(&self) -> &Path {
        self.modules.as_deref().unwrap_or(self.kernel.path())
    }

    /// Whether the file has the right name and is damaged, or a fetch brought it and nobody changed it since.
    fn is_deletable(&self, record: &Record) -> bool {
        match self.error.kind() {
            ErrorKind::InvalidKernel => true,
            ErrorKind::InvalidName | ErrorKind::OtherForm => {
                let places = ENDINGS.map(|ending| format!("{}{ending}", self.kernel.id()));
                let mut places = places.iter().filter(|p| self.path().ends_with(p));
                let recorded = places.find_map(|place| record.file(place));
                let seen = self.seen.as_ref();
                recorded.is_some_and(|file| seen.is_some_and(|seen| file.is_unchanged(seen)))
            }
            _ => false,
        }
    }
}

impl Broken {
    fn stays(error: Error) -> Self {
        Self {
            error,
            fate: Fate::Stays,
        }
    }
}

impl Deletable {
    /// Deletes the file, unless it has changed meanwhile.
    fn delete(&self) -> Result<Fate> {
        let path = &self.path;
        let delete = || {
            let is_same = self.seen.is_some() && is_as_seen(path, self.seen.as_ref())?;
            if !is_same {
                return Ok(Fate::Stays);
            }
            build_id::forget_build_id(path)?;
            std::fs::remove_file(path)?;
            Ok(Fate::Deleted)
        };
        delete().map_err(|e: std::io::Error| Error::io(path, "cannot be deleted", e))
    }
}

/// The kernels that failed, for each chunk.
fn by_chunk(failed: Vec<Failed>) -> Vec<(Arc<ChunkFile>, Vec<Failed>)> {
    let mut chunks: Vec<(Arc<ChunkFile>, Vec<Failed>)> = Vec::new();
    for failed in failed {
        let Some(chunk) = failed.kernel.chunk().cloned() else {
            continue;
        };
        let known = chunks
            .iter_mut()
            .find(|(known, _)| Arc::ptr_eq(known, &chunk));
        match known {
            Some((_, of_known)) => of_known.push(failed),
            None => chunks.push((chunk, vec![failed])),
        }
    }
    chunks
}

/// One error for all broken kernels of a chunk, because they are in one file.
fn in_one(chunk: &ChunkFile, failed: Vec<Failed>) -> Error {
    const NAMED: usize = 3;
    let releases = failed.iter().map(|f| f.kernel.id().release());
    let named: Vec<&str> = releases.take(NAMED).collect();
    let more = match failed.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!(
        "{} of its {} kernels cannot be used: {}{more}",
        failed.len(),
        chunk.entries().len(),
        named.join(", ")
    );
    let first = failed.into_iter().next().map(|f| f.error);
    let kind = first.as_ref().map_or(ErrorKind::InvalidKernel, Error::kind);
    let error = Error::new(kind, chunk.path().display(), message).with_help(
        "restore the chunk from a copy or fetch it again; `btfgen hub expand` first makes files of its sound kernels",
    );
    match first {
        Some(first) => error.with_source(first.message().to_owned()),
        None => error,
    }
}
