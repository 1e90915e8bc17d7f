//! How named types differ between two kernels.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::selection::{Fields, TypeSelection};
use crate::shape::{Part, Place, Shape, Shapes, TypeKind, TypeName};

/// The difference of one named type between two kernels.
#[derive(Debug, Clone)]
pub struct TypeDiff {
    /// Kind and name.
    pub name: TypeName,
    /// The definition in the first kernel; `None` if the type was added.
    pub before: Option<Shape>,
    /// The definition in the second kernel; `None` if the type was removed.
    pub after: Option<Shape>,
    /// The selected fields or enumerators that differ, in the order of the definitions.
    pub parts: Vec<PartDiff>,
    /// How many different types of this kind and name the kernels have. If one of them has several, the most similar ones are
    /// compared.
    pub definitions: [usize; 2],
    /// Whether only some of its fields are selected. Then its size does not count.
    pub of_fields: bool,
}

/// The difference of one field or enumerator.
#[derive(Debug, Clone)]
pub struct PartDiff {
    /// In the first kernel; `None` if it was added.
    pub before: Option<Part>,
    /// In the second kernel; `None` if it was removed.
    pub after: Option<Part>,
}

/// A change of a field or enumerator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum PartChange {
    /// Only the second kernel has it.
    Added,
    /// Only the first kernel has it.
    Removed,
    /// It has another offset.
    Moved,
    /// It has another type.
    Retyped,
    /// It has another size.
    Resized,
    /// The enumerator has another value.
    Revalued,
}

impl PartDiff {
    /// The path of the field, or the enumerator's name.
    pub fn path(&self) -> &str {
        let part = self.before.as_ref().or(self.after.as_ref());
        part.map_or("", |part| &part.path)
    }

    /// What has changed.
    pub fn changes(&self) -> Vec<PartChange> {
        let (before, after) = match (&self.before, &self.after) {
            (None, _) => return vec![PartChange::Added],
            (_, None) => return vec![PartChange::Removed],
            (Some(before), Some(after)) => (before, after),
        };
        let mut changes = Vec::new();
        let mut note = |is_changed, change| {
            if is_changed {
                changes.push(change);
            }
        };
        match (before.place, after.place) {
            (
                Place::Field {
                    bit_offset,
                    size,
                    bitfield_size,
                },
                Place::Field {
                    bit_offset: other_offset,
                    size: other_size,
                    bitfield_size: other_bitfield,
                },
            ) => {
                note(bit_offset != other_offset, PartChange::Moved);
                note(before.declaration != after.declaration, PartChange::Retyped);
                let is_resized = size != other_size || bitfield_size != other_bitfield;
                note(is_resized, PartChange::Resized);
            }
            (before, after) => note(before != after, PartChange::Revalued),
        }
        changes
    }

    /// How far the field moves, in bits, if nothing else changes.
    pub fn shift(&self) -> Option<i64> {
        let offset = |part: &Option<Part>| match part.as_ref()?.place {
            Place::Field { bit_offset, .. } => i64::try_from(bit_offset).ok(),
            Place::Enumerator { .. } => None,
        };
        let only_moved = self.changes() == [PartChange::Moved];
        only_moved.then(|| Some(offset(&self.after)? - offset(&self.before)?))?
    }
}

/// The selected types that differ, by kind and name.
pub fn diff(before: &Shapes, after: &Shapes, selection: &TypeSelection) -> Vec<TypeDiff> {
    let names: BTreeSet<&TypeName> = before.0.keys().chain(after.0.keys()).collect();
    let mut differences = Vec::new();
    for name in names {
        let Some(fields) = selection.fields(name.kind, &name.name) else {
            continue;
        };
        let of = |shapes: &'_ Shapes| shapes.0.get(name).cloned().unwrap_or_default();
        let (old, new) = (of(before), of(after));
        let definitions = [old.len(), new.len()];
        for (before, after) in pairs(old, new) {
            let parts = differing_parts(before.as_ref(), after.as_ref(), fields);
            let of_fields = *fields != Fields::All;
            let difference = TypeDiff {
                name: name.clone(),
                before,
                after,
                parts,
                definitions,
                of_fields,
            };
            if difference.differs() {
                differences.push(difference);
            }
        }
    }
    differences
}

impl TypeDiff {
    fn differs(&self) -> bool {
        let (Some(before), Some(after)) = (&self.before, &self.after) else {
            // Without one of its selected fields, it is as good as absent.
            return !self.of_fields
                || !self.parts.is_empty()
                || self.name.kind == TypeKind::Function;
        };
        let whole = |shape: &Shape| (shape.size, shape.declaration.clone());
        !self.parts.is_empty() || (!self.of_fields && whole(before) != whole(after))
    }
}

/// The most comparisons of types with one name. A kernel has at most a few types of one name.
const MAX_COMPARISONS: usize = 10_000;

/// Pairs the definitions of two kernels: equal ones first, and then the most similar ones.
fn pairs(mut old: Vec<Shape>, mut new: Vec<Shape>) -> Vec<(Option<Shape>, Option<Shape>)> {
    let equal: HashSet<Shape> = old
        .iter()
        .filter(|shape| new.contains(shape))
        .cloned()
        .collect();
    old.retain(|shape| !equal.contains(shape));
    new.retain(|shape| !equal.contains(shape));
    let mut likeness = Vec::new();
    if old.len().saturating_mul(new.len()) <= MAX_COMPARISONS {
        for (o, before) in old.iter().enumerate() {
            let parts: HashSet<&Part> = before.parts.iter().collect();
            let paths: HashSet<&str> = before.parts.iter().map(|part| &*part.path).collect();
            for (n, after) in new.iter().enumerate() {
                let count = |is: &dyn Fn(&&Part) -> bool| after.parts.iter().filter(is).count();
                let same = count(&|part| paths.contains(&*part.path));
                let equal = count(&|part| parts.contains(part));
                likeness.push((same, equal, o, n));
            }
        }
    } else {
        likeness.extend((0..old.len().min(new.len())).map(|n| (0, 0, n, n)));
    }
    // The most similar pair first; of equal ones, the first.
    likeness.sort_by_key(|&(same, equal, o, n)| (usize::MAX - same, usize::MAX - equal, o, n));
    let mut old: Vec<Option<Shape>> = old.into_iter().map(Some).collect();
    let mut new: Vec<Option<Shape>> = new.into_iter().map(Some).collect();
    let mut pairs: BTreeMap<usize, (Option<Shape>, Option<Shape>)> = BTreeMap::new();
    for (_, _, o, n) in likeness {
        if old[o].is_some() && new[n].is_some() {
            pairs.insert(o, (old[o].take(), new[n].take()));
        }
    }
    let removed = old.into_iter().flatten().map(|shape| (Some(shape), None));
    let added = new.into_iter().flatten().map(|shape| (None, Some(shape)));
    pairs.into_values().chain(removed).chain(added).collect()
}

/// The selected parts that differ, in the order of both definitions; what was removed comes before what was added.
fn differing_parts(
    before: Option<&Shape>,
    after: Option<&Shape>,
    fields: &Fields,
) -> Vec<PartDiff> {
    let parts = |shape: Option<&Shape>| shape.map_or(Vec::new(), |shape| shape.parts.clone());
    let (old, new) = (parts(before), parts(after));
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (n, part) in old.iter().enumerate() {
        places.entry(&part.path).or_insert(n);
    }
    let kept: HashSet<&str> = new.iter().map(|part| &*part.path).collect();
    let mut all = Vec::new();
    let mut added = Vec::new();
    let mut at = 0;
    let removed = |range: std::ops::Range<usize>| {
        let gone = old[range].iter().filter(|part| !kept.contains(&*part.path));
        let gone = gone.map(|part| PartDiff {
            before: Some(part.clone()),
            after: None,
        });
        gone.collect::<Vec<_>>()
    };
    for part in &new {
        let after = Some(part.clone());
        let Some(&place) = places.get(&*part.path) else {
            added.push(PartDiff {
                before: None,
                after,
            });
            continue;
        };
        if place >= at {
            all.extend(removed(at..place));
            at = place + 1;
        }
        all.append(&mut added);
        all.push(PartDiff {
            before: Some(old[place].clone()),
            after,
        });
    }
    all.extend(removed(at..old.len()));
    all.append(&mut added);
    all.retain(|part| fields.has(part.path()) && !part.changes().is_empty());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(path: &str, ty: &str, offset: u64, size: u32) -> Part {
        Part {
            path: path.to_owned(),
            declaration: format!("{ty} {path}"),
            place: Place::Field {
                bit_offset: 8 * offset,
                size: Some(size),
                bitfield_size: 0,
            },
        }
    }

    fn shape(size: u32, parts: &[Part]) -> Shape {
        Shape {
            size: Some(size),
            declaration: None,
            parts: parts.to_vec(),
        }
    }

    fn kernel(shapes: &[Shape]) -> Shapes {
        let name = TypeName {
            kind: TypeKind::Struct,
            name: "s".to_owned(),
        };
        Shapes([(name, shapes.to_vec())].into())
    }

    /// The changes of the fields of each differing type.
    fn changes(old: &Shapes, new: &Shapes, types: &str) -> Vec<Vec<String>> {
        let selection = TypeSelection::new().named(types).unwrap();
        let of_part = |part: &PartDiff| format!("{} {:?}", part.path(), part.changes());
        let diffs = diff(old, new, &selection);
        let parts = diffs
            .iter()
            .map(|diff| diff.parts.iter().map(of_part).collect());
        parts.collect()
    }

    /// Check each change of a field, in the order of both structs, with what was removed before what was added.
    #[test]
    fn changes_of_fields() {
        let old = [
            field("first", "int", 0, 4),
            field("state", "long", 8, 8),
            field("same", "int", 16, 4),
            field("count", "int", 20, 4),
            field("last", "char *", 24, 8),
        ];
        let new = [
            field("first", "int", 0, 4),
            field("__state", "int", 8, 4),
            field("same", "int", 16, 4),
            field("count", "long", 24, 8),
            field("last", "void *", 24, 8),
        ];
        let (old, new) = (kernel(&[shape(32, &old)]), kernel(&[shape(32, &new)]));
        let all = [
            "state [Removed]",
            "__state [Added]",
            "count [Moved, Retyped, Resized]",
            "last [Retyped]",
        ];
        assert_eq!(changes(&old, &new, "s"), [all]);
        assert_eq!(changes(&old, &new, "struct s.last"), [["last [Retyped]"]]);
        assert!(changes(&old, &new, "s.same").is_empty());
        assert!(changes(&old, &old, "s").is_empty());
    }

    /// Check that a type of which only the size differs is a difference, unless only a field was asked for.
    #[test]
    fn size_only() {
        let fields = [field("x", "int", 0, 4)];
        let (old, new) = (kernel(&[shape(4, &fields)]), kernel(&[shape(8, &fields)]));
        assert_eq!(changes(&old, &new, "s"), [Vec::<String>::new()]);
        assert!(changes(&old, &new, "s.x").is_empty());
    }

    /// Check that of several types of one name the equal ones are no difference, that the others are compared with the most
    /// similar one, and that what is left was added or removed.
    #[test]
    fn several_definitions() {
        let pair = |a: &str, b: &str| shape(8, &[field(a, "int", 0, 4), field(b, "int", 4, 4)]);
        let moved = shape(8, &[field("c", "int", 4, 4), field("d", "int", 0, 4)]);
        let old = kernel(&[pair("a", "b"), pair("x", "y"), pair("c", "d")]);
        let new = kernel(&[moved, pair("a", "b")]);
        let all = [
            vec!["c [Moved]".to_owned(), "d [Moved]".to_owned()],
            vec!["x [Removed]".to_owned(), "y [Removed]".to_owned()],
        ];
        assert_eq!(changes(&old, &new, "s"), all);
        let selection = TypeSelection::new().all_types();
        assert_eq!(diff(&old, &new, &selection)[0].definitions, [3, 2]);
        assert_eq!(diff(&kernel(&[]), &new, &selection).len(), 2);
    }
}
