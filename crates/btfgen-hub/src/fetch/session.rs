//! What one run of a fetch shares: whom to tell how far it is, and whether to go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Error, Result};

/// Is told how far a fetch is.
pub trait FetchProgress: Sync {
    /// Another process holds the hub: changes it, or reads it while new files are ready to take their names. Called
    /// several times a second for as long as it does.
    fn waiting(&self, _for_whom: Waiting) {}
    /// A repository is asked what it has.
    fn connecting(&self, _repository: &str) {}
    /// A repository is transferred whole, for this reason, though only some files were asked for.
    fn whole(&self, _repository: &str, _why: &str) {}
    /// Files come.
    fn transferred(&self, _transfer: Transfer) {}
}

/// Whom a command that changes a hub waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// Another command that changes the same hub.
    Writer,
    /// A pack, or another reader of the hub.
    Readers,
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Files that have come, as git counts them: with the folders, where a repository comes whole.
    pub files: usize,
    /// How many will; unknown at first.
    pub of: Option<usize>,
    /// Bytes that have come.
    pub bytes: u64,
}

/// Tells nobody.
#[derive(Debug)]
struct Silent;

impl FetchProgress for Silent {}

pub(crate) struct Session<'a> {
    progress: &'a dyn FetchProgress,
    cancel: Option<&'a AtomicBool>,
    /// Whether transfers are not told: of little things on the side.
    quiet: bool,
    /// What had come before the part that is under way, and how many files are to come in all.
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

    /// Fails when the caller has asked to stop.
    pub(crate) fn check(&self) -> Result<()> {
        if self.cancelled() {
            return Err(Error::cancelled());
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

    /// The same, without telling what is transferred.
    pub(crate) fn quiet(&self) -> Self {
        Self {
            quiet: true,
            ..Self::new(Some(self.progress), self.cancel)
        }
    }

    /// Has everything from here on counted together, as so many files.
    pub(crate) fn expect(&self, files: usize) {
        *self.base() = Transfer {
            of: Some(files),
            ..Transfer::default()
        };
    }

    /// Tells how far the part under way is.
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

    /// Tells that a part is done, and counts the next ones on top of it.
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
