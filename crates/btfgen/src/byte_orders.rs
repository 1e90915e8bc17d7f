//! Sets of byte orders.

use btfgen_btf::ByteOrder;

/// Which byte orders some objects have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ByteOrders {
    little: bool,
    big: bool,
}

impl ByteOrders {
    pub(crate) const BOTH: Self = Self {
        little: true,
        big: true,
    };

    pub(crate) fn add(&mut self, order: ByteOrder) {
        match order {
            ByteOrder::Little => self.little = true,
            ByteOrder::Big => self.big = true,
        }
    }

    pub(crate) fn has(self, order: ByteOrder) -> bool {
        match order {
            ByteOrder::Little => self.little,
            ByteOrder::Big => self.big,
        }
    }
}
