//! The facts of an archive, and what this host's kernel answers.

use std::borrow::Cow;
use std::sync::OnceLock;

use btfgen_archive::{ArchiveFacts, KernelId};
use btfgen_btf::Btf;
use btfgen_facts::{Answer, Answered, Fact};

use crate::error::{Error, ErrorKind, Result};

/// The facts of an archive. They are parsed when the program asks for one.
#[derive(Debug, Default)]
pub(crate) struct HostFacts {
    pub(crate) archived: ArchiveFacts,
    /// The kernels whose answers count; none if the BTF itself is asked.
    pub(crate) kernels: Vec<KernelId>,
    known: OnceLock<Known>,
}

#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) facts: Vec<Fact>,
    pub(crate) answers: Vec<Answered>,
}

impl HostFacts {
    /// The facts with their answers. `read` gives the BTF, if that is asked.
    pub(crate) fn known<'b>(&self, read: impl FnOnce() -> Result<Cow<'b, [u8]>>) -> Result<&Known> {
        if let Some(known) = self.known.get() {
            return Ok(known);
        }
        let facts = self.archived.facts().map_err(unreadable)?;
        let answers = match self.kernels.as_slice() {
            _ if facts.is_empty() => Vec::new(),
            [] => ask(&read()?, &facts)?,
            kernels => self.archived_answers(kernels)?,
        };
        // If another thread was faster, its equal answers count.
        Ok(self.known.get_or_init(|| Known { facts, answers }))
    }

    fn archived_answers(&self, kernels: &[KernelId]) -> Result<Vec<Answered>> {
        let rows = kernels.iter().map(|kernel| {
            let row = self.archived.answers(kernel).map_err(unreadable)?;
            row.ok_or_else(|| {
                let message = format!("the archive has facts, but not those of {kernel}");
                Error::new(ErrorKind::Archive, message)
            })
        });
        Ok(agreed(&rows.collect::<Result<Vec<_>>>()?))
    }
}

fn unreadable(error: btfgen_archive::Error) -> Error {
    Error::new(ErrorKind::Archive, "the facts cannot be read").with_source(error)
}

fn ask(bytes: &[u8], facts: &[Fact]) -> Result<Vec<Answered>> {
    let btf = Btf::parse(bytes).map_err(|e| {
        let message = "the BTF cannot be asked for facts";
        Error::new(ErrorKind::InvalidBtf, message).with_source(e)
    })?;
    Ok(facts.iter().map(|fact| fact.ask(&btf)).collect())
}

/// The answer of all kernels to each fact, or their different answers.
fn agreed(rows: &[Vec<Answered>]) -> Vec<Answered> {
    let Some((first, others)) = rows.split_first() else {
        return Vec::new();
    };
    let agreed = first.iter().enumerate().map(|(n, answered)| {
        let others = others.iter().filter_map(|row| row.get(n));
        let answers = others.map(|other| &other.answer);
        if answers.clone().all(|answer| *answer == answered.answer) {
            return answered.clone();
        }
        let mut all: Vec<Answer> = Vec::new();
        for answer in [&answered.answer].into_iter().chain(answers) {
            let alternatives = match answer {
                Answer::Ambiguous(alternatives) => alternatives.as_slice(),
                one => std::slice::from_ref(one),
            };
            for one in alternatives {
                if !all.contains(one) {
                    all.push(one.clone());
                }
            }
        }
        Answered {
            question: 0,
            answer: Answer::Ambiguous(all),
        }
    });
    agreed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check the answers of several kernels of which a lookup takes any, by the specification's vectors.
    #[test]
    fn agreement() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../spec/vectors.json")).unwrap();
        let row = |row: &serde_json::Value| -> Vec<Answered> {
            let words = row.as_str().unwrap().split(' ');
            words
                .map(|word| Answered::from_word(word).expect(word))
                .collect()
        };
        let facts = vectors["facts"].as_array().unwrap();
        assert!(facts.len() > 3);
        for vector in facts {
            let rows: Vec<_> = vector[0].as_array().unwrap().iter().map(row).collect();
            assert_eq!(agreed(&rows), row(&vector[1]), "{vector}");
        }
    }
}
