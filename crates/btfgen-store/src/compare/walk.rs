//! Compares types with nodes.

use btfgen_btf::{Btf, Header, Kind, Type, TypeId};

use super::{VOID, require};
use crate::definitions::Definitions;

/// The number of the empty name.
const NO_NAME: u32 = 0;

/// How deeply types may be nested in a definition.
const MAX_HEIGHT: u8 = 128;

/// The most members, enumerators or parameters of a definition.
const MAX_PARTS: usize = 0xffff;

/// `struct btf_type`: what follows it has the members, enumerators or parameters.
const COMMON: usize = 12;

/// The info word of a candidate that is a module's type.
const OF_MODULE: u32 = (Kind::DeclTag as u32) << 24 | 1 << 23;

/// The type that differs, and what differs.
#[derive(Debug)]
pub(super) struct At(pub(super) TypeId, pub(super) &'static str);

/// How a type is reached.
#[derive(Debug, Clone, Copy)]
enum Reach {
    ByValue,
    BehindPointer,
}

/// A node, and where it stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    node: u32,
    reach: Reach,
    /// The number of types around it.
    depth: u8,
}

/// A walk through a BTF's types and a store's nodes. Each type is compared once by value and once behind pointers.
#[derive(Debug)]
pub(super) struct Walk<'d> {
    definitions: &'d Definitions<'d>,
    btf: &'d Btf<'d>,
    /// The strings of the BTF, without those of a base, and the offset of the first one.
    strings: &'d [u8],
    first_string: usize,
    /// For each type the node that it was compared with, or 0, and above 32 bits how deeply types are nested in it.
    by_value: Vec<u64>,
    behind_pointers: Vec<u64>,
    /// The offset in the BTF that each name of the store was compared with last; 0 for none.
    offsets: Vec<u32>,
}

impl<'d> Walk<'d> {
    pub(super) fn new(definitions: &'d Definitions<'_>, btf: &'d Btf<'_>) -> Self {
        let types = btf.type_count() as usize;
        let header = Header::parse(btf.bytes()).ok();
        let strings = header.map(|header| header.strings());
        let strings = strings.and_then(|range| {
            let range = range.start as usize..range.end as usize;
            btf.bytes().get(range)
        });
        let strings = strings.unwrap_or_default();
        Self {
            definitions,
            btf,
            strings,
            first_string: btf.string_count() - strings.len(),
            by_value: vec![0; types],
            behind_pointers: vec![0; types],
            offsets: vec![0; definitions.names.len() as usize],
        }
    }

    /// Compares a candidate with a node.
    pub(super) fn root(&mut self, id: TypeId, node: u32) -> Result<(), At> {
        let place = Place {
            node,
            reach: Reach::ByValue,
            depth: 0,
        };
        self.compare(id, place).map(drop)
    }

    /// The module of a type.
    pub(super) fn module_of(&self, ty: Type<'_>) -> Option<&'d str> {
        self.btf.module_of(ty.id())
    }

    /// The node of the definition in a candidate that is a type of a module.
    pub(super) fn in_module(&self, node: u32, module: &str) -> Result<u32, &'static str> {
        let Some(&[name, OF_MODULE, inner]) = self.definitions.nodes.get(node) else {
            return Err("it is a module's type, but the candidate is not");
        };
        let is_its = self.definitions.names.get(name) == Some(module.as_bytes());
        require(is_its && inner < node, "the module")?;
        Ok(inner)
    }

    /// Compares a type with a node. Returns how deeply types are nested in it.
    #[inline]
    fn compare(&mut self, id: TypeId, place: Place) -> Result<u8, At> {
        let seen = match place.reach {
            Reach::ByValue => &self.by_value,
            Reach::BehindPointer => &self.behind_pointers,
        };
        match seen.get(id.0 as usize) {
            Some(0) => self.compare_new(id, place),
            Some(&seen) if seen as u32 == place.node => Ok((seen >> 32) as u8),
            Some(_) => Err(At(id, "it has two definitions")),
            None => Err(At(id, "it is missing")),
        }
    }

    fn compare_new(&mut self, id: TypeId, place: Place) -> Result<u8, At> {
        let at = |what| At(id, what);
        if id == TypeId::VOID && place.node == VOID {
            return Ok(0);
        }
        // A node has only smaller ones in it, so the walk ends. This ends it before the stack does.
        require(place.depth <= MAX_HEIGHT, TOO_DEEP).map_err(at)?;
        let ty = self.btf.type_by_id(id);
        let ty = ty.ok_or_else(|| at("it is missing"))?;
        let words = self.definitions.nodes.get(place.node);
        let words = words.ok_or_else(|| at("its definition is missing"))?;
        let height = match place.reach {
            Reach::BehindPointer if ty.kind().is_composite() => {
                self.reference(ty, words).map_err(at)?;
                0
            }
            Reach::ByValue | Reach::BehindPointer => {
                self.record(ty, words).map_err(at)?;
                1 + self.types(ty, words, place)?
            }
        };
        require(height <= MAX_HEIGHT, TOO_DEEP).map_err(at)?;
        let seen = match place.reach {
            Reach::ByValue => &mut self.by_value,
            Reach::BehindPointer => &mut self.behind_pointers,
        };
        seen[id.0 as usize] = u64::from(height) << 32 | u64::from(place.node);
        Ok(height)
    }

    /// Compares a struct or union behind a pointer with a reference: only name and kind count.
    fn reference(&mut self, ty: Type<'_>, words: &[u32]) -> Result<(), &'static str> {
        let &[name, info, 0] = words else {
            return Err("it is behind a pointer, but its definition is not a reference");
        };
        let reference = (ty.kind() as u32) << 24 | 1 << 23;
        require(info == reference, "the kind of a reference")?;
        self.name(ty.name_offset(), name)
    }

    /// Compares what a type says, except for its members and the types in it.
    fn record(&mut self, ty: Type<'_>, words: &[u32]) -> Result<(), &'static str> {
        let &[name, info, third, ref rest @ ..] = words else {
            return Err(DAMAGED);
        };
        let kind = ty.kind();
        // Each kind with its number of parts and of words that follow.
        let (parts, len) = match kind {
            Kind::Struct | Kind::Union | Kind::Enum64 => (ty.len(), 3 * ty.len()),
            Kind::Enum | Kind::FuncProto => (ty.len(), 2 * ty.len()),
            Kind::Array => (0, 3),
            Kind::Int => (0, 1),
            Kind::Ptr
            | Kind::Fwd
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::TypeTag
            | Kind::Float => (0, 0),
            Kind::Void | Kind::Func | Kind::Var | Kind::Datasec | Kind::DeclTag | Kind::Unknown => {
                return Err("no definition has a type of its kind");
            }
        };
        require(
            parts <= MAX_PARTS,
            "it has too many members for a definition",
        )?;
        let flag = u32::from(ty.kind_flag()) << 31;
        let expected = flag | (kind as u32) << 24 | parts as u32;
        require(info == expected, "kind, kind flag or number of members")?;
        require(rest.len() == len, DAMAGED)?;
        self.name(ty.name_offset(), name)?;
        match kind {
            Kind::Ptr | Kind::FuncProto => require(name == NO_NAME, NAMED),
            Kind::Array => {
                require(name == NO_NAME, NAMED)?;
                require(third == 0, DAMAGED)?;
                let len = ty.array().map(|array| array.len);
                require(rest.get(2) == len.as_ref(), "the length of an array")
            }
            Kind::Fwd => require(third == 0, DAMAGED),
            Kind::Int => {
                require(Some(third) == ty.size(), SIZE)?;
                let encoding = ty.words().u32(COMMON);
                require(rest == encoding.as_slice(), "the encoding of an int")
            }
            Kind::Enum | Kind::Enum64 => {
                require(Some(third) == ty.size(), SIZE)?;
                self.enumerators(ty, rest)
            }
            // Modifiers and typedefs have no size.
            _ => require(ty.size().is_none_or(|size| size == third), SIZE),
        }
    }

    /// Compares the types in a type, and the members with them. Returns how deeply they are nested.
    fn types(&mut self, ty: Type<'_>, words: &[u32], place: Place) -> Result<u8, At> {
        match (ty.kind(), words) {
            (Kind::Struct | Kind::Union, [_, _, _, rest @ ..]) => self.members(ty, rest, place),
            (Kind::Ptr, &[_, _, to]) => {
                let place = Place {
                    reach: Reach::BehindPointer,
                    ..place
                };
                self.inner(ty, ty.referenced(), to, place)
            }
            (
                Kind::Typedef | Kind::Volatile | Kind::Const | Kind::Restrict | Kind::TypeTag,
                &[_, _, to],
            ) => self.inner(ty, ty.referenced(), to, place),
            (Kind::Array, &[_, _, _, element, index, _]) => {
                let array = ty.array();
                let element = self.inner(ty, array.map(|a| a.element), element, place)?;
                let index = self.inner(ty, array.map(|a| a.index), index, place)?;
                Ok(element.max(index))
            }
            (Kind::FuncProto, &[_, _, result, ref rest @ ..]) => {
                let mut highest = self.inner(ty, ty.referenced(), result, place)?;
                for (param, words) in ty.params().zip(rest.chunks_exact(2)) {
                    require(words[0] == NO_NAME, DAMAGED).map_err(|what| At(ty.id(), what))?;
                    highest = highest.max(self.inner(ty, Some(param), words[1], place)?);
                }
                Ok(highest)
            }
            _ => Ok(0),
        }
    }

    fn members(&mut self, ty: Type<'_>, rest: &[u32], place: Place) -> Result<u8, At> {
        let at = |what| At(ty.id(), what);
        let mut highest = 0;
        for (n, words) in rest.chunks_exact(3).enumerate() {
            // A `Member` would look for the end of each name.
            let [name, id, offset] = part(ty, n);
            // The word of the offset has also the size of a bitfield.
            require(words[2] == offset, "the place of a member").map_err(at)?;
            self.name(name, words[0]).map_err(at)?;
            highest = highest.max(self.inner(ty, Some(TypeId(id)), words[1], place)?);
        }
        Ok(highest)
    }

    /// Compares a type in another one, which is at `around`.
    #[inline]
    fn inner(
        &mut self,
        outer: Type<'_>,
        id: Option<TypeId>,
        node: u32,
        around: Place,
    ) -> Result<u8, At> {
        let (Some(id), true) = (id, node < around.node) else {
            return Err(At(outer.id(), "its definition is not behind those in it"));
        };
        let place = Place {
            node,
            reach: around.reach,
            depth: around.depth + 1,
        };
        self.compare(id, place)
    }

    fn enumerators(&mut self, ty: Type<'_>, rest: &[u32]) -> Result<(), &'static str> {
        if ty.kind() == Kind::Enum64 {
            for (n, words) in rest.chunks_exact(3).enumerate() {
                let [name, low, high] = part(ty, n);
                require(words[1..] == [low, high], VALUE)?;
                self.name(name, words[0])?;
            }
        } else {
            for (n, words) in rest.chunks_exact(2).enumerate() {
                let [name, value] = part(ty, n);
                require(words[1] == value, VALUE)?;
                self.name(name, words[0])?;
            }
        }
        Ok(())
    }

    /// Compares the name at an offset of the BTF with the name of a number.
    #[inline]
    fn name(&mut self, offset: u32, name: u32) -> Result<(), &'static str> {
        match self.offsets.get(name as usize) {
            // Offset 0 and number 0 are the empty name everywhere.
            Some(&known) if known == offset && (offset != 0 || name == NO_NAME) => Ok(()),
            _ => self.new_name(offset, name),
        }
    }

    fn new_name(&mut self, offset: u32, name: u32) -> Result<(), &'static str> {
        let ours = self.definitions.names.get(name).ok_or(NAME)?;
        let is_same = match (offset as usize).checked_sub(self.first_string) {
            Some(own) => starts_with_name(self.strings.get(own..).unwrap_or_default(), ours),
            None => self.btf.string(offset) == Some(ours),
        };
        require(is_same, NAME)?;
        self.same_name(offset, name);
        Ok(())
    }

    /// Remembers that an offset of the BTF and a number have one name.
    pub(super) fn same_name(&mut self, offset: u32, name: u32) {
        if let Some(known) = self.offsets.get_mut(name as usize) {
            *known = offset;
        }
    }
}

const TOO_DEEP: &str = "it is nested too deeply for a definition";
const NAMED: &str = "it has a name";
const NAME: &str = "a name";
const SIZE: &str = "the size";
const VALUE: &str = "the value of an enumerator";
const DAMAGED: &str = "its definition has not the words of its kind";

/// Whether the first of these strings is this name. To look for its end first would take twice the time.
fn starts_with_name(strings: &[u8], name: &[u8]) -> bool {
    let mut pairs = name.iter().zip(strings);
    pairs.all(|(a, b)| a == b && *a != 0) && strings.get(name.len()) == Some(&0)
}

/// The words of a member or enumerator, which has so many.
#[inline]
fn part<const N: usize>(ty: Type<'_>, number: usize) -> [u32; N] {
    let words = ty.words();
    let first = COMMON + 4 * N * number;
    // The BTF was checked: they are there.
    std::array::from_fn(|n| words.u32(first + 4 * n).unwrap_or_default())
}
