//! Finds the candidates of each root among a kernel's types, by an index of names.
//!
//! libbpf scans all types of the kernel again for every root of every object. With 58 objects, that took two thirds of the
//! whole time. One scan with a table of the roots' names finds the same candidates in the same order (`bpf_core_add_cands`:
//! compatible kind, same name without flavour, by ascending id). As libbpf does (`bpf_core_find_cands`), it takes modules' types
//! only for roots without candidates among the kernel's own types.

use std::collections::HashMap;

use btfgen_btf::{Kind, Type};
use btfgen_libbpf::{Checked, Checker, LoadedBtf, essential_name};

use crate::modules::ModuleChoice;
use crate::needs::{Needs, Root};

/// The roots by name. It is made once and used for every kernel.
#[derive(Debug)]
pub(crate) struct RootNames<'n> {
    /// A name may have several roots, one for each kind that the needs ask for.
    by_name: HashMap<&'n [u8], Vec<usize>>,
    roots: &'n [Root],
    modules: ModuleChoice,
    /// The first two bytes of the names, as a set of bits: most of a kernel's names are excluded by them.
    prefixes: Box<[u64; 1024]>,
    kinds: u32,
}

impl<'n> RootNames<'n> {
    pub(crate) fn new(needs: &'n Needs, modules: ModuleChoice) -> Self {
        let roots = needs.roots();
        let mut by_name: HashMap<&[u8], Vec<usize>> = HashMap::new();
        let mut prefixes = Box::new([0; 1024]);
        let mut kinds = 0;
        for (i, root) in roots.iter().enumerate() {
            // libbpf finds no candidates for anonymous types.
            let Some(p) = prefix(&root.name) else {
                continue;
            };
            by_name.entry(&root.name).or_default().push(i);
            prefixes[p / 64] |= 1 << (p % 64);
            kinds |= 1 << normalized(root.kind) as u32;
        }
        Self {
            by_name,
            roots,
            modules,
            prefixes,
            kinds,
        }
    }

    /// The candidates of every root, in the order of the roots.
    ///
    /// # Errors
    /// If libbpf cannot safely walk a candidate.
    pub(crate) fn find<'b>(
        &self,
        btf: &'b LoadedBtf<'b>,
    ) -> Result<Vec<Vec<Checked<'b>>>, btfgen_libbpf::Error> {
        let mut checker = Checker::new(btf);
        let mut found = vec![Vec::new(); self.roots.len()];
        let is_wanted = |kind| self.kinds & 1 << normalized(kind) as u32 != 0;
        let mut in_kernel = vec![false; self.roots.len()];
        for ty in btf.types_of(is_wanted) {
            for r in self.roots_of(ty) {
                match btf.module_of(ty.id()) {
                    None => in_kernel[r] = true,
                    // The kernel's own types come first.
                    Some(_) if in_kernel[r] => continue,
                    Some(module) if !self.modules.has(module.as_bytes()) => continue,
                    Some(_) => {}
                }
                found[r].push(checker.check(ty.id())?);
            }
        }
        Ok(found)
    }

    /// The modules whose types count.
    pub(crate) fn modules(&self) -> &ModuleChoice {
        &self.modules
    }

    /// Whether a type is a candidate of any root.
    pub(crate) fn want(&self, ty: Type<'_>) -> bool {
        self.roots_of(ty).next().is_some()
    }

    fn roots_of(&self, ty: Type<'_>) -> impl Iterator<Item = usize> {
        let (kind, name) = (normalized(ty.kind()), ty.name());
        let is_near = prefix(name).is_some_and(|p| self.prefixes[p / 64] >> (p % 64) & 1 == 1);
        let roots = match is_near {
            true => self.by_name.get(essential_name(name)),
            false => None,
        };
        let roots = roots.into_iter().flatten().copied();
        roots.filter(move |&r| normalized(self.roots[r].kind) == kind)
    }
}

/// Enums of both widths are candidates for each other.
fn normalized(kind: Kind) -> Kind {
    if kind.is_enum() { Kind::Enum } else { kind }
}

/// The first two bytes of a name. A flavour does not change them, unless the name has only one byte.
fn prefix(name: &[u8]) -> Option<usize> {
    let &first = name.first()?;
    let second = match name.get(1) {
        None => 0,
        Some(b'_') => 0,
        Some(&b) => b,
    };
    Some(usize::from(first) << 8 | usize::from(second))
}
