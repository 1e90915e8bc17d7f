//! What the kernel answers to the facts of the archive.

use std::sync::OnceLock;

use btfgen_archive::{Archive, ArchiveFacts, KernelId};
use btfgen_btf::Btf;
use btfgen_facts::{Answer, Answered, Fact};

use crate::distribution::arch_spellings;
use crate::error::{Error, ErrorKind, Result};
use crate::found::{Found, Origin};
use crate::ladder::{damaged, open_archive};
use crate::lookup::Lookup;
use crate::step::{Rung, Steps};

/// The facts of an archive. They are parsed when the program asks for one.
#[derive(Debug, Default)]
pub(crate) struct HostFacts {
    archived: ArchiveFacts,
    /// The kernels whose answers count; none if the BTF itself is asked.
    kernels: Vec<KernelId>,
    known: OnceLock<Known>,
}

#[derive(Debug)]
struct Known {
    facts: Vec<Fact>,
    answers: Vec<Answered>,
}

/// Reads the facts, if the program wants them.
pub(crate) fn read(
    lookup: &Lookup<'_>,
    origin: &Origin,
    steps: &mut Steps,
) -> Result<Option<HostFacts>> {
    if !lookup.facts {
        return Ok(None);
    }
    let mut facts = HostFacts::default();
    if let Some(source) = &lookup.archive {
        let mut from_file = Vec::new();
        let archive = open_archive(source, &mut from_file, steps)?;
        facts.archived = archive.facts().map_err(|e| damaged(e, steps))?;
        if let Origin::Archive(kernel) = origin {
            let taken = taken_kernels(&archive, kernel, steps);
            facts.kernels = taken.map_err(|e| damaged(e, steps))?;
        }
    }
    Ok(Some(facts))
}

/// The kernel of the entry that was taken. The last rung takes one of several whose BTFs are equal; their facts may differ.
fn taken_kernels(
    archive: &Archive<'_>,
    kernel: &KernelId,
    steps: &Steps,
) -> btfgen_archive::Result<Vec<KernelId>> {
    if steps.taken_rung() != Some(Rung::AnyDistribution) {
        return Ok(vec![kernel.clone()]);
    }
    let mut all = Vec::new();
    for arch in arch_spellings(kernel.arch()) {
        all.extend(archive.find(kernel.release(), arch)?);
    }
    Ok(all)
}

impl HostFacts {
    fn known(&self, found: &Found) -> Result<&Known> {
        if self.known.get().is_none() {
            let facts = self.archived.facts().map_err(unreadable)?;
            let answers = match self.kernels.as_slice() {
                _ if facts.is_empty() => Vec::new(),
                [] => ask(found, &facts)?,
                kernels => self.archived_answers(kernels)?,
            };
            // If another thread was faster, its equal answers count.
            let _ = self.known.set(Known { facts, answers });
        }
        const NONE: &Known = &Known {
            facts: Vec::new(),
            answers: Vec::new(),
        };
        Ok(self.known.get().unwrap_or(NONE))
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

/// The answers of a BTF that is not the archive's.
fn ask(found: &Found, facts: &[Fact]) -> Result<Vec<Answered>> {
    let bytes = found.bytes()?;
    let btf = Btf::parse(&*bytes).map_err(|e| {
        let message = "the BTF cannot be asked for facts";
        let error = Error::new(ErrorKind::InvalidBtf, message).with_source(e);
        error.with_steps(found.steps.clone())
    })?;
    Ok(facts.iter().map(|fact| fact.ask(&btf)).collect())
}

/// The answer of all kernels to each fact, or their different answers.
fn agreed(rows: &[Vec<Answered>]) -> Vec<Answered> {
    let Some((first, others)) = rows.split_first() else {
        return Vec::new();
    };
    let agreed = first.iter().enumerate().map(|(n, answered)| {
        let mut all = vec![answered.answer.clone()];
        for other in others.iter().filter_map(|row| row.get(n)) {
            if !all.contains(&other.answer) {
                all.push(other.answer.clone());
            }
        }
        match all.len() {
            1 => answered.clone(),
            _ => Answered {
                question: 0,
                answer: Answer::Ambiguous(all),
            },
        }
    });
    agreed.collect()
}

impl Found {
    /// The kernel's answer to a fact that `btfgen pack --fact` put into the archive, by the [name](Fact::name) of the fact:
    /// `task_struct_pid` for `task_struct.pid`. The lookup must have [`Lookup::facts`].
    ///
    /// If the BTF is the archive's entry, the answer is the archive's. Otherwise the BTF itself is asked: the kernel's own, or the
    /// file. It is read and asked for all facts by the first call.
    ///
    /// ```no_run
    /// use btfgen_runtime::{Answer, Lookup};
    /// # let ARCHIVE: &[u8] = &[];
    ///
    /// // btfgen pack app.bpf.o --fact task_struct.pid -o btfs.tar.gz
    /// let found = Lookup::new().archive_bytes(ARCHIVE).facts(true).find()?;
    /// match found.fact("task_struct_pid")?.answer {
    ///     Answer::Member { bit_offset, .. } => println!("at byte {}", bit_offset / 8),
    ///     ref other => println!("{other}"),
    /// }
    /// # Ok::<(), btfgen_runtime::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::NoFact`] if there is no fact of this name; [`ErrorKind::Archive`] if the archive's facts are damaged;
    /// [`ErrorKind::Io`] or [`ErrorKind::InvalidBtf`] if the BTF cannot be read.
    pub fn fact(&self, name: &str) -> Result<&Answered> {
        let no_fact = |message: String| Error::new(ErrorKind::NoFact, message);
        let Some(facts) = &self.facts else {
            let message = "the lookup was not asked for facts (`Lookup::facts`)";
            return Err(no_fact(message.to_owned()));
        };
        let Known { facts, answers } = facts.known(self)?;
        let number = facts.iter().position(|fact| fact.name() == name);
        number.and_then(|n| answers.get(n)).ok_or_else(|| {
            let known: Vec<&str> = facts.iter().map(Fact::name).collect();
            no_fact(match known.is_empty() {
                true => "the archive has no facts; `btfgen pack --fact` adds them".to_owned(),
                false => format!(
                    "the archive has no fact {name}; it has {}",
                    known.join(", ")
                ),
            })
        })
    }

    /// All facts of the archive, in the order in which they were packed, with the kernel's answers: see [`fact`](Self::fact). There
    /// are none if the lookup does not have [`Lookup::facts`].
    ///
    /// # Errors
    /// Those of [`fact`](Self::fact), but for [`ErrorKind::NoFact`].
    pub fn facts(&self) -> Result<Vec<(&Fact, &Answered)>> {
        let Some(facts) = &self.facts else {
            return Ok(Vec::new());
        };
        let Known { facts, answers } = facts.known(self)?;
        Ok(facts.iter().zip(answers).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that kernels that answer differently make an answer ambiguous.
    #[test]
    fn agreement() {
        let row = |words: [&str; 2]| {
            words
                .map(|word| Answered::from_word(word).unwrap())
                .to_vec()
        };
        let rows = [
            row(["1:size:4", "0:function:2"]),
            row(["1:size:4", "0:unknown"]),
            row(["1:size:4", "0:function:2"]),
        ];
        assert_eq!(
            agreed(&rows),
            row(["1:size:4", "0:ambiguous/function:2/unknown"])
        );
        assert_eq!(agreed(&rows[..1]), rows[0]);
        assert_eq!(agreed(&[]), []);
    }
}
