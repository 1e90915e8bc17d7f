//! A kernel's BTF together with those of its modules.

use crate::btf::{Btf, TypeId};
use crate::classic::{PLACEHOLDER, assemble};
use crate::error::{Error, ErrorKind, Result};
use crate::kind::Kind;
use crate::types::Type;

/// The types of one module among those of a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ModulePart {
    name: Box<str>,
    first: TypeId,
}

impl Btf<'_> {
    /// This BTF, followed by the types of some modules: pairs of a module's name and its split BTF, which continues this one.
    /// Types of the kernel keep their ids. [`Btf::module_of`] tells the modules' types.
    ///
    /// This is not what a loader sees: a loader looks into modules only where the kernel itself has no type of a name. Whoever
    /// looks for types by name must do the same.
    ///
    /// # Errors
    /// Those of [`Btf::parse_split`], with the module's name in the message. [`ErrorKind::Damaged`] for a module of another
    /// byte order; [`ErrorKind::Inexpressible`] if all of it would be larger than a BTF can be, 4 GiB.
    pub fn with_modules<'m>(
        &self,
        modules: impl IntoIterator<Item = (&'m str, &'m [u8])>,
    ) -> Result<Btf<'static>> {
        let mut types = Vec::new();
        for ty in self.own_types() {
            Shift::default().push(ty, &mut types);
        }
        let mut strings = self.own_strings().to_vec();
        let mut parts = Vec::new();
        let mut next_id = self.type_count();
        for (name, bytes) in modules {
            let module = Btf::parse_split(bytes, self).map_err(|e| e.of_module(name))?;
            if module.byte_order() != self.byte_order() {
                let message = "it has another byte order than the kernel's BTF";
                return Err(Error::new(ErrorKind::Damaged, message).of_module(name));
            }
            let shift = Shift {
                first_id: self.type_count(),
                ids: next_id - self.type_count(),
                first_name: self.string_count(),
                names: strings.len() - self.string_count(),
            };
            for ty in module.own_types() {
                shift.push(ty, &mut types);
            }
            strings.extend_from_slice(module.own_strings());
            let first = TypeId(next_id);
            next_id += module.type_count() - self.type_count();
            parts.push(ModulePart {
                name: name.into(),
                first,
            });
            if u32::try_from(types.len() + strings.len()).is_err() {
                let message = "the kernel and its modules have more types than a BTF can have";
                return Err(Error::new(ErrorKind::Inexpressible, message));
            }
        }
        let mut all = Btf::parse(assemble(self.byte_order(), &types, &strings))?;
        all.modules = parts;
        Ok(all)
    }

    /// The same types as a module's BTF, which continues a kernel's.
    #[cfg(feature = "testing")]
    pub(crate) fn behind(&self, kernel: &Btf<'_>) -> Vec<u8> {
        let shift = Shift {
            first_id: 1,
            ids: kernel.type_count() - 1,
            first_name: 1,
            names: kernel.string_count(),
        };
        let mut types = Vec::new();
        for ty in self.own_types() {
            shift.push(ty, &mut types);
        }
        assemble(self.byte_order(), &types, self.own_strings())
    }

    /// The module of a type, in a BTF of [`Btf::with_modules`]. `None` for the kernel's own types.
    pub fn module_of(&self, id: TypeId) -> Option<&str> {
        let after = self.modules.partition_point(|module| module.first <= id);
        let module = self.modules.get(after.checked_sub(1)?)?;
        Some(&module.name)
    }

    /// Whether it has types of modules ([`Btf::with_modules`]).
    pub fn has_modules(&self) -> bool {
        !self.modules.is_empty()
    }
}

/// How the ids and names of a module move when other modules' types come before its own.
#[derive(Default)]
struct Shift {
    /// The module's own types and names begin here, behind those of the kernel.
    first_id: u32,
    first_name: usize,
    ids: u32,
    names: usize,
}

impl Shift {
    /// Appends a type, in a form that libbpf 1.7 and older read.
    fn push(&self, ty: Type<'_>, types: &mut Vec<u8>) {
        let words = ty.words();
        let order = words.order();
        if !ty.is_classic() {
            types.extend(PLACEHOLDER.into_iter().flat_map(|word| order.bytes(word)));
            return;
        }
        if self.ids == 0 && self.names == 0 {
            types.extend_from_slice(words.data());
            return;
        }
        let moved = words.data().chunks_exact(4).enumerate();
        types.extend(moved.flat_map(|(place, word)| {
            let word = order.word(word);
            let own = match meaning(ty.kind(), place) {
                Meaning::Name if word as usize >= self.first_name => self.names as u32,
                Meaning::Type if word >= self.first_id => self.ids,
                _ => 0,
            };
            order.bytes(word.wrapping_add(own))
        }));
    }
}

enum Meaning {
    Name,
    Type,
    Other,
}

/// What a word of a type is. `place` is its number from the beginning of `struct btf_type`.
fn meaning(kind: Kind, place: usize) -> Meaning {
    let of_part = |words: usize| place.checked_sub(3).map(|place| place % words);
    match (kind, place, of_part(3), of_part(2)) {
        (_, 0, ..) => Meaning::Name,
        (kind, 2, ..) if kind.refers() => Meaning::Type,
        (Kind::Array, 3 | 4, ..) => Meaning::Type,
        (Kind::Struct | Kind::Union | Kind::Enum64, _, Some(0), _) => Meaning::Name,
        (Kind::Struct | Kind::Union, _, Some(1), _) => Meaning::Type,
        (Kind::Enum | Kind::FuncProto, _, _, Some(0)) => Meaning::Name,
        (Kind::FuncProto, _, _, Some(1)) => Meaning::Type,
        (Kind::Datasec, _, Some(0), _) => Meaning::Type,
        _ => Meaning::Other,
    }
}
