//! Asks all kernels of a hub for facts.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use btfgen_facts::Fact;
use btfgen_hub::{
    DEFAULT_MAX_BTF_BYTES, Error, ErrorKind, Hub, HubKernel, KernelFilter, Progress, Result,
    TypeStore, in_pool,
};
use rayon::prelude::*;

use super::Facts;
use super::ask::{Asked, Asking};
use crate::pack::{StoreUse, empty, none_of, or_default};
use crate::work::Failure;

/// Asks the kernels of hubs for facts.
///
/// Facts are those of the kernel itself, without its modules.
///
/// ```no_run
/// let facts = btfgen::Survey::new()
///     .fact("task_struct.__state | task_struct.state".parse()?)
///     .hub("btfhub")
///     .answer()?;
/// for (answered, kernels) in facts.answers(0) {
///     println!("{}: {} kernels", answered.answer, kernels.len());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct Survey<'a> {
    facts: Vec<Fact>,
    hubs: Vec<PathBuf>,
    filter: KernelFilter,
    threads: usize,
    max_btf_bytes: Option<u64>,
    store: StoreUse,
    progress: Option<&'a dyn Progress>,
    cancel: Option<&'a AtomicBool>,
}

impl std::fmt::Debug for Survey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Survey")
            .field("facts", &self.facts)
            .field("hubs", &self.hubs)
            .finish_non_exhaustive()
    }
}

impl<'a> Survey<'a> {
    /// A survey without facts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a fact.
    #[must_use]
    pub fn fact(mut self, fact: Fact) -> Self {
        self.facts.push(fact);
        self
    }

    /// Adds a hub's folder. Without any, [`default_hub`](crate::default_hub) is used.
    #[must_use]
    pub fn hub(mut self, folder: impl Into<PathBuf>) -> Self {
        self.hubs.push(folder.into());
        self
    }

    /// Asks only kernels that pass the filter.
    #[must_use]
    pub fn filter(mut self, filter: KernelFilter) -> Self {
        self.filter = filter;
        self
    }

    /// The number of threads. 0, the default, means one for each processor.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// The largest BTF to unpack, in bytes. The default is [`DEFAULT_MAX_BTF_BYTES`].
    #[must_use]
    pub fn max_btf_bytes(mut self, bytes: u64) -> Self {
        self.max_btf_bytes = Some(bytes);
        self
    }

    /// How the hub's type store is used: [`StoreUse::Kept`] by default.
    #[must_use]
    pub fn store(mut self, store: StoreUse) -> Self {
        self.store = store;
        self
    }

    /// Reports the progress to `progress`.
    #[must_use]
    pub fn progress(mut self, progress: &'a dyn Progress) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Stops soon after the flag is set.
    #[must_use]
    pub fn cancel(mut self, flag: &'a AtomicBool) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Asks all kernels.
    ///
    /// # Errors
    /// Those of [`Hub::open`]; [`ErrorKind::EmptyHub`] if there is no kernel to ask, or none could be asked;
    /// [`ErrorKind::Cancelled`]; [`ErrorKind::Machine`].
    pub fn answer(&self) -> Result<Facts> {
        let hub = Hub::open_waiting(&or_default(&self.hubs), || self.go_on())?;
        let mut store = match self.store {
            StoreUse::Kept => TypeStore::of(&hub),
            StoreUse::Cold => TypeStore::new_of(&hub),
            StoreUse::None => TypeStore::in_memory(),
        };
        let mut hub = hub.filtered(&self.filter)?;
        let mut left_out = hub.take_rejected();
        if hub.kernels().is_empty() {
            return Err(empty(&hub, "the hub has no usable kernels"));
        }
        let threads = self.threads.min(hub.kernels().len());
        let mut asked = in_pool(threads, || self.ask(&hub, &store));
        if let Err(Failure::Stale(_)) = asked {
            store = store.anew();
            asked = in_pool(threads, || self.ask(&hub, &store));
        }
        let (asked, failed) = asked.map_err(Failure::into_error)?;
        left_out.extend(failed);
        if asked.rows.is_empty() {
            return Err(none_of(&hub, "asked", left_out));
        }
        Ok(Facts {
            facts: self.facts.clone(),
            rows: asked.rows,
            unknown: asked.unknown,
            left_out,
            // The store only saves work, so a run that cannot keep it is as good.
            store_failure: store.save().err(),
        })
    }

    /// What the kernels answer, and the errors of those that could not be asked.
    fn ask(&self, hub: &Hub, store: &TypeStore) -> Result<(Asked, Vec<Error>), Failure> {
        let kernels = hub.kernels();
        if let Some(progress) = self.progress {
            progress.start(kernels.len());
        }
        let asking = Asking::new(&self.facts);
        let numbers = kernels.par_iter();
        let numbers = numbers.map(|kernel| self.find(store, kernel, &asking));
        let numbers: Vec<Result<usize>> = numbers.collect::<Result<_>>()?;
        let (mut known, mut left_out) = (Vec::new(), Vec::new());
        for (kernel, number) in kernels.iter().zip(numbers) {
            match number {
                Ok(number) => known.push((kernel, Some(number))),
                Err(e) => left_out.push(e.with_kernel(kernel.id())),
            }
        }
        let mut asked = store.with(|all| asking.ask(all, &known, self.max_bytes()))??;
        left_out.extend(asked.failed.drain(..).map(|(_, e)| e));
        Ok((asked, left_out))
    }

    fn find(
        &self,
        store: &TypeStore,
        kernel: &HubKernel,
        asking: &Asking<'_>,
    ) -> Result<Result<usize>> {
        self.go_on()?;
        let number = match store.find(kernel) {
            Some(number) => Ok(number),
            None => store
                .ingest(kernel, self.max_bytes(), |ty| asking.want(ty))
                .map(|ingested| ingested.number),
        };
        if let Some(progress) = self.progress {
            progress.kernel(kernel.id(), number.as_ref().err());
        }
        match number {
            Err(e) if e.kind() == ErrorKind::Machine => Err(e),
            number => Ok(number),
        }
    }

    fn max_bytes(&self) -> u64 {
        self.max_btf_bytes.unwrap_or(DEFAULT_MAX_BTF_BYTES)
    }

    fn go_on(&self) -> Result<()> {
        if self.cancel.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Err(Error::cancelled("offsets"));
        }
        Ok(())
    }
}
