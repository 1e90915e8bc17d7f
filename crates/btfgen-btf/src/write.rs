//! Writes BTF for every loader: a header of 24 bytes, kinds up to 19.

use std::collections::{BTreeSet, HashMap};

use crate::btf::TypeId;
use crate::classic::assemble;
use crate::error::{Error, ErrorKind, Result};
use crate::kind::Kind;
use crate::record::{Record, Reserved};
use crate::words::ByteOrder;

/// A BTF that is being written.
#[derive(Debug)]
pub(crate) struct Writer {
    order: ByteOrder,
    types: Vec<u8>,
    strings: Vec<u8>,
    offsets: HashMap<Vec<u8>, u32>,
}

const KIND_FLAG: u32 = 1 << 31;

impl Writer {
    pub(crate) fn new(order: ByteOrder) -> Self {
        Self {
            order,
            types: Vec::new(),
            // Offset 0 is the empty string in every BTF.
            strings: vec![0],
            offsets: HashMap::new(),
        }
    }

    /// Places these names and the reserved names in alphabetical order.
    pub(crate) fn strings(&mut self, names: &BTreeSet<&[u8]>, reserved: &Reserved<'_>) {
        if let Some(reserved_names) = reserved.names {
            let missing = reserved_names
                .iter()
                .filter(|name| !names.contains(&name[..]));
            let cost: usize = missing.map(|name| name.len() + 1).sum();
            for name in reserved_names.iter().filter(|_| cost <= reserved.budget) {
                if names.contains(&name[..]) {
                    self.string(name);
                } else {
                    self.strings.extend(std::iter::repeat_n(0, name.len() + 1));
                }
            }
        }
        for name in names {
            self.string(name);
        }
    }

    /// Adds the next type. The first one has id 1.
    pub(crate) fn add(&mut self, record: &Record<'_, TypeId>) -> Result<()> {
        let words = self.encode(record)?;
        let order = self.order;
        self.types
            .extend(words.into_iter().flat_map(|word| order.bytes(word)));
        Ok(())
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        assemble(self.order, &self.types, &self.strings)
    }

    /// The offset of a name. A new name is added. An offset into the middle of a longer name would work with libbpf, but not
    /// with all readers of BTF.
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

    fn encode(&mut self, record: &Record<'_, TypeId>) -> Result<Vec<u32>> {
        let info = |kind: Kind, flag: bool, vlen: usize| {
            let vlen = u16::try_from(vlen)
                .map_err(|_| Error::new(ErrorKind::Inexpressible, "more than 65,535 members"))?;
            let flag = if flag { KIND_FLAG } else { 0 };
            Ok::<_, Error>(flag | (kind as u32) << 24 | u32::from(vlen))
        };
        Ok(match *record {
            Record::Int {
                name,
                size,
                encoding,
                offset,
                bits,
            } => {
                let int = u32::from(encoding) << 24 | u32::from(offset) << 16 | u32::from(bits);
                vec![self.string(name), info(Kind::Int, false, 0)?, size, int]
            }
            Record::Float(name, size) => {
                vec![self.string(name), info(Kind::Float, false, 0)?, size]
            }
            Record::Fwd(name, union) => vec![self.string(name), info(Kind::Fwd, union, 0)?, 0],
            Record::Ptr(to) => vec![0, info(Kind::Ptr, false, 0)?, to.0],
            Record::Alias(kind, name, to) => vec![self.string(name), info(kind, false, 0)?, to.0],
            Record::Array(element, index, len) => {
                vec![0, info(Kind::Array, false, 0)?, 0, element.0, index.0, len]
            }
            Record::FuncProto(ref params, result) => {
                let mut words = vec![0, info(Kind::FuncProto, false, params.len())?, result.0];
                words.extend(params.iter().flat_map(|param| [0, param.0]));
                words
            }
            Record::Enum {
                name,
                size,
                signed,
                wide,
                ref enumerators,
            } => {
                let kind = if wide { Kind::Enum64 } else { Kind::Enum };
                let info = info(kind, signed, enumerators.len())?;
                let mut words = vec![self.string(name), info, size];
                for e in enumerators {
                    words.extend([self.string(e.name), e.value as u32]);
                    if wide {
                        words.push((e.value >> 32) as u32);
                    }
                }
                words
            }
            Record::Composite {
                kind,
                name,
                size,
                ref members,
            } => {
                let flag = members.iter().any(|m| m.bitfield_size > 0);
                let mut words = vec![self.string(name), info(kind, flag, members.len())?, size];
                for m in members {
                    if flag && (m.bit_offset >= 1 << 24 || m.bitfield_size >= 1 << 8) {
                        let name = String::from_utf8_lossy(m.name);
                        let message = format!(
                            "member {name} is too far from the start of a struct with bitfields"
                        );
                        return Err(Error::new(ErrorKind::Inexpressible, message));
                    }
                    let offset = m.bitfield_size << 24 | m.bit_offset;
                    words.extend([self.string(m.name), m.ty.0, offset]);
                }
                words
            }
        })
    }
}
