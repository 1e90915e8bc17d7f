//! The types of an object.
//!
//! The format is the kernel's Documentation/bpf/btf.rst. The reader refuses what libbpf would refuse to split into
//! types; references between them are checked when they are followed, by [`Walk`](crate::Walk).

use std::ffi::CStr;

use crate::bytes::Bytes;
use crate::error::{Error, Result};
use crate::kind::Kind;

/// The content of a `.BTF` section, of either byte order.
#[derive(Debug)]
pub struct Btf<'d> {
    types: Bytes<'d>,
    strings: &'d [u8],
    /// Where in `types` each one begins, but for `void`.
    places: Vec<u32>,
}

const MAGIC: u16 = 0xeb9f;
const HEADER_LEN: u32 = 24;
/// Name, info, and size or type.
const COMMON_LEN: u32 = 12;

impl<'d> Btf<'d> {
    /// Finds the types. It takes 4 bytes of memory for each.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged).
    pub fn parse(section: &'d [u8]) -> Result<Self> {
        let damaged = |message: &str| Error::damaged(format!(".BTF: {message}"));
        let magic = section.first_chunk().copied();
        let big_endian = magic == Some(MAGIC.to_be_bytes());
        if !big_endian && magic != Some(MAGIC.to_le_bytes()) {
            return Err(damaged("wrong magic"));
        }
        if section.get(2) != Some(&1) {
            return Err(damaged("not of version 1"));
        }
        let bytes = Bytes {
            data: section,
            big_endian,
        };
        let word = |at| bytes.u32(at).ok_or_else(|| damaged("too short"));
        let header_len = word(4)?;
        if header_len < HEADER_LEN {
            return Err(damaged("its header is too short"));
        }
        let part = |at: usize| -> Result<Bytes<'d>> {
            let start = u64::from(header_len) + u64::from(word(at)?);
            bytes
                .part(start, u64::from(word(at + 4)?))
                .ok_or_else(|| damaged("its parts lie beyond the end"))
        };
        let (types, strings) = (part(8)?, part(16)?.data);
        if strings.first() != Some(&0) || strings.last() != Some(&0) {
            return Err(damaged("its strings do not begin and end with a NUL"));
        }
        let places = places(types).map_err(|id| damaged(&format!("type [{id}] is damaged")))?;
        Ok(Self {
            types,
            strings,
            places,
        })
    }

    pub(crate) fn is_big_endian(&self) -> bool {
        self.types.big_endian
    }

    pub(crate) fn type_by_id(&self, id: u32) -> Option<Type<'d>> {
        let Some(before) = id.checked_sub(1) else {
            return Some(Type::default());
        };
        let before = before as usize;
        let start = *self.places.get(before)? as usize;
        let end = self.places.get(before + 1).map(|end| *end as usize);
        let own = start..end.unwrap_or(self.types.len());
        Some(Type {
            id,
            bytes: Bytes {
                data: self.types.data.get(own)?,
                ..self.types
            },
        })
    }

    /// The string at an offset, without its end.
    pub(crate) fn string(&self, offset: u32) -> Option<&'d [u8]> {
        let rest = self.strings.get(offset as usize..)?;
        Some(CStr::from_bytes_until_nul(rest).ok()?.to_bytes())
    }
}

/// Where each type begins. The error is the id of the first that cannot be one, or goes over the end.
fn places(types: Bytes<'_>) -> Result<Vec<u32>, usize> {
    let mut places = Vec::new();
    let mut at = 0_u32;
    while (at as usize) < types.len() {
        let id = places.len() + 1;
        let info = types.u32(at as usize + 4).ok_or(id)?;
        let kind = Kind::of_info(info)
            .filter(|kind| *kind != Kind::Void)
            .ok_or(id)?;
        let (own, each) = kind.trailing();
        places.push(at);
        at = at
            .checked_add(COMMON_LEN + own + each * (info & 0xffff))
            .filter(|end| *end as usize <= types.len())
            .ok_or(id)?;
    }
    Ok(places)
}

/// One type of a [`Btf`]; the default one is `void`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Type<'d> {
    id: u32,
    bytes: Bytes<'d>,
}

/// A member of a struct or union.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) name_off: u32,
    pub(crate) ty: u32,
    /// Width in bits of a bitfield; 0 for any other member.
    pub(crate) bitfield_size: u32,
}

/// Element type and length of an array.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ArrayDef {
    pub(crate) element: u32,
    pub(crate) len: u32,
}

impl Type<'_> {
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    pub(crate) fn kind(&self) -> Kind {
        // `places` refused unknown ones.
        Kind::of_info(self.word(1)).unwrap_or(Kind::Void)
    }

    pub(crate) fn name_off(&self) -> u32 {
        self.word(0)
    }

    /// Bitfield encoding of a struct, union for a forward declaration.
    pub(crate) fn kind_flag(&self) -> bool {
        self.word(1) >> 31 == 1
    }

    /// Size in bytes, for the kinds that have one.
    pub(crate) fn size(&self) -> u32 {
        self.word(2)
    }

    /// The type referred to, for the kinds that do.
    pub(crate) fn referenced(&self) -> u32 {
        self.word(2)
    }

    /// Encoding bits of an int: 1 signed, 2 char, 4 bool; 0 for other kinds.
    pub(crate) fn int_encoding(&self) -> u32 {
        match self.kind() {
            Kind::Int => self.word(3) >> 24 & 0xf,
            _ => 0,
        }
    }

    /// Bit offset of an int within its bytes: only old compilers' bitfields have one.
    pub(crate) fn int_offset(&self) -> u32 {
        match self.kind() {
            Kind::Int => self.word(3) >> 16 & 0xff,
            _ => 0,
        }
    }

    pub(crate) fn array(&self) -> Option<ArrayDef> {
        (self.kind() == Kind::Array).then(|| ArrayDef {
            element: self.word(3),
            len: self.word(5),
        })
    }

    /// Member of a struct or union.
    pub(crate) fn member(&self, index: u32) -> Option<Member> {
        let composite = matches!(self.kind(), Kind::Struct | Kind::Union);
        let at = self.trailing(index, 3).filter(|_| composite)?;
        Some(Member {
            name_off: self.word(at),
            ty: self.word(at + 1),
            bitfield_size: if self.kind_flag() {
                self.word(at + 2) >> 24
            } else {
                0
            },
        })
    }

    /// Offset of an enumerator's name, for an enum of either width.
    pub(crate) fn enumerator(&self, index: u32) -> Option<u32> {
        let words = match self.kind() {
            Kind::Enum => 2,
            Kind::Enum64 => 3,
            _ => return None,
        };
        Some(self.word(self.trailing(index, words)?))
    }

    /// Type of a function prototype's parameter.
    pub(crate) fn param(&self, index: u32) -> Option<u32> {
        let at = self.trailing(index, 2)?;
        (self.kind() == Kind::FuncProto).then(|| self.word(at + 1))
    }

    /// Which word of the type its record `index` of `words` words begins with.
    fn trailing(&self, index: u32, words: usize) -> Option<usize> {
        let len = self.word(1) & 0xffff;
        (index < len).then_some(3 + index as usize * words)
    }

    fn word(&self, index: usize) -> u32 {
        // `places` checked that all are there; `void` has none.
        self.bytes.u32(4 * index).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{info, section, sections};
    use btfgen_libbpf::TypeId;

    fn names_of_members(btf: &Btf<'_>, ty: Type<'_>) -> Vec<(Vec<u8>, u32, u32)> {
        let name = |offset| btf.string(offset).expect("in range").to_vec();
        let members = (0..).map_while(|i| ty.member(i));
        members
            .map(|m| (name(m.name_off), m.ty, m.bitfield_size))
            .collect()
    }

    /// Check that libbpf sees the same types in all objects, member by member.
    #[test]
    fn types_are_those_of_libbpf() {
        for (path, bytes) in sections() {
            let btf = Btf::parse(&bytes).expect("good");
            let reference = btfgen_libbpf::Btf::parse(&bytes).expect("good");
            let count = reference.type_count();
            assert!(btf.type_by_id(count).is_none(), "{}", path.display());
            let name = |offset| btf.string(offset).expect("in range").to_vec();
            for id in 0..count {
                let ty = btf.type_by_id(id).expect("in range");
                let other = reference.type_by_id(TypeId(id)).expect("in range");
                assert_eq!(ty.kind() as u8, other.kind() as u8, "{other:?}");
                assert_eq!(name(ty.name_off()), other.name(), "{other:?}");
                assert_eq!(ty.size(), other.size(), "{other:?}");
                assert_eq!(ty.kind_flag(), other.kind_flag(), "{other:?}");
                assert_eq!(ty.int_encoding(), u32::from(other.int_encoding()));
                assert_eq!(ty.int_offset(), other.int_offset(), "{other:?}");
                assert_eq!(
                    ty.array().map(|a| (a.element, a.len)),
                    other.array().map(|a| (a.element.0, a.len)),
                    "{other:?}"
                );
                let members = other.members();
                let members: Vec<_> = members
                    .map(|m| (m.name.to_vec(), m.ty.0, m.bitfield_size))
                    .collect();
                assert_eq!(names_of_members(&btf, ty), members, "{other:?}");
                let enumerators = (0..).map_while(|i| ty.enumerator(i)).map(name);
                let others = other.enumerators().into_iter().map(|e| e.name.to_vec());
                assert!(enumerators.eq(others), "{other:?}");
                let params = (0..).map_while(|i| ty.param(i));
                assert!(params.eq(other.params().map(|p| p.ty.0)), "{other:?}");
            }
        }
    }

    /// Check that what cannot be split into types is refused with what is wrong.
    #[test]
    fn damage_is_named() {
        const INT: [u32; 4] = [1, 1 << 24, 4, 32];
        let good = section(&[&INT], b"\0int\0");
        assert!(Btf::parse(&good).is_ok());
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            bytes
        };
        let truncated = info(Kind::Struct, 1);
        for (bytes, message) in [
            (Vec::new(), "wrong magic"),
            (with(0, 0), "wrong magic"),
            (with(2, 2), "not of version 1"),
            (good[..10].to_vec(), "too short"),
            (with(4, 23), "header is too short"),
            (with(15, 0xff), "beyond the end"),
            (good[..good.len() - 1].to_vec(), "beyond the end"),
            (section(&[&INT], b"\0int"), "begin and end with a NUL"),
            (section(&[&INT], b""), "begin and end with a NUL"),
            (section(&[&INT, &[1, 0, 0]], b"\0"), "type [2]"),
            (section(&[&INT, &[1, 30 << 24, 0]], b"\0"), "type [2]"),
            (section(&[&INT, &[1, truncated, 0]], b"\0"), "type [2]"),
            (section(&[&INT, &[1]], b"\0"), "type [2]"),
        ] {
            let error = Btf::parse(&bytes).expect_err(message);
            assert_eq!(error.kind(), crate::ErrorKind::Damaged);
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
