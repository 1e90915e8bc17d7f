//! Fills the type stores of hubs in advance, so that the next pack reads no kernel.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use btfgen_archive::KernelId;
use rayon::prelude::*;

use crate::error::{Error, ErrorKind, Result};
use crate::hub::Hub;
use crate::hub_kernel::HubKernel;
use crate::kernel_file::DEFAULT_MAX_BTF_BYTES;
use crate::progress::Progress;
use crate::threads::in_pool;
use crate::type_store::TypeStore;

/// For fewer kernels, more threads are not worth their memory, of which a fetch has taken its part.
const WORTH_THREADS: usize = 8;

/// Adds the kernels of a hub, or of several hubs together, to the type store that a pack of the same hubs uses.
///
/// ```no_run
/// let indexed = btfgen_hub::Index::hub("btfhub").run()?;
/// println!("{} kernels added", indexed.added);
/// # Ok::<(), btfgen_hub::Error>(())
/// ```
#[derive(Default)]
pub struct Index<'a> {
    hubs: Vec<PathBuf>,
    only: Option<&'a [KernelId]>,
    max_btf_bytes: Option<u64>,
    progress: Option<&'a dyn Progress>,
    cancel: Option<&'a AtomicBool>,
}

impl std::fmt::Debug for Index<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index")
            .field("hubs", &self.hubs)
            .finish_non_exhaustive()
    }
}

/// What is in the type store.
#[derive(Debug)]
#[non_exhaustive]
pub struct Indexed {
    /// The store's file.
    pub path: PathBuf,
    /// The size of the file in bytes.
    pub bytes: u64,
    /// The number of the hub's kernels in the store.
    pub kernels: usize,
    /// The kernels that were added now.
    pub added: usize,
    /// The errors of the kernels that cannot be added.
    pub left_out: Vec<Error>,
}

impl<'a> Index<'a> {
    /// Fills the store of the hub in this folder.
    pub fn hub(folder: impl Into<PathBuf>) -> Self {
        Self::default().and_hub(folder)
    }

    /// Adds a hub. Several hubs have one store together, in the user's cache folder.
    #[must_use]
    pub fn and_hub(mut self, folder: impl Into<PathBuf>) -> Self {
        self.hubs.push(folder.into());
        self
    }

    /// Adds only these kernels.
    #[must_use]
    pub fn only(mut self, kernels: &'a [KernelId]) -> Self {
        self.only = Some(kernels);
        self
    }

    /// The largest BTF to unpack, in bytes; [`DEFAULT_MAX_BTF_BYTES`] by default.
    #[must_use]
    pub fn max_btf_bytes(mut self, bytes: u64) -> Self {
        self.max_btf_bytes = Some(bytes);
        self
    }

    /// Reports the progress of the kernels that are added.
    #[must_use]
    pub fn progress(mut self, progress: &'a dyn Progress) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Stops soon after the flag is set. What was added until then is kept.
    #[must_use]
    pub fn cancel(mut self, flag: &'a AtomicBool) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Adds the kernels, on all processors, and writes the store.
    ///
    /// # Errors
    /// Those of [`Hub::open`]; [`ErrorKind::Hub`] if there is no place for the store, [`ErrorKind::Io`] or
    /// [`ErrorKind::Machine`] if it cannot be written, [`ErrorKind::Cancelled`].
    pub fn run(&self) -> Result<Indexed> {
        let mut hub = Hub::open_waiting(&self.hubs, || self.go_on())?;
        let store = TypeStore::of(&hub);
        let folders = || {
            let folders = hub.folders().map(|folder| folder.display().to_string());
            folders.collect::<Vec<_>>().join(", ")
        };
        let Some(path) = store.path().map(Path::to_owned) else {
            let message = "has no place for a type store";
            return Err(Error::new(ErrorKind::Hub, folders(), message)
                .with_help("make the hub or the cache folder (XDG_CACHE_HOME) writable"));
        };
        let mut left_out = hub.take_rejected();
        let kernels = hub.kernels().iter();
        let mut missing: Vec<&HubKernel> = kernels.filter(|k| store.find(k).is_none()).collect();
        let all = missing.len();
        missing.retain(|kernel| self.only.is_none_or(|only| only.contains(kernel.id())));
        if let Some(progress) = self.progress {
            progress.start(missing.len());
        }
        let threads = if missing.len() < WORTH_THREADS { 1 } else { 0 };
        let failed = in_pool(threads, || {
            let all = missing.par_iter().map(|kernel| self.add(&store, kernel));
            all.collect::<Result<Vec<Option<Error>>>>()
        });
        let saved = store.save();
        let failed: Vec<Error> = failed?.into_iter().flatten().collect();
        saved.map_err(|e| Error::io(&path, "cannot be written", e))?;
        let added = missing.len() - failed.len();
        left_out.extend(failed);
        Ok(Indexed {
            bytes: std::fs::metadata(&path).map_or(0, |metadata| metadata.len()),
            path,
            kernels: hub.kernels().len() - (all - added),
            added,
            left_out,
        })
    }

    fn add(&self, store: &TypeStore, kernel: &HubKernel) -> Result<Option<Error>> {
        self.go_on()?;
        let limit = self.max_btf_bytes.unwrap_or(DEFAULT_MAX_BTF_BYTES);
        let error = store.ingest(kernel, limit, |_| true).err();
        if let Some(progress) = self.progress {
            progress.kernel(kernel.id(), error.as_ref());
        }
        match error {
            Some(e) if e.kind() == ErrorKind::Machine => Err(e),
            error => Ok(error.map(|e| e.with_kernel(kernel.id()))),
        }
    }

    fn go_on(&self) -> Result<()> {
        if self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(Error::cancelled("index"));
        }
        Ok(())
    }
}
