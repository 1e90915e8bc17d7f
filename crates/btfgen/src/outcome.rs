//! A kernel's answers: the outcome of every relocation.
//!
//! To preserve the outcomes alone is not enough. libbpf keeps one list of candidates for each local type. After each
//! relocation, it drops the candidates that did not match. So the outcome of a relocation depends on the relocations before
//! it, and these depend on the programs that are loaded. btfgen therefore preserves the *row* of each candidate: its own
//! answer to every relocation of the root. Then any selection of relocations in any order has the same outcomes.

use std::collections::HashSet;

use btfgen_btf::TypeId;
use btfgen_libbpf::{Checked, Failure, ReloKind, Relocation, Resolution, Resolver};

use crate::needs::{Needs, Root};

/// libbpf's result for one relocation on a kernel, with all candidates of its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Outcome {
    /// Resolved to a value.
    Value {
        /// The value to patch in: an offset or size in bytes, a shift, an enumerator, or 1 and 0 for yes and no.
        value: u64,
        /// The size of the field in bytes, to which loads and stores are resized; 0 if the size does not matter.
        size: u32,
        /// The size differs in a way that libbpf refuses for loads and stores.
        size_mismatch: bool,
    },
    /// Resolved to a type: the position of the candidate among the candidates that make a difference. A type may have
    /// another id in the minimal BTF, so the id is not used.
    Type {
        /// Position, from 0.
        candidate: u32,
    },
    /// Missing: libbpf replaces the instruction by one that the verifier refuses, unless it is never reached.
    Missing,
    /// libbpf refuses to load the object.
    Failed {
        /// The positive errno.
        errno: i32,
        /// The reason.
        reason: Refusal,
    },
}

/// The reason why libbpf refuses an object because of a relocation. The `Display` form is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Refusal {
    /// The kernel has several types of this name, and they disagree about the value or the offset.
    Disagreement,
    /// A bitfield spans more than 8 bytes, or types are nested too deeply: E2BIG.
    TooLarge,
    /// The relocation makes no sense in the object's own types: an index beyond the program's own array, a shift of an
    /// array's element, the size of a type that the program only declares.
    Invalid,
    /// The root has no name, so libbpf cannot look it up: EOPNOTSUPP.
    Anonymous,
}

impl Refusal {
    /// The reason of an error that libbpf gives with one candidate, or with none.
    pub(crate) fn of(errno: i32) -> Self {
        // Linux's error numbers, which are the same on all architectures that run BPF.
        const E2BIG: i32 = 7;
        const EOPNOTSUPP: i32 = 95;
        match errno {
            E2BIG => Self::TooLarge,
            EOPNOTSUPP => Self::Anonymous,
            _ => Self::Invalid,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Disagreement => "the kernel has several types of this name, and they disagree",
            Self::TooLarge => "a bitfield spans more than 8 bytes, or types are nested too deeply",
            Self::Invalid => {
                "an index is out of range, a shift of an array's element is asked for, or a type is only declared"
            }
            Self::Anonymous => "the root type has no name, so libbpf cannot look it up",
        })
    }
}

impl Outcome {
    /// Why libbpf refuses to load the object, if it does.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Failed { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// Whether the relocation found what it asks for. If the answer to a question for existence is "no", nothing was found.
    pub fn is_found(&self, kind: ReloKind) -> bool {
        let question = matches!(
            kind,
            ReloKind::FieldExists
                | ReloKind::TypeExists
                | ReloKind::TypeMatches
                | ReloKind::EnumvalExists
                | ReloKind::TypeIdTarget
                | ReloKind::TypeSize
        );
        match self {
            // These kinds answer 0 if there is no match, and libbpf does not poison the instruction.
            Self::Value { value, .. } => !(question && *value == 0),
            Self::Type { .. } => true,
            Self::Missing | Self::Failed { .. } => false,
        }
    }
}

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
#[derive(Debug)]
pub(crate) struct Row<'b> {
    pub(crate) candidate: Checked<'b>,
    pub(crate) cells: Vec<Cell>,
}

/// One kernel's answers for one root.
#[derive(Debug)]
pub(crate) struct RootAnswers<'b> {
    /// The candidates that make a difference, in libbpf's order.
    pub(crate) rows: Vec<Row<'b>>,
    /// The candidates that also match something, but make no difference beside the others.
    pub(crate) others: Vec<Row<'b>>,
    /// The outcomes of the root's relocations, in the root's order.
    pub(crate) outcomes: Vec<Outcome>,
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
pub(crate) fn answers<'b>(
    needs: &Needs,
    root: &Root,
    candidates: &[Checked<'b>],
    without_match: &[Outcome],
    resolver: &mut Resolver,
) -> RootAnswers<'b> {
    let rows: Vec<Row<'b>> = candidates
        .iter()
        .map(|&candidate| Row {
            candidate,
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
                return outcome(
                    needs,
                    n,
                    row.cells[i].answer,
                    &rows,
                    Some(row.candidate.id()),
                );
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
                    matched.map(|m| m.root),
                ),
                Err(Failure { errno, .. }) => {
                    let failed = |row: &Row<'_>| matches!(row.cells[i].answer, Answer::Failed(_));
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
    rows: &[Row<'_>],
    matched: Option<TypeId>,
) -> Outcome {
    match (answer, matched) {
        (Answer::NoMatch, _) => Outcome::Missing,
        (Answer::Failed(errno), _) => Outcome::Failed {
            errno,
            reason: Refusal::of(errno),
        },
        (Answer::Match(r), _) if r.poison => Outcome::Missing,
        (Answer::Match(_), Some(id))
            if relocation(needs, need).kind() == ReloKind::TypeIdTarget =>
        {
            let position = rows.iter().position(|r| r.candidate.id() == id);
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
fn distinguishing<'b>(
    needs: &Needs,
    root: &Root,
    mut rows: Vec<Row<'b>>,
) -> (Vec<Row<'b>>, Vec<Row<'b>>) {
    rows.retain(|row| row.cells.iter().any(|c| c.answer != Answer::NoMatch));
    let mut others = Vec::new();
    // A type that was never deduplicated has hundreds of equal rows; to compare each with each would take minutes.
    if !root.asks_identity(needs) {
        let mut seen = HashSet::new();
        let facts = |row: &Row<'_>| -> Vec<(Answer, u32)> {
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
fn covers(needs: &Needs, root: &Root, rows: &[Row<'_>], by: usize, row: usize) -> bool {
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
