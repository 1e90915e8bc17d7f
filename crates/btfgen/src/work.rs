//! The work of a pack: its kernels, and how to minimize them.

use btfgen_hub::{Error, ErrorKind, HubKernel, Progress, Result, TypeStore};
use btfgen_store::Digest;

use crate::check::Explained;
use crate::facts::Asking;
use crate::harvest::Harvest;
use crate::lists::ListAnswers;
use crate::questions::Questions;

/// A pack's kernels, and how to minimize them.
pub(crate) struct Work<'r> {
    pub(crate) questions: &'r Questions<'r>,
    pub(crate) lists: ListAnswers<'r, 'r>,
    pub(crate) facts: Asking<'r>,
    pub(crate) store: &'r TypeStore,
    pub(crate) kernels: &'r [&'r HubKernel],
    pub(crate) max_btf_bytes: u64,
    /// Whether every kernel's full BTF is asked.
    pub(crate) prove_all: bool,
    /// Whether the first kernel that fails ends the work.
    pub(crate) strict: bool,
    pub(crate) progress: Option<&'r dyn Progress>,
    pub(crate) go_on: &'r (dyn Fn() -> Result<()> + Sync),
    pub(crate) explained: Explained,
}

/// The reason why there is no result.
pub(crate) enum Failure {
    /// The type store says something else than the kernels' files. With a new store, this is the error.
    Stale(Error),
    Failed(Error),
}

impl Failure {
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Stale(e) | Self::Failed(e) => e,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<btfgen_store::Error> for Failure {
    fn from(e: btfgen_store::Error) -> Self {
        let message = "cannot be read";
        Self::Stale(Error::new(ErrorKind::Machine, "the type store", message).with_source(e))
    }
}

impl Work<'_> {
    /// Fails if a kernel was left out, and none may be.
    pub(crate) fn go_on_if_strict(&self, harvest: &mut Harvest) -> Result<(), Failure> {
        match self.strict && !harvest.left_out.is_empty() {
            true => Err(Failure::Failed(harvest.left_out.swap_remove(0).1)),
            false => Ok(()),
        }
    }

    pub(crate) fn leave_out(&self, harvest: &mut Harvest, n: usize, e: Error) {
        let id = self.kernels[n].id();
        harvest.left_out.push((id.clone(), e.with_kernel(id)));
    }
}

/// The digest of the proof that a kernel's full BTF gives these answers.
pub(crate) fn proof_of(answered: Digest, kernel: Digest) -> Digest {
    Digest::of_value(&(answered, kernel))
}
