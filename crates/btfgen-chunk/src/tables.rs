//! What the kernels of a chunk share: records and names.

use crate::shape::{HEAD, Shape, Word};

/// What a word of a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Sort {
    /// The word as a BTF has it.
    Plain,
    /// The number of a name instead of its offset.
    Name,
    /// A label instead of the id of a type.
    Label,
}

/// The label of `void`.
pub(crate) const VOID: u32 = 0;

/// The number of the empty name.
pub(crate) const NO_NAME: u32 = 0;

/// Records and names, each a number.
///
/// A record is a type of which the kernels of a chunk have equal ones: its words, in which names are numbers of names and
/// types are labels. The label of a type with a name is its kind and its name, and the label of a type without a name is its
/// record. So a label tells which type is meant, except where a kernel has several types of one kind and name.
#[derive(Debug)]
pub(crate) struct Tables {
    words: Vec<u32>,
    sorts: Vec<Sort>,
    /// Where the words of each record begin, and where the last ones end.
    record_starts: Vec<u32>,
    /// The label of each record.
    pub(crate) label_of: Vec<u32>,
    /// The number of labels, with that of `void`.
    pub(crate) labels: u32,
    /// Each name with a zero byte behind it.
    pub(crate) names: Vec<u8>,
    name_starts: Vec<u32>,
}

impl Tables {
    /// Tables with the empty name and without records.
    pub(crate) fn new() -> Self {
        Self {
            words: Vec::new(),
            sorts: Vec::new(),
            record_starts: vec![0],
            label_of: Vec::new(),
            labels: VOID + 1,
            names: vec![0],
            name_starts: vec![0, 1],
        }
    }

    /// The number of records.
    pub(crate) fn records(&self) -> usize {
        self.record_starts.len() - 1
    }

    /// The words of a record.
    pub(crate) fn record(&self, record: u32) -> &[u32] {
        &self.words[self.record_range(record)]
    }

    /// The words of a record, and what they are.
    pub(crate) fn sorted_record(&self, record: u32) -> (&[u32], &[Sort]) {
        let range = self.record_range(record);
        (&self.words[range.clone()], &self.sorts[range])
    }

    fn record_range(&self, record: u32) -> std::ops::Range<usize> {
        let record = record as usize;
        self.record_starts[record] as usize..self.record_starts[record + 1] as usize
    }

    /// Add a record. Its label follows by [`label_of`](Self::label_of).
    pub(crate) fn push_record(&mut self, shape: Shape, words: &[u32]) {
        self.words.extend(words);
        self.sorts.extend([Sort::Name, Sort::Plain]);
        self.sorts
            .extend(shape.fields(words[HEAD - 1]).map(Sort::of));
        self.record_starts.push(self.words.len() as u32);
    }

    /// The number of names.
    pub(crate) fn name_count(&self) -> usize {
        self.name_starts.len() - 1
    }

    /// A name, with its zero byte.
    pub(crate) fn name(&self, name: u32) -> &[u8] {
        let name = name as usize;
        &self.names[self.name_starts[name] as usize..self.name_starts[name + 1] as usize]
    }

    /// Add a name, which has a zero byte at its end.
    pub(crate) fn push_name(&mut self, name: &[u8]) {
        self.names.extend(name);
        self.name_starts.push(self.names.len() as u32);
    }
}

impl Sort {
    fn of(word: Word) -> Self {
        match word {
            Word::Name(_) => Self::Name,
            Word::Type(_) => Self::Label,
            Word::Number(_) | Word::Difference(_) => Self::Plain,
        }
    }
}
