//! Says of kernels of the type store what they have instead of the types that they lack.
//!
//! Kernels with the same candidates of all roots have the same answers, but not the same types with similar names. All names
//! are read once, and only if some type is lacking.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use btfgen_archive::KernelId;
use btfgen_btf::Btf;
use btfgen_store::Definitions;

use crate::check::{Instead, Nearby, Reason, Reasons, in_btf, lacking, replace};
use crate::harvest::Harvest;
use crate::lists::View;
use crate::work::{Failure, Work};

/// For each need and reason, the first kernel with it, and the view that the kernel has.
#[derive(Debug, Default)]
pub(crate) struct Shown(BTreeMap<usize, Firsts>);

/// The first kernel with each reason, and the view that it has.
type Firsts = BTreeMap<Arc<Reason>, (KernelId, Arc<View>)>;

impl Shown {
    /// Adds some kernels that have a view for these reasons.
    pub(crate) fn add(&mut self, view: &Arc<View>, kernels: &[KernelId], reasons: &Reasons) {
        let Some(first) = kernels.iter().min() else {
            return;
        };
        for (&need, reason) in reasons {
            let known = self.0.entry(need).or_default();
            if known.get(reason).is_none_or(|(known, _)| first < known) {
                known.insert(Arc::clone(reason), (first.clone(), Arc::clone(view)));
            }
        }
    }
}

impl Work<'_> {
    /// Adds the definitions that show the reasons, those of one kernel for each reason.
    pub(crate) fn add_layouts(
        &self,
        definitions: &Definitions<'_>,
        shown: &Shown,
        harvest: &mut Harvest,
    ) -> Result<(), Failure> {
        let roots = self.questions.needs().roots().iter().enumerate();
        for (root, of_root) in roots {
            // Several needs of a root may be shown by the same kernel.
            let mut by_kernel: BTreeMap<&KernelId, (&View, Vec<_>)> = BTreeMap::new();
            for &need in &of_root.needs {
                for (reason, (on, view)) in shown.0.get(&need).into_iter().flatten() {
                    let (_, reasons) = by_kernel.entry(on).or_insert((view, Vec::new()));
                    reasons.push((need, Arc::clone(reason)));
                }
            }
            for (on, (view, reasons)) in by_kernel {
                let all = self.lists.layouts(definitions, view, root, &reasons)?;
                for ((need, reason), sides) in reasons.iter().zip(all) {
                    if let Some(sides) = sides {
                        harvest.add_layouts(*need, reason, on, sides);
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes what a kernel has instead of the roots that it lacks, if the type store will not know.
    pub(crate) fn note_instead(&self, number: usize, lacking: &[usize], btf: &Btf<'_>) {
        if self.store.is_kept() || !self.questions.explains() || lacking.is_empty() {
            return;
        }
        let roots = self.questions.needs().roots();
        let types: Vec<_> = lacking.iter().map(|&r| roots[r].lacking()).collect();
        let instead = lacking.iter().copied().zip(in_btf(btf, &types));
        self.explained.lock().insert(number, instead.collect());
    }

    /// The reasons for kernels, by their numbers in the type store, that have the same view. Those of kernels with different
    /// types instead of a lacking one are apart.
    pub(crate) fn apart(
        &self,
        nearby: &Nearby<'_>,
        kernels: Vec<(KernelId, usize)>,
        reasons: &Reasons,
    ) -> Result<Vec<(Vec<KernelId>, Reasons)>, Failure> {
        let needs = self.questions.needs();
        let roots = lacking(needs, reasons);
        if roots.is_empty() {
            let kernels = kernels.into_iter().map(|(kernel, _)| kernel);
            return Ok(vec![(kernels.collect(), reasons.clone())]);
        }
        let mut alike: HashMap<Vec<Instead>, Vec<KernelId>> = HashMap::new();
        let noted = self.explained.lock();
        for (kernel, number) in kernels {
            let noted = noted.get(&number);
            let instead = roots.iter().map(|root| {
                let noted = noted.and_then(|noted| noted.get(root)).cloned();
                noted.map_or_else(
                    || nearby.instead(number, needs.roots()[*root].lacking()),
                    Ok,
                )
            });
            let instead = instead.collect::<btfgen_store::Result<_>>()?;
            alike.entry(instead).or_default().push(kernel);
        }
        let alike = alike.into_iter().map(|(instead, kernels)| {
            let mut reasons = reasons.clone();
            for (&root, instead) in roots.iter().zip(instead) {
                replace(needs, &mut reasons, root, instead);
            }
            (kernels, reasons)
        });
        Ok(alike.collect())
    }

    /// The types that are near to the roots that kernels with these reasons lack.
    pub(crate) fn nearby<'d, 'r>(
        &self,
        definitions: &'d Definitions<'d>,
        reasons: impl Iterator<Item = &'r Reasons>,
    ) -> Nearby<'d> {
        let needs = self.questions.needs();
        let all: BTreeSet<usize> = reasons.flat_map(|r| lacking(needs, r)).collect();
        let all: Vec<_> = all.iter().map(|&r| needs.roots()[r].lacking()).collect();
        Nearby::new(definitions, &all)
    }
}
