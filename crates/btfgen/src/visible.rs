//! Collects the part of a kernel's types that relocations see: the minimal BTF must have this part.
//!
//! Each candidate's cells hold the path along which a relocation found its answer. Every type on that path is kept, with the
//! members that the path goes through. For example, `task->real_parent->comm[0]` in a BPF program gives two relocations of
//! `struct task_struct`, for `real_parent` and for `comm`. Two members of the kernel's `task_struct` are then visible, with
//! their offsets. The type of `real_parent` is visible as a pointer, and the type of `comm` as an array with its element and
//! length.
//!
//! Other loaders read more than libbpf: DESIGN.md, "The contract of visibility", lists what each loader looks at.

use std::collections::{BTreeMap, BTreeSet};

use btfgen_btf::{Btf, Kind, Type, TypeId};
use btfgen_libbpf::{MAX_ACCESSORS, ReloKind, Relocation, essential_name};

use crate::answers::{Answer, Cell};

/// How much is kept of why a candidate does not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// Nothing. A part of a type seldom matches what the whole type does not, so the parts that match are enough.
    None,
    /// All of it.
    All,
}

/// The visible part of a kernel's types.
#[derive(Debug)]
pub(crate) struct Visible<'b> {
    btf: &'b Btf<'b>,
    evidence: Evidence,
    types: BTreeMap<TypeId, Part>,
}

/// The visible part of one type.
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// The indices of members or enumerators.
    pub(crate) members: BTreeSet<u32>,
    /// Whether the size of a struct is visible. Otherwise, the struct may end behind its last kept member.
    pub(crate) size: bool,
    /// Whether the target of a pointer is visible. Otherwise, the pointer may point to void.
    pub(crate) target: bool,
}

impl<'b> Visible<'b> {
    pub(crate) fn new(btf: &'b Btf<'b>, evidence: Evidence) -> Self {
        Self {
            btf,
            evidence,
            types: BTreeMap::new(),
        }
    }

    /// The visible part of a type; `None` if no relocation sees the type.
    pub(crate) fn part(&self, id: TypeId) -> Option<&Part> {
        self.types.get(&id)
    }

    /// Whether a pointer is visible, and therefore its size.
    pub(crate) fn has_pointer(&self) -> bool {
        let mut types = self.types.keys().filter_map(|&id| self.btf.type_by_id(id));
        types.any(|ty| ty.kind() == Kind::Ptr)
    }

    /// Adds what one relocation sees of a candidate, whether the candidate matched or not. `None` for a path that leads
    /// nowhere, which only a damaged BTF has.
    pub(crate) fn see(
        &mut self,
        relocation: &Relocation,
        candidate: TypeId,
        cell: &Cell,
    ) -> Option<()> {
        let ty = self.skip(candidate)?;
        let kind = relocation.kind();
        self.part_of(ty);
        match cell.answer {
            Answer::NoMatch if self.evidence == Evidence::All && kind == ReloKind::TypeMatches => {}
            Answer::NoMatch => return Some(()),
            Answer::Failed(_) if cell.path.len() == MAX_ACCESSORS => {
                self.see_depth(ty, &cell.path)?;
            }
            Answer::Failed(_) | Answer::Match(_) => {}
        }
        if kind == ReloKind::TypeMatches {
            return self.see_match(relocation.btf(), relocation.root().id(), ty, false);
        }
        match cell.path.split_first() {
            None => {
                if kind == ReloKind::TypeSize {
                    self.see_value(ty)?;
                }
                self.see_whole(ty)
            }
            Some((&first, _)) if kind.is_enumval() => self.see_enumerator(ty, first),
            Some((&first, path)) => {
                if first > 0 {
                    self.see_value(ty)?;
                }
                self.see_path(ty, path)
            }
        }
    }

    fn skip(&self, id: TypeId) -> Option<Type<'b>> {
        self.btf.skip_modifiers_and_typedefs(id)
    }

    fn part_of(&mut self, ty: Type<'b>) -> &mut Part {
        self.types.entry(ty.id()).or_default()
    }

    /// Adds a field's type, as far as loaders compare fields: an array's elements, but nothing within a struct.
    fn see_field(&mut self, ty: Type<'b>) -> Option<()> {
        self.part_of(ty);
        match ty.array() {
            Some(array) => self.see_value(self.skip(array.element)?),
            None => Some(()),
        }
    }

    /// Adds a type whose size matters, because it is loaded or repeated in an array.
    fn see_value(&mut self, ty: Type<'b>) -> Option<()> {
        self.part_of(ty).size = true;
        self.see_field(ty)
    }

    fn see_path(&mut self, ty: Type<'b>, path: &[u32]) -> Option<()> {
        let Some((&index, rest)) = path.split_first() else {
            return self.see_value(ty);
        };
        if let Some(array) = ty.array() {
            self.see_value(ty)?;
            return self.see_path(self.skip(array.element)?, rest);
        }
        let member = ty.member(index)?;
        self.part_of(ty).members.insert(index);
        let member_ty = self.skip(member.ty)?;
        if self.evidence == Evidence::All && member_ty.array().is_some_and(|a| a.len == 0) {
            self.see_next(ty, index)?;
        }
        self.see_path(member_ty, rest)
    }

    /// If types are nested too deeply, libbpf fails at the first member of the last struct on its way.
    fn see_depth(&mut self, ty: Type<'b>, path: &[u32]) -> Option<()> {
        let mut last = ty;
        for &index in path.get(1..).unwrap_or_default() {
            let next = match last.array() {
                Some(array) => array.element,
                None => last.member(index)?.ty,
            };
            last = self.skip(next)?;
        }
        if let Some(member) = last.member(0) {
            self.part_of(last).members.insert(0);
            self.see_field(self.skip(member.ty)?)?;
        }
        Some(())
    }

    /// An array of no length may be indexed where it is a struct's last member. One that is not must not become that.
    fn see_next(&mut self, ty: Type<'b>, index: u32) -> Option<()> {
        let next = index.checked_add(1)?;
        if let Some(member) = ty.member(next) {
            self.part_of(ty).members.insert(next);
            self.see_field(self.skip(member.ty)?)?;
        }
        Some(())
    }

    /// Adds an enumerator, and all others of the same essential name: `A___x` also counts as `A`.
    fn see_enumerator(&mut self, ty: Type<'b>, index: u32) -> Option<()> {
        let name = essential_name(ty.enumerator(index)?.name);
        let all = (0..).zip(ty.enumerators());
        let alike = all.filter(|(_, e)| essential_name(e.name) == name);
        let part = self.part_of(ty);
        part.members.extend(alike.map(|(i, _)| i));
        Some(())
    }

    /// Adds what libbpf's `__bpf_core_types_are_compat` walks.
    fn see_whole(&mut self, ty: Type<'b>) -> Option<()> {
        self.part_of(ty);
        match ty.kind() {
            Kind::Ptr => {
                self.part_of(ty).target = true;
                self.see_whole(self.skip(ty.referenced()?)?)
            }
            Kind::Array => {
                let element = self.skip(ty.array()?.element)?;
                self.see_value(element)?;
                self.see_whole(element)
            }
            Kind::FuncProto => {
                for param in ty.params() {
                    self.see_whole(self.skip(param)?)?;
                }
                self.see_whole(self.skip(ty.referenced()?)?)
            }
            _ => Some(()),
        }
    }

    /// Adds what libbpf's `__bpf_core_types_match` walks, along both types.
    fn see_match(
        &mut self,
        local_btf: &Btf<'_>,
        local: TypeId,
        ty: Type<'b>,
        behind_ptr: bool,
    ) -> Option<()> {
        let local = local_btf.skip_modifiers_and_typedefs(local)?;
        self.part_of(ty);
        match (local.kind(), ty.kind()) {
            (Kind::Ptr, Kind::Ptr) => {
                self.part_of(ty).target = true;
                let to = self.skip(ty.referenced()?)?;
                self.see_match(local_btf, local.referenced()?, to, true)
            }
            (Kind::Array, Kind::Array) => {
                let element = self.skip(ty.array()?.element)?;
                self.see_value(element)?;
                self.see_match(local_btf, local.array()?.element, element, behind_ptr)
            }
            (Kind::FuncProto, Kind::FuncProto) => {
                // The number of parameters matters even if the parameters are not compared.
                self.see_whole(ty)?;
                for (l, t) in local.params().zip(ty.params()) {
                    self.see_match(local_btf, l, self.skip(t)?, behind_ptr)?;
                }
                let result = self.skip(ty.referenced()?)?;
                self.see_match(local_btf, local.referenced()?, result, behind_ptr)
            }
            (Kind::Struct | Kind::Union, Kind::Struct | Kind::Union) if !behind_ptr => {
                self.see_members(local_btf, local, ty)
            }
            (Kind::Enum | Kind::Enum64, Kind::Enum | Kind::Enum64) => {
                let asked: BTreeSet<&[u8]> = local
                    .enumerators()
                    .map(|e| essential_name(e.name))
                    .collect();
                let mut keep: BTreeSet<u32> = (0_u32..)
                    .zip(ty.enumerators())
                    .filter(|(_, e)| asked.contains(essential_name(e.name)))
                    .map(|(i, _)| i)
                    .collect();
                fill_up(&mut keep, local.len(), ty.len());
                self.part_of(ty).members.append(&mut keep);
                Some(())
            }
            // libbpf compares these by kind, name and size, or not at all.
            _ => Some(()),
        }
    }

    fn see_members(&mut self, local_btf: &Btf<'_>, local: Type<'_>, ty: Type<'b>) -> Option<()> {
        let mut keep = BTreeSet::new();
        for l in local.members() {
            for (i, t) in (0_u32..).zip(ty.members()) {
                if essential_name(l.name) == essential_name(t.name) {
                    keep.insert(i);
                    self.see_match(local_btf, l.ty, self.skip(t.ty)?, false)?;
                }
            }
        }
        fill_up(&mut keep, local.len(), ty.len());
        for &i in &keep {
            let member = ty.member(i)?;
            self.see_field(self.skip(member.ty)?)?;
        }
        self.part_of(ty).members.append(&mut keep);
        Some(())
    }
}

/// libbpf compares the number of members before it looks at any member. So keep as many as the local type has, if there are.
fn fill_up(keep: &mut BTreeSet<u32>, local: usize, target: usize) {
    let wanted = local.min(target);
    for i in (0_u32..).take(target) {
        if keep.len() >= wanted {
            break;
        }
        keep.insert(i);
    }
}
