//! Compares a kernel's definitions with its full BTF.
//!
//! This is the proof that nothing is lost or made up on the way into a store. It follows the README's specification and shares no
//! code with what makes the definitions: a mistake would have to be made twice to stay unseen.

mod candidates;
mod functions;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::HashSet;
use std::fmt;

use btfgen_btf::{Btf, Kind, Type, TypeId};
use btfgen_object::essential_name;

use crate::definitions::Definitions;
use crate::kernel::{Digest, Kernel};

use candidates::Candidates;
use functions::Functions;
use walk::{At, Walk};

/// The node of the type `void`.
const VOID: u32 = 0;

/// A contradiction between a kernel's definitions and its full BTF. The definitions must not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The named type whose candidates or definition differ. `void` for facts of the whole kernel, and for a candidate that the
    /// BTF does not have.
    pub root: TypeId,
    /// Its name, or the essential name of the candidate that the BTF does not have.
    pub name: String,
    /// The type in it that differs; often the root itself.
    pub ty: TypeId,
    /// What differs.
    pub what: &'static str,
}

impl std::error::Error for Difference {}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the definitions differ from the BTF")?;
        if !self.name.is_empty() {
            write!(f, " at {:?}", self.name)?;
        }
        if self.root != TypeId::VOID {
            write!(f, ", type [{}]", self.root)?;
        }
        if self.ty != self.root {
            write!(f, ", in it type [{}]", self.ty)?;
        }
        write!(f, ": {}", self.what)
    }
}

impl Definitions<'_> {
    /// Compares a kernel's definitions with its full BTF: the facts of the kernel, every named type, and every function, in
    /// both directions.
    ///
    /// For a kernel without definitions, there is nothing to compare but the facts of the kernel. That no two keys, names or
    /// definitions of the whole store are equal is not compared.
    ///
    /// # Errors
    /// The first [`Difference`].
    pub fn compare(&self, kernel: usize, btf: &Btf<'_>) -> Result<(), Difference> {
        self.compare_some(kernel, btf, |_| true)
    }

    /// Like [`Definitions::compare`], for a kernel that was added with this choice of named types
    /// ([`Tables::ingest_some`](crate::Tables::ingest_some)).
    ///
    /// # Errors
    /// The first [`Difference`].
    pub fn compare_some(
        &self,
        kernel: usize,
        btf: &Btf<'_>,
        is_wanted: impl Fn(Type<'_>) -> bool,
    ) -> Result<(), Difference> {
        let of_kernel = |what| At(TypeId::VOID, what).below(TypeId::VOID, b"");
        let known = self.kernels.get(kernel);
        let known = known.ok_or_else(|| of_kernel("there is no such kernel"))?;
        facts(known, btf).map_err(of_kernel)?;
        if !known.is_covered() {
            return Ok(());
        }
        zeros(self).map_err(of_kernel)?;
        let mut candidates = Candidates::new(self, known.lists).map_err(of_kernel)?;
        let mut walk = Walk::new(self, btf);
        let mut ints = btf.types_of(|kind| kind == Kind::Int);
        let long = ints.find(|ty| ty.long_size().is_some());
        let long = long.map_or(TypeId::VOID, |ty| ty.id());
        let same = walk.root(long, known.long);
        same.map_err(|at| at.below(long, b"long"))?;
        // Only where the kernel has no type of a kind and name, those of modules are candidates.
        let mut of_kernel = HashSet::new();
        if btf.has_modules() {
            let own = btf.types_of(is_looked_up);
            let own = own.filter(|ty| btf.module_of(ty.id()).is_none());
            of_kernel.extend(own.map(looked_up_as));
        }
        for ty in btf.types_of(is_looked_up) {
            let name = ty.name();
            let is_hidden =
                || btf.module_of(ty.id()).is_some() && of_kernel.contains(&looked_up_as(ty));
            if !name.is_empty() && is_wanted(ty) && !is_hidden() {
                let same = candidate(&mut candidates, &mut walk, ty, name);
                same.map_err(|at| at.below(ty.id(), name))?;
            }
        }
        if let Some(name) = candidates.left() {
            let at = At(TypeId::VOID, "the BTF has fewer candidates of this name");
            return Err(at.below(TypeId::VOID, name));
        }
        let functions = Functions::new(self, known);
        let functions = functions.map_err(|what| At(TypeId::VOID, what));
        let same = functions.and_then(|functions| functions.compare(btf, is_wanted));
        same.map_err(|at| {
            let function = btf.type_by_id(at.0);
            let name = function.map_or(&b""[..], |function| function.name());
            let id = at.0;
            at.below(id, name)
        })
    }
}

/// Compares a named type with the next candidate of its kind and essential name.
fn candidate(
    candidates: &mut Candidates<'_>,
    walk: &mut Walk<'_>,
    ty: Type<'_>,
    name: &[u8],
) -> Result<(), At> {
    let essential = essential_name(name);
    let next = candidates.next(ty.kind(), essential);
    let (node, number) = next.map_err(|what| At(ty.id(), what))?;
    let node = match walk.module_of(ty) {
        None => node,
        Some(module) => {
            let in_module = walk.in_module(node, module);
            in_module.map_err(|what| At(ty.id(), what))?
        }
    };
    if essential.len() == name.len() {
        // The walk need not compare it again.
        walk.same_name(ty.name_offset(), number);
    }
    walk.root(ty.id(), node)
}

impl At {
    fn below(self, root: TypeId, name: &[u8]) -> Difference {
        let Self(ty, what) = self;
        Difference {
            root,
            name: String::from_utf8_lossy(name).into_owned(),
            ty,
            what,
        }
    }
}

fn facts(known: &Kernel, btf: &Btf<'_>) -> Result<(), &'static str> {
    require(
        known.bytes == btf.bytes().len() as u64,
        "the size of the BTF",
    )?;
    require(known.types == btf.type_count() - 1, "the number of types")?;
    require(known.byte_order() == btf.byte_order(), "the byte order")?;
    require(known.digest == Digest::of(btf.bytes()), "the digest")?;
    let has_none = known.long == VOID && (known.functions, known.function_count) == (0, 0);
    require(known.is_covered() || has_none, "the long, or functions")
}

/// Requires that the numbers 0 mean what they mean in every store.
fn zeros(definitions: &Definitions<'_>) -> Result<(), &'static str> {
    let name = definitions.names.get(0) == Some(b"");
    let node = definitions.nodes.get(VOID) == Some(&[0; 3]);
    let block = definitions.blocks.get(0) == Some(&[0; 16]);
    require(
        name && node && block,
        "the empty name, void or the empty block",
    )
}

fn require(is_so: bool, what: &'static str) -> Result<(), &'static str> {
    if is_so { Ok(()) } else { Err(what) }
}

/// The kind and the name by which relocations look a type up.
fn looked_up_as(ty: Type<'_>) -> (Kind, &[u8]) {
    let kind = match ty.kind() {
        Kind::Enum64 => Kind::Enum,
        kind => kind,
    };
    (kind, essential_name(ty.name()))
}

/// Whether relocations look types of this kind up by name.
fn is_looked_up(kind: Kind) -> bool {
    match kind {
        Kind::Int
        | Kind::Struct
        | Kind::Union
        | Kind::Enum
        | Kind::Enum64
        | Kind::Fwd
        | Kind::Typedef
        | Kind::Float => true,
        Kind::Void
        | Kind::Ptr
        | Kind::Array
        | Kind::Volatile
        | Kind::Const
        | Kind::Restrict
        | Kind::Func
        | Kind::FuncProto
        | Kind::Var
        | Kind::Datasec
        | Kind::DeclTag
        | Kind::TypeTag
        | Kind::Unknown => false,
    }
}
