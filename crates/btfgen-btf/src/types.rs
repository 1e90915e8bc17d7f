//! Reads one type.

use std::fmt;

use crate::btf::{Btf, TypeId};
use crate::info::Info;
use crate::kind::Kind;
use crate::words::Words;

/// One type of a [`Btf`].
#[derive(Clone, Copy)]
pub struct Type<'b> {
    btf: &'b Btf<'b>,
    id: TypeId,
    /// `struct btf_type` and the data that follows it; empty for `void`.
    words: Words<'b>,
}

/// The encoding of an int.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Int {
    /// Bits: 1 signed, 2 char, 4 bool.
    pub encoding: u8,
    /// Offset in bits within its bytes: only bitfields of old compilers have one.
    pub offset: u8,
    /// Width in bits. It is smaller than the size for bitfields of old compilers.
    pub bits: u8,
}

/// Element type and length of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Array {
    /// Type of one element.
    pub element: TypeId,
    /// Type of the index: an int.
    pub index: TypeId,
    /// Number of elements; 0 for a flexible array.
    pub len: u32,
}

/// A member of a struct or union. It refers to its type by an `R`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Member<'b, R = TypeId> {
    /// Name; empty for an anonymous struct or union.
    pub name: &'b [u8],
    /// Type.
    pub ty: R,
    /// Offset in bits from the start of the struct.
    pub bit_offset: u32,
    /// Width in bits of a bitfield; 0 for any other member.
    pub bitfield_size: u32,
}

/// One name of an enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Enumerator<'b> {
    /// Name.
    pub name: &'b [u8],
    /// Value. A value of 32 bits is sign-extended even if the enum is unsigned, as in libbpf.
    pub value: u64,
}

/// The words of `struct btf_type`.
const NAME: usize = 0;
const INFO: usize = 1;
const SIZE_OR_TYPE: usize = 2;
/// The first word behind `struct btf_type`.
const TRAILING: usize = 3;

const MEMBER_WORDS: usize = 3;
const PARAM_WORDS: usize = 2;
const SECTION_WORDS: usize = 3;

impl<'b> Type<'b> {
    pub(crate) fn new(btf: &'b Btf<'_>, id: TypeId, words: Words<'b>) -> Self {
        Self { btf, id, words }
    }

    pub(crate) fn void(btf: &'b Btf<'_>) -> Self {
        Self::new(btf, TypeId::VOID, Words::new(&[], btf.byte_order()))
    }

    /// Its id.
    pub fn id(&self) -> TypeId {
        self.id
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        Info::new(self.word(INFO)).kind()
    }

    /// Its name; empty for an anonymous type.
    pub fn name(&self) -> &'b [u8] {
        self.string(self.name_offset())
    }

    /// The offset of its name among the strings.
    pub fn name_offset(&self) -> u32 {
        self.word(NAME)
    }

    /// The `kind_flag` bit: for a struct the encoding of bitfields, for an enum the sign, for a forward declaration whether
    /// it is a union.
    pub fn kind_flag(&self) -> bool {
        self.word(INFO) >> 31 == 1
    }

    /// Size in bytes, for the kinds that have it: int, struct, union, enum, float, data section.
    pub fn size(&self) -> Option<u32> {
        let has_size = matches!(
            self.kind(),
            Kind::Int
                | Kind::Struct
                | Kind::Union
                | Kind::Enum
                | Kind::Enum64
                | Kind::Float
                | Kind::Datasec
        );
        has_size.then(|| self.word(SIZE_OR_TYPE))
    }

    /// The type that it refers to, for the kinds that have one: pointer, modifier, typedef, function, variable, tag. For a
    /// prototype it is the result.
    pub fn referenced(&self) -> Option<TypeId> {
        let refers = self.kind().refers();
        refers.then(|| TypeId(self.word(SIZE_OR_TYPE)))
    }

    /// The encoding of an int.
    pub fn int(&self) -> Option<Int> {
        let word = self.word(TRAILING);
        (self.kind() == Kind::Int).then_some(Int {
            encoding: (word >> 24 & 0xf) as u8,
            offset: (word >> 16) as u8,
            bits: word as u8,
        })
    }

    /// The size in bytes of an int that loaders take for the size of a pointer: it is 4 or 8, and the int is called `long`
    /// in any of C's spellings (libbpf's `determine_ptr_size`).
    pub fn long_size(&self) -> Option<u32> {
        self.int()?;
        let size = self.size().filter(|size| matches!(size, 4 | 8))?;
        let mut words: Vec<&[u8]> = self.name().split(|&byte| byte == b' ').collect();
        words.sort_unstable();
        let sorted: [&[u8]; 4] = [b"long", b"int long", b"long unsigned", b"int long unsigned"];
        sorted.contains(&&*words.join(&b' ')).then_some(size)
    }

    /// Element type and length of an array.
    pub fn array(&self) -> Option<Array> {
        (self.kind() == Kind::Array).then(|| Array {
            element: TypeId(self.word(TRAILING)),
            index: TypeId(self.word(TRAILING + 1)),
            len: self.word(TRAILING + 2),
        })
    }

    /// Number of members, enumerators or parameters.
    pub fn len(&self) -> usize {
        Info::new(self.word(INFO)).vlen() as usize
    }

    /// Whether it has no members, enumerators or parameters.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Members of a struct or union; none for other kinds.
    pub fn members(&self) -> impl ExactSizeIterator<Item = Member<'b>> + use<'b> {
        let this = *self;
        self.records(self.kind().is_composite(), MEMBER_WORDS)
            .map(move |at| this.member_at(at))
    }

    /// The member with this index.
    pub fn member(&self, index: u32) -> Option<Member<'b>> {
        let mut records = self.records(self.kind().is_composite(), MEMBER_WORDS);
        Some(self.member_at(records.nth(index as usize)?))
    }

    fn member_at(&self, at: usize) -> Member<'b> {
        let (flag, offset) = (self.kind_flag(), self.word(at + 2));
        Member {
            name: self.string(self.word(at)),
            ty: TypeId(self.word(at + 1)),
            bit_offset: if flag { offset & 0xff_ffff } else { offset },
            bitfield_size: if flag { offset >> 24 } else { 0 },
        }
    }

    /// Names and values of an enum of either width; none for other kinds.
    pub fn enumerators(&self) -> impl ExactSizeIterator<Item = Enumerator<'b>> + use<'b> {
        let this = *self;
        self.enumerator_places()
            .map(move |at| this.enumerator_at(at))
    }

    /// The enumerator with this index.
    pub fn enumerator(&self, index: u32) -> Option<Enumerator<'b>> {
        let at = self.enumerator_places().nth(index as usize)?;
        Some(self.enumerator_at(at))
    }

    fn enumerator_at(&self, at: usize) -> Enumerator<'b> {
        let low = self.word(at + 1);
        Enumerator {
            name: self.string(self.word(at)),
            value: match self.kind() {
                Kind::Enum64 => u64::from(self.word(at + 2)) << 32 | u64::from(low),
                _ => i64::from(low.cast_signed()).cast_unsigned(),
            },
        }
    }

    /// Types of a prototype's parameters; none for other kinds. `void` as the last one stands for "variadic".
    pub fn params(&self) -> impl ExactSizeIterator<Item = TypeId> + use<'b> {
        let this = *self;
        self.records(self.kind() == Kind::FuncProto, PARAM_WORDS)
            .map(move |at| TypeId(this.word(at + 1)))
    }

    /// Names and types of a prototype's parameters; none for other kinds. Parameters of function pointers usually have no name.
    pub fn named_params(&self) -> impl ExactSizeIterator<Item = (&'b [u8], TypeId)> + use<'b> {
        let this = *self;
        self.records(self.kind() == Kind::FuncProto, PARAM_WORDS)
            .map(move |at| (this.string(this.word(at)), TypeId(this.word(at + 1))))
    }

    /// The types of the variables of a data section; none for other kinds.
    pub fn variables(&self) -> impl Iterator<Item = TypeId> + use<'b> {
        let this = *self;
        self.records(self.kind() == Kind::Datasec, SECTION_WORDS)
            .map(move |at| TypeId(this.word(at)))
    }

    /// The offsets of its name, and of the names of its members, enumerators or parameters.
    pub(crate) fn name_offsets(&self) -> impl Iterator<Item = u32> + use<'b> {
        let this = *self;
        let words = match self.kind() {
            Kind::Struct | Kind::Union => MEMBER_WORDS,
            Kind::Enum64 => 3,
            Kind::Enum | Kind::FuncProto => PARAM_WORDS,
            _ => 0,
        };
        let parts = self.records(words > 0, words.max(1));
        std::iter::once(NAME)
            .chain(parts)
            .map(move |at| this.word(at))
    }

    /// Whether libbpf 1.7 and older can read it unchanged; see [`Btf::to_classic`].
    pub fn is_classic(&self) -> bool {
        Info::new(self.word(INFO)).is_classic()
    }

    fn enumerator_places(&self) -> impl ExactSizeIterator<Item = usize> + use<'b> {
        let words = if self.kind() == Kind::Enum64 { 3 } else { 2 };
        self.records(self.kind().is_enum(), words)
    }

    /// The first word of each record of so many words; none for a kind that does not have any.
    fn records(&self, has: bool, words: usize) -> impl ExactSizeIterator<Item = usize> + use<> {
        let len = if has { self.len() } else { 0 };
        (TRAILING..TRAILING + len * words).step_by(words)
    }

    /// The type as it is in the file: `struct btf_type` and the data that follows it; empty for `void`.
    pub fn words(&self) -> Words<'b> {
        self.words
    }

    fn word(&self, index: usize) -> u32 {
        // Parsing checked all words of a type; `void` has none.
        self.words.u32(4 * index).unwrap_or_default()
    }

    fn string(&self, offset: u32) -> &'b [u8] {
        // Parsing checked all names.
        self.btf.string(offset).unwrap_or_default()
    }
}

impl fmt::Debug for Type<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "[{}] {:?} {}",
            self.id,
            self.kind(),
            String::from_utf8_lossy(self.name())
        )
    }
}
