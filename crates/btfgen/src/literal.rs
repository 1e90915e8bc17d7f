//! The literal form of a candidate: its own types, less the members that no relocation names.
//!
//! `type_matches` compares whole types, with names, nesting and the sizes of integers, so a candidate it is asked of is
//! copied instead of sketched (modifiers and typedefs apart, which libbpf looks through even here). What it does not see
//! is left out where nothing else asks for it: offsets, the sizes of structs, the values of enumerators. It is also the
//! way out should a [sketch](crate::sketch) ever fail to prove itself.
//!
//! Types are marked first, then written, each once: a type that is reached by its name in one place and is a root in
//! another must not become two candidates.

use std::collections::{BTreeMap, BTreeSet};

use btfgen_libbpf::{Btf, Kind, ReloKind, Type, TypeId, essential_name};

use crate::outcome::{Answer, Cell};
use crate::writer::{MemberRecord, Record, Writer};

/// Types to copy, by id; each with the members or enumerators to keep.
#[derive(Debug, Clone)]
pub(crate) struct Literal<'b> {
    btf: &'b Btf,
    kept: BTreeMap<TypeId, BTreeSet<u32>>,
    /// Structs whose offsets and size can be seen, and enums whose values can.
    laid_out: BTreeSet<TypeId>,
    /// Pointers whose target is kept; the others point to void.
    targets: BTreeSet<TypeId>,
    written: BTreeMap<TypeId, TypeId>,
    pointer_size: bool,
}

impl<'b> Literal<'b> {
    pub(crate) fn new(btf: &'b Btf) -> Self {
        Self {
            btf,
            kept: BTreeMap::new(),
            laid_out: BTreeSet::new(),
            targets: BTreeSet::new(),
            written: BTreeMap::new(),
            pointer_size: false,
        }
    }

    /// Marks what one relocation of local type `local` sees of a candidate, whether it matched or not.
    pub(crate) fn mark(
        &mut self,
        local_btf: &Btf,
        local: TypeId,
        kind: ReloKind,
        candidate: TypeId,
        cell: &Cell,
    ) -> Option<()> {
        let ty = self.skip(candidate)?;
        self.keep(ty);
        if kind == ReloKind::TypeMatches {
            return self.mark_match(local_btf, local, ty, false);
        }
        if !matches!(cell.answer, Answer::Match(_)) {
            return Some(());
        }
        match cell.path.split_first() {
            None => {
                if kind == ReloKind::TypeSize {
                    self.mark_path(ty, &[])?;
                }
                self.mark_whole(ty)
            }
            Some((&first, _)) if kind.is_enumval() => {
                self.laid_out.insert(ty.id());
                self.kept.entry(ty.id()).or_default().insert(first);
                Some(())
            }
            Some((_, path)) => self.mark_path(ty, path),
        }
    }

    /// Names of the types that are to be written: a root of such a name must be written here too.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'b [u8]> {
        self.kept
            .keys()
            .filter_map(|&id| self.btf.type_by_id(id))
            .map(|ty| essential_name(ty.name()))
            .filter(|name| !name.is_empty())
    }

    /// Writes a candidate and all that it refers to.
    pub(crate) fn write(&mut self, candidate: TypeId, writer: &mut Writer) -> Result<(), String> {
        let no_type = || format!("type [{candidate}] has no end");
        let outer = self.btf.type_by_id(candidate).ok_or_else(no_type)?;
        let ty = self.skip(candidate).ok_or_else(no_type)?;
        if outer.kind() == Kind::Typedef {
            let id = self.write_type(ty, writer)?;
            writer.intern(&Record::Typedef(outer.name(), id))?;
        } else {
            self.write_type(ty, writer)?;
        }
        Ok(())
    }

    /// Whether the size of pointers can be seen in what was marked.
    pub(crate) fn pointer_size(&self) -> bool {
        self.pointer_size
    }

    fn skip(&self, id: TypeId) -> Option<Type<'b>> {
        self.btf.skip_modifiers_and_typedefs(id)
    }

    fn keep(&mut self, ty: Type<'b>) {
        self.pointer_size |= ty.kind() == Kind::Ptr;
        self.kept.entry(ty.id()).or_default();
    }

    /// A field's type, without what is in it.
    fn keep_field(&mut self, ty: Type<'b>) -> Option<()> {
        self.keep(ty);
        match ty.array() {
            Some(array) => self.keep_field(self.skip(array.element)?),
            None => Some(()),
        }
    }

    /// What a relocation of a field sees, its offset and size among them.
    fn mark_path(&mut self, ty: Type<'b>, path: &[u32]) -> Option<()> {
        self.keep(ty);
        self.laid_out.insert(ty.id());
        if let Some(array) = ty.array() {
            let rest = path.get(1..).unwrap_or_default();
            return self.mark_path(self.skip(array.element)?, rest);
        }
        let Some((&index, rest)) = path.split_first() else {
            return Some(());
        };
        let member = ty.members().nth(index as usize)?;
        self.kept.entry(ty.id()).or_default().insert(index);
        self.mark_path(self.skip(member.ty)?, rest)
    }

    /// What `__bpf_core_types_are_compat` walks.
    fn mark_whole(&mut self, ty: Type<'b>) -> Option<()> {
        self.keep(ty);
        match ty.kind() {
            Kind::Ptr => {
                self.targets.insert(ty.id());
                self.mark_whole(self.skip(ty.referenced())?)
            }
            Kind::Array => self.mark_whole(self.skip(ty.array()?.element)?),
            Kind::FuncProto => {
                for p in ty.params() {
                    self.mark_whole(self.skip(p.ty)?)?;
                }
                self.mark_whole(self.skip(ty.referenced())?)
            }
            _ => Some(()),
        }
    }

    /// What `__bpf_core_types_match` walks, along both types.
    fn mark_match(
        &mut self,
        local_btf: &Btf,
        local: TypeId,
        ty: Type<'b>,
        behind_ptr: bool,
    ) -> Option<()> {
        let local = local_btf.skip_modifiers_and_typedefs(local)?;
        self.keep(ty);
        match (local.kind(), ty.kind()) {
            (Kind::Ptr, Kind::Ptr) => {
                self.targets.insert(ty.id());
                let to = self.skip(ty.referenced())?;
                self.mark_match(local_btf, local.referenced(), to, true)
            }
            (Kind::Array, Kind::Array) => {
                let element = self.skip(ty.array()?.element)?;
                self.mark_match(local_btf, local.array()?.element, element, behind_ptr)
            }
            (Kind::FuncProto, Kind::FuncProto) => {
                // The number of parameters counts even where they are not compared.
                self.mark_whole(ty)?;
                for (l, t) in local.params().zip(ty.params()) {
                    self.mark_match(local_btf, l.ty, self.skip(t.ty)?, behind_ptr)?;
                }
                let result = self.skip(ty.referenced())?;
                self.mark_match(local_btf, local.referenced(), result, behind_ptr)
            }
            (Kind::Struct | Kind::Union, Kind::Struct | Kind::Union) if !behind_ptr => {
                self.mark_members(local_btf, local, ty)
            }
            (Kind::Enum | Kind::Enum64, Kind::Enum | Kind::Enum64) => {
                let asked: BTreeSet<&[u8]> = local
                    .enumerators()
                    .iter()
                    .map(|e| essential_name(e.name))
                    .collect();
                let mut keep: BTreeSet<u32> = (0_u32..)
                    .zip(ty.enumerators())
                    .filter(|(_, e)| asked.contains(essential_name(e.name)))
                    .map(|(i, _)| i)
                    .collect();
                fill_up(&mut keep, local.len(), ty.len());
                self.kept.entry(ty.id()).or_default().append(&mut keep);
                Some(())
            }
            // Compared by kind, name and size, or not at all.
            _ => Some(()),
        }
    }

    fn mark_members(&mut self, local_btf: &Btf, local: Type<'_>, ty: Type<'b>) -> Option<()> {
        let mut keep = BTreeSet::new();
        for l in local.members() {
            for (i, t) in (0_u32..).zip(ty.members()) {
                if essential_name(l.name) == essential_name(t.name) {
                    keep.insert(i);
                    self.mark_match(local_btf, l.ty, self.skip(t.ty)?, false)?;
                }
            }
        }
        fill_up(&mut keep, local.len(), ty.len());
        for &i in &keep {
            let member = ty.members().nth(i as usize)?;
            self.keep_field(self.skip(member.ty)?)?;
        }
        self.kept.entry(ty.id()).or_default().append(&mut keep);
        Some(())
    }

    fn reference(&mut self, id: TypeId, writer: &mut Writer) -> Result<TypeId, String> {
        let ty = self
            .skip(id)
            .ok_or_else(|| format!("type [{id}] has no end"))?;
        self.write_type(ty, writer)
    }

    fn write_type(&mut self, ty: Type<'b>, writer: &mut Writer) -> Result<TypeId, String> {
        if ty.kind() == Kind::Void {
            return Ok(TypeId::VOID);
        }
        if let Some(&id) = self.written.get(&ty.id()) {
            return Ok(id);
        }
        // Ahead of its content: a struct may hold a pointer to itself.
        let id = writer.reserve();
        self.written.insert(ty.id(), id);
        let name = ty.name();
        let laid_out = self.laid_out.contains(&ty.id());
        match ty.kind() {
            Kind::Int => {
                let int = Record::Int(name, ty.size(), ty.int_encoding(), ty.int_offset());
                writer.fill(id, &int)?;
            }
            Kind::Float => writer.fill(id, &Record::Float(name, ty.size()))?,
            Kind::Fwd => writer.fill(id, &Record::Fwd(name, ty.kind_flag()))?,
            Kind::Ptr => {
                let to = if self.targets.contains(&ty.id()) {
                    self.reference(ty.referenced(), writer)?
                } else {
                    TypeId::VOID
                };
                writer.fill(id, &Record::Ptr(to))?;
            }
            Kind::Array => {
                let array = ty.array().ok_or("an array without a length")?;
                let element = self.reference(array.element, writer)?;
                writer.fill(id, &Record::Array(element, array.len))?;
            }
            Kind::FuncProto => {
                let mut params = Vec::with_capacity(ty.len());
                for p in ty.params() {
                    params.push(self.reference(p.ty, writer)?);
                }
                let result = self.reference(ty.referenced(), writer)?;
                writer.fill(id, &Record::FuncProto(&params, result))?;
            }
            Kind::Enum | Kind::Enum64 => {
                let kept = self.kept.get(&ty.id()).cloned().unwrap_or_default();
                let all = ty.enumerators();
                let enumerators: Vec<_> = kept
                    .iter()
                    .filter_map(|&i| all.get(i as usize))
                    .map(|e| (e.name, if laid_out { e.value } else { 0 }))
                    .collect();
                let record = Record::Enum(name, ty.size(), ty.kind_flag(), &enumerators);
                writer.fill(id, &record)?;
            }
            Kind::Struct | Kind::Union => {
                let kept = self.kept.get(&ty.id()).cloned().unwrap_or_default();
                let mut members = Vec::with_capacity(kept.len());
                for (_, m) in (0_u32..)
                    .zip(ty.members())
                    .filter(|(i, _)| kept.contains(i))
                {
                    members.push(MemberRecord {
                        name: m.name,
                        ty: self.reference(m.ty, writer)?,
                        bit_offset: if laid_out { m.bit_offset } else { 0 },
                        bitfield_size: if laid_out { m.bitfield_size } else { 0 },
                    });
                }
                let union = ty.kind() == Kind::Union;
                let size = if laid_out { ty.size() } else { 0 };
                let record = Record::Composite(name, union, size, &members);
                writer.fill(id, &record)?;
            }
            // Skipped before, or never matched by libbpf.
            Kind::Void
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::Var
            | Kind::Datasec
            | Kind::DeclTag
            | Kind::TypeTag => return Err(format!("type [{}] cannot be a field's", ty.id())),
        }
        Ok(id)
    }
}

/// libbpf compares the number of members before it looks at any: keep as many as the local type has, if there are.
fn fill_up(keep: &mut BTreeSet<u32>, local: usize, target: usize) {
    let wanted = local.min(target);
    for i in (0_u32..).take(target) {
        if keep.len() >= wanted {
            break;
        }
        keep.insert(i);
    }
}
