//! The way of a relocation through a kernel's type, by libbpf's rules (`bpf_core_match_member` and
//! `bpf_core_fields_are_compat` of `relo_core.c`), to see where they part.

use btfgen_btf::{Btf, Kind, Type, TypeId};
use btfgen_libbpf::essential_name;

use super::nearest::similar;
use super::reason::Reason;
use crate::needs::Need;

/// The way of a need through a candidate.
pub(super) struct Walk<'w> {
    need: &'w Need,
    btf: &'w Btf<'w>,
    candidate: Type<'w>,
    /// How many steps the candidate goes along.
    pub(super) steps: usize,
    /// The declaration of the last field.
    pub(super) declared: String,
    pub(super) bit_offset: u64,
    /// The last field that the program names, and where it is looked for.
    pub(super) site: Option<Site<'w>>,
}

/// Where a field is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Site<'w> {
    pub(super) field: &'w [u8],
    /// The program's struct or union. The field may be in anonymous members of it.
    pub(super) local: Type<'w>,
    /// The kernel's struct or union.
    pub(super) kernel: Type<'w>,
}

impl<'w> Walk<'w> {
    pub(super) fn new(need: &'w Need, btf: &'w Btf<'w>, candidate: Type<'w>) -> Self {
        Self {
            need,
            btf,
            candidate,
            steps: 0,
            declared: String::new(),
            bit_offset: 0,
            site: None,
        }
    }

    /// Follows the path of a field.
    pub(super) fn field(&mut self) -> Result<(), Reason> {
        let own = self.need.relocation().btf();
        let (_, path) = self
            .need
            .relocation()
            .accessors()
            .split_first()
            .ok_or(Reason::Other)?;
        let mut local = own.skip_modifiers_and_typedefs(self.need.relocation().root().id());
        let mut kernel = self.btf.skip_modifiers_and_typedefs(self.candidate.id());
        // The struct that has the anonymous ones on the way to the next name.
        let mut outer = None;
        // Whether the kernel's last member is the last one of its struct.
        let mut is_last = false;
        for &index in path {
            let (from, to) = (local.ok_or(Reason::Other)?, kernel.ok_or(Reason::Other)?);
            if let Some(array) = from.array() {
                let found = to.array();
                // An array without a length has elements behind it, if it is at the end of a struct (`is_flex_arr`).
                let has = |len: u32| index < len || (len == 0 && is_last);
                let Some(found) = found.filter(|found| has(found.len)) else {
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
                is_last = false;
                continue;
            }
            let member = from.member(index).ok_or(Reason::Other)?;
            local = own.skip_modifiers_and_typedefs(member.ty);
            let within = *outer.get_or_insert(from);
            if member.name.is_empty() {
                // libbpf looks for the names within it in all anonymous members of the kernel's type.
                continue;
            }
            self.site = Some(Site {
                field: member.name,
                local: within,
                kernel: to,
            });
            outer = None;
            let found =
                find(self.btf, to, member.name, MAX_NESTED).ok_or_else(|| Reason::NoField {
                    r#type: self.btf.c_name(to.id()),
                    field: text(member.name),
                    similar: similar(member.name, &fields(self.btf, to)),
                })?;
            is_last = found.is_last;
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
    pub(super) fn enumerator(&mut self) -> Result<(), Reason> {
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
pub(super) const MAX_NESTED: usize = 64;

struct Found {
    ty: TypeId,
    bit_offset: u64,
    /// Whether it is the last member of its struct.
    is_last: bool,
}

/// The member of this name, also in anonymous members.
fn find(btf: &Btf<'_>, of: Type<'_>, name: &[u8], depth: usize) -> Option<Found> {
    let depth = depth.checked_sub(1)?;
    let count = of.members().len();
    of.members().enumerate().find_map(|(n, member)| {
        if !member.name.is_empty() {
            return (member.name == name).then_some(Found {
                ty: member.ty,
                bit_offset: member.bit_offset.into(),
                is_last: n + 1 == count,
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
pub(super) fn fields<'b>(btf: &'b Btf<'_>, of: Type<'b>) -> Vec<&'b [u8]> {
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

pub(super) fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
