//! The needs as questions to a BTF: asks all of them, writes a minimal BTF from the answers, and compares the answers of two BTFs.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use btfgen_btf::TypeId;
use btfgen_hub::{Error, ErrorKind};
use btfgen_libbpf::{Checked, Checker, LoadedBtf, Resolver};

use crate::answers::{RootAnswers, answers, without_match};
use crate::candidates::RootNames;
use crate::check::{self, Reasons, Sides, names, why, with_instead};
use crate::minimal::{Answered, minimal_btf};
use crate::modules::{AbsentType, ModuleChoice, absent_types};
use crate::needs::Needs;
use crate::outcome::Outcome;
use crate::visible::Evidence;

/// The questions of one set of needs.
#[derive(Debug)]
pub(crate) struct Questions<'n> {
    needs: &'n Needs,
    roots: RootNames<'n>,
    without_match: Vec<Outcome>,
    /// Whether to say why needs find nothing.
    explain: bool,
    /// If so: the functions that programs attach to.
    functions: Vec<String>,
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
    /// The types that the kernel itself does not have, and the modules that have them.
    pub absent: Vec<AbsentType>,
    /// If this was asked: why needs find nothing or are refused.
    pub(crate) reasons: Reasons,
    /// The definitions that show the reasons, by the index of the need. Kernels of the type store get them later, once for each
    /// reason.
    pub(crate) layouts: BTreeMap<usize, Sides>,
}

/// The reason why a kernel could not be minimized.
#[derive(Debug, Clone, thiserror::Error)]
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

    /// The error for the kernel of this file.
    pub(crate) fn of_kernel(self, path: &Path) -> Error {
        let kind = match self {
            _ if self.is_machine_fault() => ErrorKind::Machine,
            Self::Damaged(_) => ErrorKind::InvalidKernel,
            Self::Inexpressible(_) => ErrorKind::Unsupported,
            Self::Unproven { .. } => ErrorKind::Unproven,
        };
        Error::new(kind, path.display(), "cannot be minimized").with_source(self)
    }
}

impl<'n> Questions<'n> {
    pub(crate) fn new(needs: &'n Needs, modules: ModuleChoice) -> Self {
        Self {
            needs,
            roots: RootNames::new(needs, modules),
            without_match: without_match(needs),
            explain: false,
            functions: Vec::new(),
        }
    }

    /// Whether to say why needs find nothing, and which kernels have the functions that programs attach to.
    pub(crate) fn explain(self, explain: bool) -> Self {
        let functions = if explain {
            names(self.needs)
        } else {
            Vec::new()
        };
        Self {
            explain,
            functions,
            ..self
        }
    }

    pub(crate) fn functions(&self) -> &[String] {
        &self.functions
    }

    pub(crate) fn explains(&self) -> bool {
        self.explain
    }

    pub(crate) fn needs(&self) -> &'n Needs {
        self.needs
    }

    pub(crate) fn roots(&self) -> &RootNames<'n> {
        &self.roots
    }

    /// Reduces a kernel's BTF that has no definitions.
    pub(crate) fn minimize_alone(&self, btf: &LoadedBtf<'_>) -> Result<Minimized, MinimizeError> {
        let (candidates, answers) = self.ask(btf)?;
        let kernel = Answered {
            btf,
            candidates: &candidates,
            answers: &answers,
        };
        let minimal = match self.explain {
            true => Vec::new(),
            false => self.compose(kernel, |bytes| self.prove(bytes, &answers))?,
        };
        let modules = candidates.iter().map(|ids| {
            let modules = ids.iter().map(|&id| btf.module_of(id).map(str::to_owned));
            modules.collect()
        });
        let outcomes = self.collect(&answers);
        let (mut reasons, mut layouts) = (Reasons::new(), BTreeMap::new());
        if self.explain {
            for (root, ids) in self.needs.roots().iter().zip(&candidates) {
                let why =
                    |&n: &usize| Some((n, Arc::new(why(&self.needs[n], &outcomes[n], btf, ids)?)));
                reasons.extend(root.needs.iter().filter_map(why));
                for need in &root.needs {
                    let reason = reasons.get(need);
                    let sides =
                        reason.and_then(|r| check::layouts(&self.needs[*need], r, btf, ids));
                    layouts.extend(sides.map(|sides| (*need, sides)));
                }
            }
            with_instead(self.needs, &mut reasons, btf);
        }
        Ok(Minimized {
            btf: minimal,
            outcomes,
            absent: absent_types(self.needs, modules),
            reasons,
            layouts,
        })
    }

    /// Asks a kernel's BTF everything: the candidates of each root, and their answers.
    pub(crate) fn ask(
        &self,
        btf: &LoadedBtf<'_>,
    ) -> Result<(Vec<Vec<TypeId>>, Vec<RootAnswers>), MinimizeError> {
        let candidates = self.roots.find(btf).map_err(MinimizeError::Damaged)?;
        let mut resolver = Resolver::new();
        let answers = candidates.iter().enumerate();
        let answers =
            answers.map(|(root, candidates)| self.answer(root, candidates, &mut resolver));
        let answers = answers.collect();
        let ids = |list: &Vec<Checked<'_>>| list.iter().map(Checked::id).collect();
        Ok((candidates.iter().map(ids).collect(), answers))
    }

    /// Asks some types of a BTF that are candidates of one root.
    pub(crate) fn ask_candidates(
        &self,
        root: usize,
        checker: &mut Checker<'_>,
        candidates: &[TypeId],
        resolver: &mut Resolver,
    ) -> Result<RootAnswers, MinimizeError> {
        let candidates = candidates.iter().map(|&id| checker.check(id));
        let candidates: Vec<_> = candidates
            .collect::<Result<_, _>>()
            .map_err(MinimizeError::Damaged)?;
        Ok(self.answer(root, &candidates, resolver))
    }

    fn answer(
        &self,
        root: usize,
        candidates: &[Checked<'_>],
        resolver: &mut Resolver,
    ) -> RootAnswers {
        let root = &self.needs.roots()[root];
        answers(self.needs, root, candidates, &self.without_match, resolver)
    }

    /// The outcomes of all needs, from the answers of all roots.
    pub(crate) fn collect(&self, answers: &[impl Borrow<RootAnswers>]) -> Vec<Outcome> {
        let mut outcomes = vec![Outcome::Type { candidate: 0 }; self.needs.len()];
        for (root, answers) in self.needs.roots().iter().zip(answers) {
            for (&need, &outcome) in root.needs.iter().zip(&answers.borrow().outcomes) {
                outcomes[need] = outcome;
            }
        }
        outcomes
    }

    /// Writes the minimal BTF, and proves it.
    pub(crate) fn compose<A: Borrow<RootAnswers>>(
        &self,
        kernel: Answered<'_, A>,
        prove: impl Fn(&[u8]) -> Result<(), MinimizeError>,
    ) -> Result<Vec<u8>, MinimizeError> {
        let minimal = |evidence| {
            let bytes = minimal_btf(self.needs, kernel, evidence);
            let bytes = bytes.map_err(MinimizeError::Inexpressible)?;
            prove(&bytes)?;
            Ok(bytes)
        };
        match minimal(Evidence::None) {
            // Something that did not match matches now: what told them apart was left out.
            Err(MinimizeError::Unproven { .. }) => minimal(Evidence::All),
            tried => tried,
        }
    }

    /// Asks a minimal BTF everything, and compares the answers with these.
    pub(crate) fn prove(
        &self,
        bytes: &[u8],
        full: &[impl Borrow<RootAnswers>],
    ) -> Result<(), MinimizeError> {
        let btf = LoadedBtf::parse(bytes).map_err(MinimizeError::Damaged)?;
        self.compare(full, &self.ask(&btf)?.1)
    }

    /// Compares the answers of two BTFs, as far as any loader can tell them apart.
    pub(crate) fn compare(
        &self,
        full: &[impl Borrow<RootAnswers>],
        minimal: &[impl Borrow<RootAnswers>],
    ) -> Result<(), MinimizeError> {
        for ((root, full), minimal) in self.needs.roots().iter().zip(full).zip(minimal) {
            let (full, minimal) = (full.borrow(), minimal.borrow());
            for (i, &need) in root.needs.iter().enumerate() {
                let (full, minimal) = (full.seen(i), minimal.seen(i));
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
