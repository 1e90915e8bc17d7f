//! What a kernel answers.

use std::fmt;

/// A kernel's answer to a fact.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Answered {
    /// Which question of the fact it answers; 0 if none found anything.
    pub question: usize,
    /// The answer.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub answer: Answer,
}

/// A kernel's answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(tag = "kind", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Answer {
    /// Where a member is.
    Member {
        /// Its offset from the start of the type that is named first, in bits.
        bit_offset: u64,
        /// The size of its type in bytes; 0 for a flexible array.
        bytes: u32,
        /// The width of a bitfield in bits; `None` for other members.
        bits: Option<u32>,
    },
    /// A size.
    Size {
        /// In bytes.
        bytes: u32,
    },
    /// The value of a name of an enum. BTF does not always tell whether an enum is unsigned, so a 32-bit value from 2^31 on is
    /// negative, as in libbpf.
    Value {
        /// The value.
        value: i64,
    },
    /// A function.
    Function {
        /// The number of its parameters, without `...`.
        parameters: u32,
    },
    /// The kernel does not have it.
    #[cfg_attr(feature = "serde", serde(serialize_with = "serialize_missing"))]
    Missing(Missing),
    /// The kernel has several types or functions of this name, and they answer differently.
    #[cfg_attr(feature = "serde", serde(serialize_with = "serialize_ambiguous"))]
    Ambiguous(Vec<Self>),
    /// The kernel's BTF has no functions at all, so it does not say whether the kernel has this one.
    Unknown,
}

/// What a kernel does not have.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Missing {
    /// No type of this name.
    Type,
    /// No function of this name. The compiler may have inlined it, or changed its parameters.
    Function,
    /// The type has no size.
    Size,
    /// The type has no member, or the enum no value, of this name.
    Part(String),
}

/// The number of an [`Answer`], in a form for other languages and tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Number {
    /// The offset of a member in bytes, a size in bytes, the value of a name of an enum, or the number of parameters.
    pub value: i64,
    /// The size of a member in bytes; 0 for a flexible array.
    pub size: u32,
    /// Of a bitfield: its first bit, counted from the byte at the offset as BTF does. That is the least significant bit of the byte
    /// on little-endian kernels, and the most significant one on big-endian kernels.
    pub bit: u32,
    /// The width of a bitfield in bits; 0 for other members.
    pub bits: u32,
}

impl Answer {
    /// The number; `None` if the kernel gives none.
    pub fn number(&self) -> Option<Number> {
        let value = |value| Number {
            value,
            ..Number::default()
        };
        Some(match *self {
            Self::Member {
                bit_offset,
                bytes,
                bits,
            } => Number {
                value: (bit_offset / 8).cast_signed(),
                size: bytes,
                bit: (bit_offset % 8) as u32,
                bits: bits.unwrap_or_default(),
            },
            Self::Size { bytes } => value(bytes.into()),
            Self::Value { value: number } => value(number),
            Self::Function { parameters } => value(parameters.into()),
            _ => return None,
        })
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member {
                bit_offset,
                bits: Some(bits),
                ..
            } => {
                let (byte, bit) = (bit_offset / 8, bit_offset % 8);
                let s = if *bits == 1 { "" } else { "s" };
                write!(f, "offset {byte}, bit {bit}, {bits} bit{s}")
            }
            Self::Member {
                bit_offset, bytes, ..
            } => write!(f, "offset {}, {bytes} bytes", bit_offset / 8),
            Self::Size { bytes } => write!(f, "{bytes} bytes"),
            Self::Value { value } => write!(f, "{value}"),
            Self::Function { parameters: 1 } => f.write_str("1 parameter"),
            Self::Function { parameters } => write!(f, "{parameters} parameters"),
            Self::Missing(missing) => write!(f, "missing: {missing}"),
            Self::Ambiguous(all) => {
                let all: Vec<String> = all.iter().map(ToString::to_string).collect();
                write!(f, "ambiguous: {}", all.join("; or "))
            }
            Self::Unknown => f.write_str("unknown: the BTF has no functions"),
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type => f.write_str("no such type"),
            Self::Function => f.write_str("no such function"),
            Self::Size => f.write_str("no size"),
            Self::Part(name) => write!(f, "no {name}"),
        }
    }
}

#[cfg(feature = "serde")]
fn serialize_missing<S: serde::Serializer>(missing: &Missing, to: S) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeMap as _;
    let mut map = to.serialize_map(Some(1))?;
    map.serialize_entry("reason", &missing.to_string())?;
    map.end()
}

#[cfg(feature = "serde")]
fn serialize_ambiguous<S: serde::Serializer>(all: &[Answer], to: S) -> Result<S::Ok, S::Error> {
    use serde::ser::SerializeMap as _;
    let mut map = to.serialize_map(Some(1))?;
    map.serialize_entry("answers", all)?;
    map.end()
}
