//! Looking at types that may refer to each other in any way.

use crate::btf::{Btf, Type};
use crate::error::{Error, ErrorKind, Result};
use crate::kind::Kind;

/// The deepest nesting that is followed. Kernels stay below 20.
pub(crate) const MAX_DEPTH: u32 = 128;

/// What all that is asked of one [`Walk`] may cost. A thousand fields cost about 1 % of it, a match of the whole
/// `task_struct` a seventh of that.
const BUDGET: u32 = 1 << 25;

/// What it costs to look at a type. A signature has no more bytes for one, names apart, which cost their length: so the
/// budget is also a bound of the memory that all signatures take.
const TYPE_COST: u32 = 24;

/// The length of an array of arrays is computed over this many (libbpf's `MAX_RESOLVE_DEPTH`).
const MAX_RESOLVE_DEPTH: u32 = 32;

/// Pointers of BPF programs have 8 bytes, whatever their types say.
const POINTER_SIZE: u32 = 8;

/// Follows the references between an object's types, within a bound for all that is done with it: types may contain
/// themselves, or a few of them expand to billions.
#[derive(Debug)]
pub struct Walk<'b, 'd> {
    btf: &'b Btf<'d>,
    left: u32,
}

impl<'b, 'd> Walk<'b, 'd> {
    /// Begins with the whole budget.
    pub fn new(btf: &'b Btf<'d>) -> Self {
        Self { btf, left: BUDGET }
    }

    pub(crate) fn type_by_id(&mut self, id: u32) -> Result<Type<'d>> {
        self.charge(TYPE_COST)?;
        self.btf
            .type_by_id(id)
            .ok_or_else(|| Error::damaged(format!("there is no type [{id}]")))
    }

    pub(crate) fn string(&mut self, offset: u32) -> Result<&'d [u8]> {
        let string = self.btf.string(offset).ok_or_else(|| {
            Error::damaged(format!("a string's offset {offset} is beyond the strings"))
        })?;
        self.charge(u32::try_from(string.len()).unwrap_or(u32::MAX))?;
        self.charge(1)?;
        Ok(string)
    }

    /// The type behind modifiers and typedefs, `void` included.
    pub(crate) fn skip_modifiers_and_typedefs(&mut self, id: u32) -> Result<Type<'d>> {
        let mut ty = self.type_by_id(id)?;
        for _ in 0..MAX_DEPTH {
            if !ty.kind().is_modifier_or_typedef() {
                return Ok(ty);
            }
            ty = self.type_by_id(ty.referenced())?;
        }
        Err(too_deep(id))
    }

    /// Size of a type in bytes as libbpf's `btf__resolve_size` gives it; `None` where that fails.
    pub(crate) fn resolve_size(&mut self, id: u32) -> Result<Option<u32>> {
        let mut ty = self.type_by_id(id)?;
        let mut elements = 1_u32;
        for _ in 0..MAX_RESOLVE_DEPTH {
            let next = match ty.kind() {
                Kind::Int
                | Kind::Struct
                | Kind::Union
                | Kind::Enum
                | Kind::Enum64
                | Kind::Datasec
                | Kind::Float => return Ok(elements.checked_mul(ty.size())),
                Kind::Ptr => return Ok(elements.checked_mul(POINTER_SIZE)),
                Kind::Typedef
                | Kind::Volatile
                | Kind::Const
                | Kind::Restrict
                | Kind::Var
                | Kind::DeclTag
                | Kind::TypeTag => ty.referenced(),
                Kind::Array => {
                    let Some(array) = ty.array() else {
                        return Ok(None);
                    };
                    match elements.checked_mul(array.len) {
                        Some(product) => elements = product,
                        None => return Ok(None),
                    }
                    array.element
                }
                Kind::Void | Kind::Fwd | Kind::Func | Kind::FuncProto => return Ok(None),
            };
            ty = self.type_by_id(next)?;
        }
        Ok(None)
    }

    fn charge(&mut self, cost: u32) -> Result<()> {
        self.left = self.left.checked_sub(cost).ok_or_else(|| {
            Error::new(ErrorKind::TooLarge, "its types expand to too many members")
        })?;
        Ok(())
    }
}

pub(crate) fn too_deep(id: u32) -> Error {
    let message = format!("type [{id}]: nested more than {MAX_DEPTH} deep");
    Error::new(ErrorKind::TooLarge, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{info, section, sections};
    use btfgen_libbpf::TypeId;

    fn compare_sizes(bytes: &[u8]) {
        let btf = Btf::parse(bytes).expect("good");
        let mut reference = btfgen_libbpf::Btf::parse(bytes).expect("good");
        reference.set_pointer_size_of_bpf();
        let mut walk = Walk::new(&btf);
        for id in 0..reference.type_count() {
            let size = walk.resolve_size(id).expect("it refers to types only");
            let expected = reference.resolve_size(TypeId(id));
            assert_eq!(size, expected, "{:?}", reference.type_by_id(TypeId(id)));
        }
    }

    /// Check that every type of all objects has the size that libbpf gives it.
    #[test]
    fn sizes_are_those_of_libbpf() {
        for (_, bytes) in sections() {
            compare_sizes(&bytes);
        }
    }

    /// Check that sizes at the edges are those of libbpf: arrays of none, of nothing, and of too much, endless chains.
    #[test]
    fn sizes_at_the_edges() {
        const INT: [u32; 4] = [1, 1 << 24, 4, 32];
        let array = |element, len| [0, info(Kind::Array, 0), 0, element, 1, len];
        let mut types: Vec<Vec<u32>> = vec![
            INT.to_vec(),
            array(1, 0).to_vec(),
            array(2, u32::MAX).to_vec(),
            array(1, 1 << 30).to_vec(),
            array(1, (1 << 30) - 1).to_vec(),
            array(5, 2).to_vec(),
            array(4, u32::MAX).to_vec(),
            array(0, 3).to_vec(),
            array(9, 1).to_vec(),
        ];
        for next in 10..50 {
            types.push(vec![0, info(Kind::Const, 0), next + 1]);
        }
        types.push(INT.to_vec());
        let types: Vec<&[u32]> = types.iter().map(Vec::as_slice).collect();
        compare_sizes(&section(&types, b"\0int\0"));
    }

    /// Check that a chain of typedefs without end, or to nowhere, is refused.
    #[test]
    fn chains() {
        let typedef = |to| [0, info(Kind::Typedef, 0), to];
        let bytes = section(&[&typedef(2), &typedef(1), &typedef(9)], b"\0");
        let btf = Btf::parse(&bytes).expect("good");
        let mut walk = Walk::new(&btf);
        let mut kind = |id| {
            let found = walk.skip_modifiers_and_typedefs(id);
            found.expect_err("it leads nowhere").kind()
        };
        assert_eq!(kind(1), ErrorKind::TooLarge);
        assert_eq!(kind(3), ErrorKind::Damaged);
    }
}
