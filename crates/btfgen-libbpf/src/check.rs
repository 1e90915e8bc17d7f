//! Proof that libbpf may walk a type.
//!
//! libbpf trusts the types that it relocates against: it follows modifiers and anonymous members without a bound, divides by
//! the size of a bitfield's type, and adds up offsets in 32 bits. The BTF of a file may contain anything. So each root type
//! is walked here once, within bounds, before it reaches libbpf.

use std::collections::HashMap;

use btfgen_btf::{Kind, Type, TypeId};

use crate::error::Error;
use crate::loaded::LoadedBtf;

/// The deepest nesting that a walk follows. Kernels stay below 20, and libbpf itself stops at 32 or 64 in most walks.
const MAX_DEPTH: usize = 128;

/// The most steps that libbpf may take for one walk over a type, if it walks each shared part every time. The largest struct
/// of a kernel stays below 100,000.
const MAX_STEPS: u64 = 1 << 20;

/// Sizes from this one on are negative numbers in libbpf, which takes them for errors (`int sz` in `bpf_core_spec_match`).
const SIZE_LIMIT: u64 = 1 << 31;

/// The farthest end of a member, in bits from the start of the root, because libbpf adds up offsets in 32 bits.
const MAX_END: u64 = u32::MAX as u64;

/// A type that libbpf may safely walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked<'b> {
    btf: BtfRef<'b>,
    id: TypeId,
}

/// The identity of a BTF: two references are equal if they refer to the same BTF.
#[derive(Debug, Clone, Copy)]
struct BtfRef<'b>(&'b LoadedBtf<'b>);

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

    /// The BTF of the type.
    pub fn btf(&self) -> &'b LoadedBtf<'b> {
        self.btf.0
    }
}

/// Checks the types of one BTF, and remembers the results.
#[derive(Debug)]
pub struct Checker<'b> {
    btf: &'b LoadedBtf<'b>,
    /// The result of the walk from this type; `None` while the walk runs.
    walks: HashMap<(TypeId, Reach), Option<Walk>>,
}

/// The way in which libbpf reaches a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Reach {
    /// As a part of the root: the walk follows all of it.
    ByValue,
    /// Behind a pointer: libbpf compares the type but does not look into it. So a walk of `struct A { int (*f)(struct A); }`
    /// ends there.
    BehindPointer,
}

/// The result of a walk over one type.
#[derive(Debug, Clone, Copy)]
struct Walk {
    /// The number of steps that libbpf takes.
    steps: u64,
    /// The size in bytes; 0 for a type without one.
    size: u64,
    /// The end of the last member, in bits. A damaged BTF may have members behind the end of their struct.
    end: u64,
}

impl<'b> Checker<'b> {
    /// Creates a checker for the types of `btf`.
    pub fn new(btf: &'b LoadedBtf<'_>) -> Self {
        Self {
            btf,
            walks: HashMap::new(),
        }
    }

    /// Walks all types that libbpf could reach from this type: by value through modifiers, arrays, members and prototypes,
    /// and behind pointers up to structs.
    ///
    /// # Errors
    /// [`ErrorKind::UnsafeType`](crate::ErrorKind::UnsafeType), which names the type at fault.
    pub fn check(&mut self, id: TypeId) -> Result<Checked<'b>, Error> {
        let walk = self.walk(id, Reach::ByValue, 0)?;
        require_addressable(id, walk)?;
        Ok(Checked {
            btf: BtfRef(self.btf),
            id,
        })
    }

    fn walk(&mut self, id: TypeId, reach: Reach, depth: usize) -> Result<Walk, Error> {
        match self.walks.get(&(id, reach)) {
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
        self.walks.insert((id, reach), None);
        let walked = self.walk_type(ty, reach, depth + 1).and_then(|walk| {
            if walk.steps > MAX_STEPS {
                return Err(Error::unsafe_type(id, "expands to too many members"));
            }
            Ok(walk)
        });
        match walked {
            Ok(walk) => self.walks.insert((id, reach), Some(walk)),
            // A later check of this type gives the same error.
            Err(_) => self.walks.remove(&(id, reach)),
        };
        walked
    }

    /// Walks the parts of a type. `depth` is the depth of the parts.
    fn walk_type(&mut self, ty: Type<'b>, reach: Reach, depth: usize) -> Result<Walk, Error> {
        let whole = |size: Option<u32>| Walk {
            steps: 1,
            size: u64::from(size.unwrap_or_default()),
            end: u64::from(size.unwrap_or_default()).saturating_mul(8),
        };
        let to = ty.referenced().unwrap_or(TypeId::VOID);
        match ty.kind() {
            // libbpf has a placeholder for a type that it does not know.
            Kind::Void | Kind::Fwd | Kind::Func | Kind::Unknown => return Ok(whole(None)),
            _ if !ty.is_classic() => {
                let message = format!("has {} members, more than libbpf can count", ty.len());
                return Err(Error::unsafe_type(ty.id(), message));
            }
            // libbpf compares the names of all types, and a minimal BTF has none here.
            Kind::Ptr | Kind::Array | Kind::FuncProto if !ty.name().is_empty() => {
                let message = "has a name, and the kernel allows none for its kind";
                return Err(Error::unsafe_type(ty.id(), message));
            }
            Kind::Int | Kind::Float | Kind::Datasec | Kind::Enum | Kind::Enum64 => {
                return Ok(whole(ty.size()));
            }
            Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::TypeTag
            | Kind::Var
            | Kind::DeclTag => return Ok(self.walk(to, reach, depth)?.one_step_more()),
            Kind::Ptr => {
                // The size of a type behind a pointer does not matter.
                let mut pointer = whole(Some(8));
                pointer.add_steps_of(self.walk(to, Reach::BehindPointer, depth)?);
                return Ok(pointer);
            }
            Kind::FuncProto => {
                let mut prototype = whole(None);
                for id in ty.params().chain([to]) {
                    prototype.add_steps_of(self.walk(id, reach, depth)?);
                }
                return Ok(prototype);
            }
            Kind::Array => {
                let Some(array) = ty.array() else {
                    return Ok(whole(None));
                };
                let element = self.walk(array.element, reach, depth)?;
                return Ok(element.times(u64::from(array.len)).one_step_more());
            }
            Kind::Struct | Kind::Union => {}
        }
        let mut composite = whole(ty.size());
        if reach == Reach::BehindPointer {
            return Ok(composite);
        }
        for m in ty.members() {
            if m.bitfield_size > 0 {
                self.check_bitfield(ty, m.ty)?;
            }
            let member = self.walk(m.ty, reach, depth)?;
            require_addressable(m.ty, member)?;
            composite.add_steps_of(member);
            let end = u64::from(m.bit_offset).saturating_add(member.end);
            composite.end = composite.end.max(end);
        }
        Ok(composite)
    }

    fn check_bitfield(&self, parent: Type<'b>, id: TypeId) -> Result<(), Error> {
        let fits = self
            .btf
            .skip_modifiers_and_typedefs(id)
            .is_some_and(|ty| match ty.kind() {
                Kind::Int | Kind::Enum | Kind::Enum64 => {
                    matches!(ty.size(), Some(1 | 2 | 4 | 8 | 16))
                }
                _ => false,
            });
        if fits {
            Ok(())
        } else {
            Err(Error::unsafe_type(
                parent.id(),
                "has a bitfield that is not an integer",
            ))
        }
    }
}

/// Refuses a type if its size or offsets do not fit into libbpf's numbers, because libbpf's answers would be wrong.
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
                "has a member that ends at bit {}, which does not fit into 32 bits",
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

    /// An array with this number of elements. A flexible array counts as one element, because libbpf may look at that one.
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

    fn btf(types: &[&[u32]], strings: &[u8]) -> LoadedBtf<'static> {
        let bytes = btfgen_btf::testing::made_up_btf(types, strings);
        LoadedBtf::parse(bytes).expect("libbpf takes it")
    }

    fn kind(kind: Kind, vlen: u32) -> u32 {
        (kind as u32) << 24 | vlen
    }

    fn error(btf: &LoadedBtf<'_>, id: u32) -> Error {
        Checker::new(btf)
            .check(TypeId(id))
            .expect_err("it is unsafe")
    }

    const INT: [u32; 4] = [1, 1 << 24, 4, 32];

    /// Check that an endless chain of typedefs is refused, because libbpf would follow it forever.
    #[test]
    fn endless_typedefs() {
        let typedef = |to| [1, kind(Kind::Typedef, 0), to];
        let loops = btf(&[&typedef(2), &typedef(1)], b"\0a\0");
        let error = error(&loops, 1);
        assert_eq!(error.kind(), ErrorKind::UnsafeType);
        assert!(error.to_string().contains("contains itself"), "{error}");
        assert!(loops.skip_modifiers_and_typedefs(TypeId(1)).is_none());
    }

    /// Check that a struct that contains itself is refused, but not a struct that contains a pointer to itself.
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

    /// Check that a struct is accepted if it contains a pointer to a function that takes the struct, as C allows, also in an
    /// array.
    #[test]
    fn struct_passed_to_its_own_functions() {
        let own = btf(
            &[
                &[1, kind(Kind::Struct, 2), 16, 1, 2, 0, 1, 5, 64],
                &[0, kind(Kind::Ptr, 0), 3],
                &[0, kind(Kind::FuncProto, 2), 1, 0, 1, 0, 4],
                &[0, kind(Kind::Array, 0), 0, 1, 1, 4],
                &[0, kind(Kind::Ptr, 0), 4],
            ],
            b"\0a\0",
        );
        let checked = Checker::new(&own).check(TypeId(1));
        assert_eq!(checked.map(|c| c.id()), Ok(TypeId(1)));
    }

    /// Check that a pointer, an array or a prototype with a name is refused, as the kernel does (`btf_check_meta`).
    #[test]
    fn names_of_nameless_kinds() {
        for ty in [
            &[1, kind(Kind::Ptr, 0), 1][..],
            &[1, kind(Kind::Array, 0), 0, 1, 1, 1],
            &[1, kind(Kind::FuncProto, 0), 1],
        ] {
            let named = btf(&[&INT, ty], b"\0int\0");
            assert!(error(&named, 2).to_string().contains("has a name"));
        }
    }

    /// Check that anonymous members are refused if they double at every level: libbpf would walk 2^40 of them.
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

    /// Check that nesting deeper than in any kernel is refused before the stack overflows.
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

    /// Check that a bitfield of a type without a size is refused, because libbpf would divide by the size.
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

    /// Check that sizes and offsets beyond 32 bits are refused if they are part of a root by value, and that those of a
    /// kernel are accepted.
    #[test]
    fn sizes_and_offsets() {
        let array = |element, len| [0, kind(Kind::Array, 0), 0, element, 1, len];
        let around = |member, at| [1, kind(Kind::Struct, 1), 4, 1, member, at];
        let int_of = |size| [1, 1 << 24, size, 32];
        let typedef = |to| [1, kind(Kind::Typedef, 0), to];
        for types in [
            // libbpf computes these sizes as -2147483648, as an error number, and as 0.
            &[&int_of(1 << 31)[..], &typedef(1)][..],
            &[&int_of(0xf000_0000), &around(1, 0)],
            &[&INT, &[1, kind(Kind::Struct, 0), 1 << 31]],
            &[&INT, &array(1, 1 << 29)],
            &[&INT, &array(1, 1 << 30), &around(2, 0)],
            // libbpf may look at the elements of a flexible array.
            &[&INT, &array(1, 1 << 29), &array(2, 0), &around(3, 0)],
            // These ends are 0 in 32 bits.
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
            // Maps give their size by such a pointer.
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
