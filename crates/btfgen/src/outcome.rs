//! Outcomes: libbpf's result for one relocation on a kernel.

use btfgen_libbpf::ReloKind;

/// libbpf's result for one relocation on a kernel, with all candidates of its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Outcome {
    /// Resolved to a value.
    Value {
        /// The value to patch in: an offset or size in bytes, a shift, an enumerator, or 1 and 0 for yes and no.
        value: u64,
        /// The size of the field in bytes, to which loads and stores are resized; 0 if the size does not matter.
        size: u32,
        /// The size differs in a way that libbpf refuses for loads and stores.
        size_mismatch: bool,
    },
    /// Resolved to a type: the position of the candidate among the candidates that make a difference. A type may have
    /// another id in the minimal BTF, so the id is not used.
    Type {
        /// Position, from 0.
        candidate: u32,
    },
    /// Missing: libbpf replaces the instruction by one that the verifier refuses, unless it is never reached.
    Missing,
    /// libbpf refuses to load the object.
    Failed {
        /// The positive errno.
        errno: i32,
        /// The reason.
        reason: Refusal,
    },
}

/// The reason why libbpf refuses an object because of a relocation. The `Display` form is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case")
)]
#[non_exhaustive]
pub enum Refusal {
    /// The kernel has several types of this name, and they disagree about the value or the offset.
    Disagreement,
    /// A bitfield spans more than 8 bytes, or types are nested too deeply: E2BIG.
    TooLarge,
    /// The relocation makes no sense in the object's own types: an index beyond the program's own array, a shift of an
    /// array's element, the size of a type that the program only declares.
    Invalid,
    /// The root has no name, so libbpf cannot look it up: EOPNOTSUPP.
    Anonymous,
    /// A load or store of a field that has another size in the kernel, and is not a pointer or an unsigned integer: a signed
    /// long on a 32-bit kernel. libbpf makes the instruction invalid.
    SizeMismatch,
    /// A load or store of a field of another size, which no instruction has, or which does not have the size of the program's
    /// own field: EINVAL.
    AccessSize,
    /// A load or store at an offset above 32,767, which does not fit into the instruction: ERANGE.
    OffsetTooLarge,
}

impl Refusal {
    /// The reason of an error that libbpf gives with one candidate, or with none.
    pub(crate) fn of(errno: i32) -> Self {
        // Linux's error numbers, which are the same on all architectures that run BPF.
        const E2BIG: i32 = 7;
        const EOPNOTSUPP: i32 = 95;
        match errno {
            E2BIG => Self::TooLarge,
            EOPNOTSUPP => Self::Anonymous,
            _ => Self::Invalid,
        }
    }

    /// Whether libbpf refuses the whole object. Otherwise it makes one instruction invalid, as it does if the field is missing:
    /// the verifier refuses a program that could reach the instruction.
    pub fn is_of_object(self) -> bool {
        self != Self::SizeMismatch
    }

    /// What the program's author can do.
    pub fn help(self) -> &'static str {
        match self {
            Self::Disagreement => {
                "first use a field that only the right type has, with the same local type, so that libbpf drops the others; or do not load the program on this kernel (bpf_program__set_autoload)"
            }
            Self::TooLarge => {
                "read the bytes around the bitfield by the offset of a neighbouring field; divide a deep path into several BPF_CORE_READ"
            }
            Self::Invalid => "correct the access in the program, or define the type there",
            Self::Anonymous => {
                "give the struct in the program a name, or reach the field through a struct that has one"
            }
            Self::SizeMismatch => {
                "read the field with BPF_CORE_READ_BITFIELD_PROBED, or with BPF_CORE_READ_BITFIELD from a context: they take the kernel's size and sign; or guard the access with bpf_core_field_size()"
            }
            Self::AccessSize => {
                "read the field with bpf_core_read() and the size from bpf_core_field_size()"
            }
            Self::OffsetTooLarge => {
                "read the field with BPF_CORE_READ, which adds the offset to the pointer first"
            }
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Disagreement => "the kernel has several types of this name, and they disagree",
            Self::TooLarge => "a bitfield spans more than 8 bytes, or types are nested too deeply",
            Self::Invalid => {
                "an index is out of range, a shift of an array's element is asked for, or a type is only declared"
            }
            Self::Anonymous => "the root type has no name, so libbpf cannot look it up",
            Self::SizeMismatch => {
                "the field has another size in the kernel, and a direct load or store would misread it, because it is neither a pointer nor an unsigned integer"
            }
            Self::AccessSize => {
                "the field has another size in the kernel, for which the load or store cannot be adapted"
            }
            Self::OffsetTooLarge => {
                "the field's offset in the kernel is above 32767, which a load or store cannot have"
            }
        })
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value { value, size: 0, .. } => write!(f, "{value}"),
            Self::Value { value, size, .. } => write!(f, "{value}, {size} bytes"),
            Self::Type { .. } => f.write_str("found"),
            Self::Missing => f.write_str("missing"),
            Self::Failed { .. } => f.write_str("refused"),
        }
    }
}

impl Outcome {
    /// Why libbpf refuses to load the object, if it does.
    pub fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Failed { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// Whether the relocation found what it asks for. If the answer to a question for existence is "no", nothing was found.
    pub fn is_found(&self, kind: ReloKind) -> bool {
        let question = matches!(
            kind,
            ReloKind::FieldExists
                | ReloKind::TypeExists
                | ReloKind::TypeMatches
                | ReloKind::EnumvalExists
                | ReloKind::TypeIdTarget
                | ReloKind::TypeSize
        );
        match self {
            // These kinds answer 0 if there is no match, and libbpf does not poison the instruction.
            Self::Value { value, .. } => !(question && *value == 0),
            Self::Type { .. } => true,
            Self::Missing | Self::Failed { .. } => false,
        }
    }
}
