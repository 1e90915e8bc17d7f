//! Whether a hub is whole: what `btfgen hub verify` does.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use btfgen::{DEFAULT_MAX_BTF_BYTES, Hub, HubKernel, KernelFilter, Progress};
use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::status::unopened;

/// Reads every kernel of a hub.
///
/// ```
/// # fn main() -> Result<(), btfgen_hub::Error> {
/// # let hub = btfgen_testkit::sample_hub();
/// let verified = btfgen_hub::Verify::hub(hub).run()?;
/// for broken in &verified.broken {
///     eprintln!("{}", broken.error);
/// }
/// # assert!(verified.broken.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Verify<'a> {
    hub: PathBuf,
    filter: KernelFilter,
    max_btf_bytes: Option<u64>,
    delete: bool,
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

/// What a hub turned out to be.
#[derive(Debug)]
#[non_exhaustive]
pub struct Verified {
    /// Number of kernels that are as they must be.
    pub sound: usize,
    /// The others, in the order of their paths.
    pub broken: Vec<Broken>,
}

/// A file that is no kernel's, or not of the one whose name it has.
#[derive(Debug)]
#[non_exhaustive]
pub struct Broken {
    /// What is wrong with it. Its subject is the file.
    pub error: btfgen::Error,
    /// Whether it was deleted.
    pub deleted: bool,
}

impl<'a> Verify<'a> {
    /// A check of this hub.
    pub fn hub(folder: impl Into<PathBuf>) -> Self {
        Self {
            hub: folder.into(),
            ..Self::default()
        }
    }

    /// Checks only kernels that pass, and whatever else looks like a kernel.
    #[must_use]
    pub fn filter(mut self, filter: KernelFilter) -> Self {
        self.filter = filter;
        self
    }

    /// The largest BTF to unpack, in bytes; [`DEFAULT_MAX_BTF_BYTES`] unless set.
    #[must_use]
    pub fn max_btf_bytes(mut self, bytes: u64) -> Self {
        self.max_btf_bytes = Some(bytes);
        self
    }

    /// Whether damaged and misplaced files are deleted. What merely could not be read, is too large, or is newer than this
    /// libbpf stays.
    #[must_use]
    pub fn delete(mut self, on: bool) -> Self {
        self.delete = on;
        self
    }

    /// Has progress told.
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

    /// Does the work, on all processors.
    ///
    /// # Errors
    /// [`ErrorKind::Hub`](crate::ErrorKind::Hub) if there is none that can be read,
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if a broken file cannot be deleted,
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled).
    pub fn run(&self) -> Result<Verified> {
        let mut hub = Hub::open(&[&self.hub])
            .map_err(unopened)?
            .filtered(&self.filter);
        if let Some(progress) = self.progress {
            progress.start(hub.kernels().len());
        }
        let checked: Vec<Option<btfgen::Error>> = hub
            .kernels()
            .par_iter()
            .map(|kernel| self.check(kernel))
            .collect::<Result<_>>()?;
        let sound = checked.iter().filter(|e| e.is_none()).count();
        let mut errors: Vec<btfgen::Error> = checked.into_iter().flatten().collect();
        errors.extend(hub.take_rejected());
        errors.sort_by(|a, b| a.subject().cmp(b.subject()));
        let broken = errors.into_iter().map(|error| self.delete_broken(error));
        Ok(Verified {
            sound,
            broken: broken.collect::<Result<_>>()?,
        })
    }

    fn check(&self, kernel: &HubKernel) -> Result<Option<btfgen::Error>> {
        if self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(Error::cancelled());
        }
        let error = kernel
            .verify(self.max_btf_bytes.unwrap_or(DEFAULT_MAX_BTF_BYTES))
            .err();
        if let Some(progress) = self.progress {
            progress.kernel(kernel.id(), error.as_ref());
        }
        Ok(error)
    }

    fn delete_broken(&self, error: btfgen::Error) -> Result<Broken> {
        let is_useless = matches!(
            error.kind(),
            btfgen::ErrorKind::InvalidKernel | btfgen::ErrorKind::InvalidName
        );
        let deleted = self.delete && is_useless;
        if deleted {
            let path = Path::new(error.subject());
            std::fs::remove_file(path).map_err(|e| Error::io(path, "cannot be deleted", e))?;
        }
        Ok(Broken { error, deleted })
    }
}
