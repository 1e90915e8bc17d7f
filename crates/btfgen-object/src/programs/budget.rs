//! Bounds the work for one object: its symbols may overlap, and its maps may share one huge definition.

use crate::error::{Error, ErrorKind, Result};

/// Instructions, parts of definitions, and bytes of what is kept. The largest real objects cost a tenth of it.
const BUDGET: usize = 1 << 26;

#[derive(Debug)]
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new() -> Self {
        Self(BUDGET)
    }

    pub(super) fn charge(&mut self, cost: usize) -> Result<()> {
        let left = self.0.checked_sub(cost);
        self.0 = left.ok_or_else(|| {
            let message = "its symbols have too many instructions, or its maps too many members";
            Error::new(ErrorKind::TooLarge, message)
        })?;
        Ok(())
    }
}
