//! Proof that libbpf may walk a type.
//!
//! libbpf trusts the shape of the types it relocates against: it follows modifiers and anonymous members without
//! a bound, and divides by the size of a bitfield's type. A BTF that comes from a file may do anything, so each root
//! type is walked here once, within bounds, before it reaches libbpf.

use std::collections::HashMap;

use crate::btf::{Btf, Kind, Type, TypeId};
use crate::error::Error;

/// The deepest nesting that is followed. Kernels stay below 20, and libbpf itself stops at 32 or 64 in most walks.
pub(crate) const MAX_DEPTH: usize = 128;

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
