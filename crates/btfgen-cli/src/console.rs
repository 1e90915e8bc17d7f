//! Messages for people, on stderr.

use std::fmt;
use std::io::Write as _;

use anstyle::Style;
use btfgen::Claims;

use crate::amount::count;
use crate::explain::{chain, help};
use crate::style;

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

    /// Tells that a type store could not be written: the result is good, but takes longer the next time.
    pub(crate) fn store_not_written(&self, error: &std::io::Error) {
        self.note(format_args!(
            "the type store could not be written, so the next run reads the kernels again: {}",
            chain(error)
        ));
    }

    /// Prints a warning about each kernel or file that was left out.
    pub(crate) fn left_out(&self, things: &'static str, errors: &[btfgen::Error]) {
        let text = format!("{} left out:", count(errors.len(), things));
        self.warn_all(text, errors.iter().map(|e| chain(e)));
        let mut helps: Vec<&str> = errors.iter().filter_map(|e| help(e)).collect();
        helps.sort_unstable();
        helps.dedup();
        self.helps(helps.into_iter());
    }

    /// Prints what the user can do.
    pub(crate) fn helps<'t>(&self, texts: impl Iterator<Item = &'t str>) {
        for text in texts {
            labelled(style::HELP, "help", text);
        }
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
