//! The JSON of `btfgen check`. example/check/README.md documents it.

use std::collections::BTreeMap;

use btfgen::{
    AttachedFunction, Effect, FeatureUse, Finding, FunctionState, KernelId, KernelRange, Layouts,
    ModuleType, NeedsKernelBtf, ObjectSupport, Outcome, Place, ProgramSupport, Programs, Reason,
    Regression, Support, Verdict,
};
use serde::Serialize;

use super::Broken;
use crate::report::{Failure, LeftOut};

/// The version of the form. It changes if a program that reads it must change.
const SCHEMA: u32 = 1;

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct Report<'s> {
    schema: u32,
    /// Number of checked kernels.
    kernels: usize,
    objects: Vec<Object<'s>>,
    /// Kernels with the same answers, to which others refer by their indices.
    groups: Vec<Vec<String>>,
    /// Objects that do not load on required kernels.
    broken: Vec<BrokenReport<'s>>,
    /// Objects that no longer load on kernels of the baseline.
    regressions: Vec<RegressionReport<'s>>,
    /// The functions that programs attach to.
    functions: Vec<FunctionReport<'s>>,
    module_types: &'s [ModuleType],
    left_out: Vec<LeftOut>,
    #[serde(flatten)]
    failure: Failure,
}

#[derive(Serialize)]
struct Object<'s> {
    name: &'s str,
    /// The kernels with each verdict.
    verdicts: BTreeMap<Verdict, Kernels>,
    programs: Vec<Program<'s>>,
    findings: Vec<FindingReport<'s>>,
    /// What the object asks of a kernel besides its types; absent if libbpf cannot open it.
    #[serde(skip_serializing_if = "Option::is_none")]
    asks: Option<&'s Programs>,
    /// The parts for which libbpf wants the kernel's own BTF.
    need_kernel_btf: Vec<NeedsKernelBtf>,
    features: Vec<FeatureUse>,
    /// What the object asks, and where the answers change.
    relocations: Vec<Relocation>,
}

#[derive(Serialize)]
struct Program<'s> {
    name: &'s str,
    section: &'s str,
    /// Whether libbpf loads it by default.
    autoload: bool,
    verdicts: BTreeMap<Verdict, Kernels>,
}

/// Some kernels.
#[derive(Serialize)]
struct Kernels {
    kernels: usize,
    ranges: Vec<KernelRange>,
}

#[derive(Serialize)]
struct FindingReport<'s> {
    relocation: String,
    kind: &'static str,
    r#type: String,
    path: String,
    effect: Effect,
    /// The reason as a sentence.
    reason: String,
    details: &'s Reason,
    /// The definitions that show the reason; absent if there is nothing to see.
    #[serde(skip_serializing_if = "Option::is_none")]
    layouts: Option<&'s Layouts>,
    places: Vec<PlaceReport<'s>>,
    /// Indices of groups.
    groups: Vec<usize>,
    #[serde(flatten)]
    kernels: Kernels,
}

#[derive(Serialize)]
struct PlaceReport<'s> {
    effect: Effect,
    #[serde(flatten)]
    place: &'s Place,
}

/// The answers to a relocation.
#[derive(Serialize)]
struct Relocation {
    relocation: String,
    answers: Vec<Answer>,
}

#[derive(Serialize)]
struct Answer {
    outcome: Outcome,
    #[serde(flatten)]
    kernels: Kernels,
}

#[derive(Serialize)]
struct BrokenReport<'s> {
    object: &'s str,
    requirement: &'s str,
    kernels: Vec<String>,
}

#[derive(Serialize)]
struct RegressionReport<'s> {
    object: &'s str,
    kernels: Vec<String>,
}

impl<'s> Report<'s> {
    pub(super) fn new(
        support: &'s Support,
        broken: &'s [Broken],
        regressions: &'s [Regression],
        failure: Failure,
    ) -> Self {
        let name = |object: usize| &support.objects[object].name[..];
        let objects = support.objects.iter().enumerate();
        Self {
            schema: SCHEMA,
            kernels: support.kernels().len(),
            objects: objects.map(|(n, o)| Object::new(support, n, o)).collect(),
            groups: support.groups.iter().map(|g| names(&g.kernels)).collect(),
            broken: broken
                .iter()
                .map(|broken| BrokenReport {
                    object: name(broken.object),
                    requirement: &broken.requirement,
                    kernels: names(&broken.kernels),
                })
                .collect(),
            regressions: regressions
                .iter()
                .map(|regression| RegressionReport {
                    object: name(regression.object),
                    kernels: names(&regression.kernels),
                })
                .collect(),
            functions: support
                .functions
                .iter()
                .map(|function| FunctionReport::new(support, function))
                .collect(),
            module_types: &support.module_types,
            left_out: LeftOut::all(&support.left_out),
            failure,
        }
    }
}

/// A function that programs attach to.
#[derive(Serialize)]
struct FunctionReport<'s> {
    name: &'s str,
    states: Vec<FunctionStateReport<'s>>,
}

#[derive(Serialize)]
struct FunctionStateReport<'s> {
    #[serde(flatten)]
    state: &'s FunctionState,
    #[serde(flatten)]
    kernels: Kernels,
}

impl<'s> FunctionReport<'s> {
    fn new(support: &Support, function: &'s AttachedFunction) -> Self {
        let states = function.kernels.iter().map(|(state, kernels)| {
            let kernels: Vec<&KernelId> = kernels.iter().collect();
            FunctionStateReport {
                state,
                kernels: Kernels {
                    kernels: kernels.len(),
                    ranges: support.ranges(&kernels),
                },
            }
        });
        Self {
            name: &function.name,
            states: states.collect(),
        }
    }
}

fn names(kernels: &[KernelId]) -> Vec<String> {
    kernels.iter().map(ToString::to_string).collect()
}

impl<'s> Object<'s> {
    fn new(support: &'s Support, number: usize, object: &'s ObjectSupport) -> Self {
        let needs = support.needs.of_object(number);
        let parsed = &support.needs.objects()[number];
        let asks = parsed.programs().ok();
        Self {
            asks,
            need_kernel_btf: asks.map(Programs::need_kernel_btf).unwrap_or_default(),
            features: parsed.features(),
            name: &object.name,
            verdicts: by_verdict(support, &object.verdicts),
            programs: object
                .programs
                .iter()
                .map(|p| Program::new(support, p))
                .collect(),
            findings: support
                .findings(object)
                .into_iter()
                .map(|finding| FindingReport::new(support, finding))
                .collect(),
            relocations: needs
                .into_iter()
                .map(|need| Relocation {
                    relocation: support.needs[need].to_string(),
                    answers: support
                        .answers(need)
                        .into_iter()
                        .map(|(outcome, groups)| Answer {
                            outcome,
                            kernels: Kernels::of(support, &groups),
                        })
                        .collect(),
                })
                .collect(),
        }
    }
}

impl<'s> Program<'s> {
    fn new(support: &Support, program: &'s ProgramSupport) -> Self {
        Self {
            name: &program.name,
            section: &program.section,
            autoload: program.autoload,
            verdicts: by_verdict(support, &program.verdicts),
        }
    }
}

impl Kernels {
    fn of(support: &Support, groups: &[usize]) -> Self {
        let ranges = support.ranges_of(groups);
        Self {
            kernels: ranges.iter().map(|range| range.kernels).sum(),
            ranges,
        }
    }
}

/// The kernels with each verdict. `verdicts` has those of the groups.
fn by_verdict(support: &Support, verdicts: &[Verdict]) -> BTreeMap<Verdict, Kernels> {
    let mut groups: BTreeMap<Verdict, Vec<usize>> = BTreeMap::new();
    for (group, &verdict) in verdicts.iter().enumerate() {
        groups.entry(verdict).or_default().push(group);
    }
    let kernels = groups.into_iter();
    kernels
        .map(|(verdict, groups)| (verdict, Kernels::of(support, &groups)))
        .collect()
}

impl<'s> FindingReport<'s> {
    fn new(support: &Support, finding: Finding<'s>) -> Self {
        let need = &support.needs[finding.need];
        Self {
            relocation: need.to_string(),
            kind: need.kind().name(),
            r#type: need.root(),
            path: need.path(),
            effect: finding.effect,
            reason: finding.reason.to_string(),
            details: finding.reason,
            layouts: finding.layouts,
            places: finding
                .places
                .into_iter()
                .map(|(place, effect)| PlaceReport { effect, place })
                .collect(),
            kernels: Kernels::of(support, &finding.groups),
            groups: finding.groups,
        }
    }
}
