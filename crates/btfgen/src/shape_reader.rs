//! Reads the definitions of the selected types of a kernel.

use std::collections::BTreeMap;

use btfgen_btf::{Btf, Enumerator, Kind, Member, Type};
use btfgen_hub::{Error, ErrorKind, Result};

use crate::selection::TypeSelection;
use crate::shape::{Part, Place, Shape, Shapes, TypeKind, TypeName};

/// The deepest nesting of structs without a name. Kernels stay below 10.
const MAX_DEPTH: usize = 32;

/// The most fields and enumerators of all selected types. A kernel has 200,000.
const MAX_PARTS: usize = 1 << 22;

impl Shapes {
    /// The selected types of a kernel.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidKernel`] if a struct has more fields than any kernel's: only a damaged BTF has.
    pub fn new(btf: &Btf<'_>, selection: &TypeSelection) -> Result<Self> {
        let mut shapes: BTreeMap<TypeName, Vec<Shape>> = BTreeMap::new();
        let mut reader = Reader {
            btf,
            room: MAX_PARTS,
        };
        for ty in btf.types_of(|kind| TypeKind::of(kind).is_some()) {
            let Some(kind) = TypeKind::of(ty.kind()) else {
                continue;
            };
            let name = String::from_utf8_lossy(ty.name());
            if name.is_empty() || selection.fields(kind, &name).is_none() {
                continue;
            }
            let shape = reader.shape(&ty)?;
            let name = name.into_owned();
            let of_name = shapes.entry(TypeName { kind, name }).or_default();
            if !of_name.contains(&shape) {
                of_name.push(shape);
            }
        }
        Ok(Self(shapes))
    }
}

struct Reader<'b> {
    btf: &'b Btf<'b>,
    /// How many fields may still come.
    room: usize,
}

impl<'b> Reader<'b> {
    fn shape(&mut self, ty: &Type<'b>) -> Result<Shape> {
        let (kind, name) = (ty.kind(), ty.name());
        let (declaration, definition) = match ty.referenced() {
            Some(to) => {
                let start = if kind == Kind::Typedef {
                    "typedef "
                } else {
                    ""
                };
                let declaration = format!("{start}{}", self.btf.c_declaration(to, name));
                let definition = self.btf.type_by_id(to);
                let is_nameless = |to: &Type<'_>| to.name().is_empty();
                (Some(declaration), definition.filter(is_nameless))
            }
            None => (None, Some(*ty)),
        };
        let mut parts = Vec::new();
        if let Some(definition) = definition {
            self.fields(&definition, "", 0, 0, &mut parts)?;
            self.enumerators(&definition, &mut parts)?;
        }
        let size = self.btf.resolve_size(ty.id());
        Ok(Shape {
            size,
            declaration,
            parts,
        })
    }

    fn fields(
        &mut self,
        ty: &Type<'b>,
        path: &str,
        offset: u64,
        depth: usize,
        parts: &mut Vec<Part>,
    ) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(too_large(ty, "is nested too deep"));
        }
        for member in ty.members() {
            let name = String::from_utf8_lossy(member.name);
            let at = offset.saturating_add(member.bit_offset.into());
            let (inner, is_array) = self.nameless(&member);
            if name.is_empty() {
                // A struct without a name; else only padding.
                if let Some(inner) = inner.filter(|_| !is_array) {
                    self.fields(&inner, path, at, depth + 1, parts)?;
                }
                continue;
            }
            self.take_room(ty)?;
            let path = format!("{path}{name}");
            let renamed = Member {
                name: path.as_bytes(),
                ..member
            };
            parts.push(Part {
                declaration: self.btf.c_member(&renamed),
                place: Place::Field {
                    bit_offset: at,
                    size: self.btf.resolve_size(member.ty),
                    bitfield_size: member.bitfield_size,
                },
                path: path.clone(),
            });
            if let Some(inner) = inner {
                let path = path + if is_array { "[]." } else { "." };
                self.fields(&inner, &path, at, depth + 1, parts)?;
            }
        }
        Ok(())
    }

    /// The struct without a name that a member contains, and whether the member is an array.
    fn nameless(&self, member: &Member<'_>) -> (Option<Type<'b>>, bool) {
        let mut ty = self.btf.type_by_id(member.ty);
        let mut is_array = false;
        // No kernel has an array of so many dimensions.
        for _ in 0..MAX_DEPTH {
            let Some(outer) = ty else { break };
            let inner = match outer.kind() {
                Kind::Array => outer.array().map(|array| array.element),
                Kind::Const | Kind::Volatile | Kind::Restrict | Kind::TypeTag => outer.referenced(),
                _ => break,
            };
            is_array |= outer.kind() == Kind::Array;
            ty = inner.and_then(|id| self.btf.type_by_id(id));
        }
        let is_nameless = |ty: &Type<'_>| ty.kind().is_composite() && ty.name().is_empty();
        (ty.filter(is_nameless), is_array)
    }

    fn enumerators(&mut self, ty: &Type<'_>, parts: &mut Vec<Part>) -> Result<()> {
        for enumerator in ty.enumerators() {
            self.take_room(ty)?;
            let value = value_of(ty, &enumerator);
            let path = String::from_utf8_lossy(enumerator.name).into_owned();
            parts.push(Part {
                declaration: format!("{path} = {value}"),
                place: Place::Enumerator { value },
                path,
            });
        }
        Ok(())
    }

    fn take_room(&mut self, ty: &Type<'_>) -> Result<()> {
        let room = self.room.checked_sub(1);
        self.room = room.ok_or_else(|| too_large(ty, "has too many fields"))?;
        Ok(())
    }
}

/// An enumerator's value, by the enum's sign.
pub(crate) fn value_of(ty: &Type<'_>, enumerator: &Enumerator<'_>) -> i128 {
    // The kind_flag is the sign. A value of 32 bits is sign-extended also without it.
    match (ty.kind_flag(), ty.kind()) {
        (true, _) => i128::from(enumerator.value.cast_signed()),
        (false, Kind::Enum) => i128::from(enumerator.value as u32),
        (false, _) => i128::from(enumerator.value),
    }
}

fn too_large(ty: &Type<'_>, message: &str) -> Error {
    let subject = format!("{ty:?}");
    Error::new(ErrorKind::InvalidKernel, subject, message)
        .with_help("no kernel has such a type: the BTF is damaged, get it again")
}
