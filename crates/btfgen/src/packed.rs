//! The result of a pack.

use btfgen_archive::KernelId;
use btfgen_hub::Error;

use crate::facts::Facts;
use crate::matrix::Matrix;
use crate::modules::ModuleType;
use crate::needs::Needs;

/// The result of a pack.
#[derive(Debug)]
#[non_exhaustive]
pub struct Packed {
    /// The kernels in the archive, in the order of their ids.
    pub kernels: Vec<PackedKernel>,
    /// The errors of the kernels that are left out.
    pub left_out: Vec<Error>,
    /// The needs of the objects.
    pub needs: Needs,
    /// The outcomes of all needs on all kernels.
    pub matrix: Matrix,
    /// The types that only modules have, and those that may be types of modules which the hub does not have.
    pub module_types: Vec<ModuleType>,
    /// The kernels' answers to the facts.
    pub facts: Facts,
    /// Totals.
    pub totals: Totals,
    /// What the type store saved and what was kept in it.
    pub store: StoreReport,
    pub(crate) archive: Vec<u8>,
}

impl Packed {
    /// The archive: a `.tar.gz`.
    pub fn archive(&self) -> &[u8] {
        &self.archive
    }

    /// The archive, without the rest.
    pub fn into_archive(self) -> Vec<u8> {
        self.archive
    }
}

/// How a pack used the hub's type store.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct StoreReport {
    /// The kernels whose BTFs were not unpacked, because the store had their types.
    pub known: usize,
    /// The kernels that were packed by their own BTF, because not all its types can be in a store: it is damaged or newer than
    /// this version of btfgen.
    pub alone: usize,
    /// The size of the store in bytes, if it was written.
    pub written_bytes: Option<u64>,
    /// The error if the store could not be written. The archive does not depend on it, but the next pack does the work again.
    pub failure: Option<std::io::Error>,
}

/// One kernel in an archive.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PackedKernel {
    /// The kernel's id, `ID/VERSION/ARCH/RELEASE`.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
    pub kernel: KernelId,
    /// The number of types in its full BTF. A kernel without types is valid, but has no candidates.
    pub types: u32,
    /// Size of its full BTF in bytes.
    pub full_bytes: u64,
    /// Size of its minimal BTF in bytes.
    pub minimal_bytes: u64,
    /// The number of needs that found nothing.
    pub missing: usize,
}

/// Sums over all kernels of an archive.
#[derive(Debug, Clone, Copy, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Totals {
    /// Kernels in the archive.
    pub kernels: usize,
    /// Different minimal BTFs among them.
    pub distinct_btfs: usize,
    /// Different sets of outcomes. Equal outcomes with different byte orders count twice. There are at least so many minimal
    /// BTFs.
    pub outcome_sets: usize,
    /// Bytes of all full BTFs.
    pub full_bytes: u64,
    /// Bytes of all minimal BTFs.
    pub minimal_bytes: u64,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Bytes of the largest full BTF. It decides how much memory a pack needs.
    pub largest_btf_bytes: u64,
}
