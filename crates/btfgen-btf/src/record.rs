//! Types as they are composed and written.

use std::collections::BTreeSet;

use crate::kind::Kind;
use crate::types::{Enumerator, Member};

/// The content of a type. It refers to other types by `R`s, whose default is `void`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Record<'a, R> {
    /// An integer. Its fields are those of [`Int`](crate::Int).
    #[allow(missing_docs, reason = "they are documented there")]
    Int {
        name: &'a [u8],
        size: u32,
        encoding: u8,
        offset: u8,
        bits: u8,
    },
    /// A floating-point number: name and size in bytes.
    Float(&'a [u8], u32),
    /// A forward declaration: its name, and whether it declares a union.
    Fwd(&'a [u8], bool),
    /// A pointer.
    Ptr(R),
    /// A typedef or modifier of this kind: its name and what it refers to.
    Alias(Kind, &'a [u8], R),
    /// An array: element, index and length.
    Array(R, R, u32),
    /// A prototype: the types of the parameters and of the result.
    FuncProto(Vec<R>, R),
    /// An enum.
    Enum {
        /// Name.
        name: &'a [u8],
        /// Size in bytes.
        size: u32,
        /// Whether values are signed.
        signed: bool,
        /// Whether the kind is `ENUM64`.
        wide: bool,
        /// Names and values.
        enumerators: Vec<Enumerator<'a>>,
    },
    /// A struct or union.
    Composite {
        /// Struct or union.
        kind: Kind,
        /// Name.
        name: &'a [u8],
        /// Size in bytes.
        size: u32,
        /// Members.
        members: Vec<Member<'a, R>>,
    },
}

impl<'a, R: Copy> Record<'a, R> {
    /// The same content with other references.
    pub(crate) fn map<S>(&self, mut to: impl FnMut(R) -> S) -> Record<'a, S> {
        match *self {
            Self::Int {
                name,
                size,
                encoding,
                offset,
                bits,
            } => Record::Int {
                name,
                size,
                encoding,
                offset,
                bits,
            },
            Self::Float(name, size) => Record::Float(name, size),
            Self::Fwd(name, union) => Record::Fwd(name, union),
            Self::Ptr(target) => Record::Ptr(to(target)),
            Self::Alias(kind, name, target) => Record::Alias(kind, name, to(target)),
            Self::Array(element, index, len) => Record::Array(to(element), to(index), len),
            Self::FuncProto(ref params, result) => {
                let params = params.iter().map(|&param| to(param)).collect();
                Record::FuncProto(params, to(result))
            }
            Self::Enum {
                name,
                size,
                signed,
                wide,
                ref enumerators,
            } => Record::Enum {
                name,
                size,
                signed,
                wide,
                enumerators: enumerators.clone(),
            },
            Self::Composite {
                kind,
                name,
                size,
                ref members,
            } => Record::Composite {
                kind,
                name,
                size,
                members: members
                    .iter()
                    .map(|member| Member {
                        name: member.name,
                        ty: to(member.ty),
                        bit_offset: member.bit_offset,
                        bitfield_size: member.bitfield_size,
                    })
                    .collect(),
            },
        }
    }

    /// Its references, in the order of the record.
    pub(crate) fn references(&self) -> Vec<R> {
        match self {
            Self::Int { .. } | Self::Float(..) | Self::Fwd(..) | Self::Enum { .. } => Vec::new(),
            Self::Ptr(target) | Self::Alias(_, _, target) => vec![*target],
            Self::Array(element, index, _) => vec![*element, *index],
            Self::FuncProto(params, result) => params.iter().copied().chain([*result]).collect(),
            Self::Composite { members, .. } => members.iter().map(|member| member.ty).collect(),
        }
    }

    /// The names in it, without the empty one.
    pub fn names(&self) -> impl Iterator<Item = &'a [u8]> {
        let (own, inner): (&[u8], Vec<&[u8]>) = match self {
            Self::Int { name, .. } | Self::Float(name, _) | Self::Fwd(name, _) => {
                (name, Vec::new())
            }
            Self::Alias(_, name, _) => (name, Vec::new()),
            Self::Ptr(_) | Self::Array(..) | Self::FuncProto(..) => (&[], Vec::new()),
            Self::Enum {
                name, enumerators, ..
            } => (name, enumerators.iter().map(|e| e.name).collect()),
            Self::Composite { name, members, .. } => {
                (name, members.iter().map(|m| m.name).collect())
            }
        };
        let names = [own].into_iter().chain(inner);
        names.filter(|name| !name.is_empty())
    }
}

/// Names that have a place among the strings even if no type has them, as long as this costs at most this number of bytes.
/// Then similar BTFs refer to the same names by the same offsets, and compress well together. The place of a name that no
/// type has holds empty strings.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reserved<'r> {
    /// The names; `None` reserves no places.
    pub names: Option<&'r BTreeSet<Vec<u8>>>,
    /// The bytes that their places may cost.
    pub budget: usize,
}
