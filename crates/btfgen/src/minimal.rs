//! Writes the minimal BTF: the part of a kernel's own types that gives every relocation the same outcome as the full BTF.
//!
//! 1. Collect the parts of types that the relocations see ([`crate::visible`]).
//! 2. Merge equal types, and write the types in an order that depends only on their content ([`crate::graph`]).

use std::collections::BTreeSet;

use btfgen_btf::{Btf, Node, TypeId};

use crate::answers::{RootAnswers, Row};
use crate::graph::Graph;
use crate::needs::{Needs, Root};
use crate::visible::{Evidence, Visible};

/// The pointer size, in bytes, that loaders assume if a BTF has no integer called `long`.
const USUAL_POINTER_SIZE: u32 = 8;

/// Writes the minimal BTF of a kernel.
pub(crate) fn minimal_btf(
    needs: &Needs,
    btf: &Btf<'_>,
    answers: &[RootAnswers<'_>],
    evidence: Evidence,
) -> Result<Vec<u8>, String> {
    let (visible, candidates) =
        see_all(needs, btf, answers, evidence).ok_or("a relocation's path leads nowhere")?;
    let mut graph = Graph::new(btf, &visible);
    let mut roots = Vec::new();
    for (root, candidates) in needs.roots().iter().zip(&candidates) {
        let ids = candidates.iter().map(|&id| graph.candidate(id));
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

/// What all relocations see, and the candidates of each root, in libbpf's order.
fn see_all<'b>(
    needs: &Needs,
    btf: &'b Btf<'b>,
    answers: &[RootAnswers<'_>],
    evidence: Evidence,
) -> Option<(Visible<'b>, Vec<BTreeSet<TypeId>>)> {
    let mut visible = Visible::new(btf, evidence);
    let mut candidates = vec![BTreeSet::new(); answers.len()];
    let mut see = |visible: &mut Visible<'b>, n: usize, root: &Root, row: &Row<'_>| {
        let id = row.candidate.id();
        candidates[n].insert(id).then(|| {
            let mut cells = root.needs.iter().zip(&row.cells);
            cells.try_for_each(|(&need, cell)| visible.see(needs.get(need)?.relocation(), id, cell))
        })
    };
    let all = || needs.roots().iter().zip(answers).enumerate();
    for (n, (root, answers)) in all() {
        for row in &answers.rows {
            see(&mut visible, n, root, row).unwrap_or(Some(()))?;
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
                if visible.part(row.candidate.id()).is_some()
                    && let Some(seen) = see(&mut visible, n, root, row)
                {
                    seen?;
                    changed = true;
                }
            }
        }
    }
    Some((visible, candidates))
}
