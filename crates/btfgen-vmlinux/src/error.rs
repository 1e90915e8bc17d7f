//! What can go wrong on the way from a file to a kernel's BTF.

use std::fmt;
use std::io;

/// What went wrong, without the details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file, or a temporary one, could not be read or written.
    Io,
    /// Nothing that a kernel's BTF is known to come in.
    Unrecognized,
    /// A package, or another archive, that holds no kernel.
    NoKernel,
    /// A kernel that has neither BTF nor what BTF can be made from.
    NoBtf,
    /// A kernel module, or its split BTF, which means nothing without the kernel's.
    Module,
    /// An ELF file, but not a kernel's: a BPF object, a program.
    NotAKernel,
    /// A compression that cannot be undone here.
    Unsupported,
    /// Truncated, or at odds with itself.
    Damaged,
    /// The BTF, or what it lies in, is larger than is allowed, or nested deeper.
    TooLarge,
    /// `pahole` is needed and is missing, too old, or failed.
    Pahole,
}

/// An error: the file it happened to, what happened, and, where there is one, the way out.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    subject: String,
    message: String,
    help: Option<&'static str>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The results of this crate.
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

    /// A file or a part of it that could not be read. An end that comes too soon, or bytes that a decompressor
    /// cannot make sense of, are the file's fault and not the system's.
    pub(crate) fn read(subject: impl fmt::Display, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, InvalidData, InvalidInput, Other, UnexpectedEof};
        // A decompressor's own errors come as `Other`; the system's always have a number.
        let is_ours = source.raw_os_error().is_none();
        let (kind, message) = match source.kind() {
            InvalidData | InvalidInput | Other | UnexpectedEof if is_ours => {
                (ErrorKind::Damaged, "is damaged or truncated")
            }
            // crate::budget
            FileTooLarge if is_ours => (ErrorKind::TooLarge, "unpacks to more than is allowed"),
            _ => (ErrorKind::Io, "cannot be read"),
        };
        Self::new(kind, subject, message).with_source(source)
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

    /// The file it happened to; of one inside a package, both paths: `linux.deb:boot/vmlinuz-6.1.0-47-amd64`.
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
