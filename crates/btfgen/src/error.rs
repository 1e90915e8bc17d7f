//! The engine's error type.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use btfgen_archive::KernelId;
use btfgen_files::is_machine_fault;

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file could not be read: it is missing, or this user must not read it.
    Io,
    /// The machine failed: its disk, its memory, or a limit of open files or threads. The error says nothing about any file,
    /// so it ends the work.
    Machine,
    /// The file is not a BPF object with usable BTF.
    InvalidObject,
    /// A kernel's file is damaged, or does not contain BTF.
    InvalidKernel,
    /// A kernel's file may be good, but a hub cannot contain a file of this form, for instance a tar with several BTFs.
    OtherForm,
    /// A kernel's BTF uses a version or kind that is not known, or needs types that a minimal BTF cannot express.
    Unsupported,
    /// A file is larger than the limit allows.
    TooLarge,
    /// A hub is missing or empty, or no kernel in it passes the filters.
    EmptyHub,
    /// A name or pattern does not have the required form.
    InvalidName,
    /// The output cannot be written to the given path.
    Output,
    /// A minimal BTF did not give the same outcomes as the full BTF. Such a BTF is never written.
    Unproven,
    /// libbpf refuses to load an object on a kernel, with the full BTF as with the minimal one.
    Refused,
    /// The archive could not be written or read.
    Archive,
    /// The caller asked to stop.
    Cancelled,
}

/// The help for an error of the machine.
const MACHINE_HELP: &str = "the machine failed, so the file may be good: check memory, disk and limits, and run the command again";

/// An error of the engine: the file, kernel or object at fault, the message and, if the user can do something, a help text.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    subject: String,
    message: String,
    help: Option<Cow<'static, str>>,
    /// Boxed, because results with this error are moved a lot.
    kernel: Option<Box<KernelId>>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A result of the engine.
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
            help: (kind == ErrorKind::Machine).then_some(MACHINE_HELP.into()),
            kernel: None,
            source: None,
        }
    }

    /// The error by which a `waiting` function ends the wait, for instance that of
    /// [`Hub::open_waiting`](crate::Hub::open_waiting).
    pub fn cancelled(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Cancelled, what, "stopped")
    }

    /// An error of the system about a file: [`ErrorKind::Machine`] if the machine failed, else [`ErrorKind::Io`].
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

    pub(crate) fn with_help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn with_kernel(mut self, kernel: &KernelId) -> Self {
        self.kernel = Some(Box::new(kernel.clone()));
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

    /// The file, kernel or object at fault.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The message, without the subject.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the user can do about it.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// The kernel at fault, if the error is about one kernel of a hub and its id is known.
    pub fn kernel(&self) -> Option<&KernelId> {
        self.kernel.as_deref()
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
