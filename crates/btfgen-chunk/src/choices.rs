//! Which of the types with one label a reference means.
//!
//! A kernel may have several types of one kind and name, or several equal types without a name. They are the *occurrences* of
//! their label, numbered from 0 in the order of their ids. References to one label often mean the same occurrence as the
//! reference before, so only changes are written: how many references mean what the last one to the same label did, and then
//! the difference from it. References to a label with one occurrence are not counted.

use crate::varint::{Input, put, put_difference};
use crate::{Error, Result};

/// The types of a kernel by their labels.
#[derive(Debug)]
pub(crate) struct Occurrences {
    /// For each label, where its types begin in `ids`; and the end.
    starts: Vec<u32>,
    /// The ids of the types, ordered by label.
    ids: Vec<u32>,
}

impl Occurrences {
    /// The types whose labels these are, from the id 1 on. Each label is below `labels`.
    pub(crate) fn new(labels: u32, of_types: impl Iterator<Item = u32> + Clone) -> Self {
        let mut starts = vec![0; labels as usize + 1];
        for label in of_types.clone() {
            starts[label as usize + 1] += 1;
        }
        let mut end = 0;
        for start in &mut starts {
            end += *start;
            *start = end;
        }
        let mut ends = starts.clone();
        let mut ids = vec![0; end as usize];
        for (label, id) in of_types.zip(1..) {
            let end = &mut ends[label as usize];
            ids[*end as usize] = id;
            *end += 1;
        }
        Self { starts, ids }
    }

    /// The ids of the types with this label.
    #[inline]
    pub(crate) fn of(&self, label: u32) -> &[u32] {
        let label = label as usize;
        &self.ids[self.starts[label] as usize..self.starts[label + 1] as usize]
    }
}

/// Reads choices.
#[derive(Debug)]
pub(crate) struct Choices<'p> {
    input: Input<'p>,
    /// The occurrence that the last reference to each label meant.
    last: Vec<u32>,
    /// The number of references before the next change; `None` if there is no more change.
    same: Option<u32>,
}

impl<'p> Choices<'p> {
    pub(crate) fn new(bytes: &'p [u8], labels: u32) -> Result<Self> {
        let mut choices = Self {
            input: Input(bytes),
            last: vec![0; labels as usize],
            same: None,
        };
        choices.find_change()?;
        Ok(choices)
    }

    fn find_change(&mut self) -> Result<()> {
        self.same = match self.input.is_empty() {
            true => None,
            false => Some(self.input.number()?),
        };
        Ok(())
    }

    /// The occurrence that the next reference to this label means.
    #[inline]
    pub(crate) fn next(&mut self, label: u32) -> Result<u32> {
        match &mut self.same {
            None => {}
            Some(0) => return self.change(label),
            Some(same) => *same -= 1,
        }
        Ok(self.last[label as usize])
    }

    fn change(&mut self, label: u32) -> Result<u32> {
        let last = &mut self.last[label as usize];
        *last = self.input.difference(*last)?;
        let occurrence = *last;
        self.find_change()?;
        Ok(occurrence)
    }

    /// Check that all changes were read.
    pub(crate) fn finish(self) -> Result<()> {
        match self.same {
            None => Ok(()),
            Some(_) => Err(Error::damaged("a kernel in it has too many choices")),
        }
    }
}

/// Writes choices.
#[derive(Debug)]
pub(crate) struct ChoiceWriter {
    pub(crate) bytes: Vec<u8>,
    last: Vec<u32>,
    same: u32,
}

impl ChoiceWriter {
    pub(crate) fn new(labels: u32) -> Self {
        Self {
            bytes: Vec::new(),
            last: vec![0; labels as usize],
            same: 0,
        }
    }

    /// The next reference to this label means this occurrence.
    pub(crate) fn put(&mut self, label: u32, occurrence: u32) {
        let last = &mut self.last[label as usize];
        if *last == occurrence {
            self.same += 1;
            return;
        }
        put(&mut self.bytes, self.same);
        put_difference(&mut self.bytes, *last, occurrence);
        *last = occurrence;
        self.same = 0;
    }
}
