//! `btfgen completions`: shell completions, made from the argument definitions.

use anyhow::Result;
use clap::Command;
use clap_complete::Shell;

use crate::exit::Exit;
use crate::sink;

const EXAMPLES: &str = "\
EXAMPLES
  btfgen completions bash > /usr/share/bash-completion/completions/btfgen
  btfgen completions zsh > ~/.zfunc/_btfgen
  btfgen completions fish > ~/.config/fish/completions/btfgen.fish";

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

impl Arguments {
    /// Prints the script for a command.
    pub(crate) fn run(self, mut command: Command) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "btfgen", &mut script);
        sink::data(|out| out.write_all(&script))?;
        Ok(Exit::Done)
    }
}
