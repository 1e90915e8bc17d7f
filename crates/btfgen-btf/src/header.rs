//! `struct btf_header`, which gives the places of the sections.
//!
//! The rules are those of libbpf's `btf_parse_hdr` and `btf_parse_str_sec`: no loader can use a BTF that these rules refuse.

use std::fmt;
use std::ops::Range;

use crate::words::{ByteOrder, Words};

/// The header of a BTF. All places are in bytes from the start of the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    order: ByteOrder,
    len: u64,
    types: Range<u64>,
    strings: Range<u64>,
    layout: Range<u64>,
}

/// The reason why bytes are not the header of a BTF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderFault {
    /// There are no bytes.
    Empty,
    /// The first two bytes are not the magic.
    Magic([u8; 2]),
    /// There are only so many bytes, which are fewer than a header has.
    Short(usize),
    /// The version is not 1.
    Version(u8),
    /// The places of the sections are not valid; the text says why.
    Sections(&'static str),
}

impl fmt::Display for HeaderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the file is empty"),
            Self::Magic([first, second]) => write!(
                f,
                "not BTF: it begins with {first:02x} {second:02x}, not with the magic 9f eb or eb 9f"
            ),
            Self::Short(len) => write!(f, "{len} bytes are too few for a BTF header"),
            Self::Version(version) => {
                write!(f, "BTF version {version} (only version 1 is known)")
            }
            Self::Sections(why) => f.write_str(why),
        }
    }
}

impl Header {
    /// The length of the part that every header has. Later kernels append fields, and `hdr_len` is the whole length.
    pub const LEN: usize = 24;

    /// Magic and version, in both byte orders: every BTF begins with them.
    pub const MAGICS: [[u8; 3]; 2] = [[0x9f, 0xeb, 1], [0xeb, 0x9f, 1]];

    /// The length of a header that gives the place of the layout section (Linux 7.1).
    pub const LEN_WITH_LAYOUT: usize = 32;

    /// libbpf's `BTF_MAX_STR_OFFSET`.
    const MAX_STRING_OFFSET: u64 = 0x7fff_ffff;

    /// Reads a header from the first bytes of a BTF. [`Header::LEN`] bytes are enough for everything except the place of a
    /// layout section, which needs [`Header::LEN_WITH_LAYOUT`].
    ///
    /// # Errors
    /// [`HeaderFault`].
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let header = Self::parse_split(bytes)?;
        if header.strings.is_empty() {
            let message = "it has no strings, not even the empty string";
            return Err(HeaderFault::Sections(message));
        }
        Ok(header)
    }

    /// Like [`Header::parse`], for the BTF of a module, which may have no strings of its own.
    ///
    /// # Errors
    /// [`HeaderFault`].
    pub fn parse_split(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let order = match *bytes {
            [] => return Err(HeaderFault::Empty),
            [0x9f, 0xeb, ..] => ByteOrder::Little,
            [0xeb, 0x9f, ..] => ByteOrder::Big,
            [first, second, ..] if bytes.len() >= Self::LEN => {
                return Err(HeaderFault::Magic([first, second]));
            }
            [first, ref rest @ ..] => {
                let magic = [first, rest.first().copied().unwrap_or_default()];
                return Err(HeaderFault::Magic(magic));
            }
        };
        let words = Words::new(bytes, order);
        if bytes.len() < Self::LEN {
            return Err(HeaderFault::Short(bytes.len()));
        }
        if bytes[2] != 1 {
            return Err(HeaderFault::Version(bytes[2]));
        }
        let field = |n: usize| u64::from(words.u32(4 * n).unwrap_or_default());
        let len = field(1);
        let section = |n: usize| len + field(n)..len + field(n) + field(n + 1);
        let (types, strings) = (section(2), section(4));
        let layout = if len >= Self::LEN_WITH_LAYOUT as u64 {
            section(6)
        } else {
            0..0
        };
        let header = Self {
            order,
            len,
            types,
            strings,
            layout,
        };
        header.check().map_err(HeaderFault::Sections)?;
        Ok(header)
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.len < Self::LEN as u64 {
            return Err("its header is too short");
        }
        if !(self.types.start - self.len).is_multiple_of(4) {
            return Err("its types are not aligned to 4 bytes");
        }
        if self.types.end > self.strings.start {
            return Err("its types overlap its strings");
        }
        if self.strings.end - self.strings.start > Self::MAX_STRING_OFFSET + 1 {
            return Err("its strings are larger than 2 GiB");
        }
        Ok(())
    }

    /// The byte order.
    pub fn byte_order(&self) -> ByteOrder {
        self.order
    }

    /// The length of the header itself (`hdr_len`).
    pub fn header_len(&self) -> u64 {
        self.len
    }

    /// The place of the types.
    pub fn types(&self) -> Range<u64> {
        self.types.clone()
    }

    /// The place of the strings. There is at least one byte.
    pub fn strings(&self) -> Range<u64> {
        self.strings.clone()
    }

    /// The place of the layout section; empty if there is none.
    pub fn layout(&self) -> Range<u64> {
        self.layout.clone()
    }

    /// The length of the whole BTF.
    pub fn btf_len(&self) -> u64 {
        self.strings.end.max(self.types.end).max(self.layout.end)
    }
}
