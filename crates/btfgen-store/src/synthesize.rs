//! Writes a BTF of some definitions.

use std::collections::{HashMap, HashSet};

use btfgen_btf::{ByteOrder, Kind, TypeId};
use foldhash::fast::RandomState;

use crate::definitions::{Definition, Definitions};
use crate::error::{Error, Result};
use crate::kernel::Machine;
use crate::node::{self, Shape, VOID};

/// A BTF of definitions of a store, as a kernel would have it that has no other types.
#[derive(Debug)]
pub struct Synthesized {
    /// The BTF.
    pub btf: Vec<u8>,
    /// The candidates of each root, in the given order.
    pub candidates: Vec<Vec<TypeId>>,
}

impl Definitions<'_> {
    /// Writes a BTF of the candidates of some roots, for kernels of this machine. A candidate that comes twice for one root
    /// becomes two types.
    ///
    /// The types have no order that means anything; the result says which ones are candidates. A struct behind a pointer is the
    /// first definition of its kind and name, or an empty struct of this name if there is none or it has no name: no loader looks
    /// further.
    ///
    /// # Errors
    /// [`Error::Damaged`].
    pub fn synthesize(&self, machine: Machine, roots: &[Vec<Definition>]) -> Result<Synthesized> {
        let mut types = Types {
            definitions: self,
            order: machine.byte_order(),
            ids: HashMap::default(),
            placed: Vec::new(),
            named: HashMap::default(),
        };
        if machine.long != VOID {
            types.place(machine.long, 0)?;
        }
        let mut candidates = Vec::with_capacity(roots.len());
        for root in roots {
            let mut ids: Vec<TypeId> = Vec::with_capacity(root.len());
            let mut seen = HashSet::new();
            for &Definition(node) in root {
                let id = types.place(node, 0)?;
                if id == TypeId::VOID {
                    return Err(Error::Damaged("a candidate is no definition"));
                }
                ids.push(match seen.insert(id) {
                    true => id,
                    false => types.place_again(node),
                });
            }
            candidates.push(ids);
        }
        types.place_referenced()?;
        Ok(Synthesized {
            btf: types.write()?,
            candidates,
        })
    }
}

/// The types of a BTF that is being written.
struct Types<'d> {
    definitions: &'d Definitions<'d>,
    order: ByteOrder,
    /// The type of each node.
    ids: HashMap<u32, TypeId, RandomState>,
    /// The node of each type, in the order of the ids.
    placed: Vec<u32>,
    /// The first struct or union of each kind and name. An anonymous one is none: a reference to it would be to any.
    named: HashMap<(Kind, u32), TypeId, RandomState>,
}

impl Types<'_> {
    /// The id of a node's type. Places the type and all types in it, unless they are placed. References wait until all
    /// definitions are placed. `depth` is the number of types around it.
    fn place(&mut self, node: u32, depth: u8) -> Result<TypeId> {
        if node == VOID {
            return Ok(TypeId::VOID);
        }
        if let Some(&id) = self.ids.get(&node) {
            return Ok(id);
        }
        if depth > node::MAX_HEIGHT {
            return Err(Error::Damaged("a definition is nested too deeply"));
        }
        let words = self.definitions.node(node)?;
        let Some(Shape::Type(kind)) = Shape::of(words) else {
            return Ok(TypeId::VOID);
        };
        for place in node::type_places(kind, words.len()) {
            // The nodes in it are smaller, so this ends.
            if words[place] >= node {
                return Err(Error::Damaged("a definition contains itself"));
            }
            self.place(words[place], depth + 1)?;
        }
        let id = self.place_again(node);
        self.ids.insert(node, id);
        if kind.is_composite() && words[0] != node::NO_NAME {
            self.named.entry((kind, words[0])).or_insert(id);
        }
        Ok(id)
    }

    fn place_again(&mut self, node: u32) -> TypeId {
        self.placed.push(node);
        TypeId(self.placed.len() as u32)
    }

    /// Gives every reference a type: a definition of its kind and name, or an empty one.
    fn place_referenced(&mut self) -> Result<()> {
        for n in 0..self.placed.len() {
            let words = self.definitions.node(self.placed[n])?;
            let Some(Shape::Type(kind)) = Shape::of(words) else {
                continue;
            };
            for place in node::type_places(kind, words.len()) {
                let node = words[place];
                let words = self.definitions.node(node)?;
                let Some(Shape::Reference(kind)) = Shape::of(words) else {
                    continue;
                };
                let id = match self.named.get(&(kind, words[0])) {
                    Some(&id) => id,
                    None => {
                        let id = self.place_again(node);
                        self.named.insert((kind, words[0]), id);
                        id
                    }
                };
                self.ids.insert(node, id);
            }
        }
        Ok(())
    }

    fn write(&self) -> Result<Vec<u8>> {
        let mut strings = Strings::default();
        let mut types = Vec::new();
        for &node in &self.placed {
            let mut words = self.definitions.node(node)?.to_vec();
            match Shape::of(&words) {
                Some(Shape::Type(kind)) => {
                    for place in node::type_places(kind, words.len()) {
                        let id = self.ids.get(&words[place]);
                        words[place] = id.copied().unwrap_or(TypeId::VOID).0;
                    }
                    for place in node::name_places(kind, words.len()) {
                        words[place] = strings.offset(self.definitions, words[place])?;
                    }
                }
                Some(Shape::Reference(kind)) => {
                    words[0] = strings.offset(self.definitions, words[0])?;
                    words[1] = (kind as u32) << 24;
                }
                Some(Shape::Void | Shape::OfModule | Shape::Function) | None => {}
            }
            types.extend(words.into_iter().flat_map(|word| self.order.bytes(word)));
        }
        Ok(btfgen_btf::assemble(self.order, &types, &strings.bytes))
    }
}

/// The strings of a BTF that is being written.
struct Strings {
    bytes: Vec<u8>,
    offsets: HashMap<u32, u32, RandomState>,
}

impl Default for Strings {
    fn default() -> Self {
        Self {
            // Offset 0 is the empty string in every BTF.
            bytes: vec![0],
            offsets: HashMap::default(),
        }
    }
}

impl Strings {
    fn offset(&mut self, definitions: &Definitions<'_>, name: u32) -> Result<u32> {
        if name == node::NO_NAME {
            return Ok(0);
        }
        if let Some(&offset) = self.offsets.get(&name) {
            return Ok(offset);
        }
        let offset = self.bytes.len() as u32;
        self.bytes.extend_from_slice(definitions.name(name)?);
        self.bytes.push(0);
        self.offsets.insert(name, offset);
        Ok(offset)
    }
}
