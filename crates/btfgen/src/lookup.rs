//! Finds a pack's kernels in the type store, and adds those that it does not have.
//!
//! The full BTF of a kernel that is added is at hand. So the first one with each set of answers is also asked itself, and must
//! answer as its definitions.
//!
//! libbpf looks into modules only for types that the kernel itself does not have. So a kernel's modules are read only if the
//! kernel lacks a type that the objects ask for.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use btfgen_btf::{Btf, Kind, Type};
use btfgen_hub::{ErrorKind, HubKernel, Ingested, Result, load_kernel};
use btfgen_libbpf::LoadedBtf;
use btfgen_store::Digest;
use rayon::prelude::*;

use crate::harvest::{FullKernel, Harvest};
use crate::lists::{View, Views};
use crate::questions::Minimized;
use crate::work::{Failure, Work, proof_of};

/// What is known of a kernel.
pub(crate) enum Known {
    Stored(Stored),
    /// It has no definitions, so it was minimized alone.
    Alone(FullKernel, Minimized),
}

/// A kernel whose definitions are in the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored {
    pub(crate) number: usize,
    pub(crate) types: Types,
    /// Whether it was added now.
    pub(crate) is_new: bool,
}

/// The types of a kernel that are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Types {
    /// Those of the kernel itself.
    Own,
    /// Those of its modules, too.
    WithModules,
}

/// The answers for which some kernel's full BTF is asked.
type Asked = Mutex<HashSet<Digest>>;

impl Work<'_> {
    /// Finds or adds all kernels. Kernels that fail are left out; the result has the others, by their places in the pack.
    pub(crate) fn look_up(&self, harvest: &mut Harvest) -> Result<Vec<(usize, Known)>, Failure> {
        let asked = Asked::default();
        let all = (0..self.kernels.len()).map(|n| (n, ())).collect();
        let known = self.each(all, harvest, |kernel, ()| {
            let known = self.know(kernel, &asked);
            if let Some(progress) = self.progress {
                progress.kernel(kernel.id(), known.as_ref().err());
            }
            known
        })?;
        let (mut known, lacking) = self.without_lacking(known)?;
        known.extend(self.each(lacking, harvest, |kernel, stored| {
            self.know_with_modules(kernel, stored, &asked)
        })?);
        Ok(known)
    }

    /// Calls a function for some kernels, in parallel. Kernels that fail are left out.
    fn each<T: Copy + Send + Sync>(
        &self,
        kernels: Vec<(usize, T)>,
        harvest: &mut Harvest,
        know: impl Fn(&HubKernel, T) -> Result<Known> + Sync,
    ) -> Result<Vec<(usize, Known)>, Failure> {
        let first_failed = AtomicUsize::new(usize::MAX);
        let all: Vec<(usize, Option<Result<Known>>)> = kernels
            .into_par_iter()
            .map(|(n, item)| {
                (self.go_on)()?;
                // The result is the error of the first kernel that fails, even if a later kernel fails earlier. So kernels
                // before it are still read.
                if self.strict && n > first_failed.load(Ordering::Relaxed) {
                    return Ok((n, None));
                }
                match know(self.kernels[n], item) {
                    // The kernel may be good. An archive without it would look complete, but would not be.
                    Err(e) if e.kind() == ErrorKind::Machine => Err(e),
                    known => {
                        if known.is_err() {
                            first_failed.fetch_min(n, Ordering::Relaxed);
                        }
                        Ok((n, Some(known)))
                    }
                }
            })
            .collect::<Result<_>>()?;
        let mut good = Vec::with_capacity(all.len());
        for (n, known) in all {
            match known {
                Some(Ok(known)) => good.push((n, known)),
                Some(Err(e)) => self.leave_out(harvest, n, e),
                None => {}
            }
        }
        self.go_on_if_strict(harvest)?;
        Ok(good)
    }

    /// Finds a kernel in the store, or adds it.
    fn know(&self, kernel: &HubKernel, asked: &Asked) -> Result<Known> {
        if let Some(number) = self.store.find(kernel) {
            return self.stored(kernel, number, Types::Own);
        }
        let ingested = self
            .store
            .ingest(kernel, self.max_btf_bytes, |ty| self.is_wanted(ty))?;
        self.ingested(kernel, ingested, Types::Own, asked)
    }

    /// The kernels whose modules are not asked for, and those that lack a type and have modules.
    #[expect(clippy::type_complexity, reason = "it is used once")]
    fn without_lacking(
        &self,
        known: Vec<(usize, Known)>,
    ) -> Result<(Vec<(usize, Known)>, Vec<(usize, Stored)>), Failure> {
        let has_modules = |n: usize| self.kernels[n].modules_path().is_some();
        if !known.iter().any(|&(n, _)| has_modules(n)) {
            return Ok((known, Vec::new()));
        }
        self.store.with(|definitions| {
            let views = Views::new(&self.lists, definitions)?;
            let (mut complete, mut lacking) = (Vec::new(), Vec::new());
            for (n, known) in known {
                match known {
                    Known::Stored(stored)
                        if has_modules(n)
                            && views.as_ref().is_some_and(|v| v.lacks_some(stored.number)) =>
                    {
                        lacking.push((n, stored));
                    }
                    known => complete.push((n, known)),
                }
            }
            Ok((complete, lacking))
        })?
    }

    /// Finds a kernel together with its modules, or adds it.
    fn know_with_modules(&self, kernel: &HubKernel, own: Stored, asked: &Asked) -> Result<Known> {
        if let Some(number) = self.store.find_with_modules(kernel, own.number) {
            return self.stored(kernel, number, Types::WithModules);
        }
        let max_bytes = self.max_btf_bytes;
        let is_wanted = |ty: Type<'_>| self.is_wanted(ty);
        let ingested = self
            .store
            .ingest_with_modules(kernel, own.number, max_bytes, is_wanted)?;
        self.ingested(kernel, ingested, Types::WithModules, asked)
    }

    /// Whether a store that is not kept needs a type or function.
    fn is_wanted(&self, ty: Type<'_>) -> bool {
        // A kernel without any functions says nothing of those that are asked for.
        let wants_functions = ty.kind() == Kind::Func && !self.questions.functions().is_empty();
        wants_functions || self.questions.roots().want(ty) || self.facts.want(ty)
    }

    /// A kernel that was added, if it was not there under another name.
    fn ingested(
        &self,
        kernel: &HubKernel,
        ingested: Ingested,
        types: Types,
        asked: &Asked,
    ) -> Result<Known> {
        let Ingested { number, btf } = ingested;
        let Some(btf) = btf else {
            return self.stored(kernel, number, types);
        };
        let view = self.store.with(|definitions| {
            let view = View::of(&self.lists, definitions, number)?;
            let answered = self.lists.answered(definitions, &view)?;
            Some((view, answered))
        });
        let Ok(Some((view, answered))) = view else {
            return match types {
                Types::Own if kernel.modules_path().is_some() => self.alone(kernel),
                _ => self.minimized_alone(kernel, btf),
            }
            .map(|(full, minimized)| Known::Alone(full, minimized));
        };
        self.note_instead(number, &self.lists.lacking(&view), &btf);
        let mut all = asked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = all.insert(answered);
        drop(all);
        if is_first || self.prove_all {
            let btf = load_kernel(kernel.path(), btf)?;
            let proof = self
                .store
                .with(|definitions| self.lists.prove(definitions, &view, &btf));
            if let Ok(Some(proof)) = proof {
                proof.map_err(|e| e.of_kernel(kernel.path()))?;
                self.store
                    .note_proof(proof_of(answered, Digest::of(btf.bytes())));
            }
        }
        Ok(Known::Stored(Stored {
            number,
            types,
            is_new: true,
        }))
    }

    /// A kernel of the store.
    fn stored(&self, kernel: &HubKernel, number: usize, types: Types) -> Result<Known> {
        let stored = self.store.with(|definitions| definitions.kernel(number));
        if let Ok(Some(stored)) = stored
            && (!stored.is_covered() || stored.bytes > self.max_btf_bytes)
        {
            let (full, minimized) = self.alone(kernel)?;
            return Ok(Known::Alone(full, minimized));
        }
        Ok(Known::Stored(Stored {
            number,
            types,
            is_new: false,
        }))
    }

    /// Minimizes a kernel without definitions, from all types that the hub has of it.
    pub(crate) fn alone(&self, kernel: &HubKernel) -> Result<(FullKernel, Minimized)> {
        let btf = kernel.read_with_modules(self.max_btf_bytes)?;
        self.minimized_alone(kernel, btf)
    }

    fn minimized_alone(&self, kernel: &HubKernel, btf: Btf<'_>) -> Result<(FullKernel, Minimized)> {
        let btf = load_kernel(kernel.path(), btf)?;
        let minimized = self.questions.minimize_alone(&btf);
        let minimized = minimized.map_err(|e| e.of_kernel(kernel.path()))?;
        Ok((FullKernel::of(kernel, &btf), minimized))
    }

    /// Reads these types of a kernel, for libbpf.
    pub(crate) fn read(&self, kernel: &HubKernel, types: Types) -> Result<LoadedBtf<'static>> {
        let btf = match types {
            Types::Own => kernel.read_btf(self.max_btf_bytes)?,
            Types::WithModules => kernel.read_with_modules(self.max_btf_bytes)?,
        };
        load_kernel(kernel.path(), btf)
    }
}
