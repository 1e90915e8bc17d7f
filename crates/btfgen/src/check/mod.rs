//! Checks on which kernels objects load: a view of the matrix, with reasons and the way of the code.

mod baseline;
mod constants;
mod effects;
mod features;
mod functions;
mod instead;
mod layouts;
mod nearest;
mod reach;
mod reason;
mod require;
mod support;
mod walk;
mod why;

use std::collections::BTreeMap;

use btfgen_archive::KernelId;
use rayon::prelude::*;

pub use self::baseline::{Baseline, Regression};
use self::effects::Programs;
pub use self::features::{FeatureUse, FeatureUser};
pub use self::functions::{AttachedFunction, FunctionState};
pub(crate) use self::functions::{Wanted, by_function, names};
pub(crate) use self::instead::{Explained, lacking, replace, with_instead};
pub(crate) use self::layouts::{AllLayouts, Sides, layouts};
pub use self::layouts::{Layout, LayoutField, Layouts};
pub(crate) use self::nearest::{Instead, Nearby, in_btf, similar};
pub use self::reason::Reason;
pub(crate) use self::reason::Reasons;
pub use self::require::Requirement;
pub use self::support::{
    Effect, FailedPlace, Finding, KernelGroup, ObjectSupport, ProgramSupport, Support, Verdict,
};
pub(crate) use self::why::why;
use crate::matrix::Matrix;
use crate::needs::Needs;

/// The groups of kernels with the same outcomes for the same reasons.
pub(crate) fn groups(
    matrix: &Matrix,
    explained: Vec<(Vec<KernelId>, Reasons)>,
) -> Vec<KernelGroup> {
    let mut alike: BTreeMap<(usize, Reasons), Vec<KernelId>> = BTreeMap::new();
    for (kernels, reasons) in explained {
        let set = kernels.first().and_then(|kernel| matrix.set_of(kernel));
        if let Some(set) = set {
            alike.entry((set, reasons)).or_default().extend(kernels);
        }
    }
    let groups = alike.into_iter().map(|((set, reasons), mut kernels)| {
        kernels.sort();
        KernelGroup {
            kernels,
            set,
            reasons,
        }
    });
    let mut groups: Vec<KernelGroup> = groups.collect();
    groups.sort_by(|a, b| a.kernels.cmp(&b.kernels));
    groups
}

/// What the groups of kernels mean for the objects.
pub(crate) fn objects(
    needs: &Needs,
    matrix: &Matrix,
    groups: &[KernelGroup],
) -> Vec<ObjectSupport> {
    let objects = (0..needs.objects().len()).into_par_iter();
    objects
        .map(|object| Programs::new(needs, object).support(matrix, groups))
        .collect()
}
