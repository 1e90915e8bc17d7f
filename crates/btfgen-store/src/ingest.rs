//! Makes definitions of a BTF's named types.

use std::collections::HashMap;

use btfgen_btf::{Btf, ByteOrder, Info, Kind, Type, TypeId};
use btfgen_object::essential_name;
use foldhash::fast::RandomState;

use crate::error::Result;
use crate::functions::{Bits, RETURNS, VARIADIC};
use crate::kernel::{Digest, Kernel};
use crate::lists::{self, List, NO_LISTS};
use crate::node::{self, MAX_HEIGHT, NO_NAME, VOID};
use crate::tables::Tables;

impl Tables {
    /// Adds a kernel's BTF, and returns its number. A BTF that is there is not added again.
    ///
    /// A module's type ([`Btf::with_modules`]) is a candidate only if the kernel itself has none of its kind and essential name:
    /// libbpf looks into modules only then.
    ///
    /// A BTF whose named types cannot all be definitions is added without any: [`Kernel::is_covered`]. Such a BTF is damaged or
    /// newer than this crate.
    ///
    /// # Errors
    /// [`Error::Full`](crate::Error::Full).
    pub fn ingest(&mut self, btf: &Btf<'_>) -> Result<usize> {
        self.ingest_some(btf, |_| true)
    }

    /// Like [`Tables::ingest`], but only these named types are candidates. All kernels of the tables must be added with the same
    /// choice.
    ///
    /// # Errors
    /// [`Error::Full`](crate::Error::Full).
    pub fn ingest_some(
        &mut self,
        btf: &Btf<'_>,
        is_wanted: impl Fn(Type<'_>) -> bool,
    ) -> Result<usize> {
        let digest = Digest::of(btf.bytes());
        if let Some(known) = self.find(digest) {
            return Ok(known);
        }
        let mut ingest = Ingest::new(self, btf);
        let by_key = ingest.lists(&is_wanted)?;
        let (mut long, mut functions) = (None, Bits::default());
        if by_key.is_some() {
            long = ingest.long()?;
            functions = ingest.functions(is_wanted)?;
        }
        let lists = match by_key {
            Some(by_key) => {
                let words = by_key.into_iter().map(List::word);
                lists::intern(&mut self.blocks, words.collect())?
            }
            None => NO_LISTS,
        };
        let function_count = functions.len();
        let functions = lists::intern(&mut self.blocks, functions.0)?;
        Ok(self.push(Kernel {
            digest,
            bytes: btf.bytes().len() as u64,
            // `void` is not stored in a file.
            types: btf.type_count() - 1,
            big_endian: u32::from(btf.byte_order() == ByteOrder::Big),
            long: long.unwrap_or_default(),
            lists,
            function_count,
            functions,
        }))
    }
}

/// Not yet made.
const UNKNOWN: u32 = u32::MAX;
/// Being made: a type that comes back to itself contains itself.
const UNFINISHED: u32 = u32::MAX - 1;

/// How a type is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    ByValue,
    BehindPointer,
}

/// The definitions of one BTF.
pub(crate) struct Ingest<'i, 'd> {
    tables: &'i mut Tables,
    btf: &'i Btf<'d>,
    /// The number of the name at each offset.
    names: Vec<u32>,
    /// The node of each type, by value and behind a pointer.
    nodes: [Vec<u32>; 2],
    /// The words of the nodes that are being made, the outer one first.
    words: Vec<u32>,
}

impl<'i, 'd> Ingest<'i, 'd> {
    pub(crate) fn new(tables: &'i mut Tables, btf: &'i Btf<'d>) -> Self {
        let types = btf.type_count() as usize;
        Self {
            tables,
            btf,
            names: vec![0; btf.string_count()],
            nodes: [vec![UNKNOWN; types], vec![UNKNOWN; types]],
            words: Vec::new(),
        }
    }

    /// The candidates of each key, by the key's number; `None` if a named type cannot be a definition.
    pub(crate) fn lists(
        &mut self,
        is_wanted: impl Fn(Type<'_>) -> bool,
    ) -> Result<Option<Vec<List>>> {
        let mut lists = vec![List::NONE; self.tables.keys.view().len() as usize];
        let mut several: HashMap<u32, Vec<u32>> = HashMap::new();
        let btf = self.btf;
        // The keys of the kernel's own types, once all of these have been seen: modules' types come behind them.
        let mut own: Option<Vec<bool>> = None;
        for ty in btf.types_of(node::is_root) {
            if ty.name().is_empty() || !is_wanted(ty) {
                continue;
            }
            let key = self.key(ty)?;
            if key as usize >= lists.len() {
                lists.resize(key as usize + 1, List::NONE);
            }
            let module = btf.module_of(ty.id());
            if module.is_some() {
                let has = |list: &List| *list != List::NONE;
                let own = own.get_or_insert_with(|| lists.iter().map(has).collect());
                if own.get(key as usize) == Some(&true) {
                    continue;
                }
            }
            let Some(node) = self.node(ty.id(), Reach::ByValue, 0)? else {
                return Ok(None);
            };
            let node = match module {
                Some(module) => self.of_module(module, node)?,
                None => node,
            };
            match lists[key as usize] {
                List::NONE => lists[key as usize] = List::of_one(node),
                first => {
                    let nodes = several.entry(key);
                    nodes
                        .or_insert_with(|| vec![first.only().unwrap_or_default(), 1])
                        .extend([node, 1]);
                }
            }
        }
        for (key, nodes) in several {
            let number = self.tables.lists.intern(&run_lengths(&nodes))?;
            lists[key as usize] = List::of_several(number);
        }
        Ok(Some(lists))
    }

    fn of_module(&mut self, module: &str, node: u32) -> Result<u32> {
        let name = self.tables.names.intern(module.as_bytes())?;
        self.tables.intern_node(&node::of_module(name, node))
    }

    /// The functions, by their numbers.
    fn functions(&mut self, is_wanted: impl Fn(Type<'_>) -> bool) -> Result<Bits> {
        let mut functions = Bits::default();
        let btf = self.btf;
        let mut nodes: HashMap<_, u32, RandomState> = HashMap::default();
        let mut next = 0;
        for ty in btf.types_of(|kind| kind == Kind::Func) {
            let name = ty.name();
            if name.is_empty() || !is_wanted(ty) {
                continue;
            }
            let facts = (signature(btf, ty), btf.module_of(ty.id()));
            let node = match nodes.get(&facts) {
                Some(&node) => node,
                None => {
                    let node = self.function(facts)?;
                    nodes.insert(facts, node);
                    node
                }
            };
            // Kernels have most functions in the same order. To look at the next one saves nearly all searches.
            let is_next = self.tables.functions.all().get(next as usize);
            let is_next = is_next.is_some_and(|&[name_of_next, node_of_next]| {
                let known = self.tables.names.view().get(name_of_next);
                node_of_next == node && known == Some(name)
            });
            let number = match is_next {
                true => next,
                false => {
                    let name = self.name(ty.name_offset())?;
                    self.tables.functions.intern(name, node)?
                }
            };
            next = number + 1;
            functions.insert(number);
        }
        Ok(functions)
    }

    /// The node of functions with this signature, perhaps of a module.
    fn function(&mut self, (signature, module): (u32, Option<&str>)) -> Result<u32> {
        let node = self.tables.intern_node(&node::function(signature))?;
        match module {
            Some(module) => self.of_module(module, node),
            None => Ok(node),
        }
    }

    /// The int that gives the size of a pointer.
    pub(crate) fn long(&mut self) -> Result<Option<u32>> {
        let mut types = self.btf.types_of(|kind| kind == Kind::Int);
        match types.find(|ty| ty.long_size().is_some()) {
            Some(long) => self.node(long.id(), Reach::ByValue, 0),
            None => Ok(None),
        }
    }

    /// The key of a named type: its kind, and its name without a flavour.
    fn key(&mut self, ty: Type<'_>) -> Result<u32> {
        let kind = match ty.kind() {
            Kind::Enum64 => Kind::Enum,
            kind => kind,
        };
        let name = essential_name(ty.name());
        let name = if name.len() == ty.name().len() {
            self.name(ty.name_offset())?
        } else {
            self.tables.names.intern(name)?
        };
        self.tables.keys.intern(&[kind as u32, name])
    }

    fn name(&mut self, offset: u32) -> Result<u32> {
        if offset == 0 {
            return Ok(NO_NAME);
        }
        // A dense table: a kernel refers to its names half a million times.
        if let Some(&known @ 1..) = self.names.get(offset as usize) {
            return Ok(known);
        }
        // The name may be empty, too; then it is looked up again each time.
        let name = self.btf.string(offset).unwrap_or_default();
        let number = self.tables.names.intern(name)?;
        if let Some(known) = self.names.get_mut(offset as usize) {
            *known = number;
        }
        Ok(number)
    }

    /// The node of a type; `None` if it cannot be a definition.
    fn node(&mut self, id: TypeId, reach: Reach, depth: usize) -> Result<Option<u32>> {
        if id == TypeId::VOID {
            return Ok(Some(VOID));
        }
        let (place, index) = (reach as usize, id.0 as usize);
        match self.nodes[place].get(index) {
            Some(&UNKNOWN) => {}
            None | Some(&UNFINISHED) => return Ok(None),
            Some(&known) => return Ok(Some(known)),
        }
        let Some(ty) = self
            .btf
            .type_by_id(id)
            .filter(|_| depth < usize::from(MAX_HEIGHT))
        else {
            return Ok(None);
        };
        self.nodes[place][index] = UNFINISHED;
        let start = self.words.len();
        let node = match self.push(ty, reach, depth + 1)? {
            true => self.intern(start)?,
            false => None,
        };
        self.words.truncate(start);
        if let Some(node) = node {
            self.nodes[place][index] = node;
        }
        Ok(node)
    }

    /// The number of the node whose words begin here; `None` if it is nested too deeply.
    fn intern(&mut self, start: usize) -> Result<Option<u32>> {
        let number = self.tables.intern_node(&self.words[start..])?;
        let height = self.tables.heights[number as usize];
        Ok((height <= MAX_HEIGHT).then_some(number))
    }

    /// Appends a type's words as those of a node. `depth` is the depth of the types that it refers to. False if it cannot be a
    /// definition.
    fn push(&mut self, ty: Type<'_>, reach: Reach, depth: usize) -> Result<bool> {
        let kind = ty.kind();
        if kind.is_composite() && reach == Reach::BehindPointer {
            let name = self.name(ty.name_offset())?;
            self.words.extend([name, node::reference_info(kind), 0]);
            return Ok(true);
        }
        let Some((own, each)) = node::trailing(kind).filter(|_| ty.is_classic()) else {
            return Ok(false);
        };
        // libbpf compares the names of all types, and the kernel allows none for these kinds.
        let is_nameless = matches!(kind, Kind::Ptr | Kind::Array | Kind::FuncProto);
        if is_nameless && !ty.name().is_empty() {
            return Ok(false);
        }
        let parts = if each == 0 { 0 } else { ty.len() };
        let (start, len) = (self.words.len(), 3 + own + each * parts);
        let words = ty.words();
        let word = |at: usize| words.u32(4 * at).unwrap_or_default();
        self.words.extend((0..len).map(word));
        // Bits that no reader looks at would tell equal types apart.
        let parts = if each == 0 { 0 } else { 0xff_ffff };
        self.words[start + 1] &= !0xff_ffff | parts;
        match kind {
            Kind::Array | Kind::Fwd => self.words[start + 2] = 0,
            Kind::FuncProto => {
                let names = self.words[start + 3..].iter_mut().step_by(2);
                names.for_each(|name| *name = NO_NAME);
            }
            _ => {}
        }
        for place in node::name_places(kind, len) {
            self.words[start + place] = self.name(self.words[start + place])?;
        }
        let inner = match kind {
            Kind::Ptr => Reach::BehindPointer,
            _ => reach,
        };
        for place in node::type_places(kind, len) {
            let id = TypeId(self.words[start + place]);
            let Some(node) = self.node(id, inner, depth)? else {
                return Ok(false);
            };
            self.words[start + place] = node;
        }
        debug_assert_eq!(Info::new(self.words[start + 1]).kind(), kind);
        Ok(true)
    }
}

/// What is kept of a function's prototype, which the parser requires to be there: the number of parameters, and two bits.
fn signature(btf: &Btf<'_>, function: Type<'_>) -> u32 {
    let proto = function.referenced().and_then(|id| btf.type_by_id(id));
    let Some(proto) = proto else { return 0 };
    let mut params = proto.params();
    let parameters = params.len() as u32;
    let returns = proto.referenced() != Some(TypeId::VOID);
    let last = params.nth((parameters as usize).saturating_sub(1));
    let (parameters, variadic) = match last {
        Some(TypeId::VOID) => (parameters - 1, VARIADIC),
        _ => (parameters, 0),
    };
    parameters | variadic | if returns { RETURNS } else { 0 }
}

/// Nodes and counts, with equal neighbours added up.
fn run_lengths(nodes: &[u32]) -> Vec<u32> {
    let mut runs: Vec<u32> = Vec::with_capacity(nodes.len());
    for pair in nodes.chunks_exact(2) {
        match runs.as_mut_slice() {
            [.., node, count] if *node == pair[0] => *count += pair[1],
            _ => runs.extend(pair),
        }
    }
    runs
}
