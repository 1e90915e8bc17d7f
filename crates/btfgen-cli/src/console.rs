//! Messages for people, on stderr.

use std::error::Error;
use std::fmt;
use std::io::Write as _;

use anstyle::Style;

use crate::exit::Exit;
use crate::style;

/// How many of a long list are shown without `--verbose`.
const SHOWN: usize = 10;

/// Says things on stderr, as loudly as the user wants it. That stderr is closed is no reason to stop.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Console {
    /// Only warnings and errors.
    pub(crate) quiet: bool,
    /// All details.
    pub(crate) verbose: bool,
}

impl Console {
    /// What was done. Silent with `--quiet`.
    pub(crate) fn say(&self, text: impl fmt::Display) {
        if !self.quiet {
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// What the user may want to know. Silent with `--quiet`.
    pub(crate) fn note(&self, text: impl fmt::Display) {
        if !self.quiet {
            labelled(style::HELP, "note", text);
        }
    }

    /// What is not as it should be, but does not stop the work.
    pub(crate) fn warning(&self, text: impl fmt::Display) {
        labelled(style::WARNING, "warning", text);
    }

    /// How the command ends: an error is told first.
    pub(crate) fn exit(&self, result: anyhow::Result<Exit>) -> Exit {
        result.unwrap_or_else(|e| {
            self.error(&e);
            Exit::of(&e)
        })
    }

    /// Why the work ended, with all causes, and the way out if one is known.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        labelled(style::ERROR, "error", chain(error.as_ref()));
        if let Some(help) = error.chain().find_map(help) {
            labelled(style::HELP, "help", help);
        }
    }

    /// The lines below a message, the first ones or with `--verbose` all.
    pub(crate) fn details(&self, lines: impl ExactSizeIterator<Item = String>) {
        let all = lines.len();
        let shown = if self.verbose { all } else { SHOWN };
        let mut stderr = anstream::stderr();
        for line in lines.take(shown) {
            let _ = writeln!(stderr, "  {line}");
        }
        if all > shown {
            let _ = writeln!(stderr, "  and {} more, see all with --verbose", all - shown);
        }
    }
}

fn labelled(style: Style, label: &str, text: impl fmt::Display) {
    let _ = writeln!(anstream::stderr(), "{style}{label}:{style:#} {text}");
}

/// An error of this crate that knows the way out.
#[derive(Debug)]
pub(crate) struct Advised {
    message: String,
    help: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Advised {
    /// What is wrong, and what to do about it.
    pub(crate) fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: help.into(),
            source: None,
        }
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

fn help<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e str> {
    if let Some(advised) = error.downcast_ref::<Advised>() {
        return Some(&advised.help);
    }
    if let Some(error) = error.downcast_ref::<btfgen_hub::Error>() {
        return error.help();
    }
    error.downcast_ref::<btfgen::Error>()?.help()
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    caused(&error.to_string(), error)
}

/// A text about an error, and the error's causes behind it.
pub(crate) fn caused(text: &str, error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&e| e.source());
    causes.fold(printable(text), |line, cause| {
        format!("{line}: {}", printable(&cause.to_string()))
    })
}

/// A text from a file, or the name of one, with its control characters escaped: a terminal would obey them.
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

    /// Check that an error's cause and its help are both told.
    #[test]
    fn advice() {
        let advised = Advised::new("outer", "do this").with_source(std::io::Error::other("inner"));
        let error = anyhow::Error::new(advised);
        assert_eq!(chain(error.as_ref()), "outer: inner");
        assert_eq!(error.chain().find_map(help), Some("do this"));
    }

    /// Check that control characters do not get through, and letters of all kinds do.
    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a\x1b[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(printable("Größe → 1"), "Größe → 1");
    }

    /// Check that every cause of an error is in its one line.
    #[test]
    fn causes_are_chained() {
        let error = anyhow::anyhow!("third").context("second").context("first");
        assert_eq!(chain(error.as_ref()), "first: second: third");
    }
}
