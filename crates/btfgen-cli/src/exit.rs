//! Exit codes.

use std::process::ExitCode;

/// How the command ended, as a script sees it. The numbers are a promise; they stand in `btfgen --help` too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything was done.
    Done = 0,
    /// It was done, but something was left out and named on stderr.
    LeftOut = 1,
    /// It failed.
    Failed = 2,
    /// The arguments make no sense.
    Usage = 3,
    /// Ctrl-C, or another signal to end: 128 and the number of SIGINT, as shells have it.
    Interrupted = 130,
}

impl Exit {
    /// The exit code that an error calls for.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        let cancelled = error.chain().any(|e| {
            e.downcast_ref::<btfgen::Error>()
                .is_some_and(|e| e.kind() == btfgen::ErrorKind::Cancelled)
                || e.downcast_ref::<btfgen_hub::Error>()
                    .is_some_and(|e| e.kind() == btfgen_hub::ErrorKind::Cancelled)
        });
        if cancelled {
            Self::Interrupted
        } else {
            Self::Failed
        }
    }

    /// [`Exit::LeftOut`] if anything was.
    pub(crate) fn left_out(anything: bool) -> Self {
        if anything { Self::LeftOut } else { Self::Done }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
