//! `btfgen man`: manual pages, from the definition of the arguments.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::sink;

const EXAMPLES: &str = "\
EXAMPLES
  btfgen man | man -l -
  btfgen man --out /usr/local/share/man/man1";

/// Print the manual page, or write one for each subcommand too
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Write btfgen.1, btfgen-pack.1 and so on into this folder, which is made if it is not there
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn run(self) -> Result<Exit> {
        match self.out {
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(Cli::command()).render(&mut page)?;
                sink::data(|out| out.write_all(&page))?;
            }
            Some(folder) => fs::create_dir_all(&folder)
                .and_then(|()| clap_mangen::generate_to(Cli::command(), &folder))
                .with_context(|| format!("{}: cannot write the manual pages", folder.display()))?,
        }
        Ok(Exit::Done)
    }
}
