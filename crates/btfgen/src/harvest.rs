//! What comes of many kernels: gathered from several threads, and as it is told to the caller.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use btfgen_archive::KernelId;
use btfgen_btf::ByteOrder;
use serde::Serialize;

use crate::error::Error;
use crate::minimize::Minimized;
use crate::needs::Needs;
use crate::outcome::{Outcome, Refusal};

/// What was packed.
#[derive(Debug)]
pub struct Packed {
    /// The kernels in the archive, in the order of their ids.
    pub kernels: Vec<PackedKernel>,
    /// What is not in it, and why.
    pub left_out: Vec<Error>,
    /// The needs that the kernels were asked.
    pub needs: Needs,
    /// Indices of needs that no kernel could answer: see [`Outcome::is_found`]. Those that are refused are not among them.
    pub unresolved: Vec<usize>,
    /// Needs for which libbpf refuses to load the object on some kernels, which are packed all the same.
    pub refused: Vec<RefusedNeed>,
    /// Totals.
    pub totals: Totals,
}

/// A need for which libbpf refuses to load the object, whatever else it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedNeed {
    /// Its index.
    pub need: usize,
    /// Why.
    pub reason: Refusal,
    /// On which kernels, in the order of their ids.
    pub kernels: Vec<KernelId>,
}

/// One kernel in an archive.
#[derive(Debug, Clone, Serialize)]
pub struct PackedKernel {
    /// Which one, as `ID/VERSION/ARCH/RELEASE`.
    #[serde(serialize_with = "display")]
    pub kernel: KernelId,
    /// Size of its full BTF in bytes.
    pub full_bytes: u64,
    /// Size of its minimal BTF in bytes.
    pub minimal_bytes: u64,
    /// How many relocations found nothing.
    pub missing: usize,
}

/// Sums over all kernels of an archive.
#[derive(Debug, Clone, Copy, Default, Serialize)]
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

fn display<S: serde::Serializer>(
    value: &impl std::fmt::Display,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// What the threads bring in. Its size grows with the number of different BTFs, not with that of kernels.
#[derive(Debug, Default)]
pub(crate) struct Harvest {
    pub(crate) kernels: Vec<(PackedKernel, Arc<[u8]>)>,
    pub(crate) contents: HashSet<Arc<[u8]>>,
    pub(crate) outcome_sets: HashSet<(ByteOrder, Vec<Outcome>)>,
    pub(crate) left_out: Vec<(KernelId, Error)>,
    /// Which needs some kernel answered.
    pub(crate) found: Vec<bool>,
    refused: BTreeMap<(usize, Refusal), Vec<KernelId>>,
}

impl Harvest {
    pub(crate) fn add(
        &mut self,
        needs: &Needs,
        kernel: KernelId,
        full: u64,
        order: ByteOrder,
        one: Minimized,
    ) {
        let content = match self.contents.get(one.btf.as_slice()) {
            Some(known) => Arc::clone(known),
            None => {
                let content: Arc<[u8]> = one.btf.into();
                self.contents.insert(Arc::clone(&content));
                content
            }
        };
        self.found.resize(needs.len(), false);
        let mut missing = 0;
        for (n, (need, outcome)) in needs.iter().zip(&one.outcomes).enumerate() {
            if let Some(reason) = outcome.refusal() {
                let kernels = self.refused.entry((n, reason)).or_default();
                kernels.push(kernel.clone());
            } else if outcome.is_found(need.kind()) {
                self.found[n] = true;
            } else {
                missing += 1;
            }
        }
        self.kernels.push((
            PackedKernel {
                kernel,
                full_bytes: full,
                minimal_bytes: content.len() as u64,
                missing,
            },
            content,
        ));
        self.outcome_sets.insert((order, one.outcomes));
    }

    /// What libbpf refuses, in the needs' order.
    pub(crate) fn refused(&mut self) -> Vec<RefusedNeed> {
        let refused = std::mem::take(&mut self.refused).into_iter();
        let sorted = refused.map(|((need, reason), mut kernels)| {
            kernels.sort();
            RefusedNeed {
                need,
                reason,
                kernels,
            }
        });
        sorted.collect()
    }
}
