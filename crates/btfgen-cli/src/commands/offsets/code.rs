//! Facts as code, with a lookup by machine and release.

use std::collections::BTreeMap;
use std::io::{self, Write};

use btfgen::archive::Architecture;
use btfgen::{Fact, FactRow, Facts, Number};

/// Two kernels with different rows have this machine and release.
const DIFFERENT: i64 = -1;

/// The row of each machine and release, as uname(2) tells them.
fn by_release(facts: &Facts) -> BTreeMap<(String, String), i64> {
    let mut rows = BTreeMap::new();
    for (number, row) in (0..).zip(&facts.rows) {
        for kernel in &row.kernels {
            let machine = Architecture::named(kernel.arch()).map(Architecture::machine);
            let machine = machine.unwrap_or(kernel.arch()).to_owned();
            let place = rows.entry((machine, kernel.release().to_owned()));
            let known = place.or_insert(number);
            if *known != number {
                *known = DIFFERENT;
            }
        }
    }
    rows
}

/// A string literal of C and Rust. Names of kernels may have any characters.
fn literal(text: &str) -> String {
    let mut literal = String::from('"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => literal.extend(['\\', byte.into()]),
            b' '..=b'~' => literal.push(byte.into()),
            _ => literal.push('?'),
        }
    }
    literal + "\""
}

/// The numbers of a row's answers.
fn numbers<'f>(
    facts: &'f [Fact],
    row: &'f FactRow,
) -> impl Iterator<Item = (&'f str, Option<Number>)> {
    let answers = row.answers.iter().map(|a| a.answer.number());
    facts.iter().map(Fact::name).zip(answers)
}

const C_TOP: &str = "\
/* Made by `btfgen offsets --format c`. */
#ifndef BTFGEN_FACTS_H
#define BTFGEN_FACTS_H

#include <stddef.h>
#include <string.h>

/* What a kernel answers. */
struct btfgen_facts_value {
	int found;		/* 0: the kernel does not have it, or does not tell; then the rest is 0 */
	long long value;	/* offset or size in bytes, value of an enum, or number of parameters */
	unsigned int size;	/* size of a member in bytes */
	unsigned int bit;	/* of a bitfield: its first bit within the byte at the offset, as BTF counts bits */
	unsigned int bits;	/* of a bitfield: its width; 0 for other members */
};

";

/// A header for C.
pub(super) fn c(out: &mut dyn Write, facts: &Facts) -> io::Result<()> {
    out.write_all(C_TOP.as_bytes())?;
    writeln!(out, "struct btfgen_facts {{")?;
    for fact in &facts.facts {
        writeln!(
            out,
            "\t/* {fact} */\n\tstruct btfgen_facts_value {};",
            fact.name()
        )?;
    }
    writeln!(
        out,
        "}};\n\nstatic const struct btfgen_facts btfgen_facts_rows[] = {{"
    )?;
    for row in &facts.rows {
        writeln!(out, "\t{{")?;
        for (name, numbers) in numbers(&facts.facts, row) {
            let found = i32::from(numbers.is_some());
            let n = numbers.unwrap_or_default();
            // The smallest number has no literal.
            let value = match n.value {
                i64::MIN => "-9223372036854775807LL - 1".to_owned(),
                value => format!("{value}LL"),
            };
            let (size, bit, bits) = (n.size, n.bit, n.bits);
            writeln!(
                out,
                "\t\t.{name} = {{ {found}, {value}, {size}u, {bit}u, {bits}u }},"
            )?;
        }
        writeln!(out, "\t}},")?;
    }
    writeln!(
        out,
        "}};\n\nstatic const struct {{\n\tconst char *machine, *release;\n\tint row;\n}} btfgen_facts_kernels[] = {{"
    )?;
    for ((machine, release), row) in by_release(facts) {
        writeln!(
            out,
            "\t{{ {}, {}, {row} }},",
            literal(&machine),
            literal(&release)
        )?;
    }
    out.write_all(C_LOOKUP.as_bytes())
}

const C_LOOKUP: &str = "\
};

/* The facts of the kernels with this machine and release, as uname(2) tells them. NULL if no kernel is known, or if several are
 * and their facts differ. The facts are static: nobody frees them. */
static inline const struct btfgen_facts *btfgen_facts_lookup(const char *machine, const char *release)
{
	size_t n;

	for (n = 0; n < sizeof(btfgen_facts_kernels) / sizeof(btfgen_facts_kernels[0]); n++) {
		if (strcmp(btfgen_facts_kernels[n].release, release) == 0 &&
		    strcmp(btfgen_facts_kernels[n].machine, machine) == 0) {
			int row = btfgen_facts_kernels[n].row;

			return row < 0 ? NULL : &btfgen_facts_rows[row];
		}
	}
	return NULL;
}

#endif
";

const RUST_TOP: &str = "\
// Made by `btfgen offsets --format rust`.

/// What a kernel answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// Offset or size in bytes, value of an enum, or number of parameters.
    pub value: i64,
    /// Size of a member in bytes.
    pub size: u32,
    /// Of a bitfield: its first bit within the byte at the offset, as BTF counts bits.
    pub bit: u32,
    /// Of a bitfield: its width; 0 for other members.
    pub bits: u32,
}

/// The facts of a kernel. `None` if the kernel does not have one, or does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
";

/// A module for Rust.
pub(super) fn rust(out: &mut dyn Write, facts: &Facts) -> io::Result<()> {
    out.write_all(RUST_TOP.as_bytes())?;
    for fact in &facts.facts {
        writeln!(
            out,
            "    /// `{fact}`\n    pub r#{}: Option<Fact>,",
            fact.name()
        )?;
    }
    writeln!(out, "}}\n\nstatic ROWS: &[Facts] = &[")?;
    for row in &facts.rows {
        writeln!(out, "    Facts {{")?;
        for (name, numbers) in numbers(&facts.facts, row) {
            let numbers = match numbers {
                Some(Number {
                    value,
                    size,
                    bit,
                    bits,
                }) => format!(
                    "Some(Fact {{ value: {value}, size: {size}, bit: {bit}, bits: {bits} }})"
                ),
                None => "None".to_owned(),
            };
            writeln!(out, "        r#{name}: {numbers},")?;
        }
        writeln!(out, "    }},")?;
    }
    writeln!(
        out,
        "];\n\n/// Machine, release, and row; `None` if kernels with different facts have them. They are sorted.\n\
         static KERNELS: &[(&str, &str, Option<usize>)] = &["
    )?;
    for ((machine, release), row) in by_release(facts) {
        let row = match row {
            DIFFERENT => "None".to_owned(),
            row => format!("Some({row})"),
        };
        writeln!(
            out,
            "    ({}, {}, {row}),",
            literal(&machine),
            literal(&release)
        )?;
    }
    out.write_all(RUST_LOOKUP.as_bytes())
}

const RUST_LOOKUP: &str = "\
];

/// The facts of the kernels with this machine and release, as uname(2) tells them. `None` if no kernel is known, or if several
/// are and their facts differ.
pub fn lookup(machine: &str, release: &str) -> Option<&'static Facts> {
    let place = KERNELS.binary_search_by(|&(m, r, _)| (m, r).cmp(&(machine, release))).ok()?;
    ROWS.get(KERNELS[place].2?)
}
";
