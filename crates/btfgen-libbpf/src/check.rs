//! Proof that libbpf may walk a type.
//!
//! libbpf trusts the shape of the types it relocates against: it follows modifiers and anonymous members without
//! a bound, and divides by the size of a bitfield's type. A BTF that comes from a file may do anything, so each root
//! type is walked here once, within bounds, before it reaches libbpf.

use std::collections::HashMap;

use btfgen_object::Kind;

use crate::btf::{Btf, MAX_DEPTH, Type, TypeId};
use crate::error::Error;

/// The most steps that one walk over a type may take in libbpf, if every shared part is walked anew each time.
/// The largest struct of a kernel stays below 100,000.
const MAX_STEPS: u64 = 1 << 20;

/// A type that libbpf may be let loose on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked<'b> {
    btf: BtfRef<'b>,
    id: TypeId,
}

/// Identity of a BTF: two references are equal if they are to the same one.
#[derive(Debug, Clone, Copy)]
struct BtfRef<'b>(&'b Btf);

impl PartialEq for BtfRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for BtfRef<'_> {}

impl<'b> Checked<'b> {
    /// The type's id.
    pub fn id(&self) -> TypeId {
        self.id
    }

    /// The BTF it belongs to.
    pub fn btf(&self) -> &'b Btf {
        self.btf.0
    }
}

/// Checks the types of one BTF and remembers what it has seen.
#[derive(Debug)]
pub struct Checker<'b> {
    btf: &'b Btf,
    /// Steps that a walk from this type takes; `None` while it is being computed.
    steps: HashMap<TypeId, Option<u64>>,
}

impl<'b> Checker<'b> {
    /// A checker for the types of `btf`.
    pub fn new(btf: &'b Btf) -> Self {
        Self {
            btf,
            steps: HashMap::new(),
        }
    }

    /// Walks everything that libbpf could reach from this type by value, through modifiers, arrays and prototypes,
    /// and through pointers up to the next struct.
    ///
    /// # Errors
    /// [`ErrorKind::UnsafeType`](crate::ErrorKind::UnsafeType) with the type at fault.
    pub fn check(&mut self, id: TypeId) -> Result<Checked<'b>, Error> {
        self.walk(id, 0)?;
        Ok(Checked {
            btf: BtfRef(self.btf),
            id,
        })
    }

    fn walk(&mut self, id: TypeId, depth: usize) -> Result<u64, Error> {
        match self.steps.get(&id) {
            Some(Some(steps)) => return Ok(*steps),
            Some(None) => return Err(Error::unsafe_type(id, "contains itself")),
            None => {}
        }
        if depth == MAX_DEPTH {
            return Err(Error::unsafe_type(
                id,
                format!("nested more than {MAX_DEPTH} deep"),
            ));
        }
        let ty = self
            .btf
            .type_by_id(id)
            .ok_or_else(|| Error::unsafe_type(id, "no such type"))?;
        self.steps.insert(id, None);
        let mut steps = 1_u64;
        for child in self.children(ty)? {
            steps = steps.saturating_add(self.walk(child, depth + 1)?);
        }
        if steps > MAX_STEPS {
            return Err(Error::unsafe_type(id, "expands to too many members"));
        }
        self.steps.insert(id, Some(steps));
        Ok(steps)
    }

    fn children(&self, ty: Type<'b>) -> Result<Vec<TypeId>, Error> {
        Ok(match ty.kind() {
            Kind::Void
            | Kind::Int
            | Kind::Enum
            | Kind::Enum64
            | Kind::Fwd
            | Kind::Float
            | Kind::Datasec
            | Kind::Func => Vec::new(),
            Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::TypeTag
            | Kind::Var
            | Kind::DeclTag => vec![ty.referenced()],
            Kind::Ptr => self.pointee(ty).into_iter().collect(),
            Kind::Array => ty.array().map(|a| a.element).into_iter().collect(),
            Kind::FuncProto => ty.params().map(|p| p.ty).chain([ty.referenced()]).collect(),
            Kind::Struct | Kind::Union => {
                let mut ids = Vec::with_capacity(ty.len());
                for m in ty.members() {
                    if m.bitfield_size > 0 {
                        self.check_bitfield(ty, m.ty)?;
                    }
                    ids.push(m.ty);
                }
                ids
            }
        })
    }

    /// libbpf stops at a struct behind a pointer; anything else behind it is compared.
    fn pointee(&self, ptr: Type<'b>) -> Option<TypeId> {
        let id = ptr.referenced();
        match self.btf.skip_modifiers_and_typedefs(id) {
            Some(ty) if ty.kind().is_composite() => None,
            // The walk itself reports an endless chain.
            _ => Some(id),
        }
    }

    fn check_bitfield(&self, parent: Type<'b>, id: TypeId) -> Result<(), Error> {
        let fits = self
            .btf
            .skip_modifiers_and_typedefs(id)
            .is_some_and(|ty| match ty.kind() {
                Kind::Int | Kind::Enum | Kind::Enum64 => matches!(ty.size(), 1 | 2 | 4 | 8 | 16),
                _ => false,
            });
        if fits {
            Ok(())
        } else {
            Err(Error::unsafe_type(
                parent.id(),
                "has a bitfield that is no integer",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    /// A little-endian BTF of these types, each as its words, and these strings.
    fn btf(types: &[&[u32]], strings: &[u8]) -> Btf {
        let words: Vec<u32> = types.concat();
        let type_len = 4 * words.len() as u32;
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, type_len, type_len, strings.len() as u32]
            .into_iter()
            .chain(words)
        {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend(strings);
        Btf::parse(&bytes).expect("libbpf takes it")
    }

    fn kind(kind: Kind, vlen: u32) -> u32 {
        (kind as u32) << 24 | vlen
    }

    fn error(btf: &Btf, id: u32) -> Error {
        Checker::new(btf)
            .check(TypeId(id))
            .expect_err("it is unsafe")
    }

    const INT: [u32; 4] = [1, 1 << 24, 4, 32];

    /// Check that a chain of typedefs without end is refused: libbpf would follow it for ever.
    #[test]
    fn endless_typedefs() {
        let typedef = |to| [1, kind(Kind::Typedef, 0), to];
        let loops = btf(&[&typedef(2), &typedef(1)], b"\0a\0");
        let error = error(&loops, 1);
        assert_eq!(error.kind(), ErrorKind::UnsafeType);
        assert!(error.to_string().contains("contains itself"), "{error}");
        assert!(loops.skip_modifiers_and_typedefs(TypeId(1)).is_none());
    }

    /// Check that a struct within itself is refused, and one behind a pointer is not.
    #[test]
    fn struct_within_itself() {
        let own = btf(&[&[1, kind(Kind::Struct, 1), 8, 0, 1, 0]], b"\0a\0");
        assert!(error(&own, 1).to_string().contains("contains itself"));
        let list = btf(
            &[
                &[1, kind(Kind::Struct, 1), 8, 1, 2, 0],
                &[0, kind(Kind::Ptr, 0), 1],
            ],
            b"\0a\0",
        );
        let checked = Checker::new(&list).check(TypeId(1));
        assert_eq!(checked.map(|c| c.id()), Ok(TypeId(1)));
    }

    /// Check that anonymous members that double at every level are refused: libbpf would walk 2^40 of them.
    #[test]
    fn expansion() {
        let mut types: Vec<Vec<u32>> = vec![INT.to_vec()];
        for inner in 1..=40 {
            types.push(vec![0, kind(Kind::Struct, 2), 4, 0, inner, 0, 0, inner, 0]);
        }
        let types: Vec<&[u32]> = types.iter().map(Vec::as_slice).collect();
        let btf = btf(&types, b"\0int\0");
        assert!(error(&btf, 41).to_string().contains("too many members"));
        assert!(Checker::new(&btf).check(TypeId(11)).is_ok());
    }

    /// Check that nesting beyond any kernel's is refused before the stack runs out.
    #[test]
    fn depth() {
        let mut types: Vec<Vec<u32>> = vec![INT.to_vec()];
        for inner in 1..=100_000 {
            types.push(vec![0, kind(Kind::Const, 0), inner]);
        }
        let types: Vec<&[u32]> = types.iter().map(Vec::as_slice).collect();
        let btf = btf(&types, b"\0int\0");
        assert!(error(&btf, 100_001).to_string().contains("deep"));
        assert!(Checker::new(&btf).check(TypeId(100)).is_ok());
    }

    /// Check that a bitfield of a type without a size is refused: libbpf would divide by it.
    #[test]
    fn bitfield_without_size() {
        let flagged = 1 << 31 | kind(Kind::Struct, 1);
        let bitfield = 3 << 24;
        let empty = [0, kind(Kind::Struct, 0), 0];
        let bad = btf(&[&empty, &[1, flagged, 4, 1, 1, bitfield]], b"\0a\0");
        assert!(error(&bad, 2).to_string().contains("bitfield"));
        let good = btf(&[&INT, &[1, flagged, 4, 1, 1, bitfield]], b"\0a\0");
        assert!(Checker::new(&good).check(TypeId(2)).is_ok());
    }
}
