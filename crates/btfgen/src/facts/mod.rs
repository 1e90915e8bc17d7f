//! Facts of many kernels.

mod ask;
mod survey;

use std::io;

use btfgen_archive::KernelId;
use btfgen_facts::{Answered, Fact};
use btfgen_hub::Error;

pub(crate) use self::ask::{Asked, Asking};
pub use self::survey::Survey;
use crate::ranges::{KernelRange, ranges};

/// The answers of all kernels of a [`Survey`] or a [`Pack`](crate::Pack).
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Facts {
    /// What was asked.
    pub facts: Vec<Fact>,
    /// The kernels that answer alike, in the order of their first kernels.
    pub rows: Vec<FactRow>,
    /// Facts that no kernel has, by their indices, with names that are near to what was not found.
    pub unknown: Vec<(usize, Vec<String>)>,
    /// Kernels that a survey could not ask.
    pub left_out: Vec<Error>,
    /// The error if a survey could not write the type store. The answers do not depend on it, but the next survey reads the
    /// kernels again.
    pub store_failure: Option<io::Error>,
}

/// Kernels with equal answers.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FactRow {
    /// The answer to each fact.
    pub answers: Vec<Answered>,
    /// The kernels, in the order of their ids.
    pub kernels: Vec<KernelId>,
}

impl Facts {
    /// All kernels, in the order of their ids.
    pub fn kernels(&self) -> Vec<&KernelId> {
        let mut kernels: Vec<_> = self.rows.iter().flat_map(|row| &row.kernels).collect();
        kernels.sort();
        kernels
    }

    /// Some of the kernels as ranges.
    pub fn ranges(&self, kernels: &[&KernelId]) -> Vec<KernelRange> {
        ranges(self.kernels().into_iter(), kernels)
    }

    /// The different answers to one fact, with their kernels.
    pub fn answers(&self, fact: usize) -> Vec<(&Answered, Vec<&KernelId>)> {
        let mut answers: Vec<(&Answered, Vec<&KernelId>)> = Vec::new();
        for row in &self.rows {
            let Some(answered) = row.answers.get(fact) else {
                continue;
            };
            match answers.iter_mut().find(|(known, _)| *known == answered) {
                Some((_, kernels)) => kernels.extend(&row.kernels),
                None => answers.push((answered, row.kernels.iter().collect())),
            }
        }
        answers.iter_mut().for_each(|(_, kernels)| kernels.sort());
        answers
    }
}
