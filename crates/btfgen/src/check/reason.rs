//! Why a relocation finds nothing in a kernel's type, in the words of the types.
//!
//! libbpf gives the verdict. `walk.rs` follows its rules once more.

use std::fmt;

use btfgen_btf::{Btf, Type, TypeId};

use super::nearest::Instead;
use super::walk::Walk;
use crate::needs::Need;
use crate::outcome::{Outcome, Refusal};

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

/// Why a need finds nothing among these candidates of a BTF, or is refused; `None` if it finds something.
pub(crate) fn why(
    need: &Need,
    outcome: &Outcome,
    btf: &Btf<'_>,
    candidates: &[TypeId],
) -> Option<Reason> {
    if !need.fails_with(outcome) {
        return None;
    }
    Some(match need.refusal_with(outcome) {
        Some(refusal) => Reason::Refused {
            refusal,
            kernel: declarations(need, btf, candidates),
        },
        None => missing(need, btf, candidates),
    })
}

fn missing(need: &Need, btf: &Btf<'_>, candidates: &[TypeId]) -> Reason {
    match farthest(need, btf, candidates) {
        Some((_, reason)) => reason,
        None => Reason::no_type(need, Instead::default()),
    }
}

/// The candidate that goes along with the need for most steps, and why not farther.
pub(super) fn farthest<'b>(
    need: &Need,
    btf: &'b Btf<'_>,
    candidates: &[TypeId],
) -> Option<(Type<'b>, Reason)> {
    let mut farthest: Option<(usize, Type<'b>, Reason)> = None;
    for candidate in candidates.iter().filter_map(|&id| btf.type_by_id(id)) {
        let (steps, reason) = part(need, btf, candidate);
        if farthest.as_ref().is_none_or(|&(known, ..)| steps > known) {
            farthest = Some((steps, candidate, reason));
        }
    }
    farthest.map(|(_, candidate, reason)| (candidate, reason))
}

/// What the kernel declares where libbpf refuses a need: the field of each candidate.
fn declarations(need: &Need, btf: &Btf<'_>, candidates: &[TypeId]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for candidate in candidates.iter().filter_map(|&id| btf.type_by_id(id)) {
        let mut walk = Walk::new(need, btf, candidate);
        if walk.field().is_ok() {
            let (declared, offset) = (walk.declared, walk.bit_offset);
            let text = match offset % 8 {
                0 => format!("{declared} at {}", offset / 8),
                bits => format!("{declared} at {}, bit {bits}", offset / 8),
            };
            if !declared.is_empty() && !all.contains(&text) {
                all.push(text);
            }
        }
    }
    all
}

/// How many steps a candidate goes with the need, and why not farther.
fn part(need: &Need, btf: &Btf<'_>, candidate: Type<'_>) -> (usize, Reason) {
    let mut walk = Walk::new(need, btf, candidate);
    let kind = need.kind();
    let reason = if kind.is_field() {
        walk.field().err()
    } else if kind.is_enumval() {
        walk.enumerator().err()
    } else {
        Some(Reason::Differs {
            r#type: btf.c_name(candidate.id()),
        })
    };
    (walk.steps, reason.unwrap_or(Reason::Other))
}
