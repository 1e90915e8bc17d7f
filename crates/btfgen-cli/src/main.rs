//! The `btfgen` command: arguments, progress, printing and exit codes. The work is the engine's, the `btfgen` crate.

#![deny(unsafe_code)]
// The print macros panic when the reader of a pipe is gone.
#![deny(clippy::print_stdout, clippy::print_stderr)]
#![allow(
    clippy::doc_markdown,
    reason = "the doc comment of an argument is its help text, which would show the backticks"
)]

mod amount;
mod arguments;
mod cli;
mod closed_stdout;
mod commands;
mod console;
mod exit;
mod explain;
mod facts;
mod html;
mod hunk;
mod interrupt;
mod kernel_argument;
mod kernel_name;
mod layouts;
mod modules;
mod progress;
mod report;
mod sink;
mod style;
mod table;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::Cli;
use crate::console::Console;
use crate::exit::Exit;

fn main() -> ExitCode {
    style::choose(style::asked_for(std::env::args_os()));
    interrupt::survive_file_size_limit();
    let exit = match Cli::try_parse() {
        Ok(cli) => cli.run(),
        Err(e) if e.use_stderr() => {
            // If this print fails, there is no other place to report it.
            let _ = e.print();
            Exit::Usage
        }
        // The user asked for help or version.
        Err(e) => cli::conclude(
            Console::default(),
            sink::printed(e.print()).map(|()| Exit::Done),
        ),
    };
    exit.into()
}
