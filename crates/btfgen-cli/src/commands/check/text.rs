//! The text of `btfgen check`.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use btfgen::{
    Effect, Finding, KernelId, ObjectSupport, Place, Reason, Refusal, Regression, Support, Verdict,
};

use super::Broken;
use crate::amount::count;
use crate::commands::needs::source_line;
use crate::explain::printable;
use crate::style::{ERROR, HELP, STRONG, WARNING};

/// How many ranges of kernels are shown without `--verbose`.
const RANGES: usize = 4;

const GOOD: Style = AnsiColor::Green.on_default().bold();

/// Prints what was found: for each object where it loads, and what breaks.
pub(super) fn print(out: &mut dyn Write, support: &Support, verbose: bool) -> io::Result<()> {
    for (n, object) in support.objects.iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        Printer {
            support,
            object,
            verbose,
        }
        .print(out)?;
    }
    Ok(())
}

/// The lines that break objects on required kernels, or on kernels of the baseline.
pub(super) fn breaking(
    support: &Support,
    broken: &[Broken],
    regressions: &[Regression],
) -> Vec<String> {
    let broken = broken.iter().map(|b| (b.object, &b.kernels));
    let all = broken.chain(regressions.iter().map(|r| (r.object, &r.kernels)));
    let mut lines: Vec<String> = Vec::new();
    for (object, kernels) in all {
        let object = &support.objects[object];
        for finding in support.findings(object) {
            if finding.effect < Effect::Poisoned {
                continue;
            }
            let hit = support.kernels_of(&finding.groups);
            let hit: Vec<&KernelId> = hit
                .into_iter()
                .filter(|k| kernels.binary_search(k).is_ok())
                .collect();
            let Some(first) = hit.first() else { continue };
            let relocation = printable(&support.needs[finding.need].to_string());
            let line = finding
                .places
                .iter()
                .find(|(_, effect)| *effect >= Effect::Poisoned);
            let line = line.map(|(place, _)| located(place)).unwrap_or_default();
            let reason = printable(&finding.reason.to_string());
            let line = format!(
                "{line}: {relocation}: {reason}; on {}, as {first}",
                count(hit.len(), "kernel")
            );
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

struct Printer<'s> {
    support: &'s Support,
    object: &'s ObjectSupport,
    verbose: bool,
}

impl Printer<'_> {
    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self {
            support, object, ..
        } = *self;
        let all = support.kernels().len();
        let loads = support.kernels_with(object, Verdict::Loads).len();
        let style = if loads == all { GOOD } else { STRONG };
        writeln!(
            out,
            "{STRONG}{}{STRONG:#}: loads on {style}{loads} of {}{style:#}",
            printable(&object.name),
            count(all, "kernel")
        )?;
        for verdict in [
            Verdict::OtherByteOrder,
            Verdict::Refused,
            Verdict::Fails,
            Verdict::Poisoned,
            Verdict::Loads,
        ] {
            let kernels = support.kernels_with(object, verdict);
            if !kernels.is_empty() && (loads < all || self.verbose) {
                let (style, name) = named(verdict);
                write!(out, "  {style}{name:<8}{style:#}  ")?;
                self.ranges(out, &kernels, "            ")?;
            }
        }
        self.programs(out)?;
        let findings = support.findings(object);
        let (bad, harmless): (Vec<_>, Vec<_>) = findings
            .into_iter()
            .partition(|finding| finding.effect >= Effect::Poisoned);
        for finding in &bad {
            self.finding(out, finding)?;
        }
        if self.verbose {
            for finding in &harmless {
                self.finding(out, finding)?;
            }
            self.layouts(out)?;
        } else if !harmless.is_empty() {
            let mut needs: Vec<usize> = harmless.iter().map(|finding| finding.need).collect();
            needs.sort_unstable();
            needs.dedup();
            writeln!(
                out,
                "\n  {} somewhere, and the program expects that (--verbose shows them)",
                match needs.len() {
                    1 => "1 relocation finds nothing".to_owned(),
                    n => format!("{n} relocations find nothing"),
                }
            )?;
        }
        Ok(())
    }

    /// The programs that do not load everywhere, if there are several.
    fn programs(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self {
            support, object, ..
        } = *self;
        if object.programs.len() < 2 {
            return Ok(());
        }
        let loads = |verdicts: &[Verdict]| -> usize {
            let groups = support.groups.iter().zip(verdicts);
            let groups = groups.filter(|(_, verdict)| **verdict == Verdict::Loads);
            groups.map(|(group, _)| group.kernels.len()).sum()
        };
        let all = support.kernels().len();
        let programs = object.programs.iter().map(|p| (p, loads(&p.verdicts)));
        let shown = programs.filter(|(_, loads)| self.verbose || *loads < all);
        for (program, loads) in shown {
            let off = match program.autoload {
                true => "",
                false => ", not loaded by default",
            };
            writeln!(
                out,
                "  program {STRONG}{}{STRONG:#} ({}{off}): loads on {loads}",
                printable(&program.name),
                printable(&program.section),
            )?;
        }
        Ok(())
    }

    fn finding(&self, out: &mut dyn Write, finding: &Finding<'_>) -> io::Result<()> {
        let (style, name) = effect(finding.effect);
        let need = &self.support.needs[finding.need];
        writeln!(
            out,
            "\n  {style}{name}{style:#}: {STRONG}{}{STRONG:#}: {}",
            printable(&need.to_string()),
            printable(&finding.reason.to_string())
        )?;
        let places: Vec<_> = finding
            .places
            .iter()
            .filter(|(_, effect)| self.verbose || *effect == finding.effect)
            .collect();
        let shown = if self.verbose { places.len() } else { RANGES };
        for (place, effect) in places.iter().take(shown) {
            let other = match *effect == finding.effect {
                true => String::new(),
                false => format!(": {}", self::effect(*effect).1),
            };
            writeln!(out, "      at {}{other}", located(place))?;
        }
        if places.len() > shown {
            writeln!(
                out,
                "      and at {} more",
                count(places.len() - shown, "place")
            )?;
        }
        write!(out, "      on ")?;
        self.ranges(out, &self.support.kernels_of(&finding.groups), "         ")?;
        if let Reason::Refused { refusal, .. } = finding.reason {
            writeln!(out, "      {HELP}help:{HELP:#} {}", Refusal::help(*refusal))?;
        }
        Ok(())
    }

    /// Where the answers to a relocation change.
    fn layouts(&self, out: &mut dyn Write) -> io::Result<()> {
        let support = self.support;
        let number = support
            .objects
            .iter()
            .position(|o| std::ptr::eq(o, self.object));
        for need in number
            .map(|n| support.needs.of_object(n))
            .unwrap_or_default()
        {
            let answers = support.answers(need);
            if answers.len() < 2 {
                continue;
            }
            writeln!(
                out,
                "\n  {STRONG}{}{STRONG:#}: {}",
                printable(&support.needs[need].to_string()),
                count(answers.len(), "different answer")
            )?;
            for (outcome, groups) in answers {
                let text = outcome.to_string();
                write!(out, "      {text:<24}  ")?;
                self.ranges(out, &support.kernels_of(&groups), &" ".repeat(32))?;
            }
        }
        Ok(())
    }

    /// Kernels as ranges, one in each line.
    fn ranges(&self, out: &mut dyn Write, kernels: &[&KernelId], indent: &str) -> io::Result<()> {
        let ranges = self.support.ranges(kernels);
        let shown = if self.verbose { ranges.len() } else { RANGES };
        for (n, range) in ranges.iter().take(shown).enumerate() {
            let indent = if n == 0 { "" } else { indent };
            writeln!(out, "{indent}{range}")?;
        }
        if ranges.len() > shown {
            let rest: usize = ranges[shown..].iter().map(|range| range.kernels).sum();
            writeln!(out, "{indent}and {} more", count(rest, "kernel"))?;
        }
        Ok(())
    }
}

fn named(verdict: Verdict) -> (Style, &'static str) {
    match verdict {
        Verdict::Loads => (GOOD, "loads"),
        Verdict::Poisoned => (WARNING, "poisoned"),
        Verdict::Fails => (ERROR, "fails"),
        Verdict::Refused => (ERROR, "refused"),
        _ => (HELP, "other byte order"),
    }
}

fn effect(effect: Effect) -> (Style, &'static str) {
    match effect {
        Effect::Answer => (HELP, "answer is no"),
        Effect::Guarded => (HELP, "guarded"),
        Effect::Poisoned => (WARNING, "poisoned"),
        _ => (ERROR, "refused"),
    }
}

/// A place in the source, or in the code if the object has no lines.
fn located(place: &Place) -> String {
    let function = place.function.as_deref().unwrap_or("?");
    let code = format!("{function} ({})", place.section);
    match source_line(place) {
        Some(line) => format!("{line} in {}", printable(&code)),
        None => format!("instruction {} of {}", place.instruction, printable(&code)),
    }
}
