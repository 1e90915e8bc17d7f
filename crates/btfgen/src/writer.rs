//! Writes BTF: the kernel's Documentation/bpf/btf.rst, in either byte order.

use std::collections::HashMap;

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
    /// Name, size in bytes; encoding bits, bit offset and width in bits.
    Int(&'a [u8], u32, (u8, u32, u8)),
    Float(&'a [u8], u32),
    /// A pointer, a typedef or a modifier, of this kind: its name and what it refers to.
    Alias(Kind, &'a [u8], TypeId),
    /// Element, index and length.
    Array(TypeId, TypeId, u32),
    /// Name and whether it is a union.
    Fwd(&'a [u8], bool),
    /// Parameters and result.
    FuncProto(&'a [TypeId], TypeId),
    /// Name, size in bytes, signed, of 64 bits, names and values.
    Enum(&'a [u8], u32, bool, bool, &'a [(&'a [u8], u64)]),
    /// Name, union, size in bytes, members.
    Composite(&'a [u8], bool, u32, &'a [MemberRecord<'a>]),
}

/// A BTF in the making.
#[derive(Debug)]
pub(crate) struct Writer {
    order: ByteOrder,
    types: Vec<u8>,
    strings: Vec<u8>,
    offsets: HashMap<Vec<u8>, u32>,
}

const KIND_FLAG: u32 = 1 << 31;
const HEADER_LEN: u32 = 24;

impl Writer {
    // An offset into the middle of a longer name would do for libbpf, but not for all readers of BTF.
    pub(crate) fn new(order: ByteOrder) -> Self {
        Self {
            order,
            types: Vec::new(),
            // Offset 0 is the empty string in every BTF.
            strings: vec![0],
            offsets: HashMap::new(),
        }
    }

    /// Adds the next type. The first one has id 1.
    pub(crate) fn add(&mut self, record: &Record<'_>) -> Result<(), String> {
        let words = self.encode(record)?;
        self.types
            .extend(words.into_iter().flat_map(|word| bytes(self.order, word)));
        Ok(())
    }

    /// The finished BTF.
    pub(crate) fn finish(self) -> Vec<u8> {
        let type_len = self.types.len() as u32;
        let magic = match self.order {
            ByteOrder::Little => 0xeb9f_u16.to_le_bytes(),
            ByteOrder::Big => 0xeb9f_u16.to_be_bytes(),
        };
        // Magic, version and flags.
        let mut out = [&magic[..], &[1, 0]].concat();
        let strings_len = self.strings.len() as u32;
        for word in [HEADER_LEN, 0, type_len, type_len, strings_len] {
            out.extend(bytes(self.order, word));
        }
        out.extend(self.types);
        out.extend(self.strings);
        out
    }

    /// Leaves the place of a string empty: as many empty strings, to which nothing refers.
    pub(crate) fn gap(&mut self, len: usize) {
        self.strings.extend(std::iter::repeat_n(0, len));
    }

    /// The offset of a name, which is added unless it is there.
    pub(crate) fn string(&mut self, s: &[u8]) -> u32 {
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

    fn encode(&mut self, record: &Record<'_>) -> Result<Vec<u32>, String> {
        let mut words = Vec::new();
        let mut head = |name: u32, kind: Kind, flag: bool, vlen: usize, size: u32| {
            let vlen = u16::try_from(vlen).map_err(|_| "more than 65,535 members".to_owned())?;
            let flag = if flag { KIND_FLAG } else { 0 };
            words.extend([name, flag | (kind as u32) << 24 | u32::from(vlen), size]);
            Ok::<_, String>(())
        };
        match *record {
            Record::Int(name, size, (encoding, offset, bits)) => {
                head(self.string(name), Kind::Int, false, 0, size)?;
                words.push(u32::from(encoding) << 24 | offset << 16 | u32::from(bits));
            }
            Record::Float(name, size) => head(self.string(name), Kind::Float, false, 0, size)?,
            Record::Alias(kind, name, to) => head(self.string(name), kind, false, 0, to.0)?,
            Record::Array(element, index, len) => {
                head(0, Kind::Array, false, 0, 0)?;
                words.extend([element.0, index.0, len]);
            }
            Record::Fwd(name, union) => head(self.string(name), Kind::Fwd, union, 0, 0)?,
            Record::FuncProto(params, result) => {
                head(0, Kind::FuncProto, false, params.len(), result.0)?;
                words.extend(params.iter().flat_map(|p| [0, p.0]));
            }
            Record::Enum(name, size, signed, wide, enumerators) => {
                let kind = if wide { Kind::Enum64 } else { Kind::Enum };
                head(self.string(name), kind, signed, enumerators.len(), size)?;
                for &(name, value) in enumerators {
                    words.extend([self.string(name), value as u32]);
                    if wide {
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
        Ok(words)
    }
}

fn bytes(order: ByteOrder, word: u32) -> [u8; 4] {
    match order {
        ByteOrder::Little => word.to_le_bytes(),
        ByteOrder::Big => word.to_be_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use btfgen_libbpf::Btf;

    use super::*;

    fn written(write: impl FnOnce(&mut Writer)) -> Btf {
        let mut writer = Writer::new(ByteOrder::Big);
        write(&mut writer);
        Btf::parse(&writer.finish()).expect("what is written is BTF")
    }

    /// Check that values survive in enums of both widths, signs and all.
    #[test]
    fn enums_of_both_widths() {
        let minus_one = u64::MAX;
        for (value, wide) in [
            (7, false),
            (minus_one, false),
            (7, true),
            (minus_one, true),
            (1 << 40, true),
        ] {
            let btf = written(|w| {
                let e = Record::Enum(b"e", 8, false, wide, &[(b"A", value)]);
                w.add(&e).expect("it can be written");
            });
            let e = btf.type_by_id(TypeId(1)).expect("the only type");
            let kind = if wide { Kind::Enum64 } else { Kind::Enum };
            assert_eq!((e.kind(), e.enumerators()[0].value), (kind, value));
        }
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
        let mut writer = Writer::new(ByteOrder::Little);
        let mut write = |m| writer.add(&Record::Composite(b"s", false, 4, &[m]));
        assert!(write(member(1 << 24, 3)).is_err());
        assert!(write(member(1 << 24, 0)).is_ok());
        assert!(write(member((1 << 24) - 1, 3)).is_ok());
    }
}
