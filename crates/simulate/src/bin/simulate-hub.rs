//! `simulate-hub`: makes a hub of any number of kernels from a few real ones.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use btfgen_simulate::Simulation;
use clap::Parser;

/// Make a hub of any number of kernels for benchmarks, by editing the types of real kernels
///
/// The kernels are in families as real ones are: series, patch levels, flavours, architectures. Each has all named types of a
/// real kernel and a part of its functions: about half a megabyte. The same options make the same files; a folder that was
/// begun is completed, and a smaller hub has the first kernels of a larger one.
#[derive(Parser)]
struct Arguments {
    /// The number of kernels
    #[arg(long, value_name = "N", default_value_t = 100)]
    kernels: usize,

    /// Another seed makes other kernels
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// The hub of real kernels
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../btfhub-sample"))]
    from: PathBuf,

    /// Only print the paths of the kernels' files in the hub, in the order in which they were published
    #[arg(long)]
    list: bool,

    /// The hub to write
    #[arg(value_name = "OUT", required_unless_present = "list")]
    out: Option<PathBuf>,
}

fn main() -> Result<()> {
    let Arguments {
        kernels,
        seed,
        from,
        list,
        out,
    } = Arguments::parse();
    let simulation = Simulation {
        from,
        kernels,
        seed,
    };
    if list {
        let mut text = String::new();
        for id in simulation.kernels()? {
            text += &format!("{id}.btf.tar.xz\n");
        }
        return std::io::stdout()
            .write_all(text.as_bytes())
            .context("stdout cannot be written");
    }
    let is_terminal = std::io::stderr().is_terminal();
    let progress = |done, all| {
        // Every kernel on a terminal, else every hundredth.
        if is_terminal {
            eprint!("\r{done} of {all} kernels");
        } else if done % 100 == 0 {
            eprintln!("{done} of {all} kernels");
        }
    };
    simulation.write(&out.unwrap_or_default(), progress)?;
    if is_terminal {
        eprintln!();
    }
    Ok(())
}
