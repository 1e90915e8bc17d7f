//! Facts as JSON, YAML and CSV.

use std::io::{self, Write};

use btfgen::{Answer, Answered, Facts, KernelId};
use serde::Serialize;

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
    unknown: Vec<Unknown<'f>>,
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

#[derive(Serialize)]
struct Unknown<'f> {
    name: &'f str,
    nearest: &'f [String],
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
        let unknown = facts.unknown.iter().filter_map(|(number, nearest)| {
            let name = facts.facts.get(*number)?.name();
            Some(Unknown { name, nearest })
        });
        Self {
            version: VERSION,
            facts: asked.collect(),
            rows: rows.collect(),
            unknown: unknown.collect(),
            left_out: LeftOut::all(&facts.left_out),
        }
    }
}

fn ranges(facts: &Facts, kernels: &[&KernelId]) -> Vec<String> {
    let ranges = facts.ranges(kernels).into_iter();
    ranges.map(|range| range.to_string()).collect()
}

/// A number, in the forms for CSV and code.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Offset or size in bytes, value, or number of parameters.
    pub(super) value: i64,
    /// The size of a member in bytes.
    pub(super) size: u32,
    /// Of a bitfield: its first bit within the byte at the offset, and its width.
    pub(super) bit: u32,
    pub(super) bits: u32,
}

impl Numbers {
    /// `None` if the kernel does not give a number.
    pub(super) fn of(answer: &Answer) -> Option<Self> {
        let value = |value| Self {
            value,
            ..Self::default()
        };
        Some(match *answer {
            Answer::Member {
                bit_offset,
                bytes,
                bits,
            } => Self {
                value: (bit_offset / 8).cast_signed(),
                size: bytes,
                bit: (bit_offset % 8) as u32,
                bits: bits.unwrap_or_default(),
            },
            Answer::Size { bytes } => value(bytes.into()),
            Answer::Value { value: number } => value(number),
            Answer::Function { parameters } => value(parameters.into()),
            _ => return None,
        })
    }
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
            let numbers = match Numbers::of(&answered.answer) {
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
