//! Writes a BTF of a newer kernel as a kernel before Linux 7.1 would have written it.

use std::borrow::Cow;

use crate::btf::Btf;
use crate::header::Header;
use crate::kind::Kind;
use crate::words::ByteOrder;

/// A data section without a name or variables. No relocation can ask for it, and no field is compatible with it.
pub(crate) const PLACEHOLDER: [u32; 3] = [0, (Kind::Datasec as u32) << 24, 0];

impl Btf<'_> {
    /// The bytes of the same BTF in a form that libbpf 1.7 and older can read: a header of 24 bytes, kinds up to 19, and up
    /// to 65,535 members. Types keep their ids: a placeholder replaces each type that is of an unknown kind or has too many
    /// members. If nothing has to change, the result is [`Btf::bytes`].
    pub fn to_classic(&self) -> Cow<'_, [u8]> {
        if self.is_classic() {
            return Cow::Borrowed(self.bytes());
        }
        let order = self.byte_order();
        let mut types = Vec::with_capacity(self.bytes().len());
        for ty in self.own_types() {
            if ty.is_classic() {
                types.extend_from_slice(ty.words().data());
            } else {
                types.extend(PLACEHOLDER.into_iter().flat_map(|word| order.bytes(word)));
            }
        }
        Cow::Owned(assemble(order, &types, self.own_strings()))
    }
}

/// A BTF with these types and strings, which are in this byte order. Nothing is checked.
pub fn assemble(order: ByteOrder, types: &[u8], strings: &[u8]) -> Vec<u8> {
    let magic = match order {
        ByteOrder::Little => Header::MAGICS[0],
        ByteOrder::Big => Header::MAGICS[1],
    };
    let (type_len, string_len) = (types.len() as u32, strings.len() as u32);
    let words = [Header::LEN as u32, 0, type_len, type_len, string_len];
    let words: Vec<u8> = words
        .into_iter()
        .flat_map(|word| order.bytes(word))
        .collect();
    let no_flags = [0];
    [&magic[..], &no_flags, &words, types, strings].concat()
}
