//! `hub-growth`: counts how many definitions the kernels of a hub share.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use btfgen_simulate::{growth, rates};
use clap::Parser;

/// Count the definitions that each kernel of a hub adds to those before it
///
/// Kernels are in the order of their families. A step is what a kernel is to those before it: the first one of its series, of
/// its architecture, of its flavour, or another patch level. A definition is a named type as CO-RE can see it.
#[derive(Parser)]
struct Arguments {
    /// Print each kernel: its step, its definitions, new ones, and those shared with the kernel before
    #[arg(long)]
    each: bool,

    /// The hub
    #[arg(value_name = "HUB")]
    hub: PathBuf,
}

fn main() -> Result<()> {
    let Arguments { each, hub } = Arguments::parse();
    let growth = growth(&hub)?;
    let mut text = String::new();
    if each {
        for one in &growth {
            text += &format!(
                "{} {:?} {} {} {}\n",
                one.kernel, one.step, one.definitions, one.new, one.shared
            );
        }
    } else {
        text += "| step | kernels | new in the hub, mean | median | not in the kernel before, mean | shared with it |\n";
        text += "| --- | --- | --- | --- | --- | --- |\n";
        for (step, rate) in rates(&growth) {
            text += &format!(
                "| {step:?} | {} | {:.1} | {} | {:.1} | {:.1} % |\n",
                rate.kernels, rate.mean, rate.median, rate.changed, rate.shared
            );
        }
        let (all, new): (usize, usize) = growth.iter().fold((0, 0), |(all, new), one| {
            (all + one.definitions, new + one.new)
        });
        text += &format!(
            "\n{all} definitions in {} kernels, {new} different ones.\n",
            growth.len()
        );
    }
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("stdout cannot be written")
}
