//! New numbers for records, labels and names: in the order in which the sorted kernels need them, so that the bytes of a chunk
//! do not depend on the order in which kernels were added, nor on what was added and not needed.

use crate::tables::{NO_NAME, Tables, VOID};

/// A record, label or name without a number.
const NONE: u32 = u32::MAX;

/// New numbers by old ones.
#[derive(Debug)]
pub(crate) struct Numbering {
    records: Vec<u32>,
    /// The old numbers of the records, in their new order.
    pub(crate) order: Vec<u32>,
    labels: Vec<u32>,
    next_label: u32,
    names: Vec<u32>,
    /// The old numbers of the names, in their new order.
    pub(crate) name_order: Vec<u32>,
}

impl Numbering {
    /// Nothing has a number, but for `void` and the empty name.
    pub(crate) fn new(tables: &Tables) -> Self {
        let mut labels = vec![NONE; tables.labels as usize];
        labels[VOID as usize] = VOID;
        let mut names = vec![NONE; tables.name_count()];
        names[NO_NAME as usize] = NO_NAME;
        Self {
            records: vec![NONE; tables.records()],
            order: Vec::new(),
            labels,
            next_label: VOID + 1,
            names,
            name_order: vec![NO_NAME],
        }
    }

    /// Number the records of a kernel and their labels, where they have no number.
    pub(crate) fn add(&mut self, tables: &Tables, records: &[u32]) {
        for &record in records {
            let number = &mut self.records[record as usize];
            if *number == NONE {
                *number = self.order.len() as u32;
                self.order.push(record);
                let label = &mut self.labels[tables.label_of[record as usize] as usize];
                if *label == NONE {
                    *label = self.next_label;
                    self.next_label += 1;
                }
            }
        }
    }

    /// The number of a record that was added.
    pub(crate) fn record(&self, record: u32) -> u32 {
        self.records[record as usize]
    }

    /// The number of the label of a record that was added.
    pub(crate) fn label(&self, label: u32) -> u32 {
        self.labels[label as usize]
    }

    /// The number of a name, and whether it got it right now.
    pub(crate) fn name(&mut self, name: u32) -> (u32, bool) {
        let number = &mut self.names[name as usize];
        let new = *number == NONE;
        if new {
            *number = self.name_order.len() as u32;
            self.name_order.push(name);
        }
        (*number, new)
    }
}
