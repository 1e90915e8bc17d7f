//! The text of `btfgen check`.

use std::collections::BTreeSet;
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use btfgen::{
    Effect, FeatureUse, Finding, FunctionState, KconfigSource, KernelId, KernelRange,
    NeedsKernelBtf, ObjectSupport, Place, Programs, Reason, Refusal, Regression, Support, Target,
    Verdict,
};

use super::Broken;
use crate::amount::count;
use crate::commands::needs::source_line;
use crate::explain::printable;
use crate::layouts;
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
            number: n,
            object,
            verbose,
        }
        .print(out)?;
    }
    Ok(())
}

/// What each object asks of a kernel besides its types, without colours.
pub(super) fn asks(support: &Support) -> io::Result<Vec<String>> {
    let objects = support.objects.iter().enumerate();
    let texts = objects.map(|(number, object)| {
        let mut text = Vec::new();
        let printer = Printer {
            support,
            number,
            object,
            verbose: false,
        };
        printer.asks(&mut text)?;
        let text = String::from_utf8_lossy(&text);
        Ok(anstream::adapter::strip_str(&text).to_string())
    });
    texts.collect()
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
    /// The place of the object among all.
    number: usize,
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
            let groups = object.groups_with(verdict);
            if !groups.is_empty() && (loads < all || self.verbose) {
                let (style, name) = named(verdict);
                write!(out, "  {style}{name:<16}{style:#}  ")?;
                self.ranges(out, &support.ranges_of(&groups), &" ".repeat(20))?;
            }
        }
        self.programs(out)?;
        self.asks(out)?;
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
            self.answers(out)?;
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

    /// What the object asks of a kernel besides its types.
    fn asks(&self, out: &mut dyn Write) -> io::Result<()> {
        let object = &self.support.needs.objects()[self.number];
        let asked = match object.programs() {
            Ok(asked) => asked,
            Err(e) => {
                return writeln!(
                    out,
                    "  {ERROR}libbpf cannot open it{ERROR:#}: {}",
                    printable(&e.to_string())
                );
            }
        };
        if asked.has_legacy_maps {
            writeln!(
                out,
                "  {ERROR}refused{ERROR:#} by libbpf 1.0 and later: it defines maps in the section `maps`; use `.maps`"
            )?;
        }
        let parts = asked.need_kernel_btf();
        let names: Vec<String> = parts.iter().map(part).collect();
        if let Some(names) = self.list(&names) {
            let way_out = match parts.iter().all(NeedsKernelBtf::can_be_switched_off) {
                true => "switch off their autoload there",
                false => "and nothing that can be switched off changes that",
            };
            writeln!(
                out,
                "  {WARNING}needs the kernel's own BTF{WARNING:#}: {names}; where there is none, libbpf fails for the whole object, whatever archive it has: {way_out}"
            )?;
        }
        self.functions(out, asked)?;
        let configured = asked
            .kconfig
            .iter()
            .filter(|k| k.source == KconfigSource::Config);
        let configured: Vec<String> = configured.map(|k| printable(&k.name)).collect();
        if let Some(names) = self.list(&configured) {
            writeln!(
                out,
                "  {HELP}needs the kernel's configuration{HELP:#}, /boot/config-RELEASE or /proc/config.gz: {names}"
            )?;
        }
        if let Some(version) = asked.kernel_version {
            writeln!(
                out,
                "  {HELP}names Linux {}.{}.{}{HELP:#} in its section `version`: kernels before 5.0 load its kprobes only if that is theirs",
                version >> 16,
                version >> 8 & 0xff,
                version & 0xff
            )?;
        }
        let uses = object.features();
        let known = uses.iter().filter(|used| used.replacement.is_none());
        let known: Vec<String> = known
            .filter_map(|used| feature(used, self.verbose))
            .collect();
        if let Some(names) = self.list(&known) {
            writeln!(
                out,
                "  {HELP}newest features{HELP:#}, by mainline Linux, though vendors backport: {names}"
            )?;
        }
        Ok(())
    }

    /// The functions that programs attach to and that some kernels lack, or have with other numbers of parameters.
    fn functions(&self, out: &mut dyn Write, asked: &Programs) -> io::Result<()> {
        let targets = asked
            .programs
            .iter()
            .filter_map(|program| match &program.target {
                Some(Target::Function { name, .. }) => Some((name, &program.function)),
                _ => None,
            });
        let mut seen = BTreeSet::new();
        for (name, program) in targets {
            let mut functions = self.support.functions.iter();
            let Some(function) = functions.find(|function| function.name == *name) else {
                continue;
            };
            let is_everywhere = matches!(&function.kernels[..], [(FunctionState::Found { .. }, _)]);
            if !seen.insert(name) || (is_everywhere && !self.verbose) {
                continue;
            }
            writeln!(
                out,
                "  {HELP}attaches to{HELP:#} {}() in {} ({})",
                printable(name),
                printable(&program.name),
                printable(&program.section)
            )?;
            for (state, kernels) in &function.kernels {
                let state = match state {
                    FunctionState::Found { parameters } => {
                        let numbers: Vec<String> = parameters.iter().map(u32::to_string).collect();
                        match &numbers[..] {
                            [one] if one == "1" => "1 parameter".to_owned(),
                            several => format!("{} parameters", several.join(" or ")),
                        }
                    }
                    FunctionState::NotInKernel => "not in its BTF".to_owned(),
                    _ => "unknown".to_owned(),
                };
                write!(out, "    {state:<16}")?;
                let kernels: Vec<&KernelId> = kernels.iter().collect();
                self.ranges(out, &self.support.ranges(&kernels), &" ".repeat(20))?;
            }
        }
        Ok(())
    }

    /// Names in one line: the first ones, or all with `--verbose`.
    fn list(&self, names: &[String]) -> Option<String> {
        let shown = if self.verbose { names.len() } else { RANGES };
        let text = names
            .iter()
            .take(shown)
            .cloned()
            .collect::<Vec<_>>()
            .join(", ");
        match names.len().saturating_sub(shown) {
            0 if names.is_empty() => None,
            0 => Some(text),
            more => Some(format!("{text} and {more} more")),
        }
    }

    /// The programs that do not load on the same kernels as the object, if there are several.
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
        let programs = object.programs.iter().map(|p| (p, loads(&p.verdicts)));
        let mut all = object.programs.iter();
        let differs = all.any(|p| p.verdicts != object.verdicts);
        let shown = programs.filter(|_| self.verbose || differs);
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
            writeln!(out, "      and at {} more", places.len() - shown)?;
        }
        write!(out, "      on ")?;
        let ranges = self.support.ranges_of(&finding.groups);
        self.ranges(out, &ranges, "         ")?;
        if let Some(layouts) = finding.layouts.filter(|_| self.verbose) {
            for line in layouts::beside(layouts) {
                writeln!(out, "      {line}")?;
            }
        }
        if let Reason::Refused { refusal, .. } = finding.reason {
            writeln!(out, "      {HELP}help:{HELP:#} {}", Refusal::help(*refusal))?;
        }
        Ok(())
    }

    /// Where the answers to a relocation change.
    fn answers(&self, out: &mut dyn Write) -> io::Result<()> {
        let support = self.support;
        for need in support.needs.of_object(self.number) {
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
                self.ranges(out, &support.ranges_of(&groups), &" ".repeat(32))?;
            }
        }
        Ok(())
    }

    /// Ranges of kernels, one in each line.
    fn ranges(&self, out: &mut dyn Write, ranges: &[KernelRange], indent: &str) -> io::Result<()> {
        let shown = if self.verbose { ranges.len() } else { RANGES };
        for (n, range) in ranges.iter().take(shown).enumerate() {
            let indent = if n == 0 { "" } else { indent };
            writeln!(out, "{indent}{range}")?;
        }
        if ranges.len() > shown {
            let rest: usize = ranges[shown..].iter().map(|range| range.kernels).sum();
            writeln!(out, "{indent}and {rest} more")?;
        }
        Ok(())
    }
}

/// A part of an object that needs the kernel's own BTF.
fn part(part: &NeedsKernelBtf) -> String {
    printable(&match part {
        NeedsKernelBtf::Program { name } => format!("program {name}"),
        NeedsKernelBtf::Ksym { name } => format!("symbol {name}"),
        NeedsKernelBtf::StructOps { section } => format!("section {section}"),
        _ => "a part of it".to_owned(),
    })
}

/// A feature of a known version, with `verbose` also who uses it first.
fn feature(used: &FeatureUse, verbose: bool) -> Option<String> {
    let since = used.feature.since?;
    let user = used.users.first().filter(|_| verbose);
    let at = user.map(|user| match &user.line {
        Some(line) => format!(" at {}", printable(&line.to_string())),
        None => format!(" in {}", printable(&user.name)),
    });
    Some(format!(
        "{} ({since}){}",
        used.feature,
        at.unwrap_or_default()
    ))
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
