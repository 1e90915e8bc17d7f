//! The steps of a lookup, for people and for programs.

use std::fmt;

/// The rungs of the ladder that [`Lookup::find`](crate::Lookup::find) climbs, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rung {
    /// A BTF file that the program names.
    Explicit,
    /// A BTF file that the environment names.
    Environment,
    /// The kernel's own BTF.
    Kernel,
    /// A vmlinux on disk for this release, where libbpf would find it.
    Vmlinux,
    /// The host's distribution and kernel, which the next rungs need. This rung finds no BTF.
    Host,
    /// The archive's entry of this release with the build id of the host's kernel.
    BuildId,
    /// The archive's entry for exactly this distribution, version, architecture and release.
    Exact,
    /// The archive's entry under another spelling of the distribution, its version or the architecture.
    Normalized,
    /// Any entry for this architecture and release, if all of them are equal.
    AnyDistribution,
}

impl Rung {
    /// The name for programs: lower case, with hyphens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Explicit => "explicit",
            Self::Environment => "environment",
            Self::Kernel => "kernel",
            Self::Vmlinux => "vmlinux",
            Self::Host => "host",
            Self::BuildId => "build-id",
            Self::Exact => "exact",
            Self::Normalized => "normalized",
            Self::AnyDistribution => "any-distribution",
        }
    }
}

/// One step of a lookup, and its outcome.
///
/// Its `Display` form is one line: `/sys/kernel/btf/vmlinux: not there`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// The rung of the step.
    pub rung: Rung,
    /// What the step checked: a file, a variable, or an entry of the archive.
    pub subject: String,
    /// The outcome.
    pub outcome: String,
    /// Whether this step found the BTF.
    pub taken: bool,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            subject, outcome, ..
        } = self;
        // Both may contain text from a file, and a terminal would obey its control characters.
        write!(f, "{}: {}", Printable(subject), Printable(outcome))
    }
}

struct Printable<'a>(&'a str);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            if c.is_control() {
                write!(f, "{}", c.escape_default())
            } else {
                write!(f, "{c}")
            }
        })
    }
}

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Steps(Vec<Step>);

impl Steps {
    pub(crate) fn passed(
        &mut self,
        rung: Rung,
        subject: impl fmt::Display,
        outcome: impl fmt::Display,
    ) {
        self.push(rung, &subject, &outcome, false);
    }

    pub(crate) fn taken(
        &mut self,
        rung: Rung,
        subject: impl fmt::Display,
        outcome: impl fmt::Display,
    ) {
        self.push(rung, &subject, &outcome, true);
    }

    /// The rung that found the BTF.
    pub(crate) fn taken_rung(&self) -> Option<Rung> {
        self.0.iter().find(|step| step.taken).map(|step| step.rung)
    }

    pub(crate) fn into_vec(self) -> Vec<Step> {
        self.0
    }

    // Not generic, to keep the code that programs embed small.
    fn push(
        &mut self,
        rung: Rung,
        subject: &dyn fmt::Display,
        outcome: &dyn fmt::Display,
        taken: bool,
    ) {
        self.0.push(Step {
            rung,
            subject: subject.to_string(),
            outcome: outcome.to_string(),
            taken,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a step is one line, even if it contains control characters.
    #[test]
    fn one_line() {
        let mut steps = Steps::default();
        steps.passed(Rung::Host, "/etc/os-release", "a\nb\x1b[2J");
        let step = &steps.into_vec()[0];
        assert_eq!(step.to_string(), "/etc/os-release: a\\nb\\u{1b}[2J");
    }
}
