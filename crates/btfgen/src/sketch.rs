//! The canonical form of a candidate: what the relocations can see of it, and nothing else.
//!
//! A sketch is a tree along the paths of the relocations that matched. Every relocation adds the facts that its outcome
//! depends on: an offset, a size, a sign, the value of an enumerator. What no relocation can see is chosen by rule
//! (no name, offset 0, the least size), not copied: so kernels that give the same outcomes give the same tree.
//!
//! * Modifiers and typedefs are gone; libbpf looks through them.
//! * Anonymous members are flattened: libbpf finds a field through any number of them.
//! * Every path has a struct of its own, with no name: only the sum of the offsets along a path can be seen, so
//!   intermediate ones stay 0 unless something asks for them.
//! * Members are in the order of their names.
//!
//! Such a struct may have members out of order or overlapping. libbpf and BTF readers do not mind; only a kernel would,
//! and none is ever given this BTF. `type_matches` relocations see too much for a sketch: see [`literal`](crate::literal).

use btfgen_libbpf::{Btf, Kind, ReloKind, Resolution, Type, TypeId, essential_name};

use crate::outcome::{Answer, Cell};

mod write;

pub(crate) use write::SketchWriter;

/// What can be seen of one candidate.
#[derive(Debug)]
pub(crate) struct Sketch {
    name: Vec<u8>,
    typedef: bool,
    root: Node,
}

/// What can be seen of one type at one place. A fact that nothing asked for is `None`.
#[derive(Debug, Default)]
struct Node {
    shape: Shape,
    /// Size in bytes.
    size: Option<u32>,
    /// Encoding bits of an int, or 1 for a signed enum.
    encoding: Option<u8>,
    members: Vec<Member>,
    /// Names and, where asked for, values.
    enumerators: Vec<(Vec<u8>, Option<u64>)>,
    /// Parameters of a prototype.
    params: Vec<Self>,
    /// Element of an array, target of a pointer, result of a prototype.
    inner: Option<Box<Self>>,
    /// Length of an array.
    len: Option<u32>,
    /// The least length that holds the elements that were found.
    min_len: u32,
}

/// What libbpf tells types apart by when it compares fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Shape {
    #[default]
    Void,
    /// With the bit offset, which makes old compilers' bitfield types incomparable.
    Int(u32),
    Ptr,
    Float,
    Enum,
    /// Whether it is a union shows only where types are compared as a whole.
    Composite {
        union: bool,
    },
    Array,
    Fwd {
        name: Vec<u8>,
        union: bool,
    },
    FuncProto,
}

#[derive(Debug)]
struct Member {
    name: Vec<u8>,
    node: Node,
    /// Offset in bits from the enclosing named struct.
    offset: u32,
    /// The offset can be seen.
    pinned: bool,
    /// Width in bits, if it is a bitfield and that can be seen.
    bits: Option<u32>,
}

/// What is shared by the sketches of one kernel.
#[derive(Debug)]
pub(crate) struct Sketcher<'b> {
    btf: &'b Btf,
    /// Some pointer's size can be seen.
    pub(crate) pointer_size: bool,
}

/// What one relocation asks at the end of its path.
struct Ask<'a> {
    kind: ReloKind,
    resolution: &'a Resolution,
    bit_offset: u32,
    /// libbpf compares the offsets of several candidates, whatever the relocation asks for.
    pin: bool,
}

/// Which facts about the enclosing member a relocation needs.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    pinned: bool,
    bits: bool,
}

impl<'b> Sketcher<'b> {
    pub(crate) fn new(btf: &'b Btf) -> Self {
        Self {
            btf,
            pointer_size: false,
        }
    }

    /// Sketches a candidate from its answers; `several` if it is not the only one of its root.
    pub(crate) fn sketch<'c>(
        &mut self,
        candidate: TypeId,
        cells: impl Iterator<Item = (ReloKind, &'c Cell)>,
        several: bool,
    ) -> Option<Sketch> {
        let outer = self.btf.type_by_id(candidate)?;
        let ty = self.btf.skip_modifiers_and_typedefs(candidate)?;
        let mut root = Node::default();
        root.touch(ty);
        root.see_union(ty);
        for (kind, cell) in cells {
            let Answer::Match(resolution) = &cell.answer else {
                continue;
            };
            let ask = Ask {
                kind,
                resolution,
                bit_offset: cell.bit_offset,
                pin: several,
            };
            match cell.path.split_first() {
                None => {
                    self.whole_type(&mut root, ty)?;
                    if kind == ReloKind::TypeSize {
                        self.see_size(&mut root, ty)?;
                    }
                }
                Some((&first, _)) if kind.is_enumval() => {
                    let e = *ty.enumerators().get(first as usize)?;
                    root.see_enumerator(
                        essential_name(e.name),
                        (kind == ReloKind::EnumvalValue).then_some(e.value),
                    );
                }
                Some((&first, path)) => {
                    if first > 0 {
                        self.see_size(&mut root, ty)?;
                    }
                    self.walk(&mut root, ty, path, &ask)?;
                }
            }
        }
        Some(Sketch {
            name: essential_name(outer.name()).to_vec(),
            typedef: outer.kind() == Kind::Typedef,
            root,
        })
    }

    fn skip(&self, id: TypeId) -> Option<Type<'b>> {
        self.btf.skip_modifiers_and_typedefs(id)
    }

    /// Follows a path down from a type, and adds what is asked for at its end.
    fn walk(&mut self, node: &mut Node, ty: Type<'b>, path: &[u32], ask: &Ask<'_>) -> Option<Seen> {
        let Some((&index, rest)) = path.split_first() else {
            return self.end(node, ty, 0, ask);
        };
        if let Some(array) = ty.array() {
            node.min_len = node.min_len.max(index.saturating_add(1));
            let element = self.skip(array.element)?;
            let inner = node.inner(element);
            if index > 0 {
                self.see_size(inner, element)?;
            }
            let mut seen = self.walk(inner, element, rest, ask)?;
            // Where elements are counted, the array cannot lend its offset to what is in them.
            seen.pinned |= index > 0;
            return Some(seen);
        }
        let (member, offset, rest) = self.named_member(ty, path)?;
        let member_ty = self.skip(member.ty)?;
        let slot = node.member(member.name, offset, member_ty);
        let seen = if rest.is_empty() {
            self.end(&mut slot.node, member_ty, member.bitfield_size, ask)?
        } else {
            self.walk(&mut slot.node, member_ty, rest, ask)?
        };
        slot.pinned |= seen.pinned;
        if seen.bits {
            slot.bits = Some(member.bitfield_size);
        }
        Some(Seen::default())
    }

    /// The first named member on a path, its offset in bits, and the rest of the path.
    fn named_member<'p>(
        &self,
        mut ty: Type<'b>,
        mut path: &'p [u32],
    ) -> Option<(btfgen_libbpf::Member<'b>, u32, &'p [u32])> {
        let mut offset = 0_u32;
        loop {
            let (&index, rest) = path.split_first()?;
            let member = ty.members().nth(index as usize)?;
            offset = offset.checked_add(member.bit_offset)?;
            if !member.name.is_empty() {
                return Some((member, offset, rest));
            }
            ty = self.skip(member.ty)?;
            path = rest;
        }
    }

    /// What the outcome of a field relocation depends on (`bpf_core_calc_field_relo`).
    fn end(&mut self, node: &mut Node, ty: Type<'b>, bits: u32, ask: &Ask<'_>) -> Option<Seen> {
        let mut seen = Seen {
            pinned: ask.pin,
            bits: false,
        };
        let bitfield = bits > 0;
        match ask.kind {
            ReloKind::FieldByteOffset | ReloKind::FieldByteSize | ReloKind::FieldLshiftU64
                if bitfield =>
            {
                // Computed from offset, width and the type's size together; on a big-endian host another way
                // than here, but from the same three.
                node.size = Some(ty.size());
                seen = Seen {
                    pinned: true,
                    bits: true,
                };
            }
            ReloKind::FieldRshiftU64 if bitfield => {
                node.size = Some(ty.size());
                seen.bits = true;
            }
            ReloKind::FieldByteOffset => {
                seen.pinned = true;
                let resized = ask.resolution.size != ask.resolution.local_size;
                self.see_element(node, ty, resized)?;
            }
            ReloKind::FieldByteSize | ReloKind::FieldRshiftU64 => self.see_size(node, ty)?,
            ReloKind::FieldLshiftU64 => {
                self.see_size(node, ty)?;
                // The value is the size alone, but for fields of old compilers' bitfield types.
                seen.pinned |= !ask.bit_offset.is_multiple_of(8);
            }
            ReloKind::FieldSigned => node.encoding = Some(encoding(ty)),
            ReloKind::FieldExists
            | ReloKind::TypeIdLocal
            | ReloKind::TypeIdTarget
            | ReloKind::TypeExists
            | ReloKind::TypeSize
            | ReloKind::TypeMatches
            | ReloKind::EnumvalExists
            | ReloKind::EnumvalValue => {}
        }
        Some(seen)
    }

    /// The size of a field, or of an array's innermost element: what a load is resized to.
    fn see_element(&mut self, node: &mut Node, ty: Type<'b>, resized: bool) -> Option<()> {
        if let Some(array) = ty.array() {
            let element = self.skip(array.element)?;
            return self.see_element(node.inner(element), element, resized);
        }
        self.see_size(node, ty)?;
        if resized && ty.kind() == Kind::Int {
            // Only unsigned integers may be resized.
            node.encoding = Some(encoding(ty));
        }
        Some(())
    }

    fn see_size(&mut self, node: &mut Node, ty: Type<'b>) -> Option<()> {
        if let Some(array) = ty.array() {
            node.len = Some(array.len);
            let element = self.skip(array.element)?;
            return self.see_size(node.inner(element), element);
        }
        match ty.kind() {
            Kind::Ptr => self.pointer_size = true,
            _ => node.size = Some(ty.size()),
        }
        Some(())
    }

    /// What `__bpf_core_types_are_compat` sees: kinds, down to the first structs.
    fn whole_type(&mut self, node: &mut Node, ty: Type<'b>) -> Option<()> {
        node.see_union(ty);
        match ty.kind() {
            Kind::Ptr => {
                let to = self.skip(ty.referenced())?;
                self.whole_type(node.inner(to), to)
            }
            Kind::Array => {
                let element = self.skip(ty.array()?.element)?;
                self.whole_type(node.inner(element), element)
            }
            Kind::FuncProto => {
                node.params.resize_with(ty.len(), Node::default);
                for (slot, param) in node.params.iter_mut().zip(ty.params()) {
                    let param = self.skip(param.ty)?;
                    slot.touch(param);
                    self.whole_type(slot, param)?;
                }
                let result = self.skip(ty.referenced())?;
                self.whole_type(node.inner(result), result)
            }
            _ => Some(()),
        }
    }
}

/// The part of an int's or enum's encoding that libbpf looks at.
fn encoding(ty: Type<'_>) -> u8 {
    match ty.kind() {
        // "Signed" is tested as a bit in one place and as the only bit in another.
        Kind::Int => match ty.int_encoding() {
            e if e & 1 == 0 => 0,
            1 => 1,
            _ => 3,
        },
        Kind::Enum | Kind::Enum64 => u8::from(ty.kind_flag()),
        _ => 0,
    }
}

impl Node {
    fn touch(&mut self, ty: Type<'_>) {
        if self.shape != Shape::Void {
            return;
        }
        self.shape = match ty.kind() {
            Kind::Int => Shape::Int(ty.int_offset()),
            Kind::Ptr => Shape::Ptr,
            Kind::Float => Shape::Float,
            Kind::Enum | Kind::Enum64 => Shape::Enum,
            Kind::Struct | Kind::Union => Shape::Composite { union: false },
            Kind::Array => Shape::Array,
            Kind::Fwd => Shape::Fwd {
                name: essential_name(ty.name()).to_vec(),
                union: ty.kind_flag(),
            },
            Kind::FuncProto => Shape::FuncProto,
            // libbpf matches nothing with the others.
            Kind::Void
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::Var
            | Kind::Datasec
            | Kind::DeclTag
            | Kind::TypeTag => Shape::Void,
        };
    }

    fn see_union(&mut self, ty: Type<'_>) {
        if let Shape::Composite { union } = &mut self.shape {
            *union = ty.kind() == Kind::Union;
        }
    }

    fn inner(&mut self, ty: Type<'_>) -> &mut Self {
        let inner = self.inner.get_or_insert_default();
        inner.touch(ty);
        inner
    }

    fn member(&mut self, name: &[u8], offset: u32, ty: Type<'_>) -> &mut Member {
        let at = match self
            .members
            .binary_search_by(|m| m.name.as_slice().cmp(name))
        {
            Ok(at) => at,
            Err(at) => {
                let mut node = Self::default();
                node.touch(ty);
                let member = Member {
                    name: name.to_vec(),
                    node,
                    offset,
                    pinned: false,
                    bits: None,
                };
                self.members.insert(at, member);
                at
            }
        };
        &mut self.members[at]
    }

    fn see_enumerator(&mut self, name: &[u8], value: Option<u64>) {
        match self
            .enumerators
            .binary_search_by(|(n, _)| n.as_slice().cmp(name))
        {
            Ok(at) => self.enumerators[at].1 = self.enumerators[at].1.or(value),
            Err(at) => self.enumerators.insert(at, (name.to_vec(), value)),
        }
    }

    /// Whether the size, hence everything within, is the kernel's.
    fn has_real_size(&self) -> bool {
        match self.shape {
            Shape::Array => {
                self.len.is_some() && self.inner.as_ref().is_some_and(|i| i.has_real_size())
            }
            _ => self.size.is_some(),
        }
    }
}
