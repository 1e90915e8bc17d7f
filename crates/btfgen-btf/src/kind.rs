//! What a type is.

/// `BTF_KIND_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(
    missing_docs,
    reason = "each is the kernel's BTF_KIND_ constant of that name"
)]
#[repr(u8)]
pub enum Kind {
    Void,
    Int,
    Ptr,
    Array,
    Struct,
    Union,
    Enum,
    Fwd,
    Typedef,
    Volatile,
    Const,
    Restrict,
    Func,
    FuncProto,
    Var,
    Datasec,
    Float,
    DeclTag,
    TypeTag,
    Enum64,
    /// A kind that is newer than this list. Nothing is known of it but its length.
    Unknown,
}

impl Kind {
    /// The known ones, in the order of their numbers.
    const KNOWN: [Self; 20] = [
        Self::Void,
        Self::Int,
        Self::Ptr,
        Self::Array,
        Self::Struct,
        Self::Union,
        Self::Enum,
        Self::Fwd,
        Self::Typedef,
        Self::Volatile,
        Self::Const,
        Self::Restrict,
        Self::Func,
        Self::FuncProto,
        Self::Var,
        Self::Datasec,
        Self::Float,
        Self::DeclTag,
        Self::TypeTag,
        Self::Enum64,
    ];

    /// The kind with this number.
    pub fn of_number(number: u32) -> Self {
        let known = Self::KNOWN.get(number as usize);
        known.copied().unwrap_or(Self::Unknown)
    }

    /// Struct or union.
    pub fn is_composite(self) -> bool {
        matches!(self, Self::Struct | Self::Union)
    }

    /// Enum of either width.
    pub fn is_enum(self) -> bool {
        matches!(self, Self::Enum | Self::Enum64)
    }

    /// A kind that libbpf looks through: const, volatile, restrict, type tag, typedef.
    pub fn is_modifier_or_typedef(self) -> bool {
        matches!(
            self,
            Self::Typedef | Self::Volatile | Self::Const | Self::Restrict | Self::TypeTag
        )
    }

    /// Whether libbpf takes a target type of kind `other` as a candidate for a local type of this kind
    /// (`btf_kind_core_compat`): the same kind, or both enums.
    pub fn is_core_compatible(self, other: Self) -> bool {
        self == other || (self.is_enum() && other.is_enum())
    }

    /// Whether the third word of such a type is the id of another one; of the others it is a size, or nothing.
    pub(crate) fn refers(self) -> bool {
        matches!(
            self,
            Self::Ptr
                | Self::Typedef
                | Self::Volatile
                | Self::Const
                | Self::Restrict
                | Self::Func
                | Self::FuncProto
                | Self::Var
                | Self::DeclTag
                | Self::TypeTag
        )
    }

    /// Size in bytes of what follows the common part: at first of the type itself, then of each member, enumerator,
    /// parameter or variable. `None` for an unknown kind.
    pub(crate) fn trailing(self) -> Option<(u32, u32)> {
        Some(match self {
            Self::Int | Self::Var | Self::DeclTag => (4, 0),
            Self::Array => (12, 0),
            Self::Struct | Self::Union | Self::Enum64 | Self::Datasec => (0, 12),
            Self::Enum | Self::FuncProto => (0, 8),
            Self::Void
            | Self::Ptr
            | Self::Fwd
            | Self::Typedef
            | Self::Volatile
            | Self::Const
            | Self::Restrict
            | Self::Func
            | Self::Float
            | Self::TypeTag => (0, 0),
            Self::Unknown => return None,
        })
    }
}
