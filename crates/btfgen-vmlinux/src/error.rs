//! The error type of this crate.

use std::fmt;
use std::io;

use btfgen_files::{causes, is_machine_fault};

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

impl ErrorKind {
    fn help(self) -> Option<&'static str> {
        let help = match self {
            Self::Unrecognized => {
                "name a BTF, a vmlinux, a boot image, or a package with one of them"
            }
            Self::NoKernel => {
                "packages with a kernel are linux-image-… or linux-image-unsigned-… (from Linux 6.19 on linux-binary-… in \
                 Debian), kernel-core, kernel-default, or their -dbg, -dbgsym, -debuginfo"
            }
            Self::NoBtf => {
                "use the kernel's package of debug symbols (linux-image-…-dbg, linux-image-…-dbgsym, kernel-debuginfo, \
                 kernel-default-debuginfo) and install pahole (package dwarves or pahole)"
            }
            Self::Module | Self::NotAKernel => {
                "name the kernel's image (/boot/vmlinuz-…), its vmlinux, or its package"
            }
            Self::Unsupported => {
                "decompress it first; for a boot image, use the kernel's scripts/extract-vmlinux"
            }
            Self::Pahole => "a newer pahole may be able to read this kernel's debug information",
            Self::Io | Self::Damaged | Self::TooLarge | Self::Cancelled => return None,
        };
        Some(help)
    }
}

/// An error: its file, a message, and often a help text.
#[derive(Debug, thiserror::Error)]
#[error("{subject}: {message}")]
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
            help: kind.help(),
            source: None,
        }
    }

    /// The error for a file, or a part of it, that could not be read. An early end, or bytes that a decompressor refuses, mean
    /// that the file is damaged.
    pub(crate) fn read(subject: impl fmt::Display, source: io::Error) -> Self {
        use io::ErrorKind::{FileTooLarge, InvalidData, InvalidInput, Other, UnexpectedEof};
        // Only the system's errors have a number, not a decoder's. Archives wrap the errors that they get, and keep only the kind.
        let is_systems = causes(&source)
            .filter_map(|e| e.downcast_ref::<io::Error>())
            .any(|e| e.raw_os_error().is_some());
        let (kind, message) = match source.kind() {
            _ if is_systems || is_machine_fault(&source) => (ErrorKind::Io, "cannot be read"),
            InvalidData | InvalidInput | Other | UnexpectedEof => {
                (ErrorKind::Damaged, "is damaged or truncated")
            }
            // crate::budget
            FileTooLarge => (ErrorKind::TooLarge, "unpacks to more than the limit"),
            _ => (ErrorKind::Io, "cannot be read"),
        };
        Self::new(kind, subject, message).with_source(source)
    }

    /// Replaces the help of the kind.
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

    /// Whether the machine failed: a failing or full disk, no memory, no descriptors, or no processes left. Then the file may be
    /// sound. False for errors of the one file, for example if it is missing or not readable.
    pub fn is_machine_fault(&self) -> bool {
        is_machine_fault(self)
    }

    /// Whether it is useless to try other files of a package or other streams.
    pub(crate) fn ends_the_search(&self) -> bool {
        matches!(self.kind, ErrorKind::Io | ErrorKind::Cancelled)
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
