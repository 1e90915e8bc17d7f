//! The info word of a type, which says where the next type begins.

use crate::kind::Kind;
use crate::words::Words;

/// The info word of a type: the second word of `struct btf_type`, with the kind and the number of members.
///
/// A reader that needs only the kinds of a BTF can go from one type to the next by [`type_len`](Self::type_len), without the
/// whole BTF in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info(u32);

/// `struct btf_type`: name, info, and size or type.
pub(crate) const TYPE_LEN: u32 = 12;

/// The largest number of members before Linux 7.1.
const CLASSIC_VLEN: u32 = 0xffff;

// The lower bits are the number of members, and the kind is above them. Before Linux 7.1 they had 16 and 5 bits, with zeros
// around them.
impl Info {
    /// The info word with this value.
    pub fn new(word: u32) -> Self {
        Self(word)
    }

    /// The number of the kind, also of an unknown one: up to 127.
    pub fn kind_number(self) -> u32 {
        self.0 >> 24 & 0x7f
    }

    /// The kind.
    pub fn kind(self) -> Kind {
        Kind::of_number(self.kind_number())
    }

    /// The number of members, enumerators, parameters or variables: up to 2^24 - 1.
    pub fn vlen(self) -> u32 {
        self.0 & 0xff_ffff
    }

    /// Whether libbpf 1.7 and older read the type as it is: the kind is known, and they can count the members.
    pub fn is_classic(self) -> bool {
        // A type without members, enumerators or parameters has nothing to count.
        let has_parts = |(_, each)| each > 0;
        let parts = self.kind().trailing().map(has_parts);
        parts.is_some_and(|has_parts| !has_parts || self.vlen() <= CLASSIC_VLEN)
    }

    /// The length of the whole type in bytes. `layout` is the content of the layout section, or empty. `None` if the kind is
    /// unknown and the layout section does not have it.
    pub fn type_len(self, layout: Words<'_>) -> Option<u64> {
        let number = self.kind_number();
        let lens = self.kind().trailing();
        let lens = lens
            .or_else(|| trailing_by_layout(layout, number))
            .or_else(|| trailing_of_coming(number));
        let (own, each) = lens?;
        // Each of 2^24 members has up to 255 bytes.
        Some(u64::from(TYPE_LEN + own) + u64::from(each) * u64::from(self.vlen()))
    }
}

/// The layout section has for each kind the length of the data behind `struct btf_type`, and the length of each member
/// (`struct btf_layout`).
fn trailing_by_layout(layout: Words<'_>, kind: u32) -> Option<(u32, u32)> {
    let entry = layout.part(4 * u64::from(kind), 4)?;
    let &[own, each, ..] = entry.data() else {
        return None;
    };
    Some((own.into(), each.into()))
}

/// Kinds of bpf-next, expected in Linux 7.3 or later: `LOC_PARAM`, `LOC_PROTO` and `LOCSEC`.
fn trailing_of_coming(kind: u32) -> Option<(u32, u32)> {
    match kind {
        20 => Some((4, 4)),
        21 => Some((0, 4)),
        22 => Some((0, 12)),
        _ => None,
    }
}
