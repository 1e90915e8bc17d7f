//! Finds the reason why a relocation finds nothing. libbpf gives the verdict; `walk.rs` follows its rules once more.

use btfgen_btf::{Btf, Type, TypeId};

use super::nearest::Instead;
use super::reason::Reason;
use super::walk::Walk;
use crate::needs::Need;
use crate::outcome::Outcome;

/// Why a need finds nothing among these candidates of a BTF, or is refused; `None` if it finds something.
pub(crate) fn why(
    need: &Need,
    outcome: &Outcome,
    btf: &Btf<'_>,
    candidates: &[TypeId],
) -> Option<Reason> {
    if !need.fails_with(outcome) {
        return None;
    }
    Some(match need.refusal_with(outcome) {
        Some(refusal) => Reason::Refused {
            refusal,
            kernel: declarations(need, btf, candidates),
        },
        None => missing(need, btf, candidates),
    })
}

fn missing(need: &Need, btf: &Btf<'_>, candidates: &[TypeId]) -> Reason {
    match farthest(need, btf, candidates) {
        Some((_, reason)) => reason,
        None => Reason::no_type(need, Instead::default()),
    }
}

/// The candidate that goes along with the need for most steps, and why not farther.
pub(super) fn farthest<'b>(
    need: &Need,
    btf: &'b Btf<'_>,
    candidates: &[TypeId],
) -> Option<(Type<'b>, Reason)> {
    let mut farthest: Option<(usize, Type<'b>, Reason)> = None;
    for candidate in candidates.iter().filter_map(|&id| btf.type_by_id(id)) {
        let (steps, reason) = part(need, btf, candidate);
        if farthest.as_ref().is_none_or(|&(known, ..)| steps > known) {
            farthest = Some((steps, candidate, reason));
        }
    }
    farthest.map(|(_, candidate, reason)| (candidate, reason))
}

/// What the kernel declares where libbpf refuses a need: the field of each candidate.
fn declarations(need: &Need, btf: &Btf<'_>, candidates: &[TypeId]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for candidate in candidates.iter().filter_map(|&id| btf.type_by_id(id)) {
        let mut walk = Walk::new(need, btf, candidate);
        if walk.field().is_ok() {
            let (declared, offset) = (walk.declared, walk.bit_offset);
            let text = match offset % 8 {
                0 => format!("{declared} at {}", offset / 8),
                bits => format!("{declared} at {}, bit {bits}", offset / 8),
            };
            if !declared.is_empty() && !all.contains(&text) {
                all.push(text);
            }
        }
    }
    all
}

/// How many steps a candidate goes with the need, and why not farther.
fn part(need: &Need, btf: &Btf<'_>, candidate: Type<'_>) -> (usize, Reason) {
    let mut walk = Walk::new(need, btf, candidate);
    let kind = need.kind();
    let reason = if kind.is_field() {
        walk.field().err()
    } else if kind.is_enumval() {
        walk.enumerator().err()
    } else {
        Some(Reason::Differs {
            r#type: btf.c_name(candidate.id()),
        })
    };
    (walk.steps, reason.unwrap_or(Reason::Other))
}
