//! What the kernel answers to the facts of the archive.

use btfgen_archive::{Archive, KernelId};
use btfgen_facts::{Answered, Fact};

use crate::archive::{damaged, open_archive};
use crate::distribution::arch_spellings;
use crate::error::{Error, ErrorKind, Result};
use crate::found::{Found, Origin};
use crate::host_facts::{HostFacts, Known};
use crate::lookup::Lookup;
use crate::step::{Rung, Steps};

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
        let Known { facts, answers } = facts.known(|| self.bytes())?;
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
        let Known { facts, answers } = facts.known(|| self.bytes())?;
        Ok(facts.iter().zip(answers).collect())
    }
}
