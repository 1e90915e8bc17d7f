//! Colours of messages, and whether to use them.

use std::ffi::OsString;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum as _;

/// `error:`
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// `warning:`
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// `help:` and `note:`
pub(crate) const HELP: Style = AnsiColor::Cyan.on_default().bold();
/// The header of a table, and the important numbers.
pub(crate) const STRONG: Style = Style::new().bold();

/// What a kernel has and the other one has not.
pub(crate) const ADDED: Style = AnsiColor::Green.on_default();
/// What a kernel no longer has.
pub(crate) const REMOVED: Style = AnsiColor::Red.on_default();
/// The header of a difference.
pub(crate) const HUNK: Style = AnsiColor::Cyan.on_default();

/// When to colour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// Use colours if the terminal and the environment allow them
    #[default]
    Auto,
    /// Always use colours
    Always,
    /// Never use colours
    Never,
}

/// Sets the choice for the whole process, including clap's messages.
pub(crate) fn choose(color: Color) {
    let choice = match color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::AlwaysAnsi,
        Color::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// Finds `--color` without clap, for the messages about arguments that clap cannot parse.
pub(crate) fn asked_for(arguments: impl IntoIterator<Item = OsString>) -> Color {
    let mut arguments = arguments
        .into_iter()
        .map(|a| a.to_string_lossy().into_owned());
    let mut color = Color::default();
    while let Some(argument) = arguments.next().filter(|a| a != "--") {
        let value = match argument.strip_prefix("--color") {
            Some("") => arguments.next(),
            Some(value) => value.strip_prefix('=').map(str::to_owned),
            None => None,
        };
        if let Some(known) = value.and_then(|v| Color::from_str(&v, false).ok()) {
            color = known;
        }
    }
    color
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that both spellings of `--color` are found, and that wrong values and arguments after `--` are ignored.
    #[test]
    fn color_is_found_before_parsing() {
        let asked = |line: &str| asked_for(line.split(' ').map(OsString::from));
        assert_eq!(asked("btfgen --color never list"), Color::Never);
        assert_eq!(asked("btfgen list --color=always"), Color::Always);
        assert_eq!(asked("btfgen --color=loud"), Color::Auto);
        assert_eq!(asked("btfgen --colors never"), Color::Auto);
        assert_eq!(asked("btfgen -- --color never"), Color::Auto);
    }
}
