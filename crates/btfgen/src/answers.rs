//! Answers: the outcome of every relocation for a list of candidates.
//!
//! To preserve the outcomes alone is not enough. libbpf keeps one list of candidates for each local type. After each
//! relocation, it drops the candidates that did not match. So the outcome of a relocation depends on the relocations before
//! it, and these depend on the programs that are loaded. btfgen therefore preserves the *row* of each candidate: its own
//! answer to every relocation of the root. Then any selection of relocations in any order has the same outcomes.

use std::collections::HashSet;

use btfgen_libbpf::{Checked, Failure, Match, ReloKind, Relocation, Resolution, Resolver};

use crate::needs::{Needs, Root};
use crate::outcome::{Outcome, Refusal};

/// One candidate's answer to one relocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    NoMatch,
    /// A target type id has the value 0 here, because the row already names the candidate.
    Match(Resolution),
    Failed(i32),
}

/// How one relocation reached a candidate.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) answer: Answer,
    /// The raw accessors in the target, up to the field or type that was found, or as far as libbpf came before it failed.
    pub(crate) path: Vec<u32>,
    /// The offset in bits, which libbpf compares between candidates.
    pub(crate) bit_offset: u32,
}

/// A candidate and its answers to all relocations of its root, in the root's order.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// The candidate's place in the list of candidates.
    pub(crate) candidate: usize,
    pub(crate) cells: Vec<Cell>,
}

/// The answers of a list of candidates for one root.
#[derive(Debug)]
pub(crate) struct RootAnswers {
    /// The candidates that make a difference, in libbpf's order.
    pub(crate) rows: Vec<Row>,
    /// The candidates that also match something, but make no difference beside the others.
    pub(crate) others: Vec<Row>,
    /// The outcomes of the root's relocations, in the root's order.
    pub(crate) outcomes: Vec<Outcome>,
}

/// All of the answers to one relocation that a loader can see: the outcome, and each row's answer and offset.
pub(crate) type Seen = (Outcome, Vec<(Answer, Option<u32>)>);

impl RootAnswers {
    /// What a loader can see of the answers to the root's relocation with this index.
    pub(crate) fn seen(&self, relocation: usize) -> Seen {
        // libbpf compares offsets between candidates, so they matter if there are several candidates.
        let several = self.rows.len() > 1;
        let rows = self.rows.iter().map(|row| {
            let cell = &row.cells[relocation];
            (cell.answer, several.then_some(cell.bit_offset))
        });
        (self.outcomes[relocation], rows.collect())
    }
}

/// The outcome of every need on a kernel where no candidate matches. It does not depend on the kernel.
pub(crate) fn without_match(needs: &Needs) -> Vec<Outcome> {
    let mut resolver = Resolver::new();
    let mut resolve = |need| match resolver.resolve(relocation(needs, need), &[]) {
        Ok((resolution, _)) => outcome(needs, need, Answer::Match(resolution), &[], None),
        Err(Failure { errno, .. }) => {
            let reason = Refusal::of(errno);
            Outcome::Failed { errno, reason }
        }
    };
    (0..needs.len()).map(&mut resolve).collect()
}

/// Asks all candidates the relocations of a root. `without_match` has the outcomes of [`without_match`].
pub(crate) fn answers(
    needs: &Needs,
    root: &Root,
    candidates: &[Checked<'_>],
    without_match: &[Outcome],
    resolver: &mut Resolver,
) -> RootAnswers {
    let place = |matched: Match<'_>| candidates.iter().position(|c| c.id() == matched.root);
    let rows: Vec<Row> = candidates
        .iter()
        .enumerate()
        .map(|(place, &candidate)| Row {
            candidate: place,
            cells: root
                .needs
                .iter()
                .map(|&n| cell(needs, n, candidate, resolver))
                .collect(),
        })
        .collect();
    let (rows, others) = distinguishing(needs, root, rows);
    let outcomes = root
        .needs
        .iter()
        .enumerate()
        .map(|(i, &n)| {
            // If there is only one candidate, its answer is the outcome, so libbpf need not compute it again.
            if let ([_], [row]) = (candidates, &*rows)
                && let Answer::Match(_) = row.cells[i].answer
            {
                return outcome(needs, n, row.cells[i].answer, &rows, Some(row.candidate));
            }
            if rows
                .iter()
                .all(|row| row.cells[i].answer == Answer::NoMatch)
            {
                return without_match[n];
            }
            match resolver.resolve(relocation(needs, n), candidates) {
                Ok((resolution, matched)) => outcome(
                    needs,
                    n,
                    Answer::Match(resolution),
                    &rows,
                    matched.and_then(place),
                ),
                Err(Failure { errno, .. }) => {
                    let failed = |row: &Row| matches!(row.cells[i].answer, Answer::Failed(_));
                    let reason = if candidates.len() > 1 && !rows.iter().any(failed) {
                        Refusal::Disagreement
                    } else {
                        Refusal::of(errno)
                    };
                    Outcome::Failed { errno, reason }
                }
            }
        })
        .collect();
    RootAnswers {
        rows,
        others,
        outcomes,
    }
}

fn relocation(needs: &Needs, need: usize) -> &Relocation {
    needs[need].relocation()
}

fn cell(needs: &Needs, need: usize, candidate: Checked<'_>, resolver: &mut Resolver) -> Cell {
    let relocation = relocation(needs, need);
    let mut cell = Cell {
        answer: Answer::NoMatch,
        path: Vec::new(),
        bit_offset: 0,
    };
    let reached = match resolver.resolve(relocation, &[candidate]) {
        Err(Failure { errno, reached }) => {
            cell.answer = Answer::Failed(errno);
            reached
        }
        Ok((_, None)) => None,
        Ok((mut resolution, matched)) => {
            if relocation.kind() == ReloKind::TypeIdTarget {
                resolution.value = 0;
            }
            cell.answer = Answer::Match(resolution);
            matched
        }
    };
    if let Some(reached) = reached {
        cell.bit_offset = reached.bit_offset;
        // libbpf's indices are never negative, though their C type is signed.
        cell.path = reached.raw.iter().map(|&i| i.unsigned_abs()).collect();
    }
    cell
}

fn outcome(
    needs: &Needs,
    need: usize,
    answer: Answer,
    rows: &[Row],
    matched: Option<usize>,
) -> Outcome {
    match (answer, matched) {
        (Answer::NoMatch, _) => Outcome::Missing,
        (Answer::Failed(errno), _) => Outcome::Failed {
            errno,
            reason: Refusal::of(errno),
        },
        (Answer::Match(r), _) if r.poison => Outcome::Missing,
        (Answer::Match(_), Some(candidate))
            if relocation(needs, need).kind() == ReloKind::TypeIdTarget =>
        {
            let position = rows.iter().position(|r| r.candidate == candidate);
            let position =
                position.unwrap_or_else(|| unreachable!("no row covers an answer to a type id"));
            Outcome::Type {
                candidate: position as u32,
            }
        }
        (Answer::Match(r), _) => Outcome::Value {
            value: r.value,
            size: r.size,
            size_mismatch: r.size_mismatch,
        },
    }
}

/// The most different candidates of a root that are compared with each other, which takes the third power of the time. Kernels
/// have a few. A BTF that was made to take long keeps them all.
const MAX_COMPARED: usize = 32;

/// Divides the candidates into those that make a difference, and those that match something but make no difference: no
/// selection of relocations, in any order, shows whether they are there. Candidates that match nothing are left out. A
/// kernel has many types twice, because deduplication saw a difference behind some pointer.
fn distinguishing(needs: &Needs, root: &Root, mut rows: Vec<Row>) -> (Vec<Row>, Vec<Row>) {
    rows.retain(|row| row.cells.iter().any(|c| c.answer != Answer::NoMatch));
    let mut others = Vec::new();
    // A type that was never deduplicated has hundreds of equal rows; to compare each with each would take minutes.
    if !root.asks_identity(needs) {
        let mut seen = HashSet::new();
        let facts = |row: &Row| -> Vec<(Answer, u32)> {
            let cells = row.cells.iter();
            cells.map(|c| (c.answer, c.bit_offset)).collect()
        };
        others.extend(rows.extract_if(.., |row| !seen.insert(facts(row))));
    }
    // Without one of them another one may be superfluous, too.
    let mut before = MAX_COMPARED + 1;
    while rows.len() < before {
        before = rows.len();
        let mut i = 0;
        while i < rows.len() {
            let is_covered = |by: usize| by != i && covers(needs, root, &rows, by, i);
            if (0..rows.len()).any(is_covered) {
                others.push(rows.remove(i));
            } else {
                i += 1;
            }
        }
    }
    (rows, others)
}

/// Whether row `by` makes row `row` superfluous: `by` gives each of its answers, so `by` matches whenever `row` matches.
///
/// libbpf takes the size and a failure from the *first* candidate that matches, and compares values and offsets of all. So the
/// size counts only in a row ahead of the covering one, which may only go if all rows between them that match give the same.
fn covers(needs: &Needs, root: &Root, rows: &[Row], by: usize, row: usize) -> bool {
    let mut equal = true;
    for (i, cell) in rows[row].cells.iter().enumerate() {
        let other = &rows[by].cells[i];
        if cell.answer == Answer::NoMatch {
            equal &= other.answer == Answer::NoMatch;
            continue;
        }
        // Two candidates for a type id are an ambiguity, one is not.
        if relocation(needs, root.needs[i]).kind() == ReloKind::TypeIdTarget {
            return false;
        }
        equal &= other.answer == cell.answer;
        let same =
            |other: &Cell| other.answer == cell.answer && other.bit_offset == cell.bit_offset;
        let is_covered = if by < row {
            agree(other, cell)
        } else {
            let mut between = rows[row + 1..by].iter().map(|row| &row.cells[i]);
            same(other) && between.all(|cell| cell.answer == Answer::NoMatch || same(cell))
        };
        if !is_covered {
            return false;
        }
    }
    // The first one of equal rows stays.
    !equal || by < row
}

/// Whether libbpf takes the second one for the same, behind the first one.
fn agree(first: &Cell, second: &Cell) -> bool {
    match (first.answer, second.answer) {
        (Answer::Match(a), Answer::Match(b)) => {
            first.bit_offset == second.bit_offset && (a.value, a.poison) == (b.value, b.poison)
        }
        (a, b) => a == b,
    }
}
