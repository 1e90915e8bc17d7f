//! The command line as a whole.

use clap::{ArgAction, CommandFactory as _, Parser, Subcommand};

use crate::commands::{
    add, check, completions, diff, dump, extract, fetch, hub, list, lookup, man, minimize, needs,
    offsets, pack,
};
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::Advised;
use crate::report::Failure;
use crate::sink;
use crate::style::{self, Color};

const LONG_ABOUT: &str = "\
Pack the kernel types that eBPF programs need into one small archive.

A CO-RE program needs the running kernel's types (BTF). A kernel without /sys/kernel/btf/vmlinux does not provide them, \
so the program must bring them: 3 to 5 MB for each kernel. btfgen reduces every kernel's BTF to what the relocations of \
your objects need, proves that every relocation has the same outcome as with the full BTF, and packs all kernels into one \
archive.

  1. Fill a hub, a folder of kernels' BTFs: `btfgen fetch` brings those of btfhub-archive, `btfgen add` your own.
  2. Pack the hub: btfgen pack app.bpf.o -o btfs.tar.gz
  3. Embed the archive in your program. At start, btfgen-runtime (Rust) or libbtfgen (C) finds the running kernel's BTF \
in it and gives it to libbpf. `btfgen lookup` shows which BTF that is.";

const AFTER_HELP: &str = "\
EXIT CODES
  0    done; a warning names each kernel or file of a hub or repository that was left out
  1    failed, or something that you named was not done
  2    bad usage
  130  stopped by Ctrl-C

EXAMPLES
  btfgen fetch --distro ubuntu --arch x86_64
  btfgen pack app.bpf.o --hub ~/btfhub-archive -o btfs.tar.gz
  btfgen check app.bpf.o
  btfgen needs app.bpf.o
  btfgen list --count
  btfgen extract btfs.tar.gz ubuntu/20.04/x86_64/5.4.0-26-generic
  btfgen lookup btfs.tar.gz";

/// Pack the kernel types that eBPF programs need into one small archive
#[derive(Debug, Parser)]
#[command(name = "btfgen", bin_name = "btfgen", version, help_expected = true)]
#[command(long_about = LONG_ABOUT, after_help = AFTER_HELP, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,

    /// Print all details; -vv is the same
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,

    /// Print only the results, warnings and errors
    #[arg(short, long, global = true)]
    quiet: bool,

    /// Print the results as JSON on stdout: one object, which has `error` and perhaps `help` if the command failed
    #[arg(long, global = true)]
    json: bool,

    /// When to use colours; auto respects NO_COLOR and CLICOLOR_FORCE
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    color: Color,
}

#[derive(Debug, Subcommand)]
enum Command {
    Fetch(fetch::Arguments),
    Add(add::Arguments),
    Hub(hub::Arguments),
    Pack(pack::Arguments),
    Check(check::Arguments),
    Offsets(offsets::Arguments),
    Needs(needs::Arguments),
    Diff(diff::Arguments),
    Dump(dump::Arguments),
    List(list::Arguments),
    Minimize(minimize::Arguments),
    Extract(extract::Arguments),
    Lookup(lookup::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
}

impl Cli {
    /// Runs the subcommand, and prints its error if it fails.
    pub(crate) fn run(self) -> Exit {
        style::choose(self.color);
        let console = Console {
            quiet: self.quiet,
            verbose: self.verbose > 0,
            json: self.json,
        };
        let result = match self.command {
            Command::Completions(_) | Command::Man(_) if self.json => Err(Advised::usage(
                "there is no JSON of completions and manual pages",
                "leave out --json",
            )),
            Command::Fetch(arguments) => arguments.run(console),
            Command::Add(arguments) => arguments.run(console),
            Command::Hub(arguments) => arguments.run(console),
            Command::Pack(arguments) => arguments.run(console),
            Command::Check(arguments) => arguments.run(console),
            Command::Offsets(arguments) => arguments.run(console),
            Command::Needs(arguments) => arguments.run(console),
            Command::Diff(arguments) => arguments.run(console),
            Command::Dump(arguments) => arguments.run(console),
            Command::List(arguments) => arguments.run(console),
            Command::Minimize(arguments) => arguments.run(console),
            Command::Extract(arguments) => arguments.run(console),
            Command::Lookup(arguments) => arguments.run(console),
            Command::Completions(arguments) => arguments.run(Self::command()),
            Command::Man(arguments) => arguments.run(Self::command()),
        };
        conclude(console, result)
    }
}

/// Prints the error, if there is one, also as JSON, and returns the exit code.
pub(crate) fn conclude(console: Console, result: anyhow::Result<Exit>) -> Exit {
    result.unwrap_or_else(|e| {
        console.error(&e);
        let exit = Exit::of(&e);
        if console.json && exit != Exit::Usage {
            // If stdout cannot be written, stderr has the error.
            let _ = sink::json(&Failure::of(&e));
        }
        exit
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that the definition of the arguments is valid, and that every argument has a help text.
    #[test]
    fn verify_app() {
        Cli::command().debug_assert();
    }

    /// Check that every subcommand's help has examples.
    #[test]
    fn examples() {
        for command in Cli::command().get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string);
            assert!(
                help.is_some_and(|h| h.starts_with("EXAMPLES\n  btfgen ")),
                "{}",
                command.get_name()
            );
        }
    }
}
