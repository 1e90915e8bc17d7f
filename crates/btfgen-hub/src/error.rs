//! The error type of everything that works on kernels: of this crate, of btfgen-fetch and of the engine. An error of one
//! kernel's file goes through all of them as it is.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;

use btfgen_archive::KernelId;
use btfgen_files::{causes, is_machine_fault};

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A file could not be read or written: it is missing, or this user must not read it.
    Io,
    /// The machine failed: its disk, its memory, or a limit of open files or threads. The error says nothing about any file,
    /// so it ends the work.
    Machine,
    /// A name, pattern or address does not have the required form, or a part of a kernel's name is missing.
    InvalidName,
    /// The caller asked to stop.
    Cancelled,

    /// A kernel's file is damaged, or does not contain BTF.
    InvalidKernel,
    /// A kernel's file may be good, but a hub cannot contain a file of this form, for instance a tar with several BTFs.
    OtherForm,
    /// A kernel's BTF uses a version or kind that is not known, or needs types that a minimal BTF cannot express.
    Unsupported,
    /// A file is larger than the limit allows.
    TooLarge,

    /// A hub is missing or empty.
    EmptyHub,
    /// No kernel of a hub, an archive or the repositories passes the filters.
    NoKernels,
    /// A folder cannot be used as a hub to write to: it is a file, is not writable, is inside a git repository, or its file
    /// system does not support locks.
    Hub,
    /// The hub has a different BTF for this kernel.
    Exists,

    /// An address is not that of a repository, or the repository cannot be reached.
    Repository,
    /// The repository wants a password or key, and it is missing or wrong.
    Credentials,
    /// The server's certificate, or its ssh host key, is not trusted.
    Certificate,

    /// No kernel has a type, field or function of this name.
    UnknownType,
    /// The file is not a BPF object with usable BTF.
    InvalidObject,
    /// The output cannot be written to the given path.
    Output,
    /// A minimal BTF did not give the same outcomes as the full BTF. Such a BTF is never written.
    Unproven,
    /// libbpf refuses to load an object on a kernel, with the full BTF as with the minimal one.
    Refused,
    /// The archive could not be written or read.
    Archive,
}

/// The help for an error of the machine.
const MACHINE_HELP: &str = "the machine failed, so the file may be good: check memory, disk and limits, and run the command again";

/// The help for a full disk.
pub const ROOM_HELP: &str = "free some disk space and run the command again";

/// An error: the file, kernel, object or repository at fault, the message and, if the user can do something, a help text.
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

/// A result of this crate, of btfgen-fetch and of the engine.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error without a cause. Only an error of [`ErrorKind::Machine`] has a help text already.
    pub fn new(kind: ErrorKind, subject: impl fmt::Display, message: impl Into<String>) -> Self {
        Self {
            kind,
            subject: subject.to_string(),
            message: message.into(),
            help: (kind == ErrorKind::Machine).then_some(MACHINE_HELP.into()),
            kernel: None,
            source: None,
        }
    }

    /// The error after the caller asked to stop, by which for instance the function of
    /// [`Hub::open_waiting`](crate::Hub::open_waiting) ends the wait.
    pub fn cancelled(what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Cancelled, what, "stopped")
    }

    /// An error of the system about a file: [`ErrorKind::Machine`] if the machine failed, else [`ErrorKind::Io`].
    pub fn io(
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
        let is_full = causes(source.as_ref())
            .filter_map(|e| e.downcast_ref::<io::Error>())
            .any(|e| e.kind() == io::ErrorKind::StorageFull);
        let error = Self::new(kind, path.display(), what).with_source(source);
        if is_full {
            error.with_help(ROOM_HELP)
        } else {
            error
        }
    }

    /// Replaces the message.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds the kernel at fault.
    #[must_use]
    pub fn with_kernel(mut self, kernel: &KernelId) -> Self {
        self.kernel = Some(Box::new(kernel.clone()));
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

    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The file, kernel, object or repository at fault.
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
