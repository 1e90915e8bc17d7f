//! Why a relocation finds nothing in a kernel's type, in the words of the types.
//!
//! libbpf gives the verdict. This follows its rules (`bpf_core_match_member` and `bpf_core_fields_are_compat` of
//! `relo_core.c`) once more, to see where they part.

use std::fmt;

use btfgen_btf::{Btf, Kind, Type, TypeId};
use btfgen_libbpf::essential_name;

use super::nearest::{Instead, similar};
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
    let mut candidates = candidates.iter().filter_map(|&id| btf.type_by_id(id));
    let Some(first) = candidates.next() else {
        return Reason::no_type(need, Instead::default());
    };
    let mut farthest = part(need, btf, first);
    for candidate in candidates {
        let other = part(need, btf, candidate);
        if other.0 > farthest.0 {
            farthest = other;
        }
    }
    farthest.1
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

/// The way of a need through a candidate.
struct Walk<'w> {
    need: &'w Need,
    btf: &'w Btf<'w>,
    candidate: Type<'w>,
    steps: usize,
    /// The declaration of the last field.
    declared: String,
    bit_offset: u64,
}

impl<'w> Walk<'w> {
    fn new(need: &'w Need, btf: &'w Btf<'w>, candidate: Type<'w>) -> Self {
        Self {
            need,
            btf,
            candidate,
            steps: 0,
            declared: String::new(),
            bit_offset: 0,
        }
    }

    /// Follows the path of a field.
    fn field(&mut self) -> Result<(), Reason> {
        let own = self.need.relocation().btf();
        let (_, path) = self
            .need
            .relocation()
            .accessors()
            .split_first()
            .ok_or(Reason::Other)?;
        let mut local = own.skip_modifiers_and_typedefs(self.need.relocation().root().id());
        let mut kernel = self.btf.skip_modifiers_and_typedefs(self.candidate.id());
        for &index in path {
            let (from, to) = (local.ok_or(Reason::Other)?, kernel.ok_or(Reason::Other)?);
            if let Some(array) = from.array() {
                let found = to.array();
                // An array without a length is at the end of a struct, and has elements behind it.
                let Some(found) = found.filter(|found| found.len == 0 || index < found.len) else {
                    return Err(Reason::OutOfRange {
                        index,
                        kernel: self.btf.c_name(to.id()),
                    });
                };
                local = own.skip_modifiers_and_typedefs(array.element);
                kernel = self.btf.skip_modifiers_and_typedefs(found.element);
                let size = self.btf.resolve_size(found.element).unwrap_or_default();
                self.bit_offset += u64::from(index) * u64::from(size) * 8;
                self.steps += 1;
                continue;
            }
            let member = from.member(index).ok_or(Reason::Other)?;
            local = own.skip_modifiers_and_typedefs(member.ty);
            if member.name.is_empty() {
                // libbpf looks for the names within it in all anonymous members of the kernel's type.
                continue;
            }
            let found =
                find(self.btf, to, member.name, MAX_NESTED).ok_or_else(|| Reason::NoField {
                    r#type: self.btf.c_name(to.id()),
                    field: text(member.name),
                    similar: similar(member.name, &fields(self.btf, to)),
                })?;
            self.bit_offset += found.bit_offset;
            self.declared = self.btf.c_declaration(found.ty, member.name);
            kernel = self.btf.skip_modifiers_and_typedefs(found.ty);
            if !are_compatible(own, local, self.btf, kernel) {
                return Err(Reason::Incompatible {
                    local: own.c_declaration(member.ty, member.name),
                    kernel: self.declared.clone(),
                });
            }
            self.steps += 1;
        }
        Ok(())
    }

    /// Looks for an enumerator.
    fn enumerator(&mut self) -> Result<(), Reason> {
        let relocation = self.need.relocation();
        let local = relocation
            .btf()
            .skip_modifiers_and_typedefs(relocation.root().id());
        let index = relocation.accessors().first().copied();
        let wanted = local
            .zip(index)
            .and_then(|(local, index)| local.enumerator(index))
            .ok_or(Reason::Other)?;
        let wanted = essential_name(wanted.name);
        let kernel = self.btf.skip_modifiers_and_typedefs(self.candidate.id());
        let kernel = kernel.ok_or(Reason::Other)?;
        let names: Vec<&[u8]> = kernel.enumerators().map(|e| e.name).collect();
        if names.iter().any(|name| essential_name(name) == wanted) {
            return Ok(());
        }
        Err(Reason::NoEnumerator {
            r#type: self.btf.c_name(kernel.id()),
            enumerator: text(wanted),
            similar: similar(wanted, &names),
        })
    }
}

/// How deeply anonymous members are nested. libbpf allows about as many (`BPF_CORE_SPEC_MAX_LEN`).
const MAX_NESTED: usize = 64;

struct Found {
    ty: TypeId,
    bit_offset: u64,
}

/// The member of this name, also in anonymous members.
fn find(btf: &Btf<'_>, of: Type<'_>, name: &[u8], depth: usize) -> Option<Found> {
    let depth = depth.checked_sub(1)?;
    of.members().find_map(|member| {
        if !member.name.is_empty() {
            return (member.name == name).then_some(Found {
                ty: member.ty,
                bit_offset: member.bit_offset.into(),
            });
        }
        let inner = btf.skip_modifiers_and_typedefs(member.ty)?;
        let found = find(btf, inner, name, depth)?;
        Some(Found {
            bit_offset: found.bit_offset + u64::from(member.bit_offset),
            ..found
        })
    })
}

/// The names of the members, also of those in anonymous members.
fn fields<'b>(btf: &'b Btf<'_>, of: Type<'b>) -> Vec<&'b [u8]> {
    let (mut names, mut waiting, mut looked_at) = (Vec::new(), vec![of], 0);
    while let Some(ty) = waiting.pop() {
        looked_at += 1;
        for member in ty.members() {
            match member.name {
                [] if looked_at < MAX_NESTED => {
                    waiting.extend(btf.skip_modifiers_and_typedefs(member.ty));
                }
                [] => {}
                name => names.push(name),
            }
        }
    }
    names
}

/// Whether libbpf takes a field of one type for a field of another (`bpf_core_fields_are_compat`).
fn are_compatible(
    own: &Btf<'_>,
    local: Option<Type<'_>>,
    btf: &Btf<'_>,
    kernel: Option<Type<'_>>,
) -> bool {
    let (mut local, mut kernel) = (local, kernel);
    for _ in 0..MAX_NESTED {
        let (Some(a), Some(b)) = (local, kernel) else {
            return false;
        };
        if a.kind().is_composite() && b.kind().is_composite() {
            return true;
        }
        if !a.kind().is_core_compatible(b.kind()) {
            return false;
        }
        match a.kind() {
            Kind::Ptr | Kind::Float => return true,
            Kind::Fwd | Kind::Enum | Kind::Enum64 => {
                let (a, b) = (essential_name(a.name()), essential_name(b.name()));
                return a.is_empty() || b.is_empty() || a == b;
            }
            Kind::Int => {
                return a.int().map(|i| i.offset) == Some(0)
                    && b.int().map(|i| i.offset) == Some(0);
            }
            Kind::Array => {
                let element = |ty: Type<'_>| ty.array().map(|array| array.element);
                local = element(a).and_then(|id| own.skip_modifiers_and_typedefs(id));
                kernel = element(b).and_then(|id| btf.skip_modifiers_and_typedefs(id));
            }
            _ => return false,
        }
    }
    false
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
