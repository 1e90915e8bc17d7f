//! The minimal BTF: the part of a kernel's own types that gives every relocation what the whole gives.
//!
//! 1. What the relocations see is collected ([`crate::visible`]).
//! 2. Equal types become one, and are written in an order that depends on nothing but their content ([`crate::graph`]).

use std::collections::BTreeSet;

use btfgen_btf::{Btf, Node, TypeId};
use btfgen_libbpf::{ReloKind, Relocation};

use crate::graph::Graph;
use crate::needs::{Needs, Root};
use crate::outcome::{Answer, RootAnswers, Row};
use crate::visible::Visible;

/// In bytes. Loaders take it where a BTF has no integer called `long`.
const USUAL_POINTER_SIZE: u32 = 8;

/// Writes the minimal BTF of a kernel.
pub(crate) fn minimal_btf(
    needs: &Needs,
    btf: &Btf<'_>,
    answers: &[RootAnswers<'_>],
) -> Result<Vec<u8>, String> {
    let (visible, candidates) =
        see_all(needs, btf, answers).ok_or("a relocation's path leads nowhere")?;
    let mut graph = Graph::new(btf, &visible);
    let mut roots = Vec::new();
    for (root, candidates) in needs.roots().iter().zip(&candidates) {
        let ids = candidates.iter().map(|&id| graph.candidate(id));
        let nodes: Vec<Node> = ids.collect::<Result<_, _>>()?;
        // Two equal candidates for a type id are an ambiguity, one is not.
        if asks(needs, root, ReloKind::TypeIdTarget) {
            graph.keep_apart(&nodes);
        }
        roots.push(nodes);
    }
    let long = match btf.pointer_size() {
        Some(size) if size != USUAL_POINTER_SIZE && visible.has_pointer() => Some(graph.long()?),
        _ => None,
    };
    let first = long.into_iter().chain(roots.into_iter().flatten());
    graph.write(needs.names(), &first.collect::<Vec<_>>())
}

fn asks(needs: &Needs, root: &Root, kind: ReloKind) -> bool {
    let mut kinds = root.needs.iter().filter_map(|&n| needs.get(n));
    kinds.any(|need| need.kind() == kind)
}

/// What all relocations see, and the candidates of each root, in libbpf's order.
fn see_all<'n, 'b>(
    needs: &'n Needs,
    btf: &'b Btf<'b>,
    answers: &[RootAnswers<'_>],
) -> Option<(Visible<'b>, Vec<BTreeSet<TypeId>>)> {
    let mut visible = Visible::new(btf);
    let mut candidates = vec![BTreeSet::new(); answers.len()];
    // Relocations that ask for a match, and candidates that are none.
    let mut mismatches: Vec<(&Relocation, TypeId)> = Vec::new();
    let mut see = |visible: &mut Visible<'b>,
                   mismatches: &mut Vec<(&'n Relocation, TypeId)>,
                   n: usize,
                   root: &Root,
                   row: &Row<'_>| {
        let id = row.candidate.id();
        candidates[n].insert(id).then(|| {
            let mut cells = root.needs.iter().zip(&row.cells);
            cells.try_for_each(|(&need, cell)| {
                let relocation = needs.get(need)?.relocation();
                let asks_match = relocation.kind() == ReloKind::TypeMatches;
                if asks_match && cell.answer == Answer::NoMatch {
                    mismatches.push((relocation, id));
                }
                visible.see(relocation, id, cell)
            })
        })
    };
    let all = || needs.roots().iter().zip(answers).enumerate();
    for (n, (root, answers)) in all() {
        for row in &answers.rows {
            see(&mut visible, &mut mismatches, n, root, row).unwrap_or(Some(()))?;
        }
    }
    // What is seen of one type may make another one visible, or a mismatch invisible.
    loop {
        let mut changed = false;
        // A type that is written for another root's sake is a candidate again, though it makes no difference by itself. With a
        // part of its members it would be a new one, so it gets all that its root asks for.
        for (n, (root, answers)) in all() {
            for row in &answers.others {
                if visible.part(row.candidate.id()).is_some()
                    && let Some(seen) = see(&mut visible, &mut mismatches, n, root, row)
                {
                    seen?;
                    changed = true;
                }
            }
        }
        let mut invisible = Vec::new();
        for (relocation, id) in std::mem::take(&mut mismatches) {
            if visible.see_mismatch(relocation, id)? {
                changed = true;
            } else {
                invisible.push((relocation, id));
            }
        }
        mismatches = invisible;
        if !changed {
            return Some((visible, candidates));
        }
    }
}
