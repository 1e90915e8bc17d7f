//! Whether a split BTF continues its base: a module built with another kernel's BTF refers to other types and to the middle of
//! other names.

use crate::btf::{Btf, TypeId};
use crate::error::{Error, ErrorKind, Result};
use crate::kind::Kind;
use crate::types::Type;

impl Btf<'_> {
    /// Requires that a BTF that [`Btf::parse_split`] has read continues its base, as far as the BTF itself tells:
    ///
    /// - it has the base's byte order;
    /// - each name begins at the beginning of a string;
    /// - each reference leads to a type of a kind that the kernel's own check (`kernel/bpf/btf.c`) allows there;
    /// - each member ends within its struct.
    ///
    /// The BTF of a module does not name its base. With the BTF of another build, ids and offsets shift, so one of thousands of
    /// names and references is nearly surely wrong.
    ///
    /// # Errors
    /// [`ErrorKind::OtherBase`].
    pub fn check_base(&self) -> Result<()> {
        if let Some(base) = self.base
            && base.byte_order() != self.byte_order()
        {
            let message = "does not have the byte order of its base";
            return Err(Error::new(ErrorKind::OtherBase, message));
        }
        for ty in self.own_types() {
            for offset in ty.name_offsets() {
                if !self.begins_string(offset) {
                    return Err(misfit(
                        ty,
                        format!("has a name at offset {offset}, in the middle of a string"),
                    ));
                }
            }
            self.check_references(ty)?;
        }
        Ok(())
    }

    /// Whether a string begins at this offset. Offset 0 is the empty string.
    fn begins_string(&self, offset: u32) -> bool {
        let Some(own) = (offset as usize).checked_sub(self.first_string()) else {
            return self.base.is_some_and(|base| base.begins_string(offset));
        };
        own == 0 || self.own_strings().get(own - 1) == Some(&0)
    }

    fn check_references(&self, ty: Type<'_>) -> Result<()> {
        let require = |id: TypeId, what: &str, is_allowed: fn(Kind) -> bool| match self
            .skip_modifiers_and_typedefs(id)
            .map(|to| to.kind())
        {
            Some(kind) if is_allowed(kind) => Ok(()),
            Some(kind) => Err(misfit(
                ty,
                format!("has type [{id}] as its {what}, which is of kind {kind:?}"),
            )),
            None => Err(misfit(
                ty,
                format!("has type [{id}] as its {what}, which leads nowhere"),
            )),
        };
        let require_target = |what, is_allowed| match ty.referenced() {
            Some(to) => require(to, what, is_allowed),
            None => Ok(()),
        };
        match ty.kind() {
            Kind::Ptr
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::TypeTag => require_target("target", is_of_c),
            Kind::Var => require_target("type", may_be_stored),
            Kind::Func => require_target("type", |kind| kind == Kind::FuncProto),
            Kind::DeclTag => require_target("target", may_be_tagged),
            Kind::FuncProto => {
                require_target("result", may_be_passed)?;
                ty.params()
                    .try_for_each(|param| require(param, "parameter", may_be_passed))
            }
            Kind::Array => ty.array().map_or(Ok(()), |array| {
                require(array.index, "index", |kind| kind == Kind::Int)?;
                require(array.element, "element", may_be_stored)
            }),
            Kind::Datasec => ty
                .variables()
                .try_for_each(|id| require(id, "variable", |kind| kind == Kind::Var)),
            Kind::Struct | Kind::Union => {
                for member in ty.members() {
                    require(member.ty, "member", may_be_stored)?;
                }
                self.check_members(ty)
            }
            Kind::Void
            | Kind::Int
            | Kind::Enum
            | Kind::Fwd
            | Kind::Float
            | Kind::Enum64
            | Kind::Unknown => Ok(()),
        }
    }

    /// Requires that the members end within their struct.
    fn check_members(&self, ty: Type<'_>) -> Result<()> {
        let bits = u64::from(ty.size().unwrap_or_default()) * 8;
        for member in ty.members() {
            let len = match member.bitfield_size {
                // Without a size, as an old compiler's bitfield in an int, there is nothing to compare.
                0 => self.plain_bits(member.ty).unwrap_or_default(),
                len => u64::from(len),
            };
            if u64::from(member.bit_offset) + len > bits {
                let name = String::from_utf8_lossy(member.name).into_owned();
                return Err(misfit(
                    ty,
                    format!("has a member {name:?} that does not end within it"),
                ));
            }
        }
        Ok(())
    }

    /// The size of a type in bits; `None` for an old compiler's bitfield, and for types without a size.
    fn plain_bits(&self, id: TypeId) -> Option<u64> {
        let ty = self.skip_modifiers_and_typedefs(id)?;
        let size = u64::from(self.resolve_size(ty.id())?) * 8;
        match ty.int() {
            Some(int) if int.offset != 0 || u64::from(int.bits) != size => None,
            _ => Some(size),
        }
    }
}

fn misfit(ty: Type<'_>, message: String) -> Error {
    Error::of_type(ErrorKind::OtherBase, ty.id().0, message)
}

/// Whether C has types of this kind. `void` is one, because a pointer may lead to it.
fn is_of_c(kind: Kind) -> bool {
    !matches!(kind, Kind::Func | Kind::Var | Kind::Datasec | Kind::DeclTag)
}

fn may_be_passed(kind: Kind) -> bool {
    kind != Kind::FuncProto && is_of_c(kind)
}

fn may_be_stored(kind: Kind) -> bool {
    kind != Kind::Void && may_be_passed(kind)
}

fn may_be_tagged(kind: Kind) -> bool {
    !matches!(kind, Kind::Datasec | Kind::DeclTag)
}
