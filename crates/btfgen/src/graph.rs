//! Makes the types to write from the visible part of a kernel's types.

use std::collections::{BTreeMap, BTreeSet};

use btfgen_btf::{Btf, Composer, Enumerator, Kind, Member, Node, Record, Reserved, Type, TypeId};

use crate::visible::{Part, Visible};

/// The bytes of a type that only refers to another type.
const TYPE_LEN: usize = 12;

/// The bytes of an enumerator without its name.
const ENUMERATOR_LEN: usize = 8;

/// A reference to another type; `None` is void.
type Reference = Option<Node>;

/// The types to write.
pub(crate) struct Graph<'v, 'b> {
    btf: &'b Btf<'b>,
    visible: &'v Visible<'b>,
    types: Composer<'b>,
    by_id: BTreeMap<TypeId, Node>,
    /// Modifiers and typedefs that are left out.
    left_out: BTreeSet<TypeId>,
}

impl<'v, 'b> Graph<'v, 'b> {
    pub(crate) fn new(btf: &'b Btf<'b>, visible: &'v Visible<'b>) -> Self {
        Self {
            btf,
            visible,
            types: Composer::new(),
            by_id: BTreeMap::new(),
            left_out: BTreeSet::new(),
        }
    }

    /// A candidate: the type itself, or a typedef of it.
    pub(crate) fn candidate(&mut self, id: TypeId) -> Result<Node, String> {
        let outer = self.type_by_id(id)?;
        if outer.kind() != Kind::Typedef {
            return self.node(self.skip(id)?);
        }
        self.alias(outer)
    }

    /// Writes the integer whose size loaders take for the size of a pointer, ahead of all others that they would take for it.
    pub(crate) fn place_long(&mut self) -> Result<(), String> {
        let long = self.btf.types().find(|ty| ty.long_size().is_some());
        let long = self.node(long.ok_or("no integer gives the size of a pointer")?)?;
        self.types.place_first(long);
        Ok(())
    }

    /// Whether an integer is written that loaders could take for another size of a pointer than this one.
    pub(crate) fn has_other_long(&self, size: u32) -> bool {
        let types = self.by_id.keys().filter_map(|&id| self.btf.type_by_id(id));
        let mut sizes = types.filter_map(|ty| ty.long_size());
        sizes.any(|other| other != size)
    }

    /// Keeps equal types apart, in their order.
    pub(crate) fn keep_apart(&mut self, nodes: &[Node]) {
        self.types.keep_apart(nodes);
    }

    /// Writes all types, the candidates last. `asked` has the names that the needs ask for. Each name has a place among the
    /// strings even if this kernel lacks it, as long as the file does not get larger than bpftool's.
    pub(crate) fn write(
        &self,
        asked: &BTreeSet<Vec<u8>>,
        candidates: &[Node],
    ) -> Result<Vec<u8>, String> {
        let reserved = Reserved {
            names: Some(asked),
            budget: self.spare(),
        };
        let bytes = self
            .types
            .write(self.btf.byte_order(), candidates, &reserved);
        bytes.map_err(|e| e.to_string())
    }

    fn type_by_id(&self, id: TypeId) -> Result<Type<'b>, String> {
        let ty = self.btf.type_by_id(id);
        ty.ok_or_else(|| no_type(id))
    }

    fn skip(&self, id: TypeId) -> Result<Type<'b>, String> {
        let ty = self.btf.skip_modifiers_and_typedefs(id);
        ty.ok_or_else(|| no_type(id))
    }

    /// The type that an id refers to. Modifiers and typedefs on the way are left out. Those of an old compiler's bitfield
    /// stay, because cilium/ebpf takes the int for a bitfield only if a member names it directly.
    fn reference(&mut self, id: TypeId) -> Result<Reference, String> {
        let ty = self.skip(id)?;
        if is_bitfield(ty) && ty.id() != id {
            let outer = self.type_by_id(id)?;
            return self.alias(outer).map(Some);
        }
        let mut outer = id;
        while outer != ty.id() && self.left_out.insert(outer) {
            let next = self.type_by_id(outer)?.referenced();
            outer = next.ok_or_else(|| no_type(outer))?;
        }
        self.node_or_void(ty)
    }

    /// A typedef or modifier, without further ones behind it.
    fn alias(&mut self, outer: Type<'b>) -> Result<Node, String> {
        if let Some(&node) = self.by_id.get(&outer.id()) {
            return Ok(node);
        }
        let node = self.declare(outer);
        let inner = self.skip(outer.id())?;
        let inner = self.node_or_void(inner)?;
        let record = Record::Alias(outer.kind(), outer.name(), inner);
        self.types.define(node, record);
        Ok(node)
    }

    /// Declares a type before the types that it refers to, because a struct may have a pointer to itself.
    fn declare(&mut self, ty: Type<'b>) -> Node {
        let node = self.types.declare();
        self.by_id.insert(ty.id(), node);
        node
    }

    fn node_or_void(&mut self, ty: Type<'b>) -> Result<Reference, String> {
        match ty.kind() {
            Kind::Void => Ok(None),
            _ => self.node(ty).map(Some),
        }
    }

    fn node(&mut self, ty: Type<'b>) -> Result<Node, String> {
        if let Some(&node) = self.by_id.get(&ty.id()) {
            return Ok(node);
        }
        let node = self.declare(ty);
        let nothing = Part::default();
        let part = self.visible.part(ty.id()).unwrap_or(&nothing);
        let record = self.record(ty, part)?;
        self.types.define(node, record);
        Ok(node)
    }

    fn record(&mut self, ty: Type<'b>, part: &Part) -> Result<Record<'b, Reference>, String> {
        let name = ty.name();
        let size = ty.size().unwrap_or_default();
        Ok(match ty.kind() {
            Kind::Int => {
                let int = ty.int().ok_or_else(|| no_type(ty.id()))?;
                Record::Int {
                    name,
                    size,
                    encoding: int.encoding,
                    offset: int.offset,
                    bits: int.bits,
                }
            }
            Kind::Float => Record::Float(name, size),
            Kind::Fwd => Record::Fwd(name, ty.kind_flag()),
            Kind::Ptr => match ty.referenced().filter(|_| part.target) {
                Some(target) => Record::Ptr(self.reference(target)?),
                None => Record::Ptr(None),
            },
            Kind::Array => {
                let array = ty.array().ok_or_else(|| no_type(ty.id()))?;
                let element = self.reference(array.element)?;
                Record::Array(element, self.reference(array.index)?, array.len)
            }
            Kind::FuncProto => {
                let params = ty.params().map(|param| self.reference(param));
                let params = params.collect::<Result<_, _>>()?;
                let result = ty.referenced().ok_or_else(|| no_type(ty.id()))?;
                Record::FuncProto(params, self.reference(result)?)
            }
            Kind::Enum | Kind::Enum64 => {
                let kept = part.members.iter().filter_map(|&i| ty.enumerator(i));
                Record::Enum {
                    name,
                    size,
                    signed: ty.kind_flag(),
                    wide: ty.kind() == Kind::Enum64,
                    enumerators: kept.collect(),
                }
            }
            Kind::Struct | Kind::Union => {
                let kept = part.members.iter().filter_map(|&i| ty.member(i));
                let end = kept.clone().map(|m| self.end(&m)).max().unwrap_or_default();
                let members = kept.map(|m| {
                    Ok(Member {
                        name: m.name,
                        ty: self.reference(m.ty)?,
                        bit_offset: m.bit_offset,
                        bitfield_size: m.bitfield_size,
                    })
                });
                Record::Composite {
                    kind: ty.kind(),
                    name,
                    members: members.collect::<Result<_, String>>()?,
                    size: match u32::try_from(end) {
                        Ok(end) if !part.size => end.min(size),
                        _ => size,
                    },
                }
            }
            // These kinds were skipped before, or libbpf never matches them.
            Kind::Void
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::Var
            | Kind::Datasec
            | Kind::DeclTag
            | Kind::TypeTag
            | Kind::Unknown => {
                return Err(format!("type [{}] cannot be the type of a field", ty.id()));
            }
        })
    }

    /// The end of a member, in bytes.
    fn end(&self, member: &Member<'b>) -> u64 {
        let bits = match member.bitfield_size {
            0 => u64::from(self.btf.resolve_size(member.ty).unwrap_or(0)) * 8,
            bits => bits.into(),
        };
        (u64::from(member.bit_offset) + bits).div_ceil(8)
    }

    /// The bytes that this saves compared with bpftool's files: modifiers, typedefs and enumerators are left out, and all
    /// pointers to nothing are one.
    fn spare(&self) -> usize {
        let is_pointer = |record: &&Record<'_, Reference>| matches!(record, Record::Ptr(None));
        let pointers = self.types.records().filter(is_pointer).count();
        // One that is a candidate elsewhere is written.
        let left_out = self
            .left_out
            .iter()
            .filter(|id| !self.by_id.contains_key(id));
        let left_out: Vec<Type<'_>> = left_out.filter_map(|&id| self.btf.type_by_id(id)).collect();
        let mut names: BTreeSet<&[u8]> = left_out.iter().map(Type::name).collect();
        let mut count = 0;
        for (&id, &node) in &self.by_id {
            let Some(Record::Enum { enumerators, .. }) = self.types.record(node) else {
                continue;
            };
            let all = self.btf.type_by_id(id).into_iter();
            let is_left_out = |e: &Enumerator<'_>| !enumerators.contains(e);
            for e in all.flat_map(|ty| ty.enumerators()).filter(is_left_out) {
                count += 1;
                names.insert(e.name);
            }
        }
        let written: BTreeSet<&[u8]> = self.types.records().flat_map(Record::names).collect();
        let names = names.difference(&written).filter(|name| !name.is_empty());
        let names = names.map(|name| name.len() + 1);
        (left_out.len() + pointers.saturating_sub(1)) * TYPE_LEN
            + count * ENUMERATOR_LEN
            + names.sum::<usize>()
    }
}

fn is_bitfield(ty: Type<'_>) -> bool {
    let (size, int) = (ty.size().unwrap_or_default(), ty.int());
    int.is_some_and(|int| int.offset > 0 || u32::from(int.bits) != size.saturating_mul(8))
}

fn no_type(id: TypeId) -> String {
    format!("type [{id}] is missing or endless")
}
