//! Integers of either byte order, read within bounds.

/// The order of the bytes in integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ByteOrder {
    /// Least significant byte first (x86, arm64, riscv64, ppc64le).
    Little,
    /// Most significant byte first (s390x).
    Big,
}

impl ByteOrder {
    /// The integer of four bytes; 0 for any other number of them.
    pub(crate) fn word(self, bytes: &[u8]) -> u32 {
        let bytes = bytes.first_chunk().copied().unwrap_or_default();
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    /// The bytes of an integer.
    pub fn bytes(self, word: u32) -> [u8; 4] {
        match self {
            Self::Little => word.to_le_bytes(),
            Self::Big => word.to_be_bytes(),
        }
    }
}

/// Bytes that hold integers of one byte order, at any alignment.
#[derive(Debug, Clone, Copy)]
pub struct Words<'d> {
    data: &'d [u8],
    order: ByteOrder,
}

impl<'d> Words<'d> {
    /// These bytes, in this order.
    pub fn new(data: &'d [u8], order: ByteOrder) -> Self {
        Self { data, order }
    }

    /// The bytes.
    pub fn data(&self) -> &'d [u8] {
        self.data
    }

    /// The order.
    pub fn order(&self) -> ByteOrder {
        self.order
    }

    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The 16-bit integer at a byte offset.
    pub fn u16(&self, at: usize) -> Option<u16> {
        let bytes = self.array(at)?;
        Some(match self.order {
            ByteOrder::Little => u16::from_le_bytes(bytes),
            ByteOrder::Big => u16::from_be_bytes(bytes),
        })
    }

    /// The 32-bit integer at a byte offset.
    pub fn u32(&self, at: usize) -> Option<u32> {
        let bytes = self.array(at)?;
        Some(match self.order {
            ByteOrder::Little => u32::from_le_bytes(bytes),
            ByteOrder::Big => u32::from_be_bytes(bytes),
        })
    }

    /// The part from byte `start` on, of `len` bytes.
    pub fn part(&self, start: u64, len: u64) -> Option<Self> {
        let end = usize::try_from(start.checked_add(len)?).ok()?;
        let data = self.data.get(usize::try_from(start).ok()?..end)?;
        Some(Self { data, ..*self })
    }

    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.data.get(at..)?.first_chunk().copied()
    }
}
