//! Minimizes one kernel's BTF: the outcomes, the minimal BTF, and the proof that the minimal BTF gives the same outcomes.

use btfgen_libbpf::{LoadedBtf, Resolver};

use crate::answers::{RootAnswers, answers, without_match};
use crate::candidates::RootNames;
use crate::minimal::minimal_btf;
use crate::needs::Needs;
use crate::outcome::Outcome;
use crate::visible::Evidence;

/// Minimizes kernels' BTFs for one set of needs.
#[derive(Debug)]
pub struct Minimizer<'n> {
    needs: &'n Needs,
    roots: RootNames<'n>,
    without_match: Vec<Outcome>,
}

/// A kernel's BTF, reduced to the parts that the needs ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Minimized {
    /// The BTF, in the kernel's byte order.
    pub btf: Vec<u8>,
    /// The outcome of every need, in the order of [`Needs::iter`]. A local type id asks no kernel, so its outcome is
    /// [`Outcome::Type`] 0.
    pub outcomes: Vec<Outcome>,
}

/// The reason why a kernel could not be minimized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MinimizeError {
    /// The kernel's BTF has a type that libbpf cannot safely walk.
    #[error("its BTF is damaged")]
    Damaged(#[source] btfgen_libbpf::Error),
    /// A type cannot be expressed in the minimal BTF.
    #[error("the minimal BTF cannot be written: {0}")]
    Inexpressible(String),
    /// The minimal BTF gives another outcome, so it is never used.
    #[error(
        "the proof failed: {need} gives {minimal} with the minimal BTF, but {full} with the full BTF"
    )]
    Unproven {
        /// The relocation.
        need: String,
        /// Its outcome with the full BTF.
        full: String,
        /// Its outcome with the minimal BTF.
        minimal: String,
    },
}

impl MinimizeError {
    /// Whether the machine failed because libbpf had no memory. The error then says nothing about the kernel.
    pub fn is_machine_fault(&self) -> bool {
        matches!(self, Self::Damaged(e) if e.kind() == btfgen_libbpf::ErrorKind::OutOfMemory)
    }
}

impl<'n> Minimizer<'n> {
    /// Creates a minimizer for a set of needs.
    pub fn new(needs: &'n Needs) -> Self {
        Self {
            needs,
            roots: RootNames::new(needs),
            without_match: without_match(needs),
        }
    }

    /// The outcome of every need against a kernel's BTF, in the order of [`Needs::iter`].
    ///
    /// # Errors
    /// [`MinimizeError::Damaged`].
    pub fn outcomes(&self, btf: &LoadedBtf<'_>) -> Result<Vec<Outcome>, MinimizeError> {
        Ok(self.collect(&self.answers(btf)?))
    }

    /// Reduces a kernel's BTF, and proves the result: with both BTFs, libbpf computes the same answer of every candidate
    /// that makes a difference to every relocation.
    ///
    /// # Errors
    /// [`MinimizeError`].
    pub fn minimize(&self, btf: &LoadedBtf<'_>) -> Result<Minimized, MinimizeError> {
        let answers = self.answers(btf)?;
        let minimal = |evidence| {
            let bytes = minimal_btf(self.needs, btf, &answers, evidence);
            let bytes = bytes.map_err(MinimizeError::Inexpressible)?;
            self.prove(&bytes, &answers)?;
            Ok(bytes)
        };
        let bytes = match minimal(Evidence::None) {
            // Something that did not match matches now: what told them apart was left out.
            Err(MinimizeError::Unproven { .. }) => minimal(Evidence::All)?,
            tried => tried?,
        };
        Ok(Minimized {
            btf: bytes,
            outcomes: self.collect(&answers),
        })
    }

    fn answers<'b>(&self, btf: &'b LoadedBtf<'b>) -> Result<Vec<RootAnswers<'b>>, MinimizeError> {
        let candidates = self.roots.find(btf).map_err(MinimizeError::Damaged)?;
        let mut resolver = Resolver::new();
        Ok(self
            .needs
            .roots()
            .iter()
            .zip(&candidates)
            .map(|(root, candidates)| {
                let without_match = &self.without_match;
                answers(self.needs, root, candidates, without_match, &mut resolver)
            })
            .collect())
    }

    fn collect(&self, answers: &[RootAnswers<'_>]) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Type { candidate: 0 }; self.needs.len()];
        for (root, answers) in self.needs.roots().iter().zip(answers) {
            for (&need, &outcome) in root.needs.iter().zip(&answers.outcomes) {
                outcomes[need] = outcome;
            }
        }
        outcomes
    }

    /// Asks the minimal BTF everything again, and compares the answers.
    fn prove(&self, bytes: &[u8], full: &[RootAnswers<'_>]) -> Result<(), MinimizeError> {
        let btf = LoadedBtf::parse(bytes).map_err(MinimizeError::Damaged)?;
        let minimal = self.answers(&btf)?;
        for ((root, full), minimal) in self.needs.roots().iter().zip(full).zip(&minimal) {
            for (i, &need) in root.needs.iter().enumerate() {
                let seen = |answers: &RootAnswers<'_>| {
                    // libbpf compares offsets between candidates, so they matter if there are several candidates.
                    let several = answers.rows.len() > 1;
                    let rows = answers.rows.iter().map(|row| {
                        let cell = &row.cells[i];
                        (cell.answer, several.then_some(cell.bit_offset))
                    });
                    (answers.outcomes[i], rows.collect::<Vec<_>>())
                };
                let (full, minimal) = (seen(full), seen(minimal));
                if full != minimal {
                    return Err(MinimizeError::Unproven {
                        need: self.needs[need].to_string(),
                        full: format!("{full:?}"),
                        minimal: format!("{minimal:?}"),
                    });
                }
            }
        }
        Ok(())
    }
}
