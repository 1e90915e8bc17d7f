//! Reads one BTF: its types by id, and its strings by offset.

use std::borrow::Cow;
use std::ffi::CStr;
use std::fmt;
use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::header::Header;
use crate::info::{Info, TYPE_LEN};
use crate::kind::Kind;
use crate::modules::ModulePart;
use crate::types::Type;
use crate::words::{ByteOrder, Words};

/// A type's number within one BTF. 0 is `void`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

impl TypeId {
    /// The type `void` of every BTF.
    pub const VOID: Self = Self(0);
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A BTF. All names and types that its types refer to exist.
pub struct Btf<'d> {
    data: Cow<'d, [u8]>,
    pub(crate) base: Option<&'d Self>,
    order: ByteOrder,
    types: Range<usize>,
    strings: Range<usize>,
    /// The start of each of its own types, in bytes from the start of the types section.
    places: Vec<u32>,
    pointer_size: Option<u32>,
    classic: bool,
    /// The modules whose types follow those of the kernel.
    pub(crate) modules: Vec<ModulePart>,
}

impl fmt::Debug for Btf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Btf")
            .field("types", &self.type_count())
            .field("byte_order", &self.order)
            .finish_non_exhaustive()
    }
}

/// About the average length of a kernel's types, in bytes.
const USUAL_TYPE_LEN: usize = 28;

/// The most steps of a walk over modifiers and typedefs. Kernels have fewer than 10 in a row.
pub(crate) const MAX_CHAIN: usize = 128;

/// The most nested arrays whose lengths libbpf multiplies (`MAX_RESOLVE_DEPTH`).
const MAX_RESOLVE_DEPTH: usize = 32;

/// The pointer size that loaders assume if no type gives it.
const USUAL_POINTER_SIZE: u32 = 8;

impl<'d> Btf<'d> {
    /// Reads the content of a `.BTF` section or of /sys/kernel/btf/vmlinux. Borrowed bytes are not copied.
    ///
    /// # Errors
    /// Every [`ErrorKind`] but [`ErrorKind::Inexpressible`].
    pub fn parse(bytes: impl Into<Cow<'d, [u8]>>) -> Result<Self> {
        Self::parse_with(bytes.into(), None)
    }

    /// Reads a BTF that continues another one, as a module's BTF continues the kernel's: its ids and string offsets start
    /// where those of the base end. [`Btf::check_base`] tells whether it was made with this base.
    ///
    /// # Errors
    /// Those of [`Btf::parse`], but never [`ErrorKind::Split`].
    pub fn parse_split(bytes: impl Into<Cow<'d, [u8]>>, base: &'d Self) -> Result<Self> {
        Self::parse_with(bytes.into(), Some(base))
    }

    fn parse_with(data: Cow<'d, [u8]>, base: Option<&'d Self>) -> Result<Self> {
        let header = Header::parse_split(&data)?;
        let section = |what: &str, range: Range<u64>| {
            let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
            match (start, end) {
                (Ok(start), Ok(end)) if end <= data.len() => Ok(start..end),
                _ => Err(Error::new(
                    ErrorKind::Damaged,
                    format!(
                        "truncated: the {what} section should end at byte {}, but the file has {}",
                        range.end,
                        data.len()
                    ),
                )),
            }
        };
        let types = section("type", header.types())?;
        let strings = section("string", header.strings())?;
        let layout = section("layout", header.layout())?;
        let own_strings = &data[strings.clone()];
        if own_strings.last().is_some_and(|&last| last != 0) {
            let message = "its strings do not end with a NUL";
            return Err(Error::new(ErrorKind::Damaged, message));
        }
        if base.is_none() && own_strings.first() != Some(&0) {
            let message =
                "it is split BTF, as of a module: it continues the kernel's BTF, which is missing";
            return Err(Error::new(ErrorKind::Split, message));
        }
        let order = header.byte_order();
        let first_id = base.map_or(1, Self::type_count);
        let records = Words::new(&data[types.clone()], order);
        let layout = Words::new(&data[layout], order);
        let split = split(records, layout, first_id)?;
        let mut btf = Self {
            base,
            order,
            types,
            strings,
            places: split.places,
            pointer_size: None,
            classic: split.classic && header.header_len() == Header::LEN as u64,
            modules: Vec::new(),
            data,
        };
        let (types, strings) = (btf.type_count(), btf.string_count());
        if split.largest.check(first_id, strings, types).is_err() {
            // Find the type at fault.
            for ty in btf.own_types() {
                let mut largest = Largest::default();
                largest.take_in(ty.kind(), ty.words());
                largest.check(ty.id().0, strings, types)?;
            }
        }
        btf.check_functions()?;
        btf.pointer_size = match base.and_then(Self::pointer_size) {
            Some(size) => Some(size),
            None => btf.own_types().find_map(|ty| ty.long_size()),
        };
        Ok(btf)
    }

    /// The bytes that were parsed.
    pub fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// The byte order.
    pub fn byte_order(&self) -> ByteOrder {
        self.order
    }

    /// Whether libbpf 1.7 and older can read it: the header has 24 bytes, and kinds and numbers of members are those before
    /// Linux 7.1. [`Btf::to_classic`] makes such a BTF.
    pub fn is_classic(&self) -> bool {
        self.classic
    }

    /// The size of a pointer in bytes, 4 or 8: the size of the first integer called `long`, by the rule of libbpf's
    /// `determine_ptr_size`. `None` if there is no such integer; loaders then use the size of their own host.
    pub fn pointer_size(&self) -> Option<u32> {
        self.pointer_size
    }

    /// The number of types, with `void` and those of the base. All valid ids are smaller.
    pub fn type_count(&self) -> u32 {
        // A type takes at least 12 bytes of a file, and the file's size fits into 32 bits.
        self.first_id() + self.places.len() as u32
    }

    fn first_id(&self) -> u32 {
        self.base.map_or(1, Self::type_count)
    }

    /// The offset of its own strings, which is behind those of the base.
    pub(crate) fn first_string(&self) -> usize {
        self.base.map_or(0, Self::string_count)
    }

    /// The bytes of all strings, with those of the base. All valid offsets are smaller.
    pub fn string_count(&self) -> usize {
        self.first_string() + self.strings.len()
    }

    /// The ids of all types except `void`, with those of the base, in their order.
    pub fn ids(&self) -> impl Iterator<Item = TypeId> + use<> {
        (1..self.type_count()).map(TypeId)
    }

    /// All types except `void`, with those of the base, in their order.
    pub fn types(&self) -> impl Iterator<Item = Type<'_>> {
        self.ids().filter_map(|id| self.type_by_id(id))
    }

    /// All types but `void` of these kinds, those of the base included, in their order.
    pub fn types_of(&self, wanted: impl Fn(Kind) -> bool + Copy) -> impl Iterator<Item = Type<'_>> {
        let base = self.base.into_iter().flat_map(|base| base.types());
        let base = base.filter(move |ty| wanted(ty.kind()));
        base.chain(self.own_types_of(wanted))
    }

    pub(crate) fn own_types(&self) -> impl Iterator<Item = Type<'_>> {
        self.own_types_of(|_| true)
    }

    /// Only the info word is read of a type of another kind.
    fn own_types_of(&self, wanted: impl Fn(Kind) -> bool) -> impl Iterator<Item = Type<'_>> {
        let types = Words::new(&self.data[self.types.clone()], self.order);
        let ids = (self.first_id()..).map(TypeId);
        let places = ids.zip(&self.places).filter(move |(_, place)| {
            let info = types.u32(**place as usize + 4).unwrap_or_default();
            wanted(Info::new(info).kind())
        });
        places.filter_map(|(id, _)| self.type_by_id(id))
    }

    /// The type with this id.
    pub fn type_by_id(&self, id: TypeId) -> Option<Type<'_>> {
        if id == TypeId::VOID {
            return Some(Type::void(self));
        }
        let Some(index) = id.0.checked_sub(self.first_id()) else {
            return self.base?.type_by_id(id);
        };
        let index = index as usize;
        let start = *self.places.get(index)? as usize;
        let end = match self.places.get(index + 1) {
            Some(&end) => end as usize,
            None => self.types.len(),
        };
        let data = self
            .data
            .get(self.types.start + start..self.types.start + end)?;
        Some(Type::new(self, id, Words::new(data, self.order)))
    }

    /// The string at an offset, without its end.
    pub fn string(&self, offset: u32) -> Option<&[u8]> {
        let Some(own) = (offset as usize).checked_sub(self.first_string()) else {
            return self.base?.string(offset);
        };
        let rest = self.own_strings().get(own..)?;
        Some(CStr::from_bytes_until_nul(rest).ok()?.to_bytes())
    }

    pub(crate) fn own_strings(&self) -> &[u8] {
        &self.data[self.strings.clone()]
    }

    /// The type behind modifiers and typedefs, which may be `void`. `None` if the id is unknown, or if there is no other
    /// type within 128 steps. Only a damaged BTF has such an endless chain.
    pub fn skip_modifiers_and_typedefs(&self, id: TypeId) -> Option<Type<'_>> {
        let mut ty = self.type_by_id(id)?;
        for _ in 0..MAX_CHAIN {
            if !ty.kind().is_modifier_or_typedef() {
                return Some(ty);
            }
            ty = self.type_by_id(ty.referenced()?)?;
        }
        None
    }

    /// The size of a type in bytes, as libbpf's `btf__resolve_size` gives it. `None` for types without a size (void,
    /// function, forward), and for sizes beyond 32 bits.
    pub fn resolve_size(&self, id: TypeId) -> Option<u32> {
        self.resolve_size_with(id, self.pointer_size.unwrap_or(USUAL_POINTER_SIZE))
    }

    /// Like [`Btf::resolve_size`], with this size of pointers. Pointers of BPF programs have 8 bytes, whatever the types
    /// say.
    pub fn resolve_size_with(&self, id: TypeId, pointer_size: u32) -> Option<u32> {
        let mut ty = self.type_by_id(id)?;
        let mut elements = 1_u32;
        for _ in 0..MAX_RESOLVE_DEPTH {
            if let Some(size) = ty.size() {
                return elements.checked_mul(size);
            }
            let next = match ty.kind() {
                Kind::Ptr => return elements.checked_mul(pointer_size),
                Kind::Array => {
                    let array = ty.array()?;
                    elements = elements.checked_mul(array.len)?;
                    array.element
                }
                Kind::Func | Kind::FuncProto => return None,
                _ => ty.referenced()?,
            };
            ty = self.type_by_id(next)?;
        }
        None
    }

    /// Requires that every function's type is a prototype.
    fn check_functions(&self) -> Result<()> {
        for ty in self.own_types_of(|kind| kind == Kind::Func) {
            let to = ty.referenced().and_then(|id| self.type_by_id(id));
            if to.is_none_or(|to| to.kind() != Kind::FuncProto) {
                let message = "is a function, but its type is not a prototype";
                return Err(Error::of_type(ErrorKind::Damaged, ty.id().0, message));
            }
        }
        Ok(())
    }
}

/// The largest references of some types. A kernel has a million references. To check only the largest ones takes a third of
/// the time.
#[derive(Debug, Default)]
struct Largest {
    name: u32,
    id: u32,
}

impl Largest {
    /// Adds the references of a type. `record` is the whole type.
    fn take_in(&mut self, kind: Kind, record: Words<'_>) {
        let order = record.order();
        let mut words = record.data().chunks_exact(4).map(|word| order.word(word));
        let mut next = || words.next().unwrap_or_default();
        let (name, _info, size_or_type) = (next(), next(), next());
        self.name = self.name.max(name);
        if kind.refers() {
            self.id = self.id.max(size_or_type);
        }
        let parts = record.data().get(TYPE_LEN as usize..).unwrap_or_default();
        let mut names_and_ids = |len: usize, has_id: bool| {
            for part in parts.chunks_exact(len) {
                self.name = self.name.max(order.word(&part[..4]));
                if has_id {
                    self.id = self.id.max(order.word(&part[4..8]));
                }
            }
        };
        match kind {
            Kind::Array => self.id = self.id.max(next()).max(next()),
            Kind::Struct | Kind::Union => names_and_ids(12, true),
            Kind::FuncProto => names_and_ids(8, true),
            Kind::Enum => names_and_ids(8, false),
            Kind::Enum64 => names_and_ids(12, false),
            Kind::Datasec => {
                let ids = parts.chunks_exact(12).map(|part| order.word(&part[..4]));
                self.id = ids.fold(self.id, u32::max);
            }
            _ => {}
        }
    }

    /// Requires that there are as many bytes of strings, and as many types.
    fn check(&self, id: u32, strings: usize, types: u32) -> Result<()> {
        let dangling = |message: String| Err(Error::of_type(ErrorKind::Dangling, id, message));
        if self.name as usize >= strings {
            let name = self.name;
            return dangling(format!(
                "has a name at offset {name}, but there are only {strings} bytes of strings"
            ));
        }
        if self.id >= types {
            let (to, last) = (self.id, types - 1);
            return dangling(format!(
                "refers to type [{to}], but the last type is [{last}]"
            ));
        }
        Ok(())
    }
}

/// A BTF's types, one by one.
struct Split {
    /// The start of each type.
    places: Vec<u32>,
    /// Whether all types are as before Linux 7.1.
    classic: bool,
    largest: Largest,
}

fn split(types: Words<'_>, layout: Words<'_>, first_id: u32) -> Result<Split> {
    let mut split = Split {
        places: Vec::with_capacity(types.len() / USUAL_TYPE_LEN),
        classic: true,
        largest: Largest::default(),
    };
    let mut at = 0_u32;
    while (at as usize) < types.len() {
        let id = first_id + split.places.len() as u32;
        let beyond = || Error::of_type(ErrorKind::Damaged, id, "runs over the end of the types");
        let info = types.u32(at as usize + 4).ok_or_else(beyond)?;
        let info = Info::new(info);
        let kind = info.kind();
        if kind == Kind::Void {
            return Err(Error::of_type(ErrorKind::Damaged, id, "is of kind 0"));
        }
        split.classic &= info.is_classic();
        let len = info.type_len(layout).ok_or_else(|| {
            let number = info.kind_number();
            let message = format!("is of kind {number}, whose length is unknown");
            Error::of_type(ErrorKind::Unsupported, id, message)
        })?;
        let record = types.part(at.into(), len).ok_or_else(beyond)?;
        split.largest.take_in(kind, record);
        split.places.push(at);
        // It is within the section, whose length has 32 bits.
        at += len as u32;
    }
    Ok(split)
}
