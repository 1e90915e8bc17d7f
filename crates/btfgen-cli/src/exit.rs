//! Exit codes.

use std::process::ExitCode;

/// How the command ended. The numbers are stable, and `btfgen --help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Everything was done.
    Done = 0,
    /// The work was done, but something was left out; stderr names it.
    LeftOut = 1,
    /// The command failed.
    Failed = 2,
    /// The arguments are wrong.
    Usage = 3,
    /// Ctrl-C, SIGTERM or SIGHUP: 128 plus the number of SIGINT, as in a shell.
    Interrupted = 130,
}

impl Exit {
    /// The exit code for an error.
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

    /// [`Exit::LeftOut`] if anything was left out, else [`Exit::Done`].
    pub(crate) fn left_out(anything: bool) -> Self {
        if anything { Self::LeftOut } else { Self::Done }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
