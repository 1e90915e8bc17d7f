//! What came of a pack, as it is told to the caller.

use btfgen_archive::KernelId;

use crate::error::Error;
use crate::matrix::Matrix;
use crate::needs::Needs;

/// What was packed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Packed {
    /// The kernels in the archive, in the order of their ids.
    pub kernels: Vec<PackedKernel>,
    /// What is not in it, and why.
    pub left_out: Vec<Error>,
    /// The needs that the kernels were asked.
    pub needs: Needs,
    /// What the kernels answered.
    pub matrix: Matrix,
    /// Totals.
    pub totals: Totals,
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

/// One kernel in an archive.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PackedKernel {
    /// Which one, as `ID/VERSION/ARCH/RELEASE`.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
    pub kernel: KernelId,
    /// How many types its full BTF has. One without any is sound, but answers nothing.
    pub types: u32,
    /// Size of its full BTF in bytes.
    pub full_bytes: u64,
    /// Size of its minimal BTF in bytes.
    pub minimal_bytes: u64,
    /// How many relocations found nothing.
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
    /// Different sets of outcomes, told apart by byte order too: the least number of BTFs there can be.
    pub outcome_sets: usize,
    /// Bytes of all full BTFs.
    pub full_bytes: u64,
    /// Bytes of all minimal BTFs.
    pub minimal_bytes: u64,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Bytes of the largest full BTF, which memory is bounded by.
    pub largest_btf_bytes: u64,
}
