//! The names that are nearest to a name that a kernel does not have.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};

use btfgen_btf::{Btf, Kind};
use btfgen_libbpf::essential_name;
use btfgen_store::{Definitions, Key, List, is_root};

/// At most so many names are shown.
const MAX_SIMILAR: usize = 3;

/// At most so many names of types are near to a name. A kernel has only some of them.
const MAX_NEAR: usize = 12;

/// The names that are nearest to a name, if any is near.
pub(crate) fn similar(name: &[u8], names: &[&[u8]]) -> Vec<String> {
    let asked = Word::of(name);
    let mut near = Vec::new();
    for name in names {
        let word = Word::of(name);
        if asked.least_distance(&word).is_some()
            && let Some(distance) = asked.distance(&word)
        {
            near.push((distance, word.text.into_owned()));
        }
    }
    nearest(near)
}

/// The first names in the order of their ranks. Names of rank 0 are so near that no other ones are shown.
fn nearest<R: Ord + Default>(mut near: Vec<(R, String)>) -> Vec<String> {
    near.sort();
    near.dedup();
    if near.first().is_some_and(|(rank, _)| *rank == R::default()) {
        near.retain(|(rank, _)| *rank == R::default());
    }
    near.truncate(MAX_SIMILAR);
    near.into_iter().map(|(_, name)| name).collect()
}

/// A name, and how often it has each letter.
struct Word<'n> {
    text: Cow<'n, str>,
    letters: [u8; 32],
}

impl<'n> Word<'n> {
    fn of(name: &'n [u8]) -> Self {
        let text = String::from_utf8_lossy(name);
        let mut letters = [0_u8; 32];
        for c in text.chars() {
            let count = &mut letters[c as usize % 32];
            *count = count.saturating_add(1);
        }
        Self { text, letters }
    }

    fn trimmed(&self) -> &str {
        self.text.trim_matches('_')
    }

    /// How many letters may differ: a third.
    fn max_distance(&self) -> usize {
        self.text.len().max(3) / 3
    }

    /// Another name is not nearer than this: each change of a letter changes one count of both. `None` if it is not near. This
    /// excludes nearly all names without a closer look.
    fn least_distance(&self, other: &Word<'_>) -> Option<usize> {
        let (mut gone, mut added) = (0_u32, 0_u32);
        let (mut may_be_part, mut may_be_same) = (true, true);
        for (n, (&own, &others)) in self.letters.iter().zip(&other.letters).enumerate() {
            gone += u32::from(own.saturating_sub(others));
            added += u32::from(others.saturating_sub(own));
            // Underscores around a name do not count.
            let is_underscore = n == '_' as usize % 32;
            may_be_part &= own <= others || is_underscore;
            may_be_same &= own == others || is_underscore;
        }
        if may_be_same && self.trimmed() == other.trimmed() {
            return Some(0);
        }
        let least = gone.max(added) as usize;
        (least <= self.max_distance() || may_be_part).then_some(least)
    }

    /// How far another name is, if it is near: a third of the letters may differ, or one name is a part of the other. Names that
    /// differ only in the underscores around them are not far at all.
    fn distance(&self, other: &Word<'_>) -> Option<usize> {
        let trimmed = self.trimmed();
        if other.trimmed() == trimmed {
            return Some(0);
        }
        let (own, others) = differing_parts(&self.text, &other.text);
        let distance = strsim::damerau_levenshtein(own, others);
        let is_part = || trimmed.len() > 3 && other.text.contains(trimmed);
        (distance <= self.max_distance() || is_part()).then_some(distance)
    }
}

/// Two names without what they have in common at the beginning and the end, which does not change their distance.
fn differing_parts<'a>(a: &'a str, b: &'a str) -> (&'a str, &'a str) {
    let common = |pairs: &mut dyn Iterator<Item = (char, char)>| -> usize {
        let same = pairs.take_while(|(a, b)| a == b);
        same.map(|(a, _)| a.len_utf8()).sum()
    };
    let start = common(&mut a.chars().zip(b.chars()));
    let (a, b) = (&a[start..], &b[start..]);
    let end = common(&mut a.chars().rev().zip(b.chars().rev()));
    (&a[..a.len() - end], &b[..b.len() - end])
}

/// A type that a kernel lacks: its kind, and its name without flavour.
pub(crate) type Lacking<'n> = (Kind, &'n [u8]);

/// What a kernel has instead of a type that it lacks. The types are in C's spelling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Instead {
    /// Whether it only declares the type.
    pub(crate) only_declared: bool,
    /// Types of this name, but of other kinds.
    pub(crate) other_kinds: Vec<String>,
    /// The types with the nearest names, those of the same kind first.
    pub(crate) similar: Vec<String>,
}

/// A type whose name is near to that of a type that is lacking.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Near {
    has_other_name: bool,
    has_other_kind: bool,
    distance: usize,
    name: String,
    kind: u32,
}

impl Near {
    fn rank(&self) -> (bool, bool, usize) {
        (self.has_other_name, self.has_other_kind, self.distance)
    }
}

impl Instead {
    fn of<'k>(near: impl Iterator<Item = &'k Near>) -> Self {
        let mut instead = Self::default();
        let mut similar = Vec::new();
        for near in near {
            let kind = Kind::of_number(near.kind);
            let spelled = spelled(kind, &near.name);
            if near.has_other_name {
                similar.push(((near.has_other_kind, near.distance), spelled));
            } else if kind == Kind::Fwd {
                instead.only_declared = true;
            } else {
                instead.other_kinds.push(spelled);
            }
        }
        instead.similar = nearest(similar);
        instead
    }
}

fn spelled(kind: Kind, name: &str) -> String {
    match kind {
        Kind::Struct => format!("struct {name}"),
        Kind::Union => format!("union {name}"),
        Kind::Enum | Kind::Enum64 => format!("enum {name}"),
        Kind::Typedef => format!("typedef {name}"),
        _ => name.to_owned(),
    }
}

/// Enums of both widths are the same to libbpf.
fn normalized(kind: Kind) -> Kind {
    if kind.is_enum() { Kind::Enum } else { kind }
}

/// A type that may be near: whether its name and its kind are others, and how near it is at most.
type Candidate<'n, T> = ((bool, bool, usize), Kind, &'n [u8], T);

/// For each type that is lacking, the types that are nearest to it, with their items. Each type is looked at once.
fn near<'n, T: Copy + Ord>(
    lacking: &[Lacking<'_>],
    types: impl Iterator<Item = (Kind, &'n [u8], T)>,
) -> Vec<Vec<(Near, T)>> {
    let asked: Vec<Word<'_>> = lacking.iter().map(|(_, name)| Word::of(name)).collect();
    let mut all: Vec<Vec<Candidate<'n, T>>> = lacking.iter().map(|_| Vec::new()).collect();
    for (kind, name, item) in types {
        let word = Word::of(name);
        for ((asked, &(wanted, wanted_name)), all) in asked.iter().zip(lacking).zip(&mut all) {
            let Some(least) = asked.least_distance(&word) else {
                continue;
            };
            let has_other_name = name != wanted_name;
            // What is only declared says nothing, unless it is the type itself.
            if kind != Kind::Fwd || (!has_other_name && wanted.is_composite()) {
                let has_other_kind = normalized(kind) != normalized(wanted);
                all.push(((has_other_name, has_other_kind, least), kind, name, item));
            }
        }
    }
    let all = asked.iter().zip(all);
    all.map(|(asked, candidates)| first(asked, candidates))
        .collect()
}

/// The nearest candidates. Distances are computed only of those that may be among them.
fn first<T: Copy + Ord>(asked: &Word<'_>, mut candidates: Vec<Candidate<'_, T>>) -> Vec<(Near, T)> {
    candidates.sort_unstable_by_key(|&(rank, kind, name, item)| (rank, name, kind as u32, item));
    let mut near: BTreeSet<(Near, T)> = BTreeSet::new();
    for (rank, kind, name, item) in candidates {
        let is_full = near.len() == MAX_NEAR;
        if is_full && near.last().is_some_and(|(last, _)| last.rank() < rank) {
            break;
        }
        let word = Word::of(name);
        if let Some(distance) = asked.distance(&word) {
            let (has_other_name, has_other_kind, _) = rank;
            let new = Near {
                has_other_name,
                has_other_kind,
                distance,
                name: word.text.into_owned(),
                kind: normalized(kind) as u32,
            };
            near.insert((new, item));
            if near.len() > MAX_NEAR {
                near.pop_last();
            }
        }
    }
    near.into_iter().collect()
}

/// What a BTF has instead of types that it lacks, in their order.
pub(crate) fn in_btf(btf: &Btf<'_>, lacking: &[Lacking<'_>]) -> Vec<Instead> {
    if lacking.is_empty() {
        return Vec::new();
    }
    let named = btf.types_of(is_root).filter(|ty| !ty.name().is_empty());
    let types: HashSet<(u32, &[u8])> = named
        .map(|ty| (normalized(ty.kind()) as u32, essential_name(ty.name())))
        .collect();
    let types = types.into_iter();
    let types = types.map(|(kind, name)| (Kind::of_number(kind), name, ()));
    let all = near(lacking, types).into_iter();
    all.map(|near| Instead::of(near.iter().map(|(near, ())| near)))
        .collect()
}

/// The types that are near to types that some kernels lack, among all that the kernels of a type store have.
pub(crate) struct Nearby<'d> {
    definitions: &'d Definitions<'d>,
    by_type: HashMap<(u32, Vec<u8>), Keys>,
}

/// Types that are near, with their keys in the type store.
type Keys = Vec<(Near, Key)>;

impl<'d> Nearby<'d> {
    pub(crate) fn new(definitions: &'d Definitions<'d>, lacking: &[Lacking<'_>]) -> Self {
        let types = definitions.key_names();
        let types = types.map(|(key, kind, name)| (kind, name, key));
        let types = types.filter(|_| !lacking.is_empty());
        let all = lacking.iter().zip(near(lacking, types));
        let all = all.map(|(&(kind, name), near)| ((kind as u32, name.to_vec()), near));
        Self {
            definitions,
            by_type: all.collect(),
        }
    }

    /// What a kernel has instead of a type that it lacks.
    ///
    /// # Errors
    /// [`btfgen_store::Error::Damaged`].
    pub(crate) fn instead(
        &self,
        kernel: usize,
        (kind, name): Lacking<'_>,
    ) -> btfgen_store::Result<Instead> {
        let near = self.by_type.get(&(kind as u32, name.to_vec()));
        let mut has = Vec::new();
        for (near, key) in near.into_iter().flatten() {
            if self.definitions.list(kernel, Some(*key))? != List::NONE {
                has.push(near);
            }
        }
        Ok(Instead::of(has.into_iter()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rule without the counts of letters.
    fn plain(name: &str, other: &str) -> Option<usize> {
        let trimmed = name.trim_matches('_');
        let distance = match other.trim_matches('_') == trimmed {
            true => 0,
            false => strsim::damerau_levenshtein(name, other),
        };
        let is_near = distance <= name.len().max(3) / 3;
        (is_near || (trimmed.len() > 3 && other.contains(trimmed))).then_some(distance)
    }

    /// Check that the counts of letters exclude no name that is near.
    #[test]
    fn letters_exclude_only_far_names() {
        let names = [
            "",
            "_",
            "a",
            "pid",
            "tgid",
            "state",
            "__state",
            "_state_",
            "exit_state",
            "tsate",
            "staet",
            "on_cpu",
            "on_rq",
            "cpus_ptr",
            "cpus_allowed",
            "cpu_alloweds",
            "Größe",
            "größe",
            "trace_event_raw_block_rq_complete",
            "trace_event_raw_block_rq_completion",
            "aaaaaaaaaaaa",
            "aaaa",
            "request_queue",
            "queue",
            "rq_disk",
            "q_disk",
            "mm",
            "mnt",
        ];
        let mut near = 0;
        for name in names {
            for other in names {
                let (asked, word) = (Word::of(name.as_bytes()), Word::of(other.as_bytes()));
                let least = asked.least_distance(&word);
                let distance = least.and_then(|_| asked.distance(&word));
                assert_eq!(distance, plain(name, other), "{name:?} and {other:?}");
                assert!(
                    distance.is_none() || least <= distance,
                    "{name:?} and {other:?}"
                );
                near += usize::from(distance.is_some());
            }
        }
        assert!(near > names.len() + 10, "{near}");
    }

    /// Check that the nearest types are found though not all distances are computed: the same name first, then the same kind.
    #[test]
    fn nearest_types() {
        let lacking = (Kind::Struct, &b"block_rq_complete"[..]);
        let ends = [
            "complete",
            "completion",
            "remap",
            "requeue",
            "compete",
            "_complete",
            "completes",
        ];
        let starts = [
            "block_rq_",
            "block_bio_",
            "trace_block_rq_",
            "block_",
            "lock_rq_",
        ];
        let names = starts
            .iter()
            .flat_map(|start| ends.iter().map(move |end| format!("{start}{end}")));
        let names: Vec<String> = names.collect();
        let kinds = [Kind::Struct, Kind::Enum, Kind::Fwd];
        let types = names.iter().flat_map(|name| kinds.map(|kind| (kind, name)));
        let types =
            types.filter(|(kind, name)| *kind != Kind::Struct || *name != "block_rq_complete");
        let types: Vec<_> = types.collect();
        let ranked = types.iter().filter_map(|&(kind, name)| {
            let (is_other, distance) = (
                name != "block_rq_complete",
                plain("block_rq_complete", name)?,
            );
            let is_near = kind != Kind::Fwd || !is_other;
            is_near.then_some((is_other, kind != Kind::Struct, distance, name.as_str()))
        });
        let mut ranked: Vec<_> = ranked.collect();
        ranked.sort_unstable();
        assert!(ranked.len() > MAX_NEAR + 5, "{}", ranked.len());
        ranked.truncate(MAX_NEAR);
        let all = near(
            &[lacking],
            types
                .iter()
                .map(|&(kind, name)| (kind, name.as_bytes(), ())),
        );
        let found = all[0].iter().map(|(near, ())| {
            (
                near.has_other_name,
                near.has_other_kind,
                near.distance,
                near.name.as_str(),
            )
        });
        assert_eq!(found.collect::<Vec<_>>(), ranked);
    }

    /// Check that names come in the order of their distance, and alone if they differ only in underscores.
    #[test]
    fn similar_names() {
        let similar = |name: &str, names: &[&str]| {
            let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
            similar(name.as_bytes(), &names)
        };
        assert_eq!(similar("state", &["states", "__state", "pid"]), ["__state"]);
        assert_eq!(
            similar("rq_disk", &["rq_disks", "rq_dixks", "q_disk", "part"]),
            ["q_disk", "rq_disks", "rq_dixks"]
        );
        assert_eq!(similar("state", &["pid"]), [""; 0]);
    }
}
