//! The error type of this crate.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file could not be read or written, for instance because the disk is full.
    Io,
    /// The hub's folder cannot be used: it is a file, is not writable, or is inside a git repository.
    Hub,
    /// An address is not that of a repository, or the repository cannot be reached.
    Repository,
    /// The repository wants a password or key, and it is missing or wrong.
    Credentials,
    /// The server's certificate, or its ssh host key, is not trusted.
    Certificate,
    /// A name has the wrong form, or a part of a kernel's name is missing.
    InvalidName,
    /// No kernel passes the filters.
    NoKernels,
    /// A file does not contain a kernel's BTF.
    InvalidKernel,
    /// The hub has a different BTF for this kernel.
    Exists,
    /// The caller asked to stop.
    Cancelled,
}

/// The help for a full disk.
pub const ROOM_HELP: &str =
    "free some disk space and run the command again: it continues with what it has transferred";

/// An error: its subject, a message, and often a help text.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    subject: String,
    message: String,
    help: Option<Cow<'static, str>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error without help and cause.
    pub fn new(kind: ErrorKind, subject: impl fmt::Display, message: impl Into<String>) -> Self {
        Self {
            kind,
            subject: subject.to_string(),
            message: message.into(),
            help: None,
            source: None,
        }
    }

    /// An error of the system about a file.
    pub fn io(path: &Path, what: &str, source: std::io::Error) -> Self {
        let full = source.kind() == std::io::ErrorKind::StorageFull;
        let error = Self::new(ErrorKind::Io, path.display(), what).with_source(source);
        if full {
            error.with_help(ROOM_HELP)
        } else {
            error
        }
    }

    /// The error after the caller asked to stop.
    pub fn cancelled() -> Self {
        Self::new(ErrorKind::Cancelled, "stopped", "by request")
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Converts another crate's error to this type, with its help and its causes.
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

    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The file, kernel or repository that the error is about.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What happened, without the subject.
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

impl From<btfgen::Error> for Error {
    fn from(e: btfgen::Error) -> Self {
        let kind = match e.kind() {
            btfgen::ErrorKind::Machine => ErrorKind::Io,
            btfgen::ErrorKind::Cancelled => ErrorKind::Cancelled,
            _ => ErrorKind::Hub,
        };
        Self::adopt(kind, e.subject(), e.message(), e.help(), &e)
    }
}
