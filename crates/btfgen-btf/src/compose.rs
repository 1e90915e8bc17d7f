//! Composes types that refer to each other. Equal types become one.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use crate::btf::TypeId;
use crate::error::Result;
use crate::record::{Record, Reserved};
use crate::words::ByteOrder;
use crate::write::Writer;

/// A type of a [`Composer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Node(usize);

/// Collects types, and writes them.
///
/// Types become one if they have equal content, and refer to types of equal content. The written bytes depend only on the
/// content, not on the order in which types are declared and defined.
#[derive(Debug, Default)]
pub struct Composer<'a> {
    types: Vec<Option<Record<'a, Option<Node>>>>,
    /// Numbers that keep types of the same content apart. The number is 0 for all other types.
    apart: HashMap<Node, usize>,
    first: Option<Node>,
}

impl<'a> Composer<'a> {
    /// Creates a composer without types.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a type that [`Composer::define`] defines later, because types may refer to each other in circles.
    pub fn declare(&mut self) -> Node {
        self.types.push(None);
        Node(self.types.len() - 1)
    }

    /// Defines the content of a type. A type that is never defined is written as void.
    pub fn define(&mut self, node: Node, record: Record<'a, Option<Node>>) {
        if let Some(place) = self.types.get_mut(node.0) {
            *place = Some(record);
        }
    }

    /// The content of a type, if it is defined.
    pub fn record(&self, node: Node) -> Option<&Record<'a, Option<Node>>> {
        self.types.get(node.0)?.as_ref()
    }

    /// The contents of all defined types.
    pub fn records(&self) -> impl Iterator<Item = &Record<'a, Option<Node>>> {
        self.types.iter().flatten()
    }

    /// Keeps these types apart, in their order, even if they are equal.
    pub fn keep_apart(&mut self, nodes: &[Node]) {
        self.apart.extend(nodes.iter().copied().zip(0..));
    }

    /// Places a type ahead of all others when they are written.
    pub fn place_first(&mut self, node: Node) {
        self.first = Some(node);
    }

    /// Writes the types `last` and all types that they refer to. The types `last` are at the end, in this order. Before them
    /// are the types that they refer to, the innermost first. If one of two BTFs has an additional type in `last`, the other
    /// types have the same numbers in both.
    ///
    /// # Errors
    /// [`ErrorKind::Inexpressible`](crate::ErrorKind::Inexpressible).
    pub fn write(
        &self,
        order: ByteOrder,
        last: &[Node],
        reserved: &Reserved<'_>,
    ) -> Result<Vec<u8>> {
        let classes = self.classes();
        let mut placed = BTreeSet::new();
        let mut sequence = Vec::new();
        if let Some(first) = self.first {
            placed.insert(classes[first.0]);
            sequence.push(first);
            self.place_below(first, &classes, &mut placed, &mut sequence);
        }
        let mut last = last.to_vec();
        last.retain(|node| placed.insert(classes[node.0]));
        for &node in &last {
            self.place_below(node, &classes, &mut placed, &mut sequence);
        }
        sequence.extend(last);
        sequence.retain(|&node| self.record(node).is_some());
        let ids: HashMap<usize, TypeId> = (1..)
            .zip(&sequence)
            .map(|(id, node)| (classes[node.0], TypeId(id)))
            .collect();
        let records = || sequence.iter().filter_map(|&node| self.record(node));
        let mut writer = Writer::new(order);
        writer.strings(&records().flat_map(Record::names).collect(), reserved);
        for record in records() {
            let id = |node: Option<Node>| {
                let id = node.and_then(|node| ids.get(&classes[node.0]));
                id.copied().unwrap_or(TypeId::VOID)
            };
            writer.add(&record.map(id))?;
        }
        Ok(writer.finish())
    }

    /// The class of each type: equal content, and references to equal classes.
    fn classes(&self) -> Vec<usize> {
        let contents = self.types.iter().enumerate().map(|(n, record)| {
            let content = record
                .as_ref()
                .map(|record| record.map(|node| node.is_some()));
            (
                content,
                self.apart.get(&Node(n)).copied().unwrap_or_default(),
            )
        });
        let mut classes = numbered(contents);
        let references: Vec<Vec<Option<Node>>> = self
            .types
            .iter()
            .map(|record| record.as_ref().map(Record::references).unwrap_or_default())
            .collect();
        let mut count = 0;
        loop {
            let refined = classes.iter().zip(&references).map(|(class, to)| {
                let to = to.iter().map(|node| node.map(|node| classes[node.0]));
                (*class, to.collect::<Vec<_>>())
            });
            let refined = numbered(refined);
            let now = refined.iter().max().map_or(0, |max| max + 1);
            if now == count {
                return refined;
            }
            (classes, count) = (refined, now);
        }
    }

    /// Places the types that a type refers to, the innermost first.
    fn place_below(
        &self,
        node: Node,
        classes: &[usize],
        placed: &mut BTreeSet<usize>,
        sequence: &mut Vec<Node>,
    ) {
        let references = self.record(node).map(Record::references);
        for reference in references.into_iter().flatten().flatten() {
            if placed.insert(classes[reference.0]) {
                self.place_below(reference, classes, placed, sequence);
                sequence.push(reference);
            }
        }
    }
}

/// Numbers for values: equal values have equal numbers, in the order of their first appearance.
fn numbered<T: Hash + Eq>(values: impl Iterator<Item = T>) -> Vec<usize> {
    let mut numbers = HashMap::new();
    let number = |value| {
        let next = numbers.len();
        *numbers.entry(value).or_insert(next)
    };
    values.map(number).collect()
}
