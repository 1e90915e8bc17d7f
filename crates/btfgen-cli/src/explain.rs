//! Errors as text: what is wrong, with all causes, and what the user can do about it.

use std::error::Error;
use std::fmt;

/// An error of this crate with a help text.
#[derive(Debug)]
pub(crate) struct Advised {
    message: String,
    help: String,
    source: Option<Box<dyn Error + Send + Sync>>,
    usage: bool,
}

impl Advised {
    /// An error that says what is wrong and what the user can do about it.
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
            source: None,
            usage: false,
        }
    }

    /// An error of the arguments, which do not go together.
    pub(crate) fn usage(message: impl Into<String>, help: impl Into<String>) -> anyhow::Error {
        let error = Self {
            usage: true,
            ..Self::new(message, help)
        };
        error.into()
    }

    /// Whether the arguments are wrong.
    pub(crate) fn is_usage(&self) -> bool {
        self.usage
    }

    /// Adds the cause.
    pub(crate) fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

impl fmt::Display for Advised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Advised {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

const LIMIT_HELP: &str =
    "raise the limit with --max-btf-size if the kernel's BTF really is so large";

/// What the user can do about an error.
pub(crate) fn help<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e str> {
    if let Some(advised) = error.downcast_ref::<Advised>() {
        return Some(&advised.help);
    }
    let error = error.downcast_ref::<btfgen::Error>()?;
    match error.kind() {
        // The library does not know the command's options.
        btfgen::ErrorKind::TooLarge => Some(LIMIT_HELP),
        _ => error.help(),
    }
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    caused(&error.to_string(), error)
}

/// A text about an error, followed by the error's causes.
pub(crate) fn caused(text: &str, error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&e| e.source());
    causes.fold(printable(text), |line, cause| {
        format!("{line}: {}", printable(&cause.to_string()))
    })
}

/// A text from outside with its control characters escaped, because a terminal would obey them.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that an error shows its cause and its help.
    #[test]
    fn advice() {
        let advised = Advised::new("outer", "do this").with_source(std::io::Error::other("inner"));
        let error = anyhow::Error::new(advised);
        assert_eq!(chain(error.as_ref()), "outer: inner");
        assert_eq!(error.chain().find_map(help), Some("do this"));
    }

    /// Check that control characters are escaped and that letters of all scripts are kept.
    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a\x1b[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(printable("Größe → 1"), "Größe → 1");
    }

    /// Check that the line of an error has all its causes.
    #[test]
    fn causes_are_chained() {
        let error = anyhow::anyhow!("third").context("second").context("first");
        assert_eq!(chain(error.as_ref()), "first: second: third");
    }
}
