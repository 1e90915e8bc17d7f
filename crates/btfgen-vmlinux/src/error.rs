//! The error type of this crate.

use std::fmt;
use std::io;

use btfgen_files::is_machine_fault;

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The file or a temporary file could not be read or written, or memory was missing. See [`Error::is_machine_fault`].
    Io,
    /// The type of the file is unknown.
    Unrecognized,
    /// A package or another archive without a kernel.
    NoKernel,
    /// A kernel with neither BTF nor debug information.
    NoBtf,
    /// A kernel module, or its split BTF, which is useless without the kernel's BTF.
    Module,
    /// An ELF file that is not a kernel, for example a BPF object or a program.
    NotAKernel,
    /// An unsupported compression.
    Unsupported,
    /// The file is truncated or contradicts itself.
    Damaged,
    /// The BTF or a file around it exceeds a limit of size or nesting.
    TooLarge,
    /// `pahole` is needed and is missing, too old, or failed.
    Pahole,
    /// The caller cancelled the reading with [`Reader::cancel`](crate::Reader::cancel).
    Cancelled,
}

/// An error: its file, a message, and often a help text.
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

    /// The error for a file, or a part of it, that could not be read. An early end, or bytes that a decompressor refuses, mean
    /// that the file is damaged.
    pub(crate) fn read(subject: impl fmt::Display, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, InvalidData, InvalidInput, Other, UnexpectedEof};
        let (kind, message) = match source.kind() {
            _ if is_machine_fault(&source) || has_number(&source) => {
                (ErrorKind::Io, "cannot be read")
            }
            InvalidData | InvalidInput | Other | UnexpectedEof => {
                (ErrorKind::Damaged, "is damaged or truncated")
            }
            // crate::budget
            FileTooLarge => (ErrorKind::TooLarge, "unpacks to more than the limit"),
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

    /// Whether the machine failed: a failing or full disk, no memory, no descriptors, or no processes left. Then the file may be
    /// sound. False for errors of the one file, for example if it is missing or not readable.
    pub fn is_machine_fault(&self) -> bool {
        is_machine_fault(self)
    }

    /// Whether it is useless to try other files of a package or other streams.
    pub(crate) fn ends_the_search(&self) -> bool {
        matches!(self.kind, ErrorKind::Io | ErrorKind::Cancelled)
    }

    /// The file that the error is about; for a file inside a package, both paths: `linux.deb:boot/vmlinuz-6.1.0-47-amd64`.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What happened, without the file.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What the user can do about it.
    pub fn help(&self) -> Option<&'static str> {
        self.help
    }
}

/// Whether an error is from the system, not from a decoder: only the system's errors have a number. Archives wrap the errors that
/// they get, and keep only the kind.
fn has_number(error: &io::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        next = match error.downcast_ref::<io::Error>() {
            Some(io) if io.raw_os_error().is_some() => return true,
            // `source()` of an io::Error skips the error that it wraps.
            Some(io) => io.get_ref().map(|inner| inner as _),
            None => error.source(),
        };
    }
    false
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const EIO: i32 = 5;
    const ENOMEM: i32 = 12;
    const EACCES: i32 = 13;
    const EINVAL: i32 = 22;

    /// An error as the tar crate wraps it.
    fn in_a_tar(error: io::Error) -> io::Error {
        struct Failing(Option<io::Error>);
        impl Read for Failing {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                self.0.take().map_or(Ok(0), Err)
            }
        }
        let mut archive = tar::Archive::new(Failing(Some(error)));
        let mut entries = archive.entries().unwrap();
        entries.next().unwrap().map(drop).unwrap_err()
    }

    /// Check that the system's errors do not count as damage, and that only failures of the machine count as machine faults,
    /// also if an archive wraps them.
    #[test]
    fn errors_of_the_system() {
        type Wrap = fn(io::Error) -> io::Error;
        let wraps: [Wrap; 3] = [|e| e, in_a_tar, |e| io::Error::other(in_a_tar(e))];
        for wrap in wraps {
            for (number, machine) in [
                (EIO, true),
                (ENOMEM, true),
                (EACCES, false),
                (EINVAL, false),
            ] {
                let error = Error::read("file", wrap(io::Error::from_raw_os_error(number)));
                assert_eq!(error.kind(), ErrorKind::Io, "{error:?}");
                assert_eq!(error.is_machine_fault(), machine, "{error:?}");
            }
            let error = Error::read("file", wrap(io::ErrorKind::OutOfMemory.into()));
            assert_eq!(error.kind(), ErrorKind::Io, "{error:?}");
            assert!(error.is_machine_fault(), "{error:?}");
            let error = Error::read("file", wrap(io::ErrorKind::UnexpectedEof.into()));
            assert_eq!(error.kind(), ErrorKind::Damaged, "{error:?}");
            assert!(!error.is_machine_fault(), "{error:?}");
        }
    }
}
