//! Facts about kernels: offsets, sizes, values of enums and functions, for programs that ask for them without CO-RE.

mod answer;
mod fact;
mod resolve;
mod survey;

use std::fmt;

use btfgen_archive::KernelId;
use btfgen_hub::Error;

pub use self::answer::{Answer, Missing};
pub use self::fact::{Fact, FactType, Question};
pub use self::survey::Survey;
use crate::check::KernelRange;

/// The answers of all kernels of a [`Survey`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Facts {
    /// What was asked.
    pub facts: Vec<Fact>,
    /// The kernels that answer alike, in the order of their first kernels.
    pub rows: Vec<FactRow>,
    /// Facts that no kernel has, by their indices, with names that are near to what was not found.
    pub unknown: Vec<(usize, Vec<String>)>,
    /// Kernels that could not be asked.
    pub left_out: Vec<Error>,
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

/// The answer to a fact.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Answered {
    /// Which question of the fact it answers; 0 if none found anything.
    pub question: usize,
    /// The answer.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub answer: Answer,
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
        crate::check::ranges(self.kernels().into_iter(), kernels)
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

/// A text is no fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidFact {
    text: String,
    message: &'static str,
}

impl InvalidFact {
    fn new(text: &str, message: &'static str) -> Self {
        let text = text.to_owned();
        Self { text, message }
    }
}

impl std::error::Error for InvalidFact {}

impl fmt::Display for InvalidFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no fact: {}", self.text, self.message)
    }
}
