//! The differences of types as text: like a unified diff, with the offsets and sizes as pahole writes them.

use std::io::{self, Write};

use btfgen::{Part, PartDiff, Shape, TypeDiff, TypePlace};

use crate::amount::count;
use crate::explain::printable;
use crate::style::{ADDED, HUNK, REMOVED};

/// The column of the offsets.
const WIDTH: usize = 48;

/// So many fields that follow each other and move equally far are one line.
const FEW: usize = 3;

/// How much of a difference is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Detail {
    /// Every field of a type that only one kernel has.
    pub(crate) whole_types: bool,
    /// Every field that only moves.
    pub(crate) all_moves: bool,
}

/// Prints the names of two kernels.
pub(crate) fn print_names(out: &mut dyn Write, before: &str, after: &str) -> io::Result<()> {
    writeln!(out, "{REMOVED}--- {}{REMOVED:#}", printable(before))?;
    writeln!(out, "{ADDED}+++ {}{ADDED:#}", printable(after))
}

/// Prints the difference of a type.
pub(crate) fn print(out: &mut dyn Write, diff: &TypeDiff, detail: Detail) -> io::Result<()> {
    writeln!(out, "{HUNK}@@ {} @@{HUNK:#}", head(diff))?;
    let declaration = |shape: &Option<Shape>| shape.as_ref()?.declaration.clone();
    let (before, after) = (declaration(&diff.before), declaration(&diff.after));
    if before != after {
        let lines = [(Sign::Removed, before), (Sign::Added, after)];
        for (sign, line) in lines {
            if let Some(line) = line {
                sign.line(out, &format!("{};", printable(&line)))?;
            }
        }
    }
    let is_of_one = diff.before.is_none() || diff.after.is_none();
    if is_of_one && !detail.whole_types {
        return Ok(());
    }
    let mut rest = &diff.parts[..];
    while let Some(part) = rest.first() {
        let run = rest
            .iter()
            .take_while(|p| p.shift().is_some() && p.shift() == part.shift());
        let run = run.count();
        if run >= FEW && !detail.all_moves {
            print_moves(out, &rest[..run])?;
            rest = &rest[run..];
        } else {
            print_part(out, part)?;
            rest = &rest[1..];
        }
    }
    Ok(())
}

fn head(diff: &TypeDiff) -> String {
    let name = printable(&diff.name.to_string());
    let size = |shape: &Shape| {
        shape
            .size
            .map(|size| count(size as usize, "byte").to_string())
    };
    let what = match (&diff.before, &diff.after) {
        (Some(before), Some(after)) if before.size != after.size && !diff.of_fields => {
            let sizes = [before.size, after.size].map(|size| match size {
                Some(size) => size.to_string(),
                None => "?".to_owned(),
            });
            Some(format!("{} → {} bytes", sizes[0], sizes[1]))
        }
        (Some(_), Some(shape)) => size(shape),
        (Some(shape), None) => Some(only("removed", size(shape))),
        (None, Some(shape)) => Some(only("added", size(shape))),
        (None, None) => None,
    };
    let what = what.map(|what| format!(", {what}")).unwrap_or_default();
    let [old, new] = diff.definitions;
    let several = match old.max(new) > 1 {
        true => format!(", one of {old} → {new} types of this name"),
        false => String::new(),
    };
    format!("{name}{what}{several}")
}

fn only(what: &str, size: Option<String>) -> String {
    match size {
        Some(size) => format!("{what}, {size}"),
        None => what.to_owned(),
    }
}

/// What a line is about.
#[derive(Clone, Copy)]
enum Sign {
    Removed,
    Added,
    Kept,
}

impl Sign {
    fn line(self, out: &mut dyn Write, line: &str) -> io::Result<()> {
        match self {
            Self::Removed => writeln!(out, "{REMOVED}-{line}{REMOVED:#}"),
            Self::Added => writeln!(out, "{ADDED}+{line}{ADDED:#}"),
            Self::Kept => writeln!(out, " {line}"),
        }
    }
}

fn print_part(out: &mut dyn Write, diff: &PartDiff) -> io::Result<()> {
    if let (Some(_), Some(before), Some(after)) = (diff.shift(), &diff.before, &diff.after) {
        let place = format!("{} → {}", offset(before), offset(after));
        return Sign::Kept.line(out, &line(after, &place));
    }
    let sides = [(Sign::Removed, &diff.before), (Sign::Added, &diff.after)];
    for (sign, part) in sides {
        if let Some(part) = part {
            sign.line(out, &line(part, &offset(part)))?;
        }
    }
    Ok(())
}

fn print_moves(out: &mut dyn Write, parts: &[PartDiff]) -> io::Result<()> {
    let shift = parts.first().and_then(PartDiff::shift).unwrap_or_default();
    let shift = match shift % 8 {
        0 => format!("{:+} bytes", shift / 8),
        _ => format!("{shift:+} bits"),
    };
    let name = |part: Option<&PartDiff>| part.map_or(String::new(), |part| printable(part.path()));
    let (first, last) = (name(parts.first()), name(parts.last()));
    let line = format!(
        "{} move by {shift}: {first} … {last}",
        count(parts.len(), "field")
    );
    Sign::Kept.line(out, &line)
}

/// A declaration with its place.
fn line(part: &Part, offset: &str) -> String {
    let declaration = printable(&part.declaration);
    let TypePlace::Field { size, .. } = part.place else {
        return format!("{declaration},");
    };
    let declaration = declaration + ";";
    let size = size.map_or("?".to_owned(), |size| size.to_string());
    format!("{declaration:<WIDTH$} /* {offset:>5} {size:>5} */")
}

/// The offset in bytes; of a bitfield that of its integer, and its first bit there.
fn offset(part: &Part) -> String {
    let TypePlace::Field {
        bit_offset,
        size,
        bitfield_size,
    } = part.place
    else {
        return String::new();
    };
    if bitfield_size == 0 && bit_offset % 8 == 0 {
        return (bit_offset / 8).to_string();
    }
    let bytes = u64::from(size.unwrap_or(1).max(1));
    let bits = 8 * bytes;
    format!("{}:{}", bit_offset / bits * bytes, bit_offset % bits)
}
