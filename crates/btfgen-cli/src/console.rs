//! Messages for people, on stderr.

use std::error::Error;
use std::fmt;
use std::io::Write as _;

use anstyle::Style;
use btfgen::Claims;

use crate::amount::count;
use crate::exit::Exit;
use crate::report::Failure;
use crate::{sink, style};

/// How many lines of a long list are shown without `--verbose`.
const SHOWN: usize = 10;

/// Prints messages on stderr, as `--quiet` and `--verbose` say. Ignores errors of stderr.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Console {
    /// Only warnings and errors.
    pub(crate) quiet: bool,
    /// All details.
    pub(crate) verbose: bool,
    /// The command's results go to stdout as JSON.
    pub(crate) json: bool,
}

impl Console {
    /// Claims stdout for the JSON, if it is asked for.
    pub(crate) fn claim_stdout(&self, claims: &mut Claims) -> btfgen::Result<()> {
        if self.json {
            claims.writes_stdout("the JSON")?;
        }
        Ok(())
    }

    /// Prints what was done. Silent with `--quiet`.
    pub(crate) fn say(&self, text: impl fmt::Display) {
        if !self.quiet {
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }

    /// Prints what the user may want to know. Silent with `--quiet`.
    pub(crate) fn note(&self, text: impl fmt::Display) {
        if !self.quiet {
            labelled(style::HELP, "note", text);
        }
    }

    /// Prints a problem that does not stop the work.
    pub(crate) fn warning(&self, text: impl fmt::Display) {
        labelled(style::WARNING, "warning", text);
    }

    /// Prints that the command failed, or did not do everything.
    pub(crate) fn failure(&self, text: impl fmt::Display) {
        labelled(style::ERROR, "error", text);
    }

    /// Prints the error, if there is one, also as JSON, and returns the exit code.
    pub(crate) fn exit(&self, result: anyhow::Result<Exit>) -> Exit {
        result.unwrap_or_else(|e| {
            self.error(&e);
            let exit = Exit::of(&e);
            if self.json && exit != Exit::Usage {
                // If stdout cannot be written, stderr has the error.
                let _ = sink::json(&Failure::of(&e));
            }
            exit
        })
    }

    /// Prints an error with all causes, and its help if it has one.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        self.failure(chain(error.as_ref()));
        if let Some(help) = error.chain().find_map(help) {
            labelled(style::HELP, "help", help);
        }
    }

    /// Prints a note and lines below it, if there are lines. Silent with `--quiet`.
    pub(crate) fn note_all(
        &self,
        text: impl fmt::Display,
        lines: impl ExactSizeIterator<Item = String>,
    ) {
        if lines.len() > 0 && !self.quiet {
            self.note(text);
            self.details(lines);
        }
    }

    /// Prints a warning and lines below it, if there are lines.
    pub(crate) fn warn_all(
        &self,
        text: impl fmt::Display,
        lines: impl ExactSizeIterator<Item = String>,
    ) {
        if lines.len() > 0 {
            self.warning(text);
            self.details(lines);
        }
    }

    /// Prints a warning about each kernel or file that was left out.
    pub(crate) fn left_out(&self, things: &'static str, errors: &[btfgen::Error]) {
        let text = format!("{} left out:", count(errors.len(), things));
        self.warn_all(text, errors.iter().map(|e| chain(e)));
    }

    /// Prints lines below a message: the first ones, or all with `--verbose`.
    pub(crate) fn details(&self, lines: impl ExactSizeIterator<Item = String>) {
        let all = lines.len();
        let shown = if self.verbose { all } else { SHOWN };
        let mut stderr = anstream::stderr();
        for line in lines.take(shown) {
            let _ = writeln!(stderr, "  {line}");
        }
        if all > shown {
            let _ = writeln!(stderr, "  and {} more (--verbose shows all)", all - shown);
        }
    }
}

fn labelled(style: Style, label: &str, text: impl fmt::Display) {
    let _ = writeln!(anstream::stderr(), "{style}{label}:{style:#} {text}");
}

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
