//! Named types of a kernel as people compare them: the fields of a struct with the place of each one, as plain data.
//!
//! The fields of a struct without a name belong to the struct around it, as in C and in CO-RE. A field of a named member is
//! written with its path: `foo.bar`, or `foo[].bar` in an array.

use std::collections::BTreeMap;
use std::fmt;

use btfgen_btf::Kind;

/// The kinds of types with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum TypeKind {
    /// A struct.
    Struct,
    /// A union.
    Union,
    /// An enum of either width.
    Enum,
    /// A typedef. If it names a struct without a name, it has the struct's fields.
    Typedef,
    /// A function, with its prototype.
    Function,
}

impl TypeKind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Struct,
        Self::Union,
        Self::Enum,
        Self::Typedef,
        Self::Function,
    ];

    /// The kind of a type of a BTF, if such types have names that a program can refer to.
    pub fn of(kind: Kind) -> Option<Self> {
        match kind {
            Kind::Struct => Some(Self::Struct),
            Kind::Union => Some(Self::Union),
            Kind::Enum | Kind::Enum64 => Some(Self::Enum),
            Kind::Typedef => Some(Self::Typedef),
            Kind::Func => Some(Self::Function),
            _ => None,
        }
    }

    /// The word before its name: C's keyword, or `function`.
    pub fn keyword(self) -> &'static str {
        match self {
            Self::Struct => "struct",
            Self::Union => "union",
            Self::Enum => "enum",
            Self::Typedef => "typedef",
            Self::Function => "function",
        }
    }
}

/// The kind and the name of a type. Bytes that are not UTF-8 are replaced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeName {
    /// Kind.
    pub kind: TypeKind,
    /// Name.
    pub name: String,
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.keyword(), self.name)
    }
}

/// A definition of a named type.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Shape {
    /// Size in bytes; `None` for a function, and for a typedef of a type without a size.
    pub size: Option<u32>,
    /// The declaration in C of a function, and of a typedef.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub declaration: Option<String>,
    /// The fields or the enumerators, in the order of the definition.
    pub parts: Vec<Part>,
}

/// A field of a struct or union, or a name of an enum.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Part {
    /// The field's path, or the enumerator's name.
    pub path: String,
    /// Its declaration in C: `int x`, `unsigned int x: 3`, `NAME = 5`.
    pub declaration: String,
    /// Where it is, or its value.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub place: Place,
}

/// Where a field is, or the value of an enumerator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(untagged))]
pub enum Place {
    /// Of a field.
    Field {
        /// Offset in bits from the start of the named type.
        bit_offset: u64,
        /// Size in bytes; `None` for a type without a size.
        size: Option<u32>,
        /// Width in bits of a bitfield; 0 for any other field.
        bitfield_size: u32,
    },
    /// Of an enumerator.
    Enumerator {
        /// Its value.
        value: i128,
    },
}

/// The definitions of each selected type in one kernel, without copies.
#[derive(Debug, Clone, Default)]
pub struct Shapes(pub(crate) BTreeMap<TypeName, Vec<Shape>>);

impl Shapes {
    /// The types, by kind and name, each with its definitions.
    pub fn iter(&self) -> impl Iterator<Item = (&TypeName, &[Shape])> {
        self.0.iter().map(|(name, shapes)| (name, &shapes[..]))
    }
}
