//! One BTF: its types and strings, by number and offset.

use std::borrow::Cow;
use std::ffi::CStr;
use std::fmt;
use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::header::Header;
use crate::kind::Kind;
use crate::types::Type;
use crate::words::{ByteOrder, Words};

/// A type's number within one BTF. 0 is `void`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

impl TypeId {
    /// The type `void`, which every BTF has.
    pub const VOID: Self = Self(0);
}

impl fmt::Display for TypeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A BTF. All names and types that its types refer to are there.
pub struct Btf<'d> {
    data: Cow<'d, [u8]>,
    base: Option<&'d Btf<'d>>,
    order: ByteOrder,
    types: Range<usize>,
    strings: Range<usize>,
    /// Where each type of its own begins, in bytes from the beginning of the types.
    places: Vec<u32>,
    pointer_size: Option<u32>,
    classic: bool,
}

impl fmt::Debug for Btf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Btf")
            .field("types", &self.type_count())
            .field("byte_order", &self.order)
            .finish_non_exhaustive()
    }
}

/// `struct btf_type`: name, info, and size or type.
const TYPE_LEN: u32 = 12;

/// A walk over modifiers and typedefs ends after so many. Kernels have fewer than 10 in a row.
const MAX_CHAIN: usize = 128;

/// libbpf multiplies the lengths of so many arrays of arrays (`MAX_RESOLVE_DEPTH`).
const MAX_RESOLVE_DEPTH: usize = 32;

/// Loaders take pointers for this large where no type tells their size.
const USUAL_POINTER_SIZE: u32 = 8;

/// The number of members is in the lower bits of the info word, the kind above it. It was 16 bits and 5 bits before Linux 7.1, with
/// zeros around them.
pub(crate) fn vlen(info: u32) -> u32 {
    info & 0xff_ffff
}

pub(crate) fn kind_number(info: u32) -> u32 {
    info >> 24 & 0x7f
}

/// The most members before Linux 7.1.
const CLASSIC_VLEN: u32 = 0xffff;

impl<'d> Btf<'d> {
    /// Reads the content of a `.BTF` section or of /sys/kernel/btf/vmlinux. Borrowed bytes are not copied.
    ///
    /// # Errors
    /// Every [`ErrorKind`] but [`ErrorKind::Inexpressible`].
    pub fn parse(bytes: impl Into<Cow<'d, [u8]>>) -> Result<Self> {
        Self::parse_with(bytes.into(), None)
    }

    /// Reads a BTF that goes on where another one ends, as a module's does where the kernel's ends: ids and string offsets
    /// count from there.
    ///
    /// # Errors
    /// As [`Btf::parse`]; never [`ErrorKind::Split`].
    pub fn parse_split(bytes: impl Into<Cow<'d, [u8]>>, base: &'d Btf<'d>) -> Result<Self> {
        Self::parse_with(bytes.into(), Some(base))
    }

    fn parse_with(data: Cow<'d, [u8]>, base: Option<&'d Self>) -> Result<Self> {
        let header = Header::parse(&data)?;
        let section = |what: &str, range: Range<u64>| {
            let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
            match (start, end) {
                (Ok(start), Ok(end)) if end <= data.len() => Ok(start..end),
                _ => Err(Error::new(
                    ErrorKind::Damaged,
                    format!(
                        "truncated: the {what} section should end at byte {}, the file has {}",
                        range.end,
                        data.len()
                    ),
                )),
            }
        };
        let types = section("type", header.types())?;
        let strings = section("string", header.strings())?;
        let layout = section("layout", header.layout())?;
        if data[strings.end - 1] != 0 {
            let message = "its strings do not end with a NUL";
            return Err(Error::new(ErrorKind::Damaged, message));
        }
        if base.is_none() && data[strings.start] != 0 {
            let message = "it is split BTF, as modules have it: it goes on where the kernel's BTF ends, which is missing";
            return Err(Error::new(ErrorKind::Split, message));
        }
        let order = header.byte_order();
        let first_id = base.map_or(1, Self::type_count);
        let records = Words::new(&data[types.clone()], order);
        let layout = Layout(Words::new(&data[layout], order));
        let (places, known) = places(records, layout, first_id)?;
        let mut btf = Self {
            base,
            order,
            types,
            strings,
            places,
            pointer_size: None,
            classic: known && header.header_len() == Header::LEN as u64,
            data,
        };
        btf.check_references()?;
        btf.pointer_size = match base.and_then(Self::pointer_size) {
            Some(size) => Some(size),
            None => btf.own_types().find_map(|ty| ty.long_size()),
        };
        Ok(btf)
    }

    /// The bytes, as they came.
    pub fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// The byte order.
    pub fn byte_order(&self) -> ByteOrder {
        self.order
    }

    /// Whether libbpf 1.7 and older can read it: the header has 24 bytes, and kinds and numbers of members are those of Linux
    /// before 7.1. [`Btf::to_classic`] makes such a BTF of any other.
    pub fn is_classic(&self) -> bool {
        self.classic
    }

    /// Size of a pointer in bytes, 4 or 8: that of the first integer which is called `long`, by the rule of libbpf's
    /// `determine_ptr_size`. `None` where there is no such type; loaders then take their own host's.
    pub fn pointer_size(&self) -> Option<u32> {
        self.pointer_size
    }

    /// Number of types, `void` and those of the base included: valid ids are below it.
    pub fn type_count(&self) -> u32 {
        // A type takes 12 bytes of a file whose size fits into 32 bits.
        self.first_id() + self.places.len() as u32
    }

    fn first_id(&self) -> u32 {
        self.base.map_or(1, Self::type_count)
    }

    /// Where its own strings begin: behind those of the base.
    fn first_string(&self) -> usize {
        self.base.map_or(0, Self::string_count)
    }

    fn string_count(&self) -> usize {
        self.first_string() + self.strings.len()
    }

    /// Ids of all types but `void`, those of the base included, in their order.
    pub fn ids(&self) -> impl Iterator<Item = TypeId> + use<> {
        (1..self.type_count()).map(TypeId)
    }

    /// All types but `void`, those of the base included, in their order.
    pub fn types(&self) -> impl Iterator<Item = Type<'_>> {
        self.ids().filter_map(|id| self.type_by_id(id))
    }

    pub(crate) fn own_types(&self) -> impl Iterator<Item = Type<'_>> {
        let own = (self.first_id()..self.type_count()).map(TypeId);
        own.filter_map(|id| self.type_by_id(id))
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

    /// The type behind modifiers and typedefs, `void` included. `None` for an unknown id, or if there is no other type
    /// within 128 steps: a chain without end, which only a damaged BTF has.
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

    /// Size of a type in bytes as libbpf's `btf__resolve_size` gives it; `None` for types without one (void, function,
    /// forward), and for sizes beyond 32 bits.
    pub fn resolve_size(&self, id: TypeId) -> Option<u32> {
        self.resolve_size_with(id, self.pointer_size.unwrap_or(USUAL_POINTER_SIZE))
    }

    /// As [`Btf::resolve_size`], with pointers of so many bytes. Those of BPF programs have 8, whatever their types say.
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

    /// Requires that every name and every type that a type refers to is there.
    fn check_references(&self) -> Result<()> {
        let (types, strings) = (self.type_count(), self.string_count());
        for ty in self.own_types() {
            let dangling =
                |message: String| Error::of_type(ErrorKind::Dangling, ty.id().0, message);
            let name = |offset: u32| match (offset as usize) < strings {
                true => Ok(()),
                false => Err(dangling(format!(
                    "has a name at offset {offset}, and there are {strings} bytes of strings"
                ))),
            };
            let refers = |id: TypeId| match id.0 < types {
                true => Ok(()),
                false => Err(dangling(format!(
                    "refers to type [{id}], and the last one is [{}]",
                    types - 1
                ))),
            };
            name(ty.name_offset())?;
            if let Some(id) = ty.referenced() {
                refers(id)?;
            }
            match ty.kind() {
                Kind::Array => {
                    let array = ty.array();
                    let ids = array.into_iter().flat_map(|a| [a.element, a.index]);
                    ids.into_iter().try_for_each(refers)?;
                }
                Kind::Struct | Kind::Union => {
                    for (offset, id) in ty.member_references() {
                        name(offset)?;
                        refers(id)?;
                    }
                }
                Kind::Enum | Kind::Enum64 => ty.enumerator_names().try_for_each(name)?,
                Kind::FuncProto => {
                    for (offset, id) in ty.param_references() {
                        name(offset)?;
                        refers(id)?;
                    }
                }
                Kind::Func => {
                    let to = ty.referenced().and_then(|id| self.type_by_id(id));
                    if to.is_none_or(|to| to.kind() != Kind::FuncProto) {
                        let message = "is a function whose type is no prototype";
                        return Err(Error::of_type(ErrorKind::Damaged, ty.id().0, message));
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The layout section: for each kind the length of what follows `struct btf_type`, and that of each member (`struct
/// btf_layout`).
struct Layout<'d>(Words<'d>);

impl Layout<'_> {
    /// `None` for a kind that it does not have.
    fn trailing(&self, kind: u32) -> Option<(u32, u32)> {
        let entry = self.0.part(4 * u64::from(kind), 4)?;
        let &[own, each, ..] = entry.data() else {
            return None;
        };
        Some((own.into(), each.into()))
    }
}

/// Kinds of bpf-next, which will come with Linux 7.3 or later: LOC_PARAM, LOC_PROTO and LOCSEC.
fn coming(kind: u32) -> Option<(u32, u32)> {
    match kind {
        20 => Some((4, 4)),
        21 => Some((0, 4)),
        22 => Some((0, 12)),
        _ => None,
    }
}

/// Where each type begins, and whether all are as before Linux 7.1.
fn places(types: Words<'_>, layout: Layout<'_>, first_id: u32) -> Result<(Vec<u32>, bool)> {
    let mut places = Vec::new();
    let mut classic = true;
    let mut at = 0_u32;
    while (at as usize) < types.len() {
        let id = first_id + places.len() as u32;
        let beyond = || Error::of_type(ErrorKind::Damaged, id, "runs over the end of the types");
        let info = types.u32(at as usize + 4).ok_or_else(beyond)?;
        let number = kind_number(info);
        let kind = Kind::of_number(number);
        if kind == Kind::Void {
            return Err(Error::of_type(ErrorKind::Damaged, id, "is of kind 0"));
        }
        let known = kind.trailing();
        classic &= known.is_some() && vlen(info) <= CLASSIC_VLEN;
        let lens = known
            .or_else(|| layout.trailing(number))
            .or_else(|| coming(number));
        let (own, each) = lens.ok_or_else(|| {
            let message = format!("is of kind {number}, whose length nothing tells");
            Error::of_type(ErrorKind::Unsupported, id, message)
        })?;
        places.push(at);
        // Each of 2^24 members has up to 255 bytes.
        let len = u64::from(TYPE_LEN + own) + u64::from(each) * u64::from(vlen(info));
        let end = u64::from(at) + len;
        at = u32::try_from(end)
            .ok()
            .filter(|end| *end as usize <= types.len())
            .ok_or_else(beyond)?;
    }
    Ok((places, classic))
}
