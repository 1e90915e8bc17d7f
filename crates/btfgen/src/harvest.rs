//! Collects the results of a pack's threads.

use std::collections::HashSet;
use std::sync::Arc;

use btfgen_archive::KernelId;
use btfgen_btf::ByteOrder;
use btfgen_hub::Error;

use crate::matrix::Gathering;
use crate::minimize::Minimized;
use crate::needs::Needs;
use crate::packed::PackedKernel;

/// Kernels in the order in which they are done. The size grows with the number of different BTFs and of different sets of
/// outcomes; each further kernel adds its name and its sizes.
#[derive(Debug, Default)]
pub(crate) struct Harvest {
    pub(crate) kernels: Vec<(PackedKernel, Arc<[u8]>)>,
    pub(crate) contents: HashSet<Arc<[u8]>>,
    pub(crate) matrix: Gathering,
    pub(crate) left_out: Vec<(KernelId, Error)>,
}

impl Harvest {
    pub(crate) fn add(&mut self, needs: &Needs, kernel: KernelId, one: HarvestedKernel) {
        let HarvestedKernel {
            types,
            full_bytes,
            byte_order,
            minimized: Minimized { btf, outcomes },
        } = one;
        let content = match self.contents.get(btf.as_slice()) {
            Some(known) => Arc::clone(known),
            None => {
                let content: Arc<[u8]> = btf.into();
                self.contents.insert(Arc::clone(&content));
                content
            }
        };
        let missing = needs.iter().zip(&outcomes).filter(|(need, outcome)| {
            outcome.refusal().is_none() && !outcome.is_found(need.kind())
        });
        let packed = PackedKernel {
            kernel: kernel.clone(),
            types,
            full_bytes,
            minimal_bytes: content.len() as u64,
            missing: missing.count(),
        };
        self.kernels.push((packed, content));
        self.matrix.add(kernel, byte_order, outcomes);
    }
}

/// One thread's result for one kernel.
pub(crate) struct HarvestedKernel {
    pub(crate) types: u32,
    pub(crate) full_bytes: u64,
    pub(crate) byte_order: ByteOrder,
    pub(crate) minimized: Minimized,
}
