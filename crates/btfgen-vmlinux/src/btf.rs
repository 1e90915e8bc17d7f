//! BTF as far as it must be known to tell it from other bytes, and a kernel's from a module's: the header, and the
//! types one after the other (the kernel's `Documentation/bpf/btf.rst`, `include/uapi/linux/btf.h`).

use std::ops::Range;

/// Magic and version in the two byte orders.
pub(crate) const MAGICS: [[u8; 3]; 2] = [[0x9f, 0xeb, 1], [0xeb, 0x9f, 1]];

/// `struct btf_header`. Later versions may append fields, and say so in `hdr_len`.
pub(crate) const HEADER_BYTES: usize = 24;
const MAX_HEADER_BYTES: u64 = 4096;

/// `struct btf_type`
const TYPE_BYTES: usize = 12;

const KIND_STRUCT: u32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let word = bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(*word),
            Self::Big => u32::from_be_bytes(*word),
        })
    }
}

/// Where the sections lie, counted from the first byte of the header.
#[derive(Debug)]
pub(crate) struct Header {
    order: Order,
    types: Range<u64>,
    strings: Range<u64>,
}

impl Header {
    /// None if no header that makes sense begins here.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let order = match bytes.first_chunk()? {
            magic if *magic == MAGICS[0] => Order::Little,
            magic if *magic == MAGICS[1] => Order::Big,
            _ => return None,
        };
        let field = |n: usize| order.u32(bytes, 4 * n).map(u64::from);
        let header = field(1)?;
        let section = |offset: u64, len: u64| header + offset..header + offset + len;
        let types = section(field(2)?, field(3)?);
        let strings = section(field(4)?, field(5)?);
        let fits = (HEADER_BYTES as u64..=MAX_HEADER_BYTES).contains(&header)
            && types.start % 4 == 0
            && strings.start < strings.end;
        fits.then_some(Self {
            order,
            types,
            strings,
        })
    }

    /// The length of the BTF.
    pub(crate) fn len(&self) -> u64 {
        self.types.end.max(self.strings.end)
    }
}

/// What is not a kernel's BTF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The header makes no sense, a section lies beyond the end, a type beyond its section.
    Damaged,
    /// It goes on where another one ends, a kernel's: a module's.
    Split,
}

/// What the types say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Survey {
    /// Every kernel has it, a BPF program that is built into one does not.
    pub(crate) defines_task_struct: bool,
}

/// Looks at every type.
pub(crate) fn survey(btf: &[u8]) -> Result<Survey, Fault> {
    let header = Header::parse(btf).ok_or(Fault::Damaged)?;
    let types = section(btf, &header.types).ok_or(Fault::Damaged)?;
    let strings = section(btf, &header.strings).ok_or(Fault::Damaged)?;
    // A base begins with the empty name; the names of split BTF go on behind those of its base.
    if strings.first() != Some(&0) {
        return Err(Fault::Split);
    }
    if strings.last() != Some(&0) {
        return Err(Fault::Damaged);
    }
    walk(header.order, types, strings)
}

fn section<'b>(btf: &'b [u8], range: &Range<u64>) -> Option<&'b [u8]> {
    btf.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)
}

fn walk(order: Order, types: &[u8], strings: &[u8]) -> Result<Survey, Fault> {
    let mut survey = Survey {
        defines_task_struct: false,
    };
    let (mut at, mut count, mut largest_id) = (0, 0, 0);
    while at < types.len() {
        let field = |n: usize| order.u32(types, at + 4 * n).ok_or(Fault::Damaged);
        let (name, info, size_or_type) = (field(0)? as usize, field(1)?, field(2)?);
        let (kind, vlen) = (info >> 24 & 0x1f, info as usize & 0xffff);
        // A kind that is newer than this list: what comes behind it cannot be told.
        let Some(behind) = bytes_behind(kind, vlen) else {
            return Ok(survey);
        };
        let Some(name) = strings.get(name..) else {
            return Err(Fault::Split);
        };
        survey.defines_task_struct |= kind == KIND_STRUCT && name.starts_with(b"task_struct\0");
        if refers(kind) {
            largest_id = largest_id.max(size_or_type);
        }
        count += 1;
        at += TYPE_BYTES + behind;
    }
    if at > types.len() {
        return Err(Fault::Damaged);
    }
    if largest_id > count {
        return Err(Fault::Split);
    }
    Ok(survey)
}

/// The bytes that follow a type of this kind; None for an unknown kind.
fn bytes_behind(kind: u32, vlen: usize) -> Option<usize> {
    Some(match kind {
        // Pointer, forward declaration, typedef, volatile, const, restrict, function, float, type tag
        2 | 7 | 8 | 9 | 10 | 11 | 12 | 16 | 18 => 0,
        // Integer, variable, declaration tag
        1 | 14 | 17 => 4,
        // Array
        3 => 12,
        // Struct, union, data section, 64-bit enum
        4 | 5 | 15 | 19 => 12 * vlen,
        // Enum, prototype
        6 | 13 => 8 * vlen,
        _ => return None,
    })
}

/// Whether the third word of a type of this kind is another type's number, rather than a size.
fn refers(kind: u32) -> bool {
    matches!(kind, 2 | 8..=14 | 17 | 18)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A BTF of an int and a pointer to it, whose name and target may lie elsewhere.
    fn made_up(strings: &[u8], name: u32, target: u32) -> Vec<u8> {
        let types = [name, 1 << 24, 4, 0x20, 0, 2 << 24, target];
        let words = [24, 0, 28, 28, strings.len() as u32];
        let mut btf = vec![0x9f, 0xeb, 1, 0];
        for word in words.iter().chain(&types) {
            btf.extend(word.to_le_bytes());
        }
        btf.extend(strings);
        btf
    }

    /// Check that names and types that lie in another BTF tell a module's.
    #[test]
    fn split() {
        assert!(survey(&made_up(b"\0int\0", 1, 1)).is_ok());
        for btf in [
            made_up(b"\0int\0", 90_000, 1),
            made_up(b"\0int\0", 1, 3),
            made_up(b"mod\0", 0, 1),
        ] {
            assert_eq!(survey(&btf), Err(Fault::Split));
        }
    }

    /// Check that a BTF that is cut off anywhere is damaged.
    #[test]
    fn damaged() {
        let btf = made_up(b"\0int\0", 1, 1);
        for cut in 0..btf.len() {
            assert_eq!(survey(&btf[..cut]), Err(Fault::Damaged), "{cut}");
        }
        let mut longer = made_up(b"\0int\0", 1, 1);
        longer[24 + 4 + 3] = 4;
        longer[24 + 4] = 9;
        assert_eq!(survey(&longer), Err(Fault::Damaged));
    }
}
