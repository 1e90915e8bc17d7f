//! The state that one fetch shares: progress reports and cancellation.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use btfgen_hub::{Error, Result, Waiting};

/// Receives the progress of a fetch.
pub trait FetchProgress: Sync {
    /// The fetch waits for another process, which changes the hub, or which reads it while new files are ready. Called several
    /// times a second during the wait.
    fn waiting(&self, _for_whom: Waiting) {}
    /// The fetch connects to a repository.
    fn connecting(&self, _repository: &str) {}
    /// The fetch transfers a whole repository, because of `_why`, instead of the selected files.
    fn whole(&self, _repository: &str, _why: &str) {}
    /// Files have arrived.
    fn transferred(&self, _transfer: Transfer) {}
}

/// The progress of a transfer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Number of files that have arrived. If a whole repository is transferred, git counts folders, too.
    pub files: usize,
    /// Number of files in all; unknown at first.
    pub of: Option<usize>,
    /// Number of bytes that have arrived.
    pub bytes: u64,
}

/// Ignores the progress.
#[derive(Debug)]
struct Silent;

impl FetchProgress for Silent {}

pub(crate) struct Session<'a> {
    progress: &'a dyn FetchProgress,
    cancel: Option<&'a AtomicBool>,
    /// Whether to report no transfers, for small extra ones.
    quiet: bool,
    /// What arrived before the current part, and the number of files in all.
    base: Mutex<Transfer>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(
        progress: Option<&'a dyn FetchProgress>,
        cancel: Option<&'a AtomicBool>,
    ) -> Self {
        Self {
            progress: progress.unwrap_or(&Silent),
            cancel,
            quiet: false,
            base: Mutex::default(),
        }
    }

    pub(crate) fn progress(&self) -> &dyn FetchProgress {
        self.progress
    }

    /// Fails if the caller has asked to stop.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancelled() {
            return Err(Error::cancelled("fetch"));
        }
        Ok(())
    }

    pub(crate) fn cancelled(&self) -> bool {
        self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    pub(crate) fn waiting(&self, for_whom: Waiting) -> Result<()> {
        self.progress.waiting(for_whom);
        self.check()
    }

    /// The same session, but without reports of transfers.
    pub(crate) fn quiet(&self) -> Self {
        Self {
            quiet: true,
            ..Self::new(Some(self.progress), self.cancel)
        }
    }

    /// Starts a new count for this number of files.
    pub(crate) fn expect(&self, files: usize) {
        *self.base() = Transfer {
            of: Some(files),
            ..Transfer::default()
        };
    }

    /// Reports the progress of the current part.
    pub(crate) fn transferred(&self, part: Transfer) {
        if self.quiet {
            return;
        }
        let base = *self.base();
        self.progress.transferred(Transfer {
            files: base.files + part.files,
            of: base.of.or(part.of),
            bytes: base.bytes + part.bytes,
        });
    }

    /// Reports that a part is complete, and adds it to the count.
    pub(crate) fn advance(&self, files: usize, bytes: u64) {
        {
            let mut base = self.base();
            base.files += files;
            base.bytes += bytes;
        }
        self.transferred(Transfer::default());
    }

    fn base(&self) -> MutexGuard<'_, Transfer> {
        self.base.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
