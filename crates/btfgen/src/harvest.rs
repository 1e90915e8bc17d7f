//! Collects the results of a pack.

use std::collections::HashSet;
use std::sync::Arc;

use btfgen_archive::KernelId;
use btfgen_btf::{Btf, ByteOrder};
use btfgen_hub::{Error, HubKernel};

use crate::check::{AllLayouts, FunctionState, Layouts, Reason, Reasons, Sides};
use crate::facts::Asked;
use crate::matrix::Gathering;
use crate::modules::ModuleTypes;
use crate::needs::Needs;
use crate::packed::PackedKernel;
use crate::questions::Minimized;

/// The results of kernels. The size grows with the number of different BTFs and of different sets of outcomes; each further
/// kernel adds its name and its sizes.
#[derive(Debug, Default)]
pub(crate) struct Harvest {
    pub(crate) kernels: Vec<(PackedKernel, Arc<[u8]>)>,
    pub(crate) contents: HashSet<Arc<[u8]>>,
    pub(crate) matrix: Gathering,
    pub(crate) modules: ModuleTypes,
    /// If the questions are explained: why needs find nothing on these kernels.
    pub(crate) reasons: Vec<(Vec<KernelId>, Reasons)>,
    /// If the questions are explained: the definitions that show the reasons.
    pub(crate) layouts: AllLayouts,
    /// If the questions are explained: what kernels say about the functions that programs attach to.
    pub(crate) functions: Vec<(KernelId, Vec<FunctionState>)>,
    pub(crate) facts: Asked,
    pub(crate) left_out: Vec<(KernelId, Error)>,
    /// The kernels that the type store had.
    pub(crate) known: usize,
    /// The kernels without definitions.
    pub(crate) alone: usize,
}

/// What the result says of a kernel's full BTF. If types of modules were looked at, they are included.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FullKernel {
    /// The number of types, without `void`.
    pub(crate) types: u32,
    pub(crate) bytes: u64,
    pub(crate) byte_order: ByteOrder,
    /// Whether the hub has the BTFs of its modules.
    pub(crate) has_modules: bool,
}

impl FullKernel {
    pub(crate) fn of(kernel: &HubKernel, btf: &Btf<'_>) -> Self {
        Self {
            types: btf.type_count() - 1,
            bytes: btf.bytes().len() as u64,
            byte_order: btf.byte_order(),
            has_modules: kernel.modules_path().is_some(),
        }
    }
}

impl Harvest {
    /// Adds the definitions that show a reason on a kernel. Those of the first kernel are kept.
    pub(crate) fn add_layouts(
        &mut self,
        need: usize,
        reason: &Arc<Reason>,
        on: &KernelId,
        (program, kernel): Sides,
    ) {
        let known = self.layouts.entry(need).or_default();
        if known.get(reason).is_none_or(|known| *on < known.on) {
            let layouts = Layouts {
                on: on.clone(),
                program,
                kernel,
            };
            known.insert(Arc::clone(reason), layouts);
        }
    }

    /// Adds kernels that have the same minimal BTF and the same outcomes. The reasons are added apart.
    pub(crate) fn add(
        &mut self,
        needs: &Needs,
        kernels: &[(KernelId, FullKernel)],
        minimized: Minimized,
    ) {
        let Minimized {
            btf,
            outcomes,
            absent,
            reasons: _,
            layouts: _,
        } = minimized;
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
        let missing = missing.count();
        let known = kernels
            .iter()
            .map(|(kernel, full)| (kernel, full.has_modules));
        self.modules.add(&absent, known);
        for (kernel, full) in kernels {
            let packed = PackedKernel {
                kernel: kernel.clone(),
                types: full.types,
                full_bytes: full.bytes,
                minimal_bytes: content.len() as u64,
                missing,
            };
            self.kernels.push((packed, Arc::clone(&content)));
            self.matrix
                .add(kernel.clone(), full.byte_order, outcomes.clone());
        }
    }
}
