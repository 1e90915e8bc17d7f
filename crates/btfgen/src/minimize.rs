//! One kernel: its outcomes, its minimal BTF, and the proof that both agree.

use std::collections::BTreeSet;

use btfgen_libbpf::{Btf, Resolver};

use crate::candidates::RootNames;
use crate::literal::Literal;
use crate::needs::{Needs, Root};
use crate::outcome::{Outcome, RootAnswers, Row, answers};
use crate::sketch::{SketchWriter, Sketcher};
use crate::writer::Writer;

/// Minimizes kernels' BTFs for one set of needs.
#[derive(Debug)]
pub struct Minimizer<'n> {
    needs: &'n Needs,
    names: RootNames<'n>,
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

/// How roots are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Canonical, where no relocation compares whole types.
    Sketch,
    /// The kernel's own types.
    Literal,
}

impl<'n> Minimizer<'n> {
    /// Prepares for a set of needs.
    pub fn new(needs: &'n Needs) -> Self {
        Self {
            needs,
            names: RootNames::new(needs),
        }
    }

    /// The outcome of every need against a kernel's BTF, in the order of [`Needs::iter`].
    ///
    /// # Errors
    /// [`MinimizeError::Damaged`].
    pub fn outcomes(&self, btf: &Btf) -> Result<Vec<Outcome>, MinimizeError> {
        Ok(self.collect(&self.answers(btf)?))
    }

    /// Strips a kernel's BTF down, and proves the result: every candidate that makes a difference answers every
    /// relocation alike in both, as libbpf computes it.
    ///
    /// # Errors
    /// [`MinimizeError`].
    pub fn minimize(&self, btf: &Btf) -> Result<Minimized, MinimizeError> {
        let answers = self.answers(btf)?;
        let canonical = self
            .write(btf, &answers, Form::Sketch)
            .map_err(MinimizeError::Inexpressible)
            .and_then(|bytes| self.prove(bytes, &answers));
        let btf = match canonical {
            Ok(bytes) => bytes,
            Err(_) => {
                let bytes = self
                    .write(btf, &answers, Form::Literal)
                    .map_err(MinimizeError::Inexpressible)?;
                self.prove(bytes, &answers)?
            }
        };
        Ok(Minimized {
            btf,
            outcomes: self.collect(&answers),
        })
    }

    fn answers<'b>(&self, btf: &'b Btf) -> Result<Vec<RootAnswers<'b>>, MinimizeError> {
        let candidates = self.names.find(btf).map_err(MinimizeError::Damaged)?;
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

    fn write(&self, btf: &Btf, answers: &[RootAnswers<'_>], form: Form) -> Result<Vec<u8>, String> {
        let no_path = || "a relocation's path leads nowhere".to_owned();
        let (forms, mut literal) = self.forms(btf, answers, form).ok_or_else(no_path)?;
        let mut sketcher = Sketcher::new(btf);
        let mut sketches = Vec::new();
        for ((root, answers), form) in self.needs.roots().iter().zip(answers).zip(&forms) {
            for row in &answers.rows {
                sketches.push(match form {
                    Form::Literal => None,
                    Form::Sketch => {
                        let cells = root.needs.iter().map(|&n| self.kind(n)).zip(&row.cells);
                        let several = answers.rows.len() > 1;
                        let sketch = sketcher.sketch(row.candidate.id(), cells, several);
                        Some(sketch.ok_or_else(no_path)?)
                    }
                });
            }
        }
        let mut writer = Writer::new(btf.byte_order());
        // All names, those that this kernel lacks too: then the same name has the same offset in every kernel's BTF, and a
        // neighbour in the archive costs nearly nothing. A kernel that answers nothing needs none.
        if !sketches.is_empty() {
            for name in self.needs.names() {
                writer.string(name);
            }
        }
        let mut sketch_writer = SketchWriter {
            writer: &mut writer,
            // Without a `long` libbpf takes the host's, which a minimal BTF without one gives as well.
            pointer_size: btf.pointer_size().unwrap_or(8),
            pointer_size_seen: btf.pointer_size().is_some()
                && (sketcher.pointer_size || literal.pointer_size()),
        };
        sketch_writer.references(sketches.iter().flatten())?;
        let rows = answers.iter().flat_map(|a| &a.rows);
        for (row, sketch) in rows.zip(&sketches) {
            match sketch {
                Some(sketch) => sketch_writer.candidate(sketch)?,
                None => literal.write(row.candidate.id(), sketch_writer.writer)?,
            }
        }
        Ok(writer.finish())
    }

    /// The form of every root, and the marked types of those that are copied literally.
    fn forms<'b>(
        &self,
        btf: &'b Btf,
        answers: &[RootAnswers<'_>],
        form: Form,
    ) -> Option<(Vec<Form>, Literal<'b>)> {
        let roots = self.needs.roots();
        let mut forms: Vec<Form> = roots
            .iter()
            .map(|root| {
                let whole = root
                    .needs
                    .iter()
                    .any(|&n| self.kind(n) == btfgen_libbpf::ReloKind::TypeMatches);
                if whole { Form::Literal } else { form }
            })
            .collect();
        let mut literal = Literal::new(btf);
        let mut marked = vec![false; roots.len()];
        loop {
            for (i, (root, answers)) in roots.iter().zip(answers).enumerate() {
                if forms[i] == Form::Literal && !std::mem::replace(&mut marked[i], true) {
                    for row in &answers.rows {
                        self.mark(&mut literal, root, row)?;
                    }
                }
            }
            // A type that is copied under its name is a candidate of that name's root.
            let names: BTreeSet<&[u8]> = literal.names().collect();
            let mut changed = false;
            for (root, form) in roots.iter().zip(&mut forms) {
                if *form == Form::Sketch && names.contains(root.name.as_slice()) {
                    *form = Form::Literal;
                    changed = true;
                }
            }
            if !changed {
                return Some((forms, literal));
            }
        }
    }

    fn mark(&self, literal: &mut Literal<'_>, root: &Root, row: &Row<'_>) -> Option<()> {
        for (&n, cell) in root.needs.iter().zip(&row.cells) {
            let relocation = self.needs.get(n)?.relocation();
            literal.mark(
                relocation.btf(),
                relocation.type_id(),
                relocation.kind(),
                row.candidate.id(),
                cell,
            )?;
        }
        Some(())
    }

    /// Asks everything again of the minimal BTF.
    fn prove(&self, bytes: Vec<u8>, full: &[RootAnswers<'_>]) -> Result<Vec<u8>, MinimizeError> {
        let btf = Btf::parse(&bytes).map_err(MinimizeError::Damaged)?;
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
        Ok(bytes)
    }

    fn kind(&self, need: usize) -> btfgen_libbpf::ReloKind {
        self.needs.iter().as_slice()[need].kind()
    }
}
