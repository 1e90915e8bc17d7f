//! The error type of this crate.

use std::error::Error as StdError;
use std::fmt;

use crate::step::Step;

/// The kind of an error, for a program to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// All steps were tried, and there is no BTF for this kernel.
    NotFound,
    /// The kernel has no BTF that the loader can read, and the program gave no archive.
    NoArchive,
    /// The archive cannot be read: its file, gzip, tar or content is damaged or exceeds a limit.
    Archive,
    /// A file that the program or the environment named cannot be read; or the machine failed to read the kernel's own BTF, and
    /// the archive has no BTF for this kernel; or [`Found::bytes`](crate::Found::bytes) cannot read its file.
    Io,
    /// The named file or the archive's entry is not BTF, or libbpf cannot use it.
    InvalidBtf,
    /// There is neither a memfd nor a folder for the file of [`Found::path`](crate::Found::path).
    NoPlace,
    /// The bytes that [`Found::unloadable`](crate::Found::unloadable) got are not a BPF object.
    Object,
    /// The archive has no fact of the name that [`Found::fact`](crate::Found::fact) got, or the lookup was not asked for facts.
    NoFact,
}

/// Why the lookup failed.
///
/// The `Display` form has one line for the error, then one indented line for each step that was tried.
#[derive(Debug)]
pub struct Error(Box<Repr>);

// Boxed, because every rung returns a `Result` and errors are rare.
#[derive(Debug)]
struct Repr {
    kind: ErrorKind,
    message: String,
    steps: Vec<Step>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Repr {
            kind,
            message: message.into(),
            steps: Vec::new(),
            source: None,
        }))
    }

    pub(crate) fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Box::new(source));
        self
    }

    pub(crate) fn with_steps(mut self, steps: Vec<Step>) -> Self {
        self.0.steps = steps;
        self
    }

    /// The kind of error.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message in one line, without the steps.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The steps that were tried, in order.
    pub fn steps(&self) -> &[Step] {
        &self.0.steps
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Repr { message, steps, .. } = &*self.0;
        f.write_str(message)?;
        if !steps.is_empty() {
            f.write_str("; steps tried:")?;
        }
        steps.iter().try_for_each(|step| write!(f, "\n  {step}"))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}
