//! The parts of the program's and the kernel's definitions that show why a relocation fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use btfgen_archive::KernelId;
use btfgen_btf::{Btf, Member, Type, TypeId};

use super::nearest::similar;
use super::reason::Reason;
use super::walk::{MAX_NESTED, Site, Walk};
use super::why::farthest;
use crate::needs::Need;

/// A part of the program's definition, and that of the first kernel on which a relocation fails for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Layouts {
    /// The kernel. Other kernels with the reason may have other offsets.
    #[cfg_attr(feature = "serde", serde(serialize_with = "crate::serialize::text"))]
    pub on: KernelId,
    /// The program's type.
    pub program: Layout,
    /// The kernel's type; several if the kernel has several types of the name, and they differ.
    pub kernel: Vec<Layout>,
}

/// A part of a struct or union.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Layout {
    /// The type: `struct task_struct`.
    pub r#type: String,
    /// Its size in bytes.
    pub bytes: Option<u32>,
    /// The number of all its fields, with those in anonymous members.
    pub fields: usize,
    /// The fields that matter, in their order.
    pub shown: Vec<LayoutField>,
}

/// A field of a struct or union.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct LayoutField {
    /// Its offset in bytes.
    pub offset: u64,
    /// The bit of the byte in which a bitfield begins.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub bit: Option<u8>,
    /// Its size in bytes; that of a bitfield is in its declaration.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub bytes: Option<u32>,
    /// Its declaration in C.
    pub declaration: String,
}

/// The program's part, and the kernel's parts.
pub(crate) type Sides = (Layout, Vec<Layout>);

/// The layouts of needs, by their reasons.
pub(crate) type AllLayouts = BTreeMap<usize, BTreeMap<Arc<Reason>, Layouts>>;

/// At most so many candidates are shown, and so many fields of a type that differs.
const MAX_SHOWN: usize = 5;

/// The layouts that show why a need fails among these candidates of a BTF, if there is something to see.
pub(crate) fn layouts(
    need: &Need,
    reason: &Reason,
    btf: &Btf<'_>,
    candidates: &[TypeId],
) -> Option<Sides> {
    match reason {
        Reason::NoField { .. } | Reason::Incompatible { .. } | Reason::OutOfRange { .. } => {
            let (candidate, _) = farthest(need, btf, candidates)?;
            let mut walk = Walk::new(need, btf, candidate);
            // It ends at the reason.
            walk.field().err()?;
            let (program, kernel) = of_site(need, btf, &walk.site?);
            Some((program, vec![kernel]))
        }
        Reason::Refused { .. } => refused(need, btf, candidates),
        Reason::Differs { .. } => {
            let (candidate, _) = farthest(need, btf, candidates)?;
            differing(need, btf, candidate)
        }
        _ => None,
    }
}

/// The field of each candidate that has it.
fn refused(need: &Need, btf: &Btf<'_>, candidates: &[TypeId]) -> Option<Sides> {
    let mut program = None;
    let mut all: Vec<Layout> = Vec::new();
    for candidate in candidates.iter().filter_map(|&id| btf.type_by_id(id)) {
        let mut walk = Walk::new(need, btf, candidate);
        if walk.field().is_ok()
            && let Some(site) = walk.site
        {
            let (own, kernel) = of_site(need, btf, &site);
            program.get_or_insert(own);
            if all.len() < MAX_SHOWN && !all.contains(&kernel) {
                all.push(kernel);
            }
        }
    }
    Some((program?, all))
}

/// The fields around the place where a field is looked for.
fn of_site(need: &Need, btf: &Btf<'_>, site: &Site<'_>) -> (Layout, Layout) {
    let own = need.relocation().btf();
    let local = Fields::of(own, site.local);
    let kernel = Fields::of(btf, site.kernel);
    let here = local.position(site.field);
    let there = match kernel.position(site.field) {
        Some(there) => around(there),
        None => {
            let near = similar(site.field, &kernel.names());
            let near: Vec<usize> = near
                .iter()
                .filter_map(|name| kernel.position(name.as_bytes()))
                .collect();
            match near[..] {
                [first, ref others @ ..] => {
                    let mut shown = around(first);
                    shown.extend(others);
                    shown
                }
                [] => around(here.map_or(0, |here| local.counterpart(here, &kernel))),
            }
        }
    };
    let here = here.map(around).unwrap_or_default();
    (local.layout(&here), kernel.layout(&there))
}

/// A field with its neighbours.
fn around(field: usize) -> BTreeSet<usize> {
    (field.saturating_sub(1)..=field + 1).collect()
}

/// The fields of the program's type that the kernel's type lacks or declares in another way.
fn differing(need: &Need, btf: &Btf<'_>, candidate: Type<'_>) -> Option<Sides> {
    let own = need.relocation().btf();
    let local = own.skip_modifiers_and_typedefs(need.relocation().root().id())?;
    let local = Fields::of(own, local);
    let kernel = Fields::of(btf, btf.skip_modifiers_and_typedefs(candidate.id())?);
    let (mut here, mut there) = (BTreeSet::new(), BTreeSet::new());
    for (n, (_, member)) in local.all.iter().enumerate() {
        let found = kernel.position(member.name);
        let meant = found.map(|found| meant(btf, &kernel.all[found].1));
        if here.len() < MAX_SHOWN && meant.is_none_or(|known| known != self::meant(own, member)) {
            here.insert(n);
            there.extend(found);
        }
    }
    (!here.is_empty()).then(|| (local.layout(&here), vec![kernel.layout(&there)]))
}

/// What a field is, whatever typedefs and names of integers are used.
fn meant(btf: &Btf<'_>, field: &Member<'_>) -> String {
    let ty = btf.skip_modifiers_and_typedefs(field.ty);
    let text = ty.map(|ty| match ty.int() {
        Some(int) => format!("{:?} {}", ty.size(), int.encoding),
        None => btf.c_name(ty.id()),
    });
    text.unwrap_or_default()
}

/// The fields of a struct or union, with those in anonymous members.
struct Fields<'b> {
    btf: &'b Btf<'b>,
    of: Type<'b>,
    /// Each one with its offset in bits.
    all: Vec<(u64, Member<'b>)>,
}

impl<'b> Fields<'b> {
    fn of(btf: &'b Btf<'b>, of: Type<'b>) -> Self {
        let mut fields = Self {
            btf,
            of,
            all: Vec::new(),
        };
        fields.add(of, 0, &mut MAX_NESTED.clone());
        fields
    }

    /// Adds those of a type at this offset. Only damaged types have more than `budget` anonymous members.
    fn add(&mut self, ty: Type<'b>, offset: u64, budget: &mut usize) {
        for member in ty.members() {
            let at = offset + u64::from(member.bit_offset);
            if !member.name.is_empty() {
                self.all.push((at, member));
            } else if let Some(rest) = budget.checked_sub(1)
                && let Some(inner) = self.btf.skip_modifiers_and_typedefs(member.ty)
            {
                *budget = rest;
                self.add(inner, at, budget);
            }
        }
    }

    fn names(&self) -> Vec<&'b [u8]> {
        self.all.iter().map(|(_, member)| member.name).collect()
    }

    fn position(&self, name: &[u8]) -> Option<usize> {
        self.all.iter().position(|(_, member)| member.name == name)
    }

    /// Where another definition has the place of a field that it lacks: beside the nearest field before it that both have, or the
    /// nearest one after it.
    fn counterpart(&self, field: usize, other: &Fields<'_>) -> usize {
        let before = self.all[..field].iter().rev();
        let mut both = before.chain(&self.all[field..]);
        both.find_map(|(_, member)| other.position(member.name))
            .unwrap_or_default()
    }

    fn layout(&self, shown: &BTreeSet<usize>) -> Layout {
        let shown = shown.iter().filter_map(|&n| self.all.get(n));
        let shown = shown.map(|(bits, member)| {
            let is_bitfield = member.bitfield_size > 0;
            LayoutField {
                offset: bits / 8,
                bit: is_bitfield.then_some((bits % 8) as u8),
                bytes: match is_bitfield {
                    true => None,
                    false => self.btf.resolve_size(member.ty),
                },
                declaration: self.btf.c_member(member),
            }
        });
        Layout {
            r#type: self.btf.c_name(self.of.id()),
            bytes: self.of.size(),
            fields: self.all.len(),
            shown: shown.collect(),
        }
    }
}
