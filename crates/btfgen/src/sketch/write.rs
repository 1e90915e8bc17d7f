//! Writing sketches: what the candidates refer to first, then the candidates.

use std::collections::BTreeSet;

use btfgen_libbpf::TypeId;

use super::{Member, Node, Shape, Sketch};
use crate::writer::{MemberRecord, Record, Writer};

impl Member {
    /// Its own offset in bits, and the one that is left to what is in it.
    fn place(&self, carry: u32) -> Result<(u32, u32), String> {
        let offset = self
            .offset
            .checked_add(carry)
            .ok_or("a member lies beyond 512 MiB")?;
        Ok(if self.pinned || self.node.has_real_size() {
            (offset, 0)
        } else {
            (0, offset)
        })
    }
}

impl Node {
    /// Collects the plain types below this one.
    fn plain_parts(&self, plain: &mut BTreeSet<Plain>) {
        let below = self.members.iter().map(|m| &m.node);
        for node in below.chain(&self.params).chain(self.inner.as_deref()) {
            match node.shape {
                Shape::Int(offset) => {
                    let encoding = node.encoding.unwrap_or(0);
                    plain.insert(Plain::Int(node.size.unwrap_or(1), encoding, offset));
                }
                Shape::Ptr if node.inner.is_none() => {
                    plain.insert(Plain::Ptr);
                }
                _ => node.plain_parts(plain),
            }
        }
    }
}

/// A type without a name that refers to nothing, in the order of writing.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Plain {
    Ptr,
    /// Size, encoding, offset.
    Int(u32, u8, u32),
}

/// Writes sketches of one kernel.
#[derive(Debug)]
pub(crate) struct SketchWriter<'w> {
    pub(crate) writer: &'w mut Writer,
    /// In bytes.
    pub(crate) pointer_size: u32,
    /// Whether the pointers' size can be seen, see [`Sketcher::pointer_size`].
    pub(crate) pointer_size_seen: bool,
}

/// libbpf takes the size of an integer of this name as that of pointers; where there is none it takes its own. An unsigned
/// integer of the right size gets the name if there is one. For that alone one is added only to 32-bit kernels' BTFs, which
/// 64-bit tools read, this one among them; a 32-bit program on a 64-bit kernel is rarer than an object with pointers only.
const LONG: &[u8] = b"long";

/// In bytes.
const USUAL_POINTER_SIZE: u32 = 8;

impl SketchWriter<'_> {
    /// Writes what the candidates refer to, ahead of all of them.
    ///
    /// Nothing refers to a candidate itself. So a kernel that lacks one, or has one more, still numbers everything
    /// else like its neighbours in the archive, which is what compresses well. Plain types come first, in an order of
    /// their own.
    pub(crate) fn references<'s>(
        &mut self,
        sketches: impl Iterator<Item = &'s Sketch> + Clone,
    ) -> Result<(), String> {
        let mut plain = BTreeSet::new();
        if self.pointer_size_seen && self.pointer_size != USUAL_POINTER_SIZE {
            plain.insert(Plain::Int(self.pointer_size, 0, 0));
        }
        for sketch in sketches.clone() {
            sketch.root.plain_parts(&mut plain);
        }
        for ty in plain {
            match ty {
                Plain::Ptr => self.writer.intern(&Record::Ptr(TypeId::VOID))?,
                Plain::Int(size, encoding, offset) => self.int(b"", size, encoding, offset)?,
            };
        }
        for sketch in sketches {
            if sketch.typedef {
                self.node(&sketch.root, b"", 0)?;
            } else {
                self.parts(&sketch.root, 0)?;
            }
        }
        Ok(())
    }

    /// Writes a candidate.
    pub(crate) fn candidate(&mut self, sketch: &Sketch) -> Result<(), String> {
        if sketch.typedef {
            let (id, _) = self.node(&sketch.root, b"", 0)?;
            self.writer.intern(&Record::Typedef(&sketch.name, id))?;
        } else {
            self.node(&sketch.root, &sketch.name, 0)?;
        }
        Ok(())
    }

    /// What a root refers to, without the root.
    fn parts(&mut self, node: &Node, carry: u32) -> Result<(), String> {
        self.inner(node, carry)?;
        for m in &node.members {
            let (_, handed_down) = m.place(carry)?;
            self.node(&m.node, b"", handed_down)?;
        }
        for p in &node.params {
            self.node(p, b"", 0)?;
        }
        Ok(())
    }

    fn int(&mut self, name: &[u8], size: u32, encoding: u8, offset: u32) -> Result<TypeId, String> {
        let is_long = self.pointer_size_seen
            && name.is_empty()
            && (size, encoding, offset) == (self.pointer_size, 0, 0);
        let name = if is_long { LONG } else { name };
        self.writer
            .intern(&Record::Int(name, size, encoding, offset))
    }

    /// Writes a type; gives its id and size in bits. `carry` is the offset in bits that was taken from what encloses it,
    /// for the members to add.
    fn node(&mut self, node: &Node, name: &[u8], carry: u32) -> Result<(TypeId, u64), String> {
        let bits = |bytes: u32| u64::from(bytes) * 8;
        Ok(match &node.shape {
            Shape::Void => (TypeId::VOID, 0),
            Shape::Int(offset) => {
                let size = node.size.unwrap_or(1);
                let encoding = node.encoding.unwrap_or(0);
                (self.int(name, size, encoding, *offset)?, bits(size))
            }
            Shape::Ptr => {
                let (to, _) = self.inner(node, 0)?;
                (
                    self.writer.intern(&Record::Ptr(to))?,
                    bits(self.pointer_size),
                )
            }
            Shape::Float => {
                let size = node.size.unwrap_or(4);
                (self.writer.intern(&Record::Float(name, size))?, bits(size))
            }
            Shape::Enum => {
                let size = node.size.unwrap_or(4);
                let enumerators: Vec<_> = node
                    .enumerators
                    .iter()
                    .map(|(n, v)| (n.as_slice(), v.unwrap_or(0)))
                    .collect();
                let signed = node.encoding == Some(1);
                let record = Record::Enum(name, size, signed, &enumerators);
                (self.writer.intern(&record)?, bits(size))
            }
            Shape::Composite { union } => self.composite(node, name, *union, carry)?,
            Shape::Array => {
                let (element, element_bits) = self.inner(node, carry)?;
                // Length 0 at the end of a struct would be a flexible array, of which every element is there.
                let len = node.len.unwrap_or(node.min_len.max(1));
                let id = self.writer.intern(&Record::Array(element, len))?;
                (id, element_bits.saturating_mul(u64::from(len)))
            }
            Shape::Fwd { name, union } => (self.writer.intern(&Record::Fwd(name, *union))?, 0),
            Shape::FuncProto => {
                let mut params = Vec::with_capacity(node.params.len());
                for p in &node.params {
                    params.push(self.node(p, b"", 0)?.0);
                }
                let (result, _) = self.inner(node, 0)?;
                (self.writer.intern(&Record::FuncProto(&params, result))?, 0)
            }
        })
    }

    fn inner(&mut self, node: &Node, carry: u32) -> Result<(TypeId, u64), String> {
        match &node.inner {
            Some(inner) => self.node(inner, b"", carry),
            None => Ok((TypeId::VOID, 0)),
        }
    }

    fn composite(
        &mut self,
        node: &Node,
        name: &[u8],
        union: bool,
        carry: u32,
    ) -> Result<(TypeId, u64), String> {
        let mut records = Vec::with_capacity(node.members.len());
        let mut end = 0;
        for m in &node.members {
            let (own, handed_down) = m.place(carry)?;
            let (ty, bits) = self.node(&m.node, b"", handed_down)?;
            let bits = m.bits.map_or(bits, u64::from);
            end = end.max(u64::from(own).saturating_add(bits));
            records.push(MemberRecord {
                name: &m.name,
                ty,
                bit_offset: own,
                bitfield_size: m.bits.unwrap_or(0),
            });
        }
        let size = match node.size {
            Some(size) => size,
            None => u32::try_from(end.div_ceil(8)).map_err(|_| "a struct is larger than 4 GiB")?,
        };
        let record = Record::Composite(name, union, size, &records);
        Ok((self.writer.intern(&record)?, u64::from(size) * 8))
    }
}
