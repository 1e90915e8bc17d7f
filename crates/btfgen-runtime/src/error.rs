//! The crate's one error type.

use std::error::Error as StdError;
use std::fmt;

use crate::step::Step;

/// What went wrong, for a program to act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Everything was tried, and there is no BTF for this kernel.
    NotFound,
    /// There is no BTF for this kernel, and no archive was given to look in.
    NoArchive,
    /// The archive cannot be read: a file, gzip, tar or content that is damaged or beyond a limit.
    Archive,
    /// A file that was named explicitly or by the environment cannot be read; or the machine could not read the kernel's own
    /// BTF, and there is no other.
    Io,
    /// What was named or found is no BTF, or none that libbpf can use.
    InvalidBtf,
    /// There is neither a memfd nor a folder to put the BTF in.
    NoPlace,
}

/// Why there is no BTF.
///
/// The `Display` form has every step that was tried, one a line and indented, behind the first line.
#[derive(Debug)]
pub struct Error(Box<Repr>);

// Boxed: results are passed up through every rung, and errors are rare.
#[derive(Debug)]
struct Repr {
    kind: ErrorKind,
    message: String,
    steps: Vec<Step>,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// A result of this crate.
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

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What went wrong, in a line without the steps.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What was tried before, in order.
    pub fn steps(&self) -> &[Step] {
        &self.0.steps
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Repr { message, steps, .. } = &*self.0;
        f.write_str(message)?;
        if !steps.is_empty() {
            f.write_str("; what was tried:")?;
        }
        steps.iter().try_for_each(|step| write!(f, "\n  {step}"))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}
