//! Outputs: stdout, or a file. A file is checked before the work starts, and replaced in one step.

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use btfgen::{Claims, Output};

use crate::closed_stdout;
use crate::console::Console;
use crate::explain::Advised;

/// An output.
#[derive(Debug)]
pub(crate) enum Sink {
    /// The user named `-`.
    Stdout,
    /// A file, with the guarantees of [`Output`].
    File(Output),
}

impl Sink {
    /// An output for a BTF: `-` is stdout, which must not be a terminal, and which `--json` needs. `what` is for [`Claims`].
    pub(crate) fn claim(
        path: &Path,
        what: &'static str,
        claims: &mut Claims,
        console: Console,
    ) -> Result<Self> {
        console.claim_stdout(claims)?;
        if path != Path::new("-") {
            let output = Output::probe(path)?;
            claims.writes(what, &output)?;
            return Ok(Self::File(output));
        }
        if console.json {
            return Err(Advised::usage(
                "stdout cannot take both the BTF and --json",
                "name a file with -o",
            ));
        }
        if io::stdout().is_terminal() {
            return Err(Advised::usage(
                "will not write binary data to a terminal",
                "redirect stdout, or name a file with -o",
            ));
        }
        claims.writes_stdout(what)?;
        Ok(Self::Stdout)
    }

    /// Writes everything.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<()> {
        match self {
            Self::Stdout => data(|out| out.write_all(bytes)),
            Self::File(output) => Ok(output.write(bytes)?),
        }
    }
}

/// Writes data to stdout. It is not an error if the reader stops early, as `head` does.
pub(crate) fn data(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    written(write, BufWriter::new(io::stdout().lock()))
}

/// Writes text for people to stdout, with colours if `--color` and the terminal allow them.
pub(crate) fn text(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let stdout = anstream::AutoStream::auto(io::stdout().lock());
    written(write, BufWriter::new(stdout))
}

/// Writes a value as indented JSON to stdout.
pub(crate) fn json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).context("there is no JSON for a name")?;
    data(|out| writeln!(out, "{text}"))
}

fn written(
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    mut out: impl Write,
) -> Result<()> {
    printed(write(&mut out).and_then(|()| out.flush()))
}

/// Turns the result of writing to stdout into the command's result.
pub(crate) fn printed(result: io::Result<()>) -> Result<()> {
    let closed = || io::Error::other("closed");
    let result = result.and_then(|()| io::stdout().flush());
    match result {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Ok(()) if closed_stdout::was_closed() => Err(closed()),
        result => result,
    }
    .context("stdout: cannot be written")
}
