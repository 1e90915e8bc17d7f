//! What kernels have instead of types that they lack, as a part of reasons.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use btfgen_btf::Btf;

use super::nearest::{Instead, Lacking, in_btf};
use super::reason::{Reason, Reasons};
use crate::needs::{Needs, Root};

/// What kernels have instead of roots that they lack, by the kernels' numbers in the type store. A store that is not kept has
/// only the types that the objects ask for, so the kernels' BTFs were searched while they were in memory.
#[derive(Debug, Default)]
pub(crate) struct Explained(Mutex<HashMap<usize, BTreeMap<usize, Instead>>>);

impl Explained {
    pub(crate) fn lock(&self) -> MutexGuard<'_, HashMap<usize, BTreeMap<usize, Instead>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Root {
    pub(crate) fn lacking(&self) -> Lacking<'_> {
        (self.kind, &self.name)
    }
}

/// The reasons for a BTF that lacks some roots, with what it has instead.
pub(crate) fn with_instead(needs: &Needs, reasons: &mut Reasons, btf: &Btf<'_>) {
    let roots: Vec<usize> = lacking(needs, reasons).into_iter().collect();
    let types: Vec<_> = roots.iter().map(|&r| needs.roots()[r].lacking()).collect();
    for (root, instead) in roots.into_iter().zip(in_btf(btf, &types)) {
        replace(needs, reasons, root, instead);
    }
}

/// The roots that a kernel with these reasons lacks.
pub(crate) fn lacking(needs: &Needs, reasons: &Reasons) -> BTreeSet<usize> {
    let is_lacking = |need: &usize| reasons.get(need).is_some_and(is_no_type);
    let roots = needs.roots().iter().enumerate();
    roots
        .filter(|(_, root)| root.needs.iter().any(is_lacking))
        .map(|(n, _)| n)
        .collect()
}

fn is_no_type(reason: &Arc<Reason>) -> bool {
    matches!(**reason, Reason::NoType { .. })
}

/// Says of the needs of a root what the kernel has instead. libbpf may refuse others of its needs for another reason.
pub(crate) fn replace(needs: &Needs, reasons: &mut Reasons, root: usize, instead: Instead) {
    for need in &needs.roots()[root].needs {
        if let Some(reason) = reasons.get_mut(need).filter(|reason| is_no_type(reason)) {
            *reason = Arc::new(Reason::no_type(&needs[*need], instead.clone()));
        }
    }
}
