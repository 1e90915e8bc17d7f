//! The name index of a kernel: which of its types are candidates for which root.
//!
//! libbpf scans all types of the kernel again for every root type of every object. With 58 objects that took two
//! thirds of the whole time; one scan with a table of the names that are asked for finds the same candidates, in the same
//! order (`bpf_core_add_cands`: compatible kind, same name without flavour, by ascending id).

use std::collections::HashMap;

use btfgen_btf::Kind;
use btfgen_libbpf::{Checked, Checker, LoadedBtf, essential_name};

use crate::needs::{Needs, Root};

/// The roots by name; made once, used for every kernel.
#[derive(Debug)]
pub(crate) struct RootNames<'n> {
    /// A name has one root for each kind that is asked for under it.
    by_name: HashMap<&'n [u8], Vec<usize>>,
    roots: &'n [Root],
    /// Which first two bytes the names have: nearly all of a kernel's names end here.
    prefixes: Box<[u64; 1024]>,
    kinds: u32,
}

impl<'n> RootNames<'n> {
    pub(crate) fn new(needs: &'n Needs) -> Self {
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
            prefixes,
            kinds,
        }
    }

    /// Candidates for every root, in the order of the roots.
    ///
    /// # Errors
    /// A candidate that libbpf cannot be let loose on.
    pub(crate) fn find<'b>(
        &self,
        btf: &'b LoadedBtf<'b>,
    ) -> Result<Vec<Vec<Checked<'b>>>, btfgen_libbpf::Error> {
        let mut checker = Checker::new(btf);
        let mut found = vec![Vec::new(); self.roots.len()];
        for ty in btf.types() {
            let kind = normalized(ty.kind());
            if self.kinds & 1 << kind as u32 == 0 {
                continue;
            }
            let name = ty.name();
            let wanted = prefix(name).is_some_and(|p| self.prefixes[p / 64] >> (p % 64) & 1 == 1);
            if !wanted {
                continue;
            }
            let Some(roots) = self.by_name.get(essential_name(name)) else {
                continue;
            };
            for &r in roots {
                if normalized(self.roots[r].kind) == kind {
                    found[r].push(checker.check(ty.id())?);
                }
            }
        }
        Ok(found)
    }
}

/// Both widths of enums are candidates for each other.
fn normalized(kind: Kind) -> Kind {
    if kind.is_enum() { Kind::Enum } else { kind }
}

/// A flavour changes neither of the first two bytes, unless the name has only one.
fn prefix(name: &[u8]) -> Option<usize> {
    let &first = name.first()?;
    let second = match name.get(1) {
        None => 0,
        Some(b'_') => 0,
        Some(&b) => b,
    };
    Some(usize::from(first) << 8 | usize::from(second))
}
