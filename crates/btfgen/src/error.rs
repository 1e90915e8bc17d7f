//! The engine's error type.

use std::fmt;
use std::path::Path;

use btfgen_files::is_machine_fault;

/// What went wrong, without the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file could not be read: it is missing, or must not be read.
    Io,
    /// The machine failed: its disk, its memory, or a limit of open files or threads. This says nothing about any file, so
    /// it ends the work.
    Machine,
    /// Not a BPF object with usable BTF.
    InvalidObject,
    /// A kernel's file is damaged, or what it holds is no BTF.
    InvalidKernel,
    /// A kernel's file may be sound, but is not of a form that a hub holds: a tar with several BTFs, for instance.
    OtherForm,
    /// A kernel's BTF uses what this libbpf does not know, or what a BTF cannot express.
    Unsupported,
    /// A file is larger than the limit allows.
    TooLarge,
    /// A hub is missing, empty, or nothing in it passes the filters.
    EmptyHub,
    /// A name or pattern is not of the form it must have.
    InvalidName,
    /// The output cannot be written where it was asked for.
    Output,
    /// A minimized BTF did not give the same outcomes as the full one; nothing wrong is ever written.
    Unproven,
    /// libbpf refuses to load an object on a kernel, whatever BTF it gets.
    Refused,
    /// The archive could not be written or read.
    Archive,
    /// The caller asked to stop.
    Cancelled,
}

/// The way out of an error of the machine.
const MACHINE_HELP: &str = "the machine failed, so the file may be sound: see to its memory, disk and limits, and run it again";

/// An error of the engine: what it happened to, what happened, and, where there is one, the way out.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    subject: String,
    message: String,
    help: Option<&'static str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The engine's results.
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
            help: (kind == ErrorKind::Machine).then_some(MACHINE_HELP),
            source: None,
        }
    }

    /// What a `waiting` gives to end the wait, as that of [`Hub::open_waiting`](crate::Hub::open_waiting).
    pub fn cancelled(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Cancelled, what, "stopped")
    }

    /// What the system says about a file: of kind [`ErrorKind::Io`], or [`ErrorKind::Machine`].
    pub(crate) fn io(
        path: &Path,
        what: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let source = source.into();
        let kind = if is_machine_fault(source.as_ref()) {
            ErrorKind::Machine
        } else {
            ErrorKind::Io
        };
        Self::new(kind, path.display(), what).with_source(source)
    }

    pub(crate) fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    pub(crate) fn with_help(mut self, help: &'static str) -> Self {
        self.help = Some(help);
        self
    }

    pub(crate) fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The file, kernel or object it happened to.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What happened, without what it happened to.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the user can do about it.
    pub fn help(&self) -> Option<&'static str> {
        self.help
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
