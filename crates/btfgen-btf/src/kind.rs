//! The kinds of types.

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
    /// A kind that is newer than this list. Only its length is known.
    Unknown,
}

impl Kind {
    /// The known kinds, in the order of their numbers.
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

    /// Whether the type is a struct or a union.
    pub fn is_composite(self) -> bool {
        matches!(self, Self::Struct | Self::Union)
    }

    /// Whether the type is an enum of either width.
    pub fn is_enum(self) -> bool {
        matches!(self, Self::Enum | Self::Enum64)
    }

    /// Whether libbpf looks through the type: const, volatile, restrict, type tag, typedef.
    pub fn is_modifier_or_typedef(self) -> bool {
        matches!(
            self,
            Self::Typedef | Self::Volatile | Self::Const | Self::Restrict | Self::TypeTag
        )
    }

    /// Whether libbpf accepts a target type of kind `other` as a candidate for a local type of this kind
    /// (`btf_kind_core_compat`): both have the same kind, or both are enums.
    pub fn is_core_compatible(self, other: Self) -> bool {
        self == other || (self.is_enum() && other.is_enum())
    }

    /// Whether the third word of a type of this kind is the id of another type. For other kinds it is a size, or is not
    /// used.
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

    /// The sizes in bytes of the data that follows the common part: first of the type itself, then of each member,
    /// enumerator, parameter or variable. `None` for an unknown kind.
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
