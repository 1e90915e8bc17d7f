//! Writes BTF: the kernel's Documentation/bpf/btf.rst, in either byte order.

use std::collections::{BTreeSet, HashMap};

use btfgen_libbpf::{ByteOrder, Kind, TypeId};

/// A member as it is written.
#[derive(Debug)]
pub(crate) struct MemberRecord<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) ty: TypeId,
    pub(crate) bit_offset: u32,
    /// 0 unless it is a bitfield.
    pub(crate) bitfield_size: u32,
}

/// One type as it is written.
#[derive(Debug)]
pub(crate) enum Record<'a> {
    /// Name, size in bytes, encoding bits, bit offset.
    Int(&'a [u8], u32, u8, u32),
    Ptr(TypeId),
    Float(&'a [u8], u32),
    Typedef(&'a [u8], TypeId),
    /// Element and length.
    Array(TypeId, u32),
    /// Name and whether it is a union.
    Fwd(&'a [u8], bool),
    /// Parameters and result.
    FuncProto(&'a [TypeId], TypeId),
    /// Name, size in bytes, signed, names and values.
    Enum(&'a [u8], u32, bool, &'a [(&'a [u8], u64)]),
    /// Name, union, size in bytes, members.
    Composite(&'a [u8], bool, u32, &'a [MemberRecord<'a>]),
}

/// A BTF in the making.
#[derive(Debug)]
pub(crate) struct Writer {
    order: ByteOrder,
    /// Encoded types; the first has id 1.
    types: Vec<Vec<u8>>,
    interned: HashMap<Vec<u8>, TypeId>,
    strings: Vec<u8>,
    offsets: HashMap<Vec<u8>, u32>,
}

const KIND_FLAG: u32 = 1 << 31;
const HEADER_LEN: u32 = 24;

impl Writer {
    /// Begins with these names, whether or not they will be used.
    // An offset into the middle of a longer name would do for libbpf, but not for all readers of BTF.
    pub(crate) fn new(order: ByteOrder, names: &BTreeSet<Vec<u8>>) -> Self {
        let mut writer = Self {
            order,
            types: Vec::new(),
            interned: HashMap::new(),
            // Offset 0 is the empty string in every BTF.
            strings: vec![0],
            offsets: HashMap::new(),
        };
        for name in names {
            writer.string(name);
        }
        writer
    }

    /// The names that were written so far.
    pub(crate) fn into_names(self) -> BTreeSet<Vec<u8>> {
        self.offsets.into_keys().collect()
    }

    /// The id of a type with this content, which is added unless it is there.
    pub(crate) fn intern(&mut self, record: &Record<'_>) -> Result<TypeId, String> {
        let bytes = self.encode(record)?;
        if let Some(&id) = self.interned.get(&bytes) {
            return Ok(id);
        }
        let id = self.reserve();
        self.interned.insert(bytes.clone(), id);
        self.types[id.0 as usize - 1] = bytes;
        Ok(id)
    }

    /// An id whose content comes later, with [`Writer::fill`]: types may refer to each other.
    pub(crate) fn reserve(&mut self) -> TypeId {
        self.types.push(Vec::new());
        TypeId(self.types.len() as u32)
    }

    pub(crate) fn fill(&mut self, id: TypeId, record: &Record<'_>) -> Result<(), String> {
        self.types[id.0 as usize - 1] = self.encode(record)?;
        Ok(())
    }

    /// The finished BTF.
    pub(crate) fn finish(self) -> Vec<u8> {
        let type_len: usize = self.types.iter().map(Vec::len).sum();
        let mut out = Vec::with_capacity(HEADER_LEN as usize + type_len + self.strings.len());
        match self.order {
            ByteOrder::Little => out.extend_from_slice(&0xeb9f_u16.to_le_bytes()),
            ByteOrder::Big => out.extend_from_slice(&0xeb9f_u16.to_be_bytes()),
        }
        // Version and flags.
        out.extend_from_slice(&[1, 0]);
        for word in [
            HEADER_LEN,
            0,
            type_len as u32,
            type_len as u32,
            self.strings.len() as u32,
        ] {
            self.push(&mut out, word);
        }
        out.extend(self.types.iter().flatten());
        out.extend_from_slice(&self.strings);
        out
    }

    fn push(&self, out: &mut Vec<u8>, word: u32) {
        out.extend_from_slice(&match self.order {
            ByteOrder::Little => word.to_le_bytes(),
            ByteOrder::Big => word.to_be_bytes(),
        });
    }

    fn string(&mut self, s: &[u8]) -> u32 {
        if s.is_empty() {
            return 0;
        }
        if let Some(&at) = self.offsets.get(s) {
            return at;
        }
        let at = self.strings.len() as u32;
        self.strings.extend_from_slice(s);
        self.strings.push(0);
        self.offsets.insert(s.to_vec(), at);
        at
    }

    fn encode(&mut self, record: &Record<'_>) -> Result<Vec<u8>, String> {
        let mut words = Vec::new();
        let mut head = |name: u32, kind: Kind, flag: bool, vlen: usize, size: u32| {
            let vlen = u16::try_from(vlen).map_err(|_| "more than 65,535 members".to_owned())?;
            let flag = if flag { KIND_FLAG } else { 0 };
            words.extend([name, flag | (kind as u32) << 24 | u32::from(vlen), size]);
            Ok::<_, String>(())
        };
        match *record {
            Record::Int(name, size, encoding, offset) => {
                head(self.string(name), Kind::Int, false, 0, size)?;
                words.push(
                    u32::from(encoding) << 24 | offset << 16 | size.saturating_mul(8).min(255),
                );
            }
            Record::Ptr(to) => head(0, Kind::Ptr, false, 0, to.0)?,
            Record::Float(name, size) => head(self.string(name), Kind::Float, false, 0, size)?,
            Record::Typedef(name, to) => {
                head(self.string(name), Kind::Typedef, false, 0, to.0)?;
            }
            Record::Array(element, len) => {
                head(0, Kind::Array, false, 0, 0)?;
                // Nothing reads the index type; void is a valid reference.
                words.extend([element.0, 0, len]);
            }
            Record::Fwd(name, union) => head(self.string(name), Kind::Fwd, union, 0, 0)?,
            Record::FuncProto(params, result) => {
                head(0, Kind::FuncProto, false, params.len(), result.0)?;
                words.extend(params.iter().flat_map(|p| [0, p.0]));
            }
            Record::Enum(name, size, signed, enumerators) => {
                // The wide form only where a value asks for it: loaders before 2022 do not know it.
                let narrow = enumerators
                    .iter()
                    .all(|&(_, v)| i64::from(v as i32) as u64 == v);
                let kind = if narrow { Kind::Enum } else { Kind::Enum64 };
                head(self.string(name), kind, signed, enumerators.len(), size)?;
                for &(name, value) in enumerators {
                    words.extend([self.string(name), value as u32]);
                    if !narrow {
                        words.push((value >> 32) as u32);
                    }
                }
            }
            Record::Composite(name, union, size, members) => {
                let kind = if union { Kind::Union } else { Kind::Struct };
                let flag = members.iter().any(|m| m.bitfield_size > 0);
                head(self.string(name), kind, flag, members.len(), size)?;
                for m in members {
                    if flag && (m.bit_offset >= 1 << 24 || m.bitfield_size >= 1 << 8) {
                        return Err(format!(
                            "member {} lies too far behind the start for a struct with bitfields",
                            String::from_utf8_lossy(m.name)
                        ));
                    }
                    let bits = m.bitfield_size << 24;
                    words.extend([self.string(m.name), m.ty.0, bits | m.bit_offset]);
                }
            }
        }
        let mut out = Vec::with_capacity(4 * words.len());
        for w in words {
            self.push(&mut out, w);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use btfgen_libbpf::Btf;

    use super::*;

    fn written(write: impl FnOnce(&mut Writer)) -> Btf {
        let mut writer = Writer::new(ByteOrder::Big, &BTreeSet::new());
        write(&mut writer);
        Btf::parse(&writer.finish()).expect("what is written is BTF")
    }

    /// Check that an enum is wide only if a value asks for it, and that values survive, signs and all.
    #[test]
    fn enums_are_as_wide_as_their_values() {
        let minus_one = u64::MAX;
        for (value, kind) in [
            (7, Kind::Enum),
            (minus_one, Kind::Enum),
            (0x7fff_ffff, Kind::Enum),
            (0x8000_0000, Kind::Enum64),
            (1 << 40, Kind::Enum64),
        ] {
            let btf = written(|w| {
                let e = Record::Enum(b"e", 8, false, &[(b"A", value)]);
                w.intern(&e).expect("it can be written");
            });
            let e = btf.type_by_id(TypeId(1)).expect("the only type");
            assert_eq!((e.kind(), e.enumerators()[0].value), (kind, value));
        }
    }

    /// Check that equal types are written once.
    #[test]
    fn equal_types_are_one() {
        let btf = written(|w| {
            let int = |w: &mut Writer, size| w.intern(&Record::Int(b"", size, 0, 0));
            assert_eq!(int(w, 4), int(w, 4));
            assert_ne!(int(w, 4), int(w, 8));
        });
        assert_eq!(btf.type_count(), 3);
    }

    /// Check that a bitfield too far behind the start is refused, as its offset has 24 bits, and other members are not.
    #[test]
    fn far_bitfields_are_refused() {
        let member = |bit_offset, bitfield_size| MemberRecord {
            name: b"m",
            ty: TypeId(1),
            bit_offset,
            bitfield_size,
        };
        let mut writer = Writer::new(ByteOrder::Little, &BTreeSet::new());
        let mut write = |m| writer.intern(&Record::Composite(b"s", false, 4, &[m]));
        assert!(write(member(1 << 24, 3)).is_err());
        assert!(write(member(1 << 24, 0)).is_ok());
        assert!(write(member((1 << 24) - 1, 3)).is_ok());
    }
}
