//! Minimizes one kernel's BTF.

use btfgen_libbpf::LoadedBtf;
use btfgen_store::Tables;

use crate::lists::{ListAnswers, View};
use crate::modules::ModuleChoice;
use crate::needs::Needs;
use crate::outcome::Outcome;
use crate::questions::{MinimizeError, Minimized, Questions};

/// Minimizes kernels' BTFs for one set of needs.
#[derive(Debug)]
pub struct Minimizer<'n>(Questions<'n>);

impl<'n> Minimizer<'n> {
    /// Creates a minimizer for a set of needs.
    pub fn new(needs: &'n Needs) -> Self {
        Self(Questions::new(needs, ModuleChoice::default()))
    }

    /// Only types of these modules count, of a BTF with types of modules ([`Btf::with_modules`](crate::Btf::with_modules)).
    /// Without any, those of all modules do.
    #[must_use]
    pub fn modules(self, names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut modules = ModuleChoice::default();
        names
            .into_iter()
            .for_each(|name| modules.add(name.as_ref()));
        Self(Questions::new(self.0.needs(), modules))
    }

    /// The outcome of every need against a kernel's BTF, in the order of [`Needs::iter`].
    ///
    /// # Errors
    /// [`MinimizeError::Damaged`].
    pub fn outcomes(&self, btf: &LoadedBtf<'_>) -> Result<Vec<Outcome>, MinimizeError> {
        Ok(self.0.collect(&self.0.ask(btf)?.1))
    }

    /// Reduces a kernel's BTF, and proves the result: with both BTFs, libbpf computes the same answer of every candidate
    /// that makes a difference to every relocation.
    ///
    /// # Errors
    /// [`MinimizeError`].
    pub fn minimize(&self, btf: &LoadedBtf<'_>) -> Result<Minimized, MinimizeError> {
        let mut tables = Tables::new();
        let kernel = tables.ingest_some(btf, |ty| self.0.roots().want(ty));
        let definitions = tables.definitions();
        let lists = ListAnswers::new(&self.0);
        let minimized = kernel.ok().and_then(|kernel| {
            let view = View::of(&lists, &definitions, kernel)?;
            lists.minimize(&definitions, &view)
        });
        match minimized {
            Some(minimized) => {
                let minimized = minimized?;
                self.0.prove(&minimized.btf, &self.0.ask(btf)?.1)?;
                Ok(minimized)
            }
            None => self.0.minimize_alone(btf),
        }
    }
}
