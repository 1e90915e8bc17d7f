//! Why a relocation finds nothing in a kernel's type, in the words of the types.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::nearest::Instead;
use crate::needs::Need;
use crate::outcome::Refusal;

/// Why a relocation finds nothing, or is refused. The `Display` form is for people.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(rename_all = "snake_case", tag = "why")
)]
#[non_exhaustive]
pub enum Reason {
    /// The kernel has no type of this kind and name, nor one of its modules that the hub has.
    NoType {
        /// The type: `struct foo`.
        r#type: String,
        /// Whether the kernel declares a type of this name, but does not define it.
        only_declared: bool,
        /// Its types of this name that have another kind: `enum foo`, `typedef foo`.
        other_kinds: Vec<String>,
        /// Its types with the nearest names, those of the same kind first.
        similar: Vec<String>,
    },
    /// A struct or union has no such field.
    NoField {
        /// The kernel's type: `struct task_struct`.
        r#type: String,
        /// The name of the field.
        field: String,
        /// Its fields with the nearest names.
        similar: Vec<String>,
    },
    /// An enum has no such enumerator.
    NoEnumerator {
        /// The kernel's enum.
        r#type: String,
        /// The name of the enumerator.
        enumerator: String,
        /// Its enumerators with the nearest names.
        similar: Vec<String>,
    },
    /// A field has a type that is not compatible.
    Incompatible {
        /// The field, as the program declares it.
        local: String,
        /// The field, as the kernel declares it.
        kernel: String,
    },
    /// An array has too few elements, or there is no array.
    OutOfRange {
        /// The index.
        index: u32,
        /// What the kernel has there.
        kernel: String,
    },
    /// The program asks for a type that is defined equally, and the kernel's differs.
    Differs {
        /// The kernel's type.
        r#type: String,
    },
    /// libbpf refuses it.
    Refused {
        /// The reason.
        refusal: Refusal,
        /// What the kernel has, if it was found: a field's declaration, or the types that disagree.
        kernel: Vec<String>,
    },
    /// libbpf finds nothing, for another reason.
    Other,
}

/// Why needs find nothing or are refused, by the index of the need.
pub(crate) type Reasons = BTreeMap<usize, Arc<Reason>>;

impl Reason {
    pub(crate) fn no_type(need: &Need, instead: Instead) -> Self {
        let Instead {
            only_declared,
            other_kinds,
            similar,
        } = instead;
        Self::NoType {
            r#type: need.root_name(),
            only_declared,
            other_kinds,
            similar,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoType {
                r#type: ty,
                only_declared: true,
                ..
            } => write!(f, "the kernel declares `{ty}`, but does not define it"),
            Self::NoType {
                r#type: ty,
                other_kinds,
                similar,
                ..
            } => match &other_kinds[..] {
                [] => {
                    write!(f, "no `{ty}`")?;
                    write_similar(f, similar)
                }
                others if others.contains(ty) => {
                    write!(
                        f,
                        "the program only declares `{ty}`, which the kernel defines"
                    )
                }
                others => write!(f, "the kernel has `{}`, not `{ty}`", others.join("` and `")),
            },
            Self::NoField {
                r#type: ty,
                field,
                similar,
            } => {
                write!(f, "no field `{field}` in `{ty}`")?;
                write_similar(f, similar)
            }
            Self::NoEnumerator {
                r#type: ty,
                enumerator,
                similar,
            } => {
                write!(f, "no `{enumerator}` in `{ty}`")?;
                write_similar(f, similar)
            }
            Self::Incompatible { local, kernel } => {
                write!(f, "the kernel has `{kernel}`, the program `{local}`")
            }
            Self::OutOfRange { index, kernel } => {
                write!(f, "no element {index} in the kernel's `{kernel}`")
            }
            Self::Differs { r#type: ty } => {
                write!(f, "the kernel defines `{ty}` in another way")
            }
            Self::Refused { refusal, kernel } => {
                write!(f, "refused: {refusal}")?;
                match &kernel[..] {
                    [] => Ok(()),
                    kernel => write!(f, ": `{}`", kernel.join("`, `")),
                }
            }
            Self::Other => f.write_str("libbpf finds nothing"),
        }
    }
}

fn write_similar(f: &mut fmt::Formatter<'_>, similar: &[String]) -> fmt::Result {
    match similar {
        [] => Ok(()),
        similar => write!(f, "; nearest: `{}`", similar.join("`, `")),
    }
}
