//! The result of a check: which objects load on which kernels, and what breaks where.

use std::collections::BTreeMap;
use std::sync::Arc;

use btfgen_archive::KernelId;
use btfgen_hub::Error;

use super::functions::AttachedFunction;
use super::layouts::{AllLayouts, Layouts};
use super::reason::Reason;
use crate::matrix::Matrix;
use crate::modules::ModuleType;
use crate::needs::{Needs, Place};
use crate::outcome::Outcome;
use crate::packed::StoreReport;
use crate::ranges::{KernelRange, Places};

/// On which kernels some objects load, as far as their relocations decide it, and what breaks where.
#[derive(Debug)]
#[non_exhaustive]
pub struct Support {
    /// The needs of the objects.
    pub needs: Needs,
    /// The outcomes of all needs on all kernels.
    pub matrix: Matrix,
    /// Kernels with the same outcomes for the same reasons, in the order of their first kernels.
    pub groups: Vec<KernelGroup>,
    /// The objects, in the given order.
    pub objects: Vec<ObjectSupport>,
    /// For needs that fail, by the reason: the definitions that show it.
    pub(crate) layouts: AllLayouts,
    /// The places of the kernels.
    pub(crate) places: Places,
    /// The functions that programs attach to.
    pub functions: Vec<AttachedFunction>,
    /// The errors of the kernels that could not be checked.
    pub left_out: Vec<Error>,
    /// The types that only modules have, and those that may be types of modules which the hub does not have.
    pub module_types: Vec<ModuleType>,
    /// What the type store saved.
    pub store: StoreReport,
}

/// Kernels with the same outcomes for the same reasons.
#[derive(Debug)]
#[non_exhaustive]
pub struct KernelGroup {
    /// The kernels, in the order of their ids.
    pub kernels: Vec<KernelId>,
    /// The index of their outcomes in [`Matrix::sets`].
    pub set: usize,
    /// Why needs find nothing or are refused, by the index of the need.
    pub reasons: BTreeMap<usize, Arc<Reason>>,
}

/// Whether a program or an object loads on a kernel. The order is from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Verdict {
    /// All relocations resolve, or the code shows that what is missing is never reached.
    Loads,
    /// libbpf poisons an access, and nothing in the code shows that it is never reached. The verifier refuses the program, if it
    /// cannot rule that out by more than this check sees.
    Poisoned,
    /// Each way through the program meets a poisoned access, so the verifier refuses the program.
    Fails,
    /// libbpf refuses to load the object.
    Refused,
    /// The kernel has another byte order than the object.
    OtherByteOrder,
}

/// What a failed relocation does at one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Effect {
    /// It is a question, and the answer is "no".
    Answer,
    /// An access that libbpf poisons, and that no program reaches on this kernel.
    Guarded,
    /// An access that libbpf poisons.
    Poisoned,
    /// libbpf refuses the object.
    Refused,
}

/// On which kernels an object loads.
#[derive(Debug)]
#[non_exhaustive]
pub struct ObjectSupport {
    /// The object's file name.
    pub name: String,
    /// Its programs, in the order of the file.
    pub programs: Vec<ProgramSupport>,
    /// The verdict for each of [`Support::groups`]: the worst of the programs that libbpf loads by default.
    pub verdicts: Vec<Verdict>,
    /// The places where something fails on some kernel, in the order of the file.
    pub places: Vec<FailedPlace>,
}

/// On which kernels a program loads.
#[derive(Debug)]
#[non_exhaustive]
pub struct ProgramSupport {
    /// The name of its function.
    pub name: String,
    /// Its ELF section.
    pub section: String,
    /// Whether libbpf loads it by default: its section's name does not begin with `?`.
    pub autoload: bool,
    /// The verdict for each of [`Support::groups`].
    pub verdicts: Vec<Verdict>,
}

/// A place where a relocation fails on some kernels.
#[derive(Debug)]
#[non_exhaustive]
pub struct FailedPlace {
    /// The index of the need.
    pub need: usize,
    /// Where it is.
    pub place: Place,
    /// What it does, by the index of the group. It does nothing on the others.
    pub effects: BTreeMap<usize, Effect>,
}

/// A need that fails on some kernels for one reason, with the same effects.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finding<'s> {
    /// The index of the need.
    pub need: usize,
    /// The reason.
    pub reason: &'s Reason,
    /// The definitions that show it, if there is something to see.
    pub layouts: Option<&'s Layouts>,
    /// The worst of its effects.
    pub effect: Effect,
    /// The places, with what it does there, in the order of the file.
    pub places: Vec<(&'s Place, Effect)>,
    /// The indices of the groups of kernels.
    pub groups: Vec<usize>,
}

impl ObjectSupport {
    /// The indices of the groups of kernels on which the object has a verdict.
    pub fn groups_with(&self, verdict: Verdict) -> Vec<usize> {
        let groups = self.verdicts.iter().enumerate();
        let groups = groups.filter(|(_, known)| **known == verdict);
        groups.map(|(group, _)| group).collect()
    }
}

impl Support {
    /// All kernels, in the order of their ids.
    pub fn kernels(&self) -> impl ExactSizeIterator<Item = &KernelId> + Clone {
        self.matrix.kernels()
    }

    /// The kernels on which an object has a verdict, in the order of their ids.
    pub fn kernels_with(&self, object: &ObjectSupport, verdict: Verdict) -> Vec<&KernelId> {
        self.kernels_of(&object.groups_with(verdict))
    }

    /// The kernels of some groups, in the order of their ids.
    pub fn kernels_of(&self, groups: &[usize]) -> Vec<&KernelId> {
        let all = self.kernels().zip(self.places.are_in(groups));
        all.filter_map(|(kernel, is_in)| is_in.then_some(kernel))
            .collect()
    }

    /// Some kernels of the check as ranges: kernels between which the check has no other kernel of the same kind.
    pub fn ranges(&self, kernels: &[&KernelId]) -> Vec<KernelRange> {
        self.places.ranges(self.kernels(), kernels)
    }

    /// The kernels of some groups as ranges. This is less work than [`Support::ranges`].
    pub fn ranges_of(&self, groups: &[usize]) -> Vec<KernelRange> {
        self.places.ranges_of(self.kernels(), groups)
    }

    /// The definitions that show why a need fails for this reason, if there is something to see.
    pub fn layouts(&self, need: usize, reason: &Reason) -> Option<&Layouts> {
        self.layouts.get(&need)?.get(reason)
    }

    /// The different outcomes of a need, with the groups of kernels that have them, in the order of the groups.
    pub fn answers(&self, need: usize) -> Vec<(Outcome, Vec<usize>)> {
        let mut answers: Vec<(Outcome, Vec<usize>)> = Vec::new();
        for (n, group) in self.groups.iter().enumerate() {
            let Some(&outcome) = self.matrix.sets()[group.set].outcomes.get(need) else {
                continue;
            };
            match answers.iter_mut().find(|(known, _)| *known == outcome) {
                Some((_, groups)) => groups.push(n),
                None => answers.push((outcome, vec![n])),
            }
        }
        answers
    }

    /// What fails in an object on some kernels: the worst first, then in the order of the file.
    pub fn findings<'s>(&'s self, object: &'s ObjectSupport) -> Vec<Finding<'s>> {
        let mut by_need: BTreeMap<usize, Vec<&FailedPlace>> = BTreeMap::new();
        for place in &object.places {
            by_need.entry(place.need).or_default().push(place);
        }
        let mut findings = Vec::new();
        for (need, places) in by_need {
            let mut alike: BTreeMap<(&Reason, Vec<Option<Effect>>), Vec<usize>> = BTreeMap::new();
            for (n, group) in self.groups.iter().enumerate() {
                let effects: Vec<_> = places.iter().map(|p| p.effects.get(&n).copied()).collect();
                if let Some(reason) = group.reasons.get(&need)
                    && effects.iter().any(Option::is_some)
                {
                    alike.entry((reason, effects)).or_default().push(n);
                }
            }
            for ((reason, effects), groups) in alike {
                let effect = effects.iter().flatten().max().copied();
                let all = places.iter().zip(effects);
                findings.push(Finding {
                    need,
                    reason,
                    layouts: self.layouts(need, reason),
                    effect: effect.unwrap_or(Effect::Answer),
                    places: all
                        .filter_map(|(p, effect)| Some((&p.place, effect?)))
                        .collect(),
                    groups,
                });
            }
        }
        let first = |finding: &Finding<'_>| {
            finding
                .places
                .first()
                .map(|(place, _)| (place.section.clone(), place.instruction))
        };
        findings.sort_by_key(|finding| {
            (
                std::cmp::Reverse(finding.effect),
                first(finding),
                finding.groups.first().copied(),
            )
        });
        findings
    }
}
