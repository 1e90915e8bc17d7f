//! Facts as JSON, YAML and CSV.

use std::io::{self, Write};

use btfgen::{Answer, Answered, Facts, KernelId};
use serde::Serialize;

use crate::facts::UnknownFact;
use crate::report::LeftOut;

/// The version of the form of the JSON and YAML.
const VERSION: u32 = 1;

#[derive(Serialize)]
pub(super) struct Report<'f> {
    version: u32,
    facts: Vec<Asked<'f>>,
    /// Kernels with equal answers.
    rows: Vec<Row<'f>>,
    /// Facts that no kernel has.
    unknown: Vec<UnknownFact<'f>>,
    left_out: Vec<LeftOut>,
}

#[derive(Serialize)]
struct Asked<'f> {
    name: &'f str,
    fact: String,
}

#[derive(Serialize)]
struct Row<'f> {
    /// For people.
    ranges: Vec<String>,
    kernels: Vec<String>,
    /// In the order of the facts.
    answers: &'f [Answered],
}

impl<'f> Report<'f> {
    pub(super) fn new(facts: &'f Facts) -> Self {
        let asked = facts.facts.iter().map(|fact| Asked {
            name: fact.name(),
            fact: fact.to_string(),
        });
        let rows = facts.rows.iter().map(|row| Row {
            ranges: ranges(facts, &row.kernels.iter().collect::<Vec<_>>()),
            kernels: row.kernels.iter().map(ToString::to_string).collect(),
            answers: &row.answers,
        });
        Self {
            version: VERSION,
            facts: asked.collect(),
            rows: rows.collect(),
            unknown: UnknownFact::all(facts),
            left_out: LeftOut::all(&facts.left_out),
        }
    }
}

fn ranges(facts: &Facts, kernels: &[&KernelId]) -> Vec<String> {
    let ranges = facts.ranges(kernels).into_iter();
    ranges.map(|range| range.to_string()).collect()
}

/// A line for each answer of each fact: the fact, what it is, its numbers, and the kernels.
pub(super) fn csv(out: &mut dyn Write, facts: &Facts) -> io::Result<()> {
    writeln!(out, "name,status,value,size,bit,bits,kernels,ranges")?;
    for (number, fact) in facts.facts.iter().enumerate() {
        for (answered, kernels) in facts.answers(number) {
            let status = match answered.answer {
                Answer::Missing(_) => "missing",
                Answer::Ambiguous(_) => "ambiguous",
                Answer::Unknown => "unknown",
                _ => "found",
            };
            let numbers = match answered.answer.number() {
                Some(n) => format!("{},{},{},{}", n.value, n.size, n.bit, n.bits),
                None => ",,,".to_owned(),
            };
            // Names of kernels may have any characters.
            let ranges = ranges(facts, &kernels).join("; ").replace('"', "\"\"");
            let (name, count) = (fact.name(), kernels.len());
            writeln!(out, "{name},{status},{numbers},{count},\"{ranges}\"")?;
        }
    }
    Ok(())
}
