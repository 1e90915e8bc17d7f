//! Proof that libbpf may walk a type.
//!
//! libbpf trusts the shape of the types it relocates against: it follows modifiers and anonymous members without
//! a bound, divides by the size of a bitfield's type, and adds up offsets in 32 bits. A BTF that comes from a file may do
//! anything, so each root type is walked here once, within bounds, before it reaches libbpf.

use std::collections::HashMap;

use btfgen_object::Kind;

use crate::btf::{Btf, MAX_DEPTH, Type, TypeId};
use crate::error::Error;

/// The most steps that one walk over a type may take in libbpf, if every shared part is walked anew each time.
/// The largest struct of a kernel stays below 100,000.
const MAX_STEPS: u64 = 1 << 20;

/// Sizes from here on are negative numbers to libbpf, which takes them for errors (`int sz` in `bpf_core_spec_match`).
const SIZE_LIMIT: u64 = 1 << 31;

/// The farthest end of a member, in bits from the start of the root: libbpf adds up offsets in 32 bits.
const MAX_END: u64 = u32::MAX as u64;

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
    /// What a walk from this type found; `None` while it is under way.
    walks: HashMap<TypeId, Option<Walk>>,
}

/// What a walk over one type found.
#[derive(Debug, Clone, Copy)]
struct Walk {
    /// How many steps it takes in libbpf.
    steps: u64,
    /// The size in bytes; 0 for a type without one.
    size: u64,
    /// Where the last member ends, in bits. A damaged BTF has members behind the end of their struct.
    end: u64,
}

impl<'b> Checker<'b> {
    /// A checker for the types of `btf`.
    pub fn new(btf: &'b Btf) -> Self {
        Self {
            btf,
            walks: HashMap::new(),
        }
    }

    /// Walks everything that libbpf could reach from this type by value, through modifiers, arrays and prototypes,
    /// and through pointers up to the next struct.
    ///
    /// # Errors
    /// [`ErrorKind::UnsafeType`](crate::ErrorKind::UnsafeType) with the type at fault.
    pub fn check(&mut self, id: TypeId) -> Result<Checked<'b>, Error> {
        let walk = self.walk(id, 0)?;
        require_addressable(id, walk)?;
        Ok(Checked {
            btf: BtfRef(self.btf),
            id,
        })
    }

    fn walk(&mut self, id: TypeId, depth: usize) -> Result<Walk, Error> {
        match self.walks.get(&id) {
            Some(Some(walk)) => return Ok(*walk),
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
        self.walks.insert(id, None);
        let walked = self.walk_type(ty, depth + 1).and_then(|walk| {
            if walk.steps > MAX_STEPS {
                return Err(Error::unsafe_type(id, "expands to too many members"));
            }
            Ok(walk)
        });
        match walked {
            Ok(walk) => self.walks.insert(id, Some(walk)),
            // Whoever asks again is told the same.
            Err(_) => self.walks.remove(&id),
        };
        walked
    }

    /// Walks what a type consists of. `depth` is that of its parts.
    fn walk_type(&mut self, ty: Type<'b>, depth: usize) -> Result<Walk, Error> {
        let walk = |size: u64| Walk {
            steps: 1,
            size,
            end: size.saturating_mul(8),
        };
        Ok(match ty.kind() {
            Kind::Void | Kind::Fwd | Kind::Func => walk(0),
            Kind::Int | Kind::Enum | Kind::Enum64 | Kind::Float | Kind::Datasec => {
                walk(u64::from(ty.size()))
            }
            Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::TypeTag
            | Kind::Var
            | Kind::DeclTag => self.walk(ty.referenced(), depth)?.one_step_more(),
            // How large a thing behind a pointer is does not matter.
            Kind::Ptr => {
                let mut pointer = walk(8);
                if let Some(id) = self.pointee(ty) {
                    pointer.add_steps_of(self.walk(id, depth)?);
                }
                pointer
            }
            Kind::FuncProto => {
                let mut prototype = walk(0);
                for id in ty.params().map(|p| p.ty).chain([ty.referenced()]) {
                    prototype.add_steps_of(self.walk(id, depth)?);
                }
                prototype
            }
            Kind::Array => match ty.array() {
                Some(array) => self
                    .walk(array.element, depth)?
                    .times(u64::from(array.len))
                    .one_step_more(),
                None => walk(0),
            },
            Kind::Struct | Kind::Union => {
                let mut whole = walk(u64::from(ty.size()));
                for m in ty.members() {
                    if m.bitfield_size > 0 {
                        self.check_bitfield(ty, m.ty)?;
                    }
                    let member = self.walk(m.ty, depth)?;
                    require_addressable(m.ty, member)?;
                    whole.add_steps_of(member);
                    let end = u64::from(m.bit_offset).saturating_add(member.end);
                    whole.end = whole.end.max(end);
                }
                whole
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

/// Refuses a type whose size or offsets libbpf cannot count: its answers would be wrong.
fn require_addressable(id: TypeId, walk: Walk) -> Result<(), Error> {
    if walk.size >= SIZE_LIMIT {
        return Err(Error::unsafe_type(
            id,
            format!("has {} bytes, more than any type of a kernel", walk.size),
        ));
    }
    if walk.end > MAX_END {
        return Err(Error::unsafe_type(
            id,
            format!(
                "has a member that ends at bit {}, behind the last that 32 bits can tell",
                walk.end
            ),
        ));
    }
    Ok(())
}

impl Walk {
    fn add_steps_of(&mut self, part: Self) {
        self.steps = self.steps.saturating_add(part.steps);
    }

    fn one_step_more(mut self) -> Self {
        self.steps = self.steps.saturating_add(1);
        self
    }

    /// An array of so many. A flexible one is taken for one of one element, which libbpf may look at.
    fn times(self, len: u64) -> Self {
        let before_last = self.size.saturating_mul(8 * len.saturating_sub(1));
        Self {
            steps: self.steps,
            size: self.size.saturating_mul(len),
            end: before_last.saturating_add(self.end),
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

    /// Check that sizes and offsets beyond 32 bits are refused, wherever they lie by value, and those of a kernel are not.
    #[test]
    fn sizes_and_offsets() {
        let array = |element, len| [0, kind(Kind::Array, 0), 0, element, 1, len];
        let around = |member, at| [1, kind(Kind::Struct, 1), 4, 1, member, at];
        let int_of = |size| [1, 1 << 24, size, 32];
        let typedef = |to| [1, kind(Kind::Typedef, 0), to];
        for types in [
            // What libbpf computes as -2147483648, as an error's number, and as 0.
            &[&int_of(1 << 31)[..], &typedef(1)][..],
            &[&int_of(0xf000_0000), &around(1, 0)],
            &[&INT, &[1, kind(Kind::Struct, 0), 1 << 31]],
            &[&INT, &array(1, 1 << 29)],
            &[&INT, &array(1, 1 << 30), &around(2, 0)],
            // The elements of a flexible array, which libbpf may look at.
            &[&INT, &array(1, 1 << 29), &array(2, 0), &around(3, 0)],
            // Ends that are 0 in 32 bits.
            &[&INT, &around(1, 0xffff_ffe0)],
            &[&INT, &around(1, 0xf000_0000), &around(2, 0x0fff_ffe0)],
            &[&INT, &around(1, 0x7fff_ffe0), &array(2, 1 << 28)],
        ] {
            let bad = btf(types, b"\0int\0");
            let id = types.len() as u32;
            let mut checker = Checker::new(&bad);
            let error = checker.check(TypeId(id)).expect_err("it is unsafe");
            assert_eq!(checker.check(TypeId(id)), Err(error.clone()));
            assert_eq!(error.kind(), ErrorKind::UnsafeType, "{types:?}");
            let text = error.to_string();
            assert!(
                text.contains("than any type") || text.contains("ends at bit"),
                "{text}"
            );
        }
        for types in [
            &[&INT[..], &around(1, 0xffff_ffc0)][..],
            &[&INT, &array(1, 1 << 26), &around(2, 0)],
            // Maps tell their size by such a pointer.
            &[
                &INT,
                &array(1, 1 << 31),
                &[0, kind(Kind::Ptr, 0), 2],
                &around(3, 0),
            ],
        ] {
            let good = btf(types, b"\0int\0");
            let checked = Checker::new(&good).check(TypeId(types.len() as u32));
            assert!(checked.is_ok(), "{types:?}: {checked:?}");
        }
    }
}
