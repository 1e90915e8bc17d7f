//! The functions that a store gives a kernel, to compare with those of its BTF.

use std::hash::BuildHasher as _;

use btfgen_btf::{Btf, Kind, Type, TypeId};
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{At, require};
use crate::definitions::Definitions;
use crate::kernel::Kernel;
use crate::lists;

/// The info word of a function's node.
const FUNCTION: u32 = (Kind::Func as u32) << 24 | 1 << 23;

/// The info word of a node of a function of a module.
const OF_MODULE: u32 = (Kind::DeclTag as u32) << 24 | 1 << 23;

/// What a store and a BTF say of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Facts<'a> {
    name: &'a [u8],
    module: Option<&'a [u8]>,
    /// The number of parameters, and 2^30 if it returns something, and 2^31 if it is variadic.
    signature: u32,
}

/// All functions that a store gives a kernel, in the order of their numbers.
#[derive(Debug)]
pub(super) struct Functions<'d> {
    /// Each with whether the BTF has it.
    all: Vec<(Facts<'d>, bool)>,
    /// The places of all functions, by their names. Empty until it is needed.
    places: HashTable<usize>,
    hasher: RandomState,
}

/// How many functions behind the last one are looked at before all others: kernels have most functions in the same order.
const NEAR: usize = 3;

impl<'d> Functions<'d> {
    /// Those that a store gives a kernel.
    pub(super) fn new(definitions: &Definitions<'d>, known: &Kernel) -> Result<Self, &'static str> {
        let words = (definitions.functions.len() as u32).div_ceil(32);
        let words = lists::all(definitions.blocks, known.functions, words);
        let words = words.map_err(|_| "the blocks of its functions are damaged")?;
        let mut all = Vec::with_capacity(32 * words.len());
        for (place, word) in words {
            for bit in (0..32).filter(|bit| word & 1 << bit != 0) {
                let function = definitions.functions.get((32 * place + bit) as usize);
                let &[name, node] = function.ok_or("one of its functions is missing")?;
                all.push((Facts::stored(definitions, name, node)?, false));
            }
        }
        let count = all.len() as u32;
        require(count == known.function_count, "the number of functions")?;
        Ok(Self {
            all,
            places: HashTable::new(),
            hasher: RandomState::default(),
        })
    }

    /// Requires that these are the functions of a BTF, and no others.
    pub(super) fn compare(
        mut self,
        btf: &Btf<'_>,
        is_wanted: impl Fn(Type<'_>) -> bool,
    ) -> Result<(), At> {
        let mut next = 0;
        for ty in btf.types_of(|kind| kind == Kind::Func) {
            let name = ty.name();
            if name.is_empty() || !is_wanted(ty) {
                continue;
            }
            let facts = Facts::of(btf, ty, name);
            let near = self.all.iter().skip(next).take(NEAR);
            let near = near.zip(next..).find(|((known, _), _)| *known == facts);
            let found = match near {
                Some((_, place)) => Some(place),
                None => self.find(&facts),
            };
            let found = found.ok_or(At(ty.id(), "the function is missing, or differs"))?;
            self.all[found].1 = true;
            next = found + 1;
        }
        let is_whole = self.all.iter().all(|&(_, seen)| seen);
        let none = At(TypeId::VOID, "the BTF has fewer functions");
        is_whole.then_some(()).ok_or(none)
    }

    fn find(&mut self, facts: &Facts<'_>) -> Option<usize> {
        let hash = |name: &[u8]| self.hasher.hash_one(name);
        if self.places.is_empty() {
            let rehash = |&place: &usize| hash(self.all[place].0.name);
            self.places.reserve(self.all.len(), rehash);
            for (place, (known, _)) in self.all.iter().enumerate() {
                self.places.insert_unique(hash(known.name), place, rehash);
            }
        }
        let is_same = |&place: &usize| self.all[place].0 == *facts;
        self.places.find(hash(facts.name), is_same).copied()
    }
}

impl<'a> Facts<'a> {
    fn stored(all: &Definitions<'a>, name: u32, node: u32) -> Result<Self, &'static str> {
        let missing = "the name or node of one of its functions is missing";
        let mut node = all.nodes.get(node).ok_or(missing)?;
        let mut module = None;
        if let &[name, OF_MODULE, inner] = node {
            module = Some(all.names.get(name).ok_or(missing)?);
            node = all.nodes.get(inner).ok_or(missing)?;
        }
        let &[0, FUNCTION, signature] = node else {
            return Err("the node of one of its functions");
        };
        let name = all.names.get(name).ok_or(missing)?;
        Ok(Self {
            name,
            module,
            signature,
        })
    }

    fn of(btf: &'a Btf<'_>, function: Type<'a>, name: &'a [u8]) -> Self {
        let proto = function.referenced().and_then(|id| btf.type_by_id(id));
        let mut signature = 0;
        if let Some(proto) = proto {
            let is_void = |id| id == TypeId::VOID;
            let fixed = proto.params().len() as u32;
            let is_variadic = proto.params().last().is_some_and(is_void);
            signature = fixed - u32::from(is_variadic);
            signature |= u32::from(is_variadic) << 31;
            signature |= u32::from(!proto.referenced().is_some_and(is_void)) << 30;
        }
        Self {
            name,
            module: btf.module_of(function.id()).map(str::as_bytes),
            signature,
        }
    }
}
