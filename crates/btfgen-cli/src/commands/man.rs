//! `btfgen man`: manual pages, made from the argument definitions.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use btfgen_files::TempFolder;
use clap::Command;

use crate::exit::Exit;
use crate::sink;

const EXAMPLES: &str = "\
EXAMPLES
  btfgen man | man -l -
  btfgen man --out /usr/local/share/man/man1";

/// Print the manual page, or write the manual pages of all subcommands
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Write btfgen.1, btfgen-pack.1 and so on into this folder; creates the folder if it is missing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Arguments {
    /// Prints or writes the pages of a command.
    pub(crate) fn run(self, command: Command) -> Result<Exit> {
        match self.out {
            None => {
                let mut page = Vec::new();
                clap_mangen::Man::new(command).render(&mut page)?;
                sink::data(|out| out.write_all(&page))?;
            }
            Some(folder) => write_all(command, &folder)
                .with_context(|| format!("{}: cannot write the manual pages", folder.display()))?,
        }
        Ok(Exit::Done)
    }
}

/// Writes the pages into a temporary folder, and moves them to `folder` when all are complete.
fn write_all(command: Command, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let new = TempFolder::create_in(folder)?;
    clap_mangen::generate_to(command, new.path())?;
    for page in fs::read_dir(new.path())? {
        let page = page?;
        fs::rename(page.path(), folder.join(page.file_name()))?;
    }
    Ok(())
}
