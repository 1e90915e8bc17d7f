//! The error type of everything that makes and keeps a hub.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

/// What went wrong, without the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file could not be read or written; a full disk, for instance.
    Io,
    /// The hub's folder cannot be used: it is a file, not writable, or lies in somebody's git repository.
    Hub,
    /// What is named as a repository is none, or cannot be reached.
    Repository,
    /// The repository wants a password or key that is not there, or not the right one.
    Credentials,
    /// The server's certificate, or its ssh host key, is not trusted.
    Certificate,
    /// A name is not of the form it must have, or a part of a kernel's name is missing.
    InvalidName,
    /// No kernel passes the filters.
    NoKernels,
    /// A file holds no BTF of a kernel.
    InvalidKernel,
    /// The hub holds another BTF for this kernel.
    Exists,
    /// The caller asked to stop.
    Cancelled,
}

/// The way out of a full disk.
pub(crate) const ROOM_HELP: &str =
    "make room, and run it again: what was brought so far is kept for it";

/// An error: what it happened to, what happened, and, where there is one, the way out.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    subject: String,
    message: String,
    help: Option<Cow<'static, str>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// This crate's results.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(
        kind: ErrorKind,
        subject: impl fmt::Display,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            subject: subject.to_string(),
            message: message.into(),
            help: None,
            source: None,
        }
    }

    pub(crate) fn io(path: &Path, what: &str, source: std::io::Error) -> Self {
        let full = source.kind() == std::io::ErrorKind::StorageFull;
        let error = Self::new(ErrorKind::Io, path.display(), what).with_source(source);
        if full {
            error.with_help(ROOM_HELP)
        } else {
            error
        }
    }

    pub(crate) fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "stopped", "as asked for")
    }

    pub(crate) fn with_help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Another crate's error as one of this crate's, with its help and its causes.
    pub(crate) fn adopt(
        kind: ErrorKind,
        subject: &str,
        message: &str,
        help: Option<&str>,
        of: &dyn std::error::Error,
    ) -> Self {
        let mut error = Self::new(kind, subject, message);
        error.help = help.map(|help| help.to_owned().into());
        let causes = std::iter::successors(of.source(), |&e| e.source());
        let causes: Vec<String> = causes.map(ToString::to_string).collect();
        if !causes.is_empty() {
            error.source = Some(causes.join(": ").into());
        }
        error
    }

    /// The cause in libgit2's words, without its numbers.
    pub(crate) fn with_git_source(self, source: &git2::Error) -> Self {
        self.with_source(source.message().to_owned())
    }

    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The file, kernel or repository it happened to.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What happened, without what it happened to.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the user can do about it.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.subject, self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}
