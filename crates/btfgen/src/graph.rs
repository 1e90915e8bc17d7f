//! The types of a minimal BTF, and what they refer to. Equal types are one: a kernel has many types several times, where
//! deduplication saw a difference behind some pointer that is not followed here.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

use btfgen_libbpf::{Btf, Kind, Type, TypeId};

use crate::visible::Visible;
use crate::writer::{MemberRecord, Record, Writer};

/// Bytes of a type that only refers to another one.
const TYPE_LEN: usize = 12;

/// Bytes of an enumerator without its name.
const ENUMERATOR_LEN: usize = 8;

/// A type without what it refers to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Shape<'b> {
    kind: Kind,
    name: &'b [u8],
    flag: bool,
    /// In bytes; of an array its length.
    size: u32,
    /// Of an int: encoding, bit offset, width in bits.
    int: (u8, u32, u8),
    /// Of a struct or union: names, offsets and widths in bits.
    members: Vec<(&'b [u8], u32, u32)>,
    enumerators: Vec<(&'b [u8], u64)>,
    /// Types of the same content that must not become one have different numbers.
    apart: u32,
}

/// The types to write, and what they refer to.
pub(crate) struct Graph<'v, 'b> {
    btf: &'b Btf,
    visible: &'v Visible<'b>,
    nodes: Vec<Node<'b>>,
    by_id: BTreeMap<TypeId, usize>,
    /// Modifiers and typedefs that are left out.
    left_out: BTreeSet<TypeId>,
}

struct Node<'b> {
    shape: Shape<'b>,
    /// `None` is void.
    references: Vec<Option<usize>>,
}

impl<'v, 'b> Graph<'v, 'b> {
    pub(crate) fn new(btf: &'b Btf, visible: &'v Visible<'b>) -> Self {
        Self {
            btf,
            visible,
            nodes: Vec::new(),
            by_id: BTreeMap::new(),
            left_out: BTreeSet::new(),
        }
    }

    /// The node of a candidate: the type itself, or a typedef of it.
    pub(crate) fn candidate(&mut self, id: TypeId) -> Result<usize, String> {
        let outer = self.btf.type_by_id(id).ok_or_else(|| no_type(id))?;
        if outer.kind() != Kind::Typedef {
            return self.node(self.skip(id)?);
        }
        self.alias(outer)
    }

    /// An integer whose size loaders take for that of pointers: `determine_ptr_size` of libbpf's btf.c.
    pub(crate) fn long(&mut self, size: u32) -> Result<usize, String> {
        let is_long = |name: &[u8]| {
            let mut words: Vec<&[u8]> = name.split(|&byte| byte == b' ').collect();
            words.sort_unstable();
            let words = words.join(&b' ');
            let in_order: [&[u8]; 4] =
                [b"long", b"int long", b"long unsigned", b"int long unsigned"];
            in_order.contains(&&*words)
        };
        let mut types = self.btf.ids().filter_map(|id| self.btf.type_by_id(id));
        let long =
            types.find(|ty| ty.kind() == Kind::Int && ty.size() == size && is_long(ty.name()));
        self.node(long.ok_or("no integer says how large pointers are")?)
    }

    /// Has equal nodes stay apart, in their order.
    pub(crate) fn keep_apart(&mut self, nodes: &[usize]) {
        for (n, &node) in (0_u32..).zip(nodes) {
            self.nodes[node].shape.apart = n;
        }
    }

    fn skip(&self, id: TypeId) -> Result<Type<'b>, String> {
        let ty = self.btf.skip_modifiers_and_typedefs(id);
        ty.ok_or_else(|| no_type(id))
    }

    /// What a type refers to; `None` for void. Modifiers and typedefs on the way are left out, but for those of an int that
    /// is an old compiler's bitfield: cilium/ebpf takes it for one only where a member names it directly.
    fn reference(&mut self, id: TypeId) -> Result<Option<usize>, String> {
        let ty = self.skip(id)?;
        let is_bitfield = ty.kind() == Kind::Int
            && (ty.int_offset() > 0 || u32::from(ty.int_bits()) != ty.size().saturating_mul(8));
        if is_bitfield && ty.id() != id {
            let outer = self.btf.type_by_id(id).ok_or_else(|| no_type(id))?;
            return self.alias(outer).map(Some);
        }
        let mut outer = id;
        while outer != ty.id() && self.left_out.insert(outer) {
            let next = self.btf.type_by_id(outer).ok_or_else(|| no_type(outer))?;
            outer = next.referenced();
        }
        match ty.kind() {
            Kind::Void => Ok(None),
            _ => self.node(ty).map(Some),
        }
    }

    /// A typedef or modifier, without others behind it.
    fn alias(&mut self, outer: Type<'b>) -> Result<usize, String> {
        if let Some(&node) = self.by_id.get(&outer.id()) {
            return Ok(node);
        }
        let node = self.add(outer, Shape::of(outer, 0));
        let inner = self.skip(outer.id())?;
        let inner = match inner.kind() {
            Kind::Void => None,
            _ => Some(self.node(inner)?),
        };
        self.nodes[node].references.push(inner);
        Ok(node)
    }

    fn add(&mut self, ty: Type<'b>, shape: Shape<'b>) -> usize {
        let node = self.nodes.len();
        // Ahead of what it refers to: a struct may hold a pointer to itself.
        self.by_id.insert(ty.id(), node);
        self.nodes.push(Node {
            shape,
            references: Vec::new(),
        });
        node
    }

    fn node(&mut self, ty: Type<'b>) -> Result<usize, String> {
        if let Some(&node) = self.by_id.get(&ty.id()) {
            return Ok(node);
        }
        let (part, nothing) = (self.visible.part(ty.id()), Default::default());
        let part = part.unwrap_or(&nothing);
        let mut shape = Shape::of(ty, ty.size());
        let mut references = Vec::new();
        match ty.kind() {
            Kind::Int | Kind::Float => {}
            Kind::Fwd => shape.size = 0,
            Kind::Ptr => {
                shape.size = 0;
                if part.target {
                    references.push(ty.referenced());
                } else {
                    references.push(TypeId::VOID);
                }
            }
            Kind::Array => {
                let array = ty.array().ok_or_else(|| no_type(ty.id()))?;
                shape.size = array.len;
                references.extend([array.element, array.index]);
            }
            Kind::FuncProto => {
                shape.size = 0;
                references.extend(ty.params().map(|p| p.ty));
                references.push(ty.referenced());
            }
            Kind::Enum | Kind::Enum64 => {
                let all = ty.enumerators();
                let kept = part.members.iter().filter_map(|&i| all.get(i as usize));
                shape.enumerators.extend(kept.map(|e| (e.name, e.value)));
            }
            Kind::Struct | Kind::Union => {
                let mut end = 0;
                for (i, m) in (0_u32..).zip(ty.members()) {
                    if !part.members.contains(&i) {
                        continue;
                    }
                    shape.members.push((m.name, m.bit_offset, m.bitfield_size));
                    references.push(m.ty);
                    let bits = match m.bitfield_size {
                        0 => u64::from(self.btf.resolve_size(m.ty).unwrap_or(0)) * 8,
                        bits => bits.into(),
                    };
                    end = end.max((u64::from(m.bit_offset) + bits).div_ceil(8));
                }
                if !part.size {
                    shape.size = u32::try_from(end).map_or(ty.size(), |end| end.min(ty.size()));
                }
                shape.flag = shape.members.iter().any(|(_, _, bits)| *bits > 0);
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
        let node = self.add(ty, shape);
        for id in references {
            let reference = self.reference(id)?;
            self.nodes[node].references.push(reference);
        }
        Ok(node)
    }

    /// The class of each node: equal content, and references to equal classes.
    fn classes(&self) -> Vec<usize> {
        let mut classes = numbered(self.nodes.iter().map(|node| &node.shape));
        let mut count = 0;
        loop {
            let refined = self.nodes.iter().zip(&classes).map(|(node, class)| {
                let references = node.references.iter();
                let to: Vec<Option<usize>> = references.map(|r| r.map(|r| classes[r])).collect();
                (*class, to)
            });
            let refined = numbered(refined);
            let now = refined.iter().max().map_or(0, |max| max + 1);
            if now == count {
                return refined;
            }
            (classes, count) = (refined, now);
        }
    }

    /// Writes all types: first what the candidates refer to, then the candidates, so that a kernel which lacks one numbers
    /// all else like its neighbours in the archive. `asked` are the names that are asked for.
    pub(crate) fn write(
        &self,
        asked: &BTreeSet<Vec<u8>>,
        candidates: &[usize],
    ) -> Result<Vec<u8>, String> {
        let classes = self.classes();
        let mut placed = BTreeSet::new();
        let mut last = candidates.to_vec();
        last.retain(|&node| placed.insert(classes[node]));
        let mut order = Vec::new();
        for &candidate in &last {
            self.place_below(candidate, &classes, &mut placed, &mut order);
        }
        order.extend(last);
        let ids: HashMap<usize, TypeId> = (1..)
            .zip(&order)
            .map(|(id, &node)| (classes[node], TypeId(id)))
            .collect();
        let shapes = order.iter().map(|&node| &self.nodes[node].shape);
        let names: BTreeSet<Vec<u8>> = shapes.flat_map(Shape::names).collect();
        let mut writer = Writer::new(self.btf.byte_order());
        // Names that are asked for have their places, whether this kernel has them or not: then a kernel that has one more or
        // one less refers to all others by the same offsets, which compresses well. It must not cost what bpftool's file
        // would not.
        let missing = asked.difference(&names).map(|name| name.len() + 1);
        if missing.sum::<usize>() <= self.spare() {
            for name in asked {
                if names.contains(name) {
                    writer.string(name);
                } else {
                    writer.gap(name.len() + 1);
                }
            }
        }
        for name in &names {
            writer.string(name);
        }
        for &node in &order {
            let Node { shape, references } = &self.nodes[node];
            let to = references.iter().map(|r| match r {
                Some(r) => ids[&classes[*r]],
                None => TypeId::VOID,
            });
            shape.write(&to.collect::<Vec<_>>(), &mut writer)?;
        }
        Ok(writer.finish())
    }

    /// How many bytes it saves, over bpftool's files, that modifiers, typedefs and enumerators are left out, and that all
    /// pointers to nothing are one.
    fn spare(&self) -> usize {
        let is_pointer = |node: &&Node<'_>| node.shape.kind == Kind::Ptr;
        let pointers = self.nodes.iter().filter(is_pointer).count();
        let left_out = self
            .left_out
            .iter()
            .filter_map(|&id| self.btf.type_by_id(id));
        let mut names: BTreeSet<&[u8]> = left_out.map(|ty| ty.name()).collect();
        let mut enumerators = 0;
        for (&id, &node) in &self.by_id {
            let kept = &self.nodes[node].shape.enumerators;
            let all = self.btf.type_by_id(id).map(|ty| ty.enumerators());
            for e in all.unwrap_or_default() {
                if !kept.contains(&(e.name, e.value)) {
                    enumerators += 1;
                    names.insert(e.name);
                }
            }
        }
        let names = names.into_iter().map(|name| name.len() + 1);
        (self.left_out.len() + pointers.saturating_sub(1)) * TYPE_LEN
            + enumerators * ENUMERATOR_LEN
            + names.sum::<usize>()
    }

    /// Places what a node refers to, the innermost first.
    fn place_below(
        &self,
        node: usize,
        classes: &[usize],
        placed: &mut BTreeSet<usize>,
        order: &mut Vec<usize>,
    ) {
        for &reference in self.nodes[node].references.iter().flatten() {
            if placed.insert(classes[reference]) {
                self.place_below(reference, classes, placed, order);
                order.push(reference);
            }
        }
    }
}

fn no_type(id: TypeId) -> String {
    format!("type [{id}] has no end")
}

/// The same number for equal values, in the order of their first appearance.
fn numbered<T: Hash + Eq>(values: impl Iterator<Item = T>) -> Vec<usize> {
    let mut numbers = HashMap::new();
    let number = |value| {
        let next = numbers.len();
        *numbers.entry(value).or_insert(next)
    };
    values.map(number).collect()
}

impl<'b> Shape<'b> {
    fn of(ty: Type<'b>, size: u32) -> Self {
        Self {
            kind: ty.kind(),
            name: ty.name(),
            flag: ty.kind_flag(),
            size,
            int: (ty.int_encoding(), ty.int_offset(), ty.int_bits()),
            members: Vec::new(),
            enumerators: Vec::new(),
            apart: 0,
        }
    }

    fn names(&self) -> impl Iterator<Item = Vec<u8>> {
        let members = self.members.iter().map(|(name, _, _)| *name);
        let enumerators = self.enumerators.iter().map(|(name, _)| *name);
        let names = [self.name].into_iter().chain(members).chain(enumerators);
        names.filter(|name| !name.is_empty()).map(<[u8]>::to_vec)
    }

    fn write(&self, to: &[TypeId], writer: &mut Writer) -> Result<(), String> {
        let one = to.first().copied().unwrap_or(TypeId::VOID);
        let members: Vec<MemberRecord<'_>>;
        let record = match self.kind {
            Kind::Int => Record::Int(self.name, self.size, self.int),
            Kind::Float => Record::Float(self.name, self.size),
            Kind::Fwd => Record::Fwd(self.name, self.flag),
            Kind::Array => {
                Record::Array(one, to.get(1).copied().unwrap_or(TypeId::VOID), self.size)
            }
            Kind::FuncProto => {
                let (result, params) = to.split_last().ok_or("a prototype without a result")?;
                return writer.add(&Record::FuncProto(params, *result));
            }
            Kind::Enum | Kind::Enum64 => {
                let wide = self.kind == Kind::Enum64;
                Record::Enum(self.name, self.size, self.flag, wide, &self.enumerators)
            }
            Kind::Struct | Kind::Union => {
                let all = self.members.iter().zip(to);
                members = all
                    .map(|(&(name, bit_offset, bitfield_size), &ty)| MemberRecord {
                        name,
                        ty,
                        bit_offset,
                        bitfield_size,
                    })
                    .collect();
                let union = self.kind == Kind::Union;
                Record::Composite(self.name, union, self.size, &members)
            }
            kind => Record::Alias(kind, self.name, one),
        };
        writer.add(&record)
    }
}
