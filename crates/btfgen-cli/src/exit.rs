//! Exit codes.

use std::process::ExitCode;

use crate::explain::Advised;

/// How the command ended. The numbers are stable, and `btfgen --help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All that the user named was done. What a hub or a repository contains may be left out: stderr and the JSON name it.
    Done = 0,
    /// The command failed, or did not do all that the user named.
    Failed = 1,
    /// The arguments are wrong.
    Usage = 2,
    /// Ctrl-C, SIGTERM or SIGHUP: 128 plus the number of SIGINT, as in a shell.
    Interrupted = 130,
}

impl Exit {
    /// The exit code for an error.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        let cancelled = error.chain().any(|e| {
            e.downcast_ref::<btfgen::Error>()
                .is_some_and(|e| e.kind() == btfgen::ErrorKind::Cancelled)
        });
        let is_usage = |e: &Advised| e.is_usage();
        if cancelled {
            Self::Interrupted
        } else if error.downcast_ref().is_some_and(is_usage) {
            Self::Usage
        } else {
            Self::Failed
        }
    }
}

impl From<bool> for Exit {
    /// [`Exit::Done`] if all was done, else [`Exit::Failed`].
    fn from(done: bool) -> Self {
        if done { Self::Done } else { Self::Failed }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
