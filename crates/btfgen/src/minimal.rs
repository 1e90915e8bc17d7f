//! Writes the minimal BTF: the part of a kernel's own types that gives every relocation the same outcome as the full BTF.
//!
//! 1. Collect the parts of types that the relocations see ([`crate::visible`]).
//! 2. Merge equal types, and write the types in an order that depends only on their content ([`crate::graph`]).

use std::borrow::Borrow;
use std::collections::BTreeMap;

use btfgen_btf::{Btf, Node, TypeId};

use crate::answers::{RootAnswers, Row};
use crate::graph::Graph;
use crate::needs::{Needs, Root};
use crate::visible::{Evidence, Visible};

/// The pointer size, in bytes, that loaders assume if a BTF has no integer called `long`.
const USUAL_POINTER_SIZE: u32 = 8;

/// Types with the candidates of each root, and the candidates' answers.
pub(crate) struct Answered<'a, A> {
    pub(crate) btf: &'a Btf<'a>,
    /// The candidates of each root, in libbpf's order.
    pub(crate) candidates: &'a [Vec<TypeId>],
    /// The answers of each root.
    pub(crate) answers: &'a [A],
}

impl<A> Copy for Answered<'_, A> {}

impl<A> Clone for Answered<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

/// Writes the minimal BTF of a kernel.
pub(crate) fn minimal_btf<A: Borrow<RootAnswers>>(
    needs: &Needs,
    kernel: Answered<'_, A>,
    evidence: Evidence,
) -> Result<Vec<u8>, String> {
    let (visible, candidates) =
        see_all(needs, kernel, evidence).ok_or("a relocation's path leads nowhere")?;
    let btf = kernel.btf;
    let mut graph = Graph::new(btf, &visible);
    let mut roots = Vec::new();
    for (root, candidates) in needs.roots().iter().zip(&candidates) {
        let ids = candidates.values().map(|&id| graph.candidate(id));
        let nodes: Vec<Node> = ids.collect::<Result<_, _>>()?;
        if root.asks_identity(needs) {
            graph.keep_apart(&nodes);
        }
        roots.push(nodes);
    }
    if let Some(size) = btf.pointer_size()
        && visible.has_pointer()
        && (size != USUAL_POINTER_SIZE || graph.has_other_long(size))
    {
        graph.place_long()?;
    }
    graph.write(needs.names(), &roots.concat())
}

/// What all relocations see, and the candidates of each root by their places in libbpf's order.
fn see_all<'b, A: Borrow<RootAnswers>>(
    needs: &Needs,
    kernel: Answered<'b, A>,
    evidence: Evidence,
) -> Option<(Visible<'b>, Vec<BTreeMap<usize, TypeId>>)> {
    let mut visible = Visible::new(kernel.btf, evidence);
    let mut seen = vec![BTreeMap::new(); kernel.candidates.len()];
    let id_of = |n: usize, row: &Row| kernel.candidates[n].get(row.candidate).copied();
    let mut see = |visible: &mut Visible<'b>, n: usize, root: &Root, row: &Row| {
        let id = id_of(n, row)?;
        if seen[n].insert(row.candidate, id).is_some() {
            return Some(false);
        }
        for (&need, cell) in root.needs.iter().zip(&row.cells) {
            visible.see(needs.get(need)?.relocation(), id, cell)?;
        }
        Some(true)
    };
    let all = || {
        let answers = kernel.answers.iter().map(Borrow::borrow);
        needs.roots().iter().zip(answers).enumerate()
    };
    for (n, (root, answers)) in all() {
        for row in &answers.rows {
            see(&mut visible, n, root, row)?;
        }
    }
    // A type that is written because another root needs it is a candidate again, though it makes no difference by itself. It
    // gets all that its own root asks for. libbpf would not notice what is missing, but cilium/ebpf would: it takes a field
    // that exists in one candidate and not in the other one for an ambiguity.
    let mut changed = true;
    while changed {
        changed = false;
        for (n, (root, answers)) in all() {
            for row in &answers.others {
                if visible.part(id_of(n, row)?).is_some() {
                    changed |= see(&mut visible, n, root, row)?;
                }
            }
        }
    }
    Some((visible, seen))
}
