//! Types that only modules have.
//!
//! libbpf looks into modules where the kernel itself has no type of a kind and name, and only if it uses the kernel's own BTF.
//! So a minimal BTF must have the types of modules, too, as libbpf would find them there with these modules loaded.

use std::collections::{BTreeMap, BTreeSet};

use btfgen_archive::KernelId;

use crate::needs::Needs;

/// The modules whose types count: all, or those that somebody has named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct ModuleChoice {
    named: BTreeSet<String>,
}

impl ModuleChoice {
    /// Adds a module, by the name of its file or by its canonical name: `nf-tables` is `nf_tables`.
    pub(crate) fn add(&mut self, name: &str) {
        self.named.insert(name.replace('-', "_"));
    }

    pub(crate) fn has(&self, module: &[u8]) -> bool {
        let is_it = |name: &String| name.as_bytes() == module;
        self.named.is_empty() || self.named.iter().any(is_it)
    }
}

/// A type that objects ask for by name, and that a kernel itself does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct AbsentType {
    /// Its kind and name: `struct ovl_inode`.
    pub name: String,
    /// The indices of the needs that begin with it.
    pub needs: Vec<usize>,
    /// The modules that have a type of this name, sorted. Empty if none has one, or if the modules are not known.
    pub modules: Vec<String>,
}

/// A type that only modules have, on some kernels of a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ModuleType {
    /// Its kind and name: `struct ovl_inode`.
    pub name: String,
    /// The indices of the needs that begin with it.
    pub needs: Vec<usize>,
    /// The modules that have it, and on which kernels. Different kernels may have it in different modules.
    pub found: Vec<InModules>,
    /// The number of kernels that lack it, and whose modules are not in the hub: there it may be a module's type.
    pub unknown: usize,
}

/// The modules that have a type on some kernels.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct InModules {
    /// The names of the modules, sorted.
    pub modules: Vec<String>,
    /// The kernels, in the order of their ids.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::texts"))]
    pub kernels: Vec<KernelId>,
}

/// The absent types of a kernel: `modules_of` has for each root the modules of its candidates, or `None` if the kernel itself has
/// candidates.
pub(crate) fn absent_types(
    needs: &Needs,
    modules_of: impl Iterator<Item = Option<BTreeSet<String>>>,
) -> Vec<AbsentType> {
    let roots = needs.roots().iter().zip(modules_of);
    let absent = roots.filter_map(|(root, modules)| {
        let first = needs.get(*root.needs.first()?)?;
        // A type without a name is never looked up.
        (!root.name.is_empty()).then_some(())?;
        Some(AbsentType {
            name: first.root_name(),
            needs: root.needs.clone(),
            modules: modules?.into_iter().collect(),
        })
    });
    absent.collect()
}

/// Collects the types that only modules have.
#[derive(Debug, Default)]
pub(crate) struct ModuleTypes {
    by_name: BTreeMap<String, Collected>,
}

#[derive(Debug, Default)]
struct Collected {
    needs: Vec<usize>,
    found: BTreeMap<Vec<String>, Vec<KernelId>>,
    unknown: usize,
}

impl ModuleTypes {
    /// Adds what some kernels with the same types lack. Each kernel is given with whether the hub has its modules.
    pub(crate) fn add<'k>(
        &mut self,
        absent: &[AbsentType],
        kernels: impl Iterator<Item = (&'k KernelId, bool)> + Clone,
    ) {
        for ty in absent {
            let collected = self.by_name.entry(ty.name.clone()).or_default();
            collected.needs.clone_from(&ty.needs);
            if ty.modules.is_empty() {
                collected.unknown += kernels.clone().filter(|(_, has)| !has).count();
            } else {
                let found = collected.found.entry(ty.modules.clone()).or_default();
                found.extend(kernels.clone().map(|(kernel, _)| kernel.clone()));
            }
        }
    }

    /// All of them, by name.
    pub(crate) fn finish(self) -> Vec<ModuleType> {
        let all = self.by_name.into_iter().map(|(name, collected)| {
            let found = collected.found.into_iter().map(|(modules, mut kernels)| {
                kernels.sort();
                InModules { modules, kernels }
            });
            ModuleType {
                name,
                needs: collected.needs,
                found: found.collect(),
                unknown: collected.unknown,
            }
        });
        all.filter(|ty| !ty.found.is_empty() || ty.unknown > 0)
            .collect()
    }
}
