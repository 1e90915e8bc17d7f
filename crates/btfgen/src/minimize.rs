//! One kernel: its outcomes, its minimal BTF, and the proof that both agree.

use btfgen_libbpf::{LoadedBtf, Resolver};

use crate::candidates::RootNames;
use crate::minimal::minimal_btf;
use crate::needs::Needs;
use crate::outcome::{Outcome, RootAnswers, answers};

/// Minimizes kernels' BTFs for one set of needs.
#[derive(Debug)]
pub struct Minimizer<'n> {
    needs: &'n Needs,
    roots: RootNames<'n>,
}

/// A kernel's BTF, stripped down to what the needs ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minimized {
    /// The BTF, in the kernel's byte order.
    pub btf: Vec<u8>,
    /// The outcome of every need, in the order of [`Needs::iter`]. A local type id, which no kernel is asked for,
    /// has the outcome [`Outcome::Type`] 0.
    pub outcomes: Vec<Outcome>,
}

/// Why a kernel could not be minimized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MinimizeError {
    /// The kernel's BTF has a type that libbpf cannot be let loose on.
    #[error("its BTF is damaged")]
    Damaged(#[source] btfgen_libbpf::Error),
    /// A type cannot be expressed in the minimal BTF.
    #[error("the minimal BTF cannot be written: {0}")]
    Inexpressible(String),
    /// The minimal BTF does not give the same outcome; it is never used.
    #[error(
        "the minimal BTF does not prove itself: {need} gives {minimal}, with the full BTF {full}"
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
    /// Whether the machine failed, so that nothing is said about the kernel: libbpf had no memory.
    pub fn is_machine_fault(&self) -> bool {
        matches!(self, Self::Damaged(e) if e.kind() == btfgen_libbpf::ErrorKind::OutOfMemory)
    }
}

impl<'n> Minimizer<'n> {
    /// Prepares for a set of needs.
    pub fn new(needs: &'n Needs) -> Self {
        Self {
            needs,
            roots: RootNames::new(needs),
        }
    }

    /// The outcome of every need against a kernel's BTF, in the order of [`Needs::iter`].
    ///
    /// # Errors
    /// [`MinimizeError::Damaged`].
    pub fn outcomes(&self, btf: &LoadedBtf<'_>) -> Result<Vec<Outcome>, MinimizeError> {
        Ok(self.collect(&self.answers(btf)?))
    }

    /// Strips a kernel's BTF down, and proves the result: every candidate that makes a difference answers every
    /// relocation alike in both, as libbpf computes it.
    ///
    /// # Errors
    /// [`MinimizeError`].
    pub fn minimize(&self, btf: &LoadedBtf<'_>) -> Result<Minimized, MinimizeError> {
        let answers = self.answers(btf)?;
        let bytes = minimal_btf(self.needs, btf, &answers).map_err(MinimizeError::Inexpressible)?;
        self.prove(&bytes, &answers)?;
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
            .map(|(root, candidates)| answers(self.needs, root, candidates, &mut resolver))
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

    /// Asks everything again of the minimal BTF.
    fn prove(&self, bytes: &[u8], full: &[RootAnswers<'_>]) -> Result<(), MinimizeError> {
        let btf = LoadedBtf::parse(bytes).map_err(MinimizeError::Damaged)?;
        let minimal = self.answers(&btf)?;
        for ((root, full), minimal) in self.needs.roots().iter().zip(full).zip(&minimal) {
            for (i, &need) in root.needs.iter().enumerate() {
                let seen = |answers: &RootAnswers<'_>| {
                    // Offsets are compared between candidates, so they count where there are several.
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
                        need: self
                            .needs
                            .get(need)
                            .map(ToString::to_string)
                            .unwrap_or_default(),
                        full: format!("{full:?}"),
                        minimal: format!("{minimal:?}"),
                    });
                }
            }
        }
        Ok(())
    }
}
