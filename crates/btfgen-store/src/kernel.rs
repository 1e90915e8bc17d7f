//! What a store knows of one kernel's BTF.

use std::fmt;
use std::hash::{Hash, Hasher};

use btfgen_btf::ByteOrder;
use twox_hash::XxHash3_128;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::lists::NO_LISTS;

/// The XXH3-128 digest of a BTF or of a file. It tells contents apart; it is no protection against somebody who makes equal
/// digests on purpose, because whoever can write a hub's kernels need not.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    FromBytes,
    IntoBytes,
    Immutable,
)]
#[repr(transparent)]
pub struct Digest([u64; 2]);

impl From<u128> for Digest {
    fn from(digest: u128) -> Self {
        Self([(digest >> 64) as u64, digest as u64])
    }
}

impl From<Digest> for u128 {
    fn from(Digest([high, low]): Digest) -> Self {
        Self::from(high) << 64 | Self::from(low)
    }
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        XxHash3_128::oneshot(bytes).into()
    }

    /// The digest of what a value feeds to a hasher. Another version of a program may give another one.
    pub fn of_value(value: &impl Hash) -> Self {
        let mut state = State(XxHash3_128::new());
        value.hash(&mut state);
        state.0.finish_128().into()
    }
}

/// A hasher whose result has more bits than [`Hasher::finish`] can give.
struct State(XxHash3_128);

impl Hasher for State {
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.finish_128() as u64
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [high, low] = self.0;
        write!(f, "{high:016x}{low:016x}")
    }
}

/// A kernel's BTF, as a store knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
pub struct Kernel {
    /// The digest of the BTF.
    pub digest: Digest,
    /// The size of the BTF in bytes.
    pub bytes: u64,
    /// The number of types, without `void`.
    pub types: u32,
    /// 1 for a big-endian BTF.
    pub(crate) big_endian: u32,
    /// The node of the int that gives the size of a pointer; `void` if there is none.
    pub(crate) long: u32,
    /// The uppermost block of its lists, or [`NO_LISTS`].
    pub(crate) lists: u32,
    /// The uppermost block of its functions.
    pub(crate) functions: u32,
    /// How many functions it has in the store: equal ones are one. If there are none, its BTF says nothing about functions, unless
    /// only some were chosen ([`Tables::ingest_some`](crate::Tables::ingest_some)).
    pub function_count: u32,
}

/// What else an answer depends on, besides the candidates: kernels with equal candidates and an equal machine answer alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Machine {
    pub(crate) big_endian: bool,
    pub(crate) long: u32,
}

impl Kernel {
    /// Whether all its named types are definitions of the store. Otherwise, its own BTF must be asked.
    pub fn is_covered(&self) -> bool {
        self.lists != NO_LISTS
    }

    /// The byte order.
    pub fn byte_order(&self) -> ByteOrder {
        self.machine().byte_order()
    }

    /// Its byte order and its `long`.
    pub fn machine(&self) -> Machine {
        Machine {
            big_endian: self.big_endian != 0,
            long: self.long,
        }
    }
}

impl Machine {
    /// The byte order.
    pub fn byte_order(&self) -> ByteOrder {
        if self.big_endian {
            ByteOrder::Big
        } else {
            ByteOrder::Little
        }
    }
}
