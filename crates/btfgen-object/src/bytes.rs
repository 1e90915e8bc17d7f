//! Bounds-checked reading of integers in the object's byte order.

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bytes<'d> {
    pub(crate) data: &'d [u8],
    pub(crate) big_endian: bool,
}

impl<'d> Bytes<'d> {
    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    pub(crate) fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(if self.big_endian {
            u16::from_be_bytes
        } else {
            u16::from_le_bytes
        })
    }

    pub(crate) fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(if self.big_endian {
            u32::from_be_bytes
        } else {
            u32::from_le_bytes
        })
    }

    /// The part from `start` on, of `len` bytes.
    pub(crate) fn part(&self, start: u64, len: u64) -> Option<Self> {
        let end = usize::try_from(start.checked_add(len)?).ok()?;
        Some(Self {
            data: self.data.get(usize::try_from(start).ok()?..end)?,
            big_endian: self.big_endian,
        })
    }

    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.data.get(at..at.checked_add(N)?)?.try_into().ok()
    }
}
