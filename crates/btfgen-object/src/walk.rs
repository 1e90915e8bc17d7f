//! Walks types that may refer to each other in any way.

use btfgen_btf::{Btf, Type, TypeId};

use crate::error::{Error, ErrorKind, Result};

/// The deepest nesting that a walk follows. Kernels stay below 20.
pub(crate) const MAX_DEPTH: u32 = 128;

/// The budget of one [`Walk`]. A thousand fields cost about 1 % of it, and a match of the whole `task_struct` costs a
/// seventh of that 1 %.
const BUDGET: u32 = 1 << 25;

/// The cost of looking at a type. A type adds at most this number of bytes to a signature, without names. Names cost their
/// length. So the budget also bounds the memory of all signatures.
const TYPE_COST: u32 = 24;

/// The cost of resolving a size, which takes up to 32 steps and no memory.
const RESOLVE_COST: u32 = 2 * TYPE_COST;

/// Pointers of BPF programs have 8 bytes, whatever the types say.
const POINTER_SIZE: u32 = 8;

/// Follows the references between an object's types, within one budget for all its work: types may contain themselves, or a
/// few types may expand to billions.
#[derive(Debug)]
pub struct Walk<'d> {
    btf: &'d Btf<'d>,
    left: u32,
}

impl<'d> Walk<'d> {
    /// Creates a walk with the whole budget.
    pub fn new(btf: &'d Btf<'_>) -> Self {
        Self { btf, left: BUDGET }
    }

    /// The BTF with the types.
    pub fn btf(&self) -> &'d Btf<'d> {
        self.btf
    }

    pub(crate) fn type_by_id(&mut self, id: TypeId) -> Result<Type<'d>> {
        self.charge(TYPE_COST)?;
        self.btf
            .type_by_id(id)
            .ok_or_else(|| Error::damaged(format!("there is no type [{id}]")))
    }

    /// The access string at this offset.
    pub(crate) fn access_string(&mut self, offset: u32) -> Result<&'d [u8]> {
        let string = self.btf.string(offset).ok_or_else(|| {
            Error::damaged(format!(
                "its access string's offset {offset} is beyond the strings"
            ))
        })?;
        self.name(string)
    }

    /// A name, whose length is charged to the budget.
    pub(crate) fn name(&mut self, name: &'d [u8]) -> Result<&'d [u8]> {
        self.charge(u32::try_from(name.len()).unwrap_or(u32::MAX))?;
        self.charge(1)?;
        Ok(name)
    }

    /// The type behind modifiers and typedefs, which may be `void`.
    pub(crate) fn skip_modifiers_and_typedefs(&mut self, id: TypeId) -> Result<Type<'d>> {
        let mut ty = self.type_by_id(id)?;
        for _ in 0..MAX_DEPTH {
            match ty.referenced() {
                Some(next) if ty.kind().is_modifier_or_typedef() => ty = self.type_by_id(next)?,
                _ => return Ok(ty),
            }
        }
        Err(too_deep(id))
    }

    /// The size of a type in bytes, as libbpf's `btf__resolve_size` gives it; `None` if that fails.
    pub(crate) fn resolve_size(&mut self, id: TypeId) -> Result<Option<u32>> {
        self.charge(RESOLVE_COST)?;
        Ok(self.btf.resolve_size_with(id, POINTER_SIZE))
    }

    fn charge(&mut self, cost: u32) -> Result<()> {
        self.left = self.left.checked_sub(cost).ok_or_else(|| {
            Error::new(ErrorKind::TooLarge, "its types expand to too many members")
        })?;
        Ok(())
    }
}

pub(crate) fn too_deep(id: TypeId) -> Error {
    let message = format!("type [{id}]: nested more than {MAX_DEPTH} deep");
    Error::new(ErrorKind::TooLarge, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{info, section};
    use btfgen_btf::Kind;

    /// Check that an endless chain of typedefs is refused, and a type that does not exist.
    #[test]
    fn chains() {
        let typedef = |to| [0, info(Kind::Typedef, 0), to];
        let bytes = section(&[&typedef(2), &typedef(1)], b"\0");
        let btf = Btf::parse(&bytes).expect("good");
        let mut walk = Walk::new(&btf);
        let mut kind = |id| {
            let found = walk.skip_modifiers_and_typedefs(TypeId(id));
            found.expect_err("it leads nowhere").kind()
        };
        assert_eq!(kind(1), ErrorKind::TooLarge);
        assert_eq!(kind(3), ErrorKind::Damaged);
    }
}
