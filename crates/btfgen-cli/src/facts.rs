//! Facts as arguments: what `btfgen offsets` and `btfgen pack` share.

mod file;

use std::collections::HashSet;
use std::path::PathBuf;

use anyhow::Result;
use btfgen::{Fact, Facts};
use serde::Serialize;

use crate::console::Console;
use crate::explain::{Advised, printable};

/// The facts of the command line and of the files. Their names differ.
pub(crate) fn all(facts: &[Fact], files: &[PathBuf]) -> Result<Vec<Fact>> {
    let mut facts = facts.to_vec();
    for path in files {
        facts.extend(file::read(path)?);
    }
    let mut names = HashSet::new();
    let same = facts.iter().find(|fact| !names.insert(fact.name()));
    if let Some(same) = same {
        return Err(Advised::usage(
            format!("two facts have the name {}", same.name()),
            "leave out one of them, or give it another `name` in a file of facts",
        ));
    }
    Ok(facts)
}

/// A fact that no kernel has, for JSON.
#[derive(Serialize)]
pub(crate) struct UnknownFact<'f> {
    name: &'f str,
    nearest: &'f [String],
}

impl<'f> UnknownFact<'f> {
    pub(crate) fn all(facts: &'f Facts) -> Vec<Self> {
        let unknown = facts.unknown.iter().filter_map(|(number, nearest)| {
            let name = facts.facts.get(*number)?.name();
            Some(Self { name, nearest })
        });
        unknown.collect()
    }
}

/// Warns of facts that no kernel has.
pub(crate) fn warn_unknown(console: Console, facts: &Facts) {
    let unknown = facts.unknown.iter().filter_map(|(number, nearest)| {
        let fact = facts.facts.get(*number)?;
        Some(match nearest.is_empty() {
            true => fact.to_string(),
            false => format!("{fact}; near: {}", printable(&nearest.join(", "))),
        })
    });
    let unknown: Vec<String> = unknown.collect();
    console.warn_all("no kernel has these facts:", unknown.into_iter());
}
