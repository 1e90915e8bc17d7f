//! The matrix: the outcome of every need on every kernel.
//!
//! Many kernels answer alike. So each distinct answer is stored once, as an [`OutcomeSet`], and each kernel has the index of
//! its set.

use std::collections::{BTreeMap, HashMap};

use btfgen_archive::KernelId;
use btfgen_btf::ByteOrder;

use crate::access::Asked;
use crate::outcome::{Outcome, Refusal};

/// The outcome of every need on every kernel.
///
/// The kernels are in the order of their ids, and the sets in the order of their first kernels. So the matrix depends only
/// on the needs and the kernels, not on threads.
///
/// ```no_run
/// let packed = btfgen::Pack::new().object("app.bpf.o").hub("btfhub").build()?;
/// for (n, set) in packed.matrix.sets().iter().enumerate() {
///     println!("{} kernels answer {:?}", packed.matrix.kernels_of(n).count(), set.outcomes);
/// }
/// for need in packed.matrix.unresolved() {
///     println!("{} is in no kernel", packed.needs[need]);
/// }
/// # Ok::<(), btfgen::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Matrix {
    /// What each need asks, in the needs' order.
    #[cfg_attr(feature = "serde", serde(skip))]
    asked: Vec<Asked>,
    sets: Vec<OutcomeSet>,
    kernels: Vec<Row>,
}

/// The answers of all kernels with the same outcomes and the same byte order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct OutcomeSet {
    /// The byte order of the kernels.
    #[cfg_attr(
        feature = "serde",
        serde(serialize_with = "crate::serialize::byte_order")
    )]
    pub byte_order: ByteOrder,
    /// The outcome of each need, in the order of [`Needs::iter`](crate::Needs::iter).
    pub outcomes: Vec<Outcome>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
struct Row {
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
    kernel: KernelId,
    set: usize,
}

/// A need that libbpf refuses on some kernels, whatever else the object asks. [`Refusal::is_of_object`] tells whether that is a
/// refusal of the object, or of a program that uses the need.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct RefusedNeed<'m> {
    /// The index of the need.
    pub need: usize,
    /// The reason.
    pub reason: Refusal,
    /// The kernels on which libbpf refuses it, in the order of their ids.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::texts"))]
    pub kernels: Vec<&'m KernelId>,
}

impl Matrix {
    /// The kernels, in the order of their ids.
    pub fn kernels(&self) -> impl ExactSizeIterator<Item = &KernelId> + Clone {
        self.kernels.iter().map(|row| &row.kernel)
    }

    /// The distinct sets of outcomes.
    pub fn sets(&self) -> &[OutcomeSet] {
        &self.sets
    }

    /// The index of a kernel's set in [`Matrix::sets`].
    pub fn set_of(&self, kernel: &KernelId) -> Option<usize> {
        let row = self.kernels.binary_search_by(|row| row.kernel.cmp(kernel));
        row.ok().map(|row| self.kernels[row].set)
    }

    /// The kernels of a set, in the order of their ids.
    pub fn kernels_of(&self, set: usize) -> impl Iterator<Item = &KernelId> {
        let rows = self.kernels.iter().filter(move |row| row.set == set);
        rows.map(|row| &row.kernel)
    }

    /// A kernel's outcome of the need with this index.
    pub fn outcome(&self, kernel: &KernelId, need: usize) -> Option<Outcome> {
        let outcomes = &self.sets[self.set_of(kernel)?].outcomes;
        outcomes.get(need).copied()
    }

    /// The indices of the needs that found nothing on any kernel of their objects' byte order, see [`Outcome::is_found`]. If libbpf refuses the object
    /// for a need on some kernel, the need is not among them.
    pub fn unresolved(&self) -> impl Iterator<Item = usize> {
        let is_missing = |set: &OutcomeSet, need: usize| {
            let outcome = set.outcomes[need];
            if !self.asked[need].byte_orders.has(set.byte_order) {
                return true;
            }
            outcome.refusal().is_none() && !outcome.is_found(self.asked[need].kind)
        };
        (0..self.asked.len()).filter(move |&need| self.sets.iter().all(|set| is_missing(set, need)))
    }

    /// The needs that libbpf refuses on some kernels of their objects' byte order, in the needs' order.
    pub fn refused(&self) -> Vec<RefusedNeed<'_>> {
        let mut refused: BTreeMap<(usize, Refusal), Vec<&KernelId>> = BTreeMap::new();
        for row in &self.kernels {
            let set = &self.sets[row.set];
            for (need, outcome) in set.outcomes.iter().enumerate() {
                let asked = &self.asked[need];
                if let Some(reason) = asked.refusal(outcome)
                    && asked.byte_orders.has(set.byte_order)
                {
                    refused.entry((need, reason)).or_default().push(&row.kernel);
                }
            }
        }
        let refused = refused.into_iter();
        refused
            .map(|((need, reason), kernels)| RefusedNeed {
                need,
                reason,
                kernels,
            })
            .collect()
    }
}

/// Collects a matrix from kernels in any order. Its size grows with the number of different sets; each further kernel adds
/// its id and an index.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    sets: HashMap<OutcomeSet, usize>,
    kernels: Vec<Row>,
}

impl Gathering {
    pub(crate) fn add(&mut self, kernel: KernelId, byte_order: ByteOrder, outcomes: Vec<Outcome>) {
        let next = self.sets.len();
        let set = OutcomeSet {
            byte_order,
            outcomes,
        };
        let set = *self.sets.entry(set).or_insert(next);
        self.kernels.push(Row { kernel, set });
    }

    pub(crate) fn finish(self, asked: Vec<Asked>) -> Matrix {
        let Self { sets, mut kernels } = self;
        kernels.sort();
        let mut order = vec![None; sets.len()];
        let mut known = 0;
        for row in &mut kernels {
            row.set = *order[row.set].get_or_insert_with(|| {
                known += 1;
                known - 1
            });
        }
        let mut sets: Vec<_> = sets.into_iter().collect();
        sets.sort_by_key(|&(_, set)| order[set]);
        Matrix {
            asked,
            sets: sets.into_iter().map(|(set, _)| set).collect(),
            kernels,
        }
    }
}

#[cfg(test)]
mod tests {
    use btfgen_libbpf::ReloKind;

    use super::*;
    use crate::access::Accesses;
    use crate::byte_orders::ByteOrders;

    fn kernel(release: &str) -> KernelId {
        KernelId::new("a", "1", "x86_64", release).expect("it is a kernel's name")
    }

    fn value(value: u64) -> Outcome {
        Outcome::Value {
            value,
            size: 4,
            size_mismatch: false,
        }
    }

    const FAILED: Outcome = Outcome::Failed {
        errno: 22,
        reason: Refusal::Disagreement,
    };

    /// Four kernels with three sets, and two needs, of which no kernel answers the second.
    fn matrix(order: [usize; 4]) -> Matrix {
        let little = ByteOrder::Little;
        let rows = [
            ("1.0", little, [value(8), Outcome::Missing]),
            ("1.1", ByteOrder::Big, [value(8), Outcome::Missing]),
            ("1.2", little, [FAILED, value(0)]),
            ("1.3", little, [value(8), Outcome::Missing]),
        ];
        let mut gathering = Gathering::default();
        for i in order {
            let (release, byte_order, outcomes) = rows[i];
            gathering.add(kernel(release), byte_order, outcomes.into());
        }
        let asked = [ReloKind::FieldByteOffset, ReloKind::FieldExists].map(|kind| Asked {
            kind,
            accesses: Accesses::default(),
            byte_orders: ByteOrders::BOTH,
        });
        gathering.finish(asked.into())
    }

    /// Check that the order in which kernels come does not change the matrix, and check its views of kernels, sets and
    /// needs.
    #[test]
    fn views() {
        let matrix = matrix([0, 1, 2, 3]);
        assert_eq!(matrix, self::matrix([3, 2, 1, 0]));
        assert_eq!(matrix, self::matrix([2, 0, 3, 1]));
        assert_eq!(matrix.sets().len(), 3);
        assert_eq!(matrix.sets()[1].byte_order, ByteOrder::Big);
        assert_eq!(matrix.set_of(&kernel("1.3")), Some(0));
        assert_eq!(matrix.set_of(&kernel("2.0")), None);
        let of_first: Vec<_> = matrix.kernels_of(0).cloned().collect();
        assert_eq!(of_first, [kernel("1.0"), kernel("1.3")]);
        assert_eq!(matrix.outcome(&kernel("1.1"), 0), Some(value(8)));
        assert_eq!(matrix.outcome(&kernel("1.1"), 2), None);
        assert_eq!(matrix.unresolved().collect::<Vec<_>>(), [1]);
        let refusing = kernel("1.2");
        let expected = RefusedNeed {
            need: 0,
            reason: Refusal::Disagreement,
            kernels: vec![&refusing],
        };
        assert_eq!(matrix.refused(), [expected]);
    }

    /// Check the JSON of a matrix.
    #[cfg(feature = "serde")]
    #[test]
    fn json() {
        let found = serde_json::json!({"value": {"value": 8, "size": 4, "size_mismatch": false}});
        let no = serde_json::json!({"value": {"value": 0, "size": 4, "size_mismatch": false}});
        let failed = serde_json::json!({"failed": {"errno": 22, "reason": "disagreement"}});
        let matrix = matrix([0, 1, 2, 3]);
        assert_eq!(
            serde_json::to_value(&matrix).expect("it is serializable"),
            serde_json::json!({
                "sets": [
                    {"byte_order": "little", "outcomes": [found, "missing"]},
                    {"byte_order": "big", "outcomes": [found, "missing"]},
                    {"byte_order": "little", "outcomes": [failed, no]},
                ],
                "kernels": [
                    {"kernel": "a/1/x86_64/1.0", "set": 0},
                    {"kernel": "a/1/x86_64/1.1", "set": 1},
                    {"kernel": "a/1/x86_64/1.2", "set": 2},
                    {"kernel": "a/1/x86_64/1.3", "set": 0},
                ],
            })
        );
        assert_eq!(
            serde_json::to_value(matrix.refused()).expect("it is serializable"),
            serde_json::json!([
                {"need": 0, "reason": "disagreement", "kernels": ["a/1/x86_64/1.2"]},
            ])
        );
    }
}
