//! Loads and stores: libbpf writes the kernel's offset and size into the instruction, and refuses what does not fit.

use std::collections::BTreeSet;

use btfgen_libbpf::ReloKind;

use crate::byte_orders::ByteOrders;
use crate::outcome::{Outcome, Refusal};

/// What a need asks, as far as its outcome alone does not tell whether libbpf refuses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) kind: ReloKind,
    /// The instructions that load or store the field.
    pub(crate) accesses: Accesses,
    /// Those of the objects that ask. Kernels of another one never answer.
    pub(crate) byte_orders: ByteOrders,
}

/// The loads and stores of one need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Accesses {
    /// The size of the local field in bytes; 0 if libbpf does not compare it.
    pub(crate) local_size: u32,
    /// The sizes of the instructions' accesses in bytes.
    pub(crate) bytes: BTreeSet<u8>,
}

/// The largest offset in an instruction.
const MAX_OFFSET: u64 = i16::MAX as u64;

impl Asked {
    /// Why libbpf refuses the relocation with this outcome.
    pub(crate) fn refusal(&self, outcome: &Outcome) -> Option<Refusal> {
        self.accesses.refusal(self.kind, outcome)
    }
}

impl Accesses {
    /// Why libbpf refuses a relocation of this kind with this outcome, in the order of `bpf_core_patch_insn` of `relo_core.c`.
    pub(crate) fn refusal(&self, kind: ReloKind, outcome: &Outcome) -> Option<Refusal> {
        let Outcome::Value {
            value,
            size,
            size_mismatch,
        } = *outcome
        else {
            return outcome.refusal();
        };
        let Self { local_size, bytes } = self;
        if kind != ReloKind::FieldByteOffset || bytes.is_empty() {
            return None;
        }
        let is_resized = size != *local_size;
        let is_other = |access: &u8| u32::from(*access) != *local_size;
        if value > MAX_OFFSET {
            Some(Refusal::OffsetTooLarge)
        } else if size_mismatch {
            Some(Refusal::SizeMismatch)
        } else if is_resized && (bytes.iter().any(is_other) || !matches!(size, 1 | 2 | 4 | 8)) {
            Some(Refusal::AccessSize)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check each refusal of a load at its limit, and that other instructions are not refused.
    #[test]
    fn limits() {
        let asked = |local_size, bytes: &[u8]| Asked {
            kind: ReloKind::FieldByteOffset,
            accesses: Accesses {
                local_size,
                bytes: bytes.iter().copied().collect(),
            },
            byte_orders: ByteOrders::BOTH,
        };
        let value = |value, size, size_mismatch| Outcome::Value {
            value,
            size,
            size_mismatch,
        };
        for (local_size, bytes, outcome, expected) in [
            (8, &[8][..], value(0, 8, false), None),
            (8, &[8], value(32767, 4, false), None),
            (
                8,
                &[8],
                value(32768, 8, false),
                Some(Refusal::OffsetTooLarge),
            ),
            (8, &[8], value(0, 4, true), Some(Refusal::SizeMismatch)),
            (8, &[8], value(0, 16, false), Some(Refusal::AccessSize)),
            (8, &[8, 4], value(0, 4, false), Some(Refusal::AccessSize)),
            (8, &[4], value(0, 8, false), None),
            (8, &[], value(32768, 16, true), None),
            (8, &[8], Outcome::Missing, None),
        ] {
            assert_eq!(asked(local_size, bytes).refusal(&outcome), expected);
        }
    }
}
