//! The signature of a relocation: its question, without the parts that depend on the object's spelling.
//!
//! A signature holds exactly the facts of the local type that libbpf compares with the target: the names along the path,
//! whether each field is a struct, pointer, integer or array (`bpf_core_fields_are_compat`), the local size where a load may
//! be resized, and the whole shape for relocations of types (`__bpf_core_types_are_compat`, `__bpf_core_types_match`). Local
//! offsets and type ids are not part of it. The crate's README specifies its form.

use std::fmt;

use btfgen_btf::{Kind, Type, TypeId};

use crate::error::Result;
use crate::path::{Path, Step, path};
use crate::relo_kind::ReloKind;
use crate::relocation::Relocation;
use crate::walk::{MAX_DEPTH, Walk, too_deep};

/// A byte string. If two relocations have equal signatures, libbpf gives both the same outcome on every kernel.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(Vec<u8>);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// The digest of an object whose relocations have these signatures, in any order. See [`digest`](crate::digest()).
pub fn digest_of<'s>(signatures: impl IntoIterator<Item = &'s Signature>) -> u32 {
    let mut all: Vec<&Signature> = signatures.into_iter().collect();
    all.sort_unstable();
    all.dedup();
    let mut crc = crc32fast::Hasher::new();
    for Signature(bytes) in all {
        crc.update(bytes);
        crc.update(b"\0");
    }
    crc.finalize()
}

/// The length of a name without its flavour: `task_struct___old` counts as `task_struct`.
///
/// The rule is libbpf's (`bpf_core_essential_name_len`): the name ends before the last three underscores in a row that have
/// something else on both sides.
pub fn essential_name(name: &[u8]) -> &[u8] {
    let separator = |w: &[u8]| w[0] != b'_' && &w[1..4] == b"___" && w[4] != b'_';
    let flavour = name.windows(5).rposition(separator);
    flavour.map_or(name, |before| &name[..=before])
}

/// The signature of one relocation.
///
/// # Errors
/// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if it leads to a type that refers to a missing one;
/// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge) if the walk's budget is used up, or types are nested more than 128
/// deep.
pub fn signature(walk: &mut Walk<'_>, relocation: &Relocation) -> Result<Signature> {
    let root = walk.type_by_id(relocation.root)?;
    let name = walk.name(root.name())?;
    let mut writer = Writer {
        walk,
        out: Vec::with_capacity(64),
    };
    writer.number(relocation.kind as u32);
    writer.out.extend([b' ', class(root.kind()), b' ']);
    if relocation.kind == ReloKind::TypeIdLocal {
        // libbpf answers it from the object itself.
        writer.number(relocation.root.0);
        writer.name(name, b' ');
    } else {
        writer.name(essential_name(name), b' ');
        if relocation.kind.is_type() {
            writer.whole(relocation)?;
        } else {
            writer.path(relocation)?;
        }
    }
    Ok(Signature(writer.out))
}

/// Writes one signature.
struct Writer<'w, 'd> {
    walk: &'w mut Walk<'d>,
    out: Vec<u8>,
}

impl<'d> Writer<'_, 'd> {
    fn number(&mut self, n: u32) {
        self.out.extend_from_slice(n.to_string().as_bytes());
    }

    fn name(&mut self, name: &[u8], end: u8) {
        self.out.extend_from_slice(name);
        self.out.push(end);
    }

    /// A name without its flavour.
    fn essential_name(&mut self, name: &'d [u8]) -> Result<()> {
        let name = self.walk.name(name)?;
        self.name(essential_name(name), b';');
        Ok(())
    }

    fn whole(&mut self, relocation: &Relocation) -> Result<()> {
        if relocation.accessors != [0] {
            self.out.push(b'!');
        }
        if relocation.kind == ReloKind::TypeSize
            && self.walk.resolve_size(relocation.root)?.is_none()
        {
            self.out.push(b'?');
        }
        self.shape(
            relocation.root,
            Shape {
                deep: relocation.kind == ReloKind::TypeMatches,
                behind_pointer: false,
                depth: 0,
            },
        )
    }

    fn path(&mut self, relocation: &Relocation) -> Result<()> {
        let Some(path) = path(self.walk, relocation)? else {
            // libbpf refuses such a relocation on every kernel; keep different ones apart.
            self.out.push(b'!');
            for &accessor in &relocation.accessors {
                self.out.push(b':');
                self.number(accessor);
            }
            return Ok(());
        };
        for step in &path.steps {
            match *step {
                Step::Index { index, exists, .. } => {
                    self.out.push(b'[');
                    self.number(index);
                    // libbpf refuses it on every kernel.
                    self.out.extend((!exists).then_some(b'!'));
                    self.out.push(b']');
                }
                Step::Member { name, ty, .. } => {
                    self.out.push(b'.');
                    self.name(name, b':');
                    self.field(ty)?;
                }
                Step::Enumerator { name } => {
                    self.out.extend_from_slice(b"::");
                    self.out.extend_from_slice(essential_name(name));
                }
            }
        }
        // The local field itself matters if libbpf also computes its value, or if a load may be resized.
        match path.steps.last() {
            Some(&Step::Member {
                ty, bitfield_size, ..
            }) if bitfield_size > 0 => self.bitfield_end(relocation, &path, ty, bitfield_size),
            Some(&(Step::Index { ty, .. } | Step::Member { ty, .. })) => self.end(relocation, ty),
            Some(Step::Enumerator { .. }) | None => Ok(()),
        }
    }

    fn bitfield_end(
        &mut self,
        relocation: &Relocation,
        path: &Path<'_>,
        ty: TypeId,
        bits: u32,
    ) -> Result<()> {
        self.out.push(b'#');
        let ty = self.walk.skip_modifiers_and_typedefs(ty)?;
        let asks_value = relocation.kind != ReloKind::FieldExists;
        if asks_value && is_too_wide(path.bit_offset, bits, ty.size().unwrap_or_default()) {
            self.out.push(b'!');
        }
        Ok(())
    }

    fn end(&mut self, relocation: &Relocation, ty: TypeId) -> Result<()> {
        self.out.push(b'=');
        if relocation.kind == ReloKind::FieldByteOffset {
            // libbpf resizes a load of an array by other rules than a load of its element.
            let (dimensions, element) = self.innermost(ty)?;
            self.out
                .extend(std::iter::repeat_n(b'a', dimensions as usize));
            self.out.push(class(element.kind()));
            match self.walk.resolve_size(element.id())? {
                Some(size) => self.number(size),
                None => self.out.push(b'?'),
            }
            self.out.push(b',');
            self.number(element.int().map_or(0, |int| int.encoding.into()));
        } else if self.walk.resolve_size(ty)?.is_none() {
            self.out.push(b'?');
        }
        Ok(())
    }

    /// The facts of a field's type that `bpf_core_fields_are_compat` compares.
    fn field(&mut self, id: TypeId) -> Result<()> {
        let (dimensions, ty) = self.innermost(id)?;
        self.out
            .extend(std::iter::repeat_n(b'a', dimensions as usize));
        match ty.kind() {
            Kind::Struct | Kind::Union => self.out.push(b's'),
            Kind::Int if has_offset(ty) => self.out.push(b'o'),
            kind @ (Kind::Enum | Kind::Enum64 | Kind::Fwd) => {
                let name = self.walk.name(ty.name())?;
                self.out.push(class(kind));
                self.out.extend_from_slice(essential_name(name));
            }
            kind => self.out.push(class(kind)),
        }
        Ok(())
    }

    /// The number of an array's dimensions and its innermost element; for another type, 0 and the type itself.
    fn innermost(&mut self, id: TypeId) -> Result<(u32, Type<'d>)> {
        let mut ty = self.walk.skip_modifiers_and_typedefs(id)?;
        let mut dimensions = 0;
        while let Some(array) = ty.array() {
            dimensions += 1;
            if dimensions == MAX_DEPTH {
                return Err(too_deep(id));
            }
            ty = self.walk.skip_modifiers_and_typedefs(array.element)?;
        }
        Ok((dimensions, ty))
    }

    /// The facts of a type that the comparison of whole types uses.
    fn shape(&mut self, id: TypeId, how: Shape) -> Result<()> {
        if how.depth == MAX_DEPTH {
            return Err(too_deep(id));
        }
        let ty = self.walk.skip_modifiers_and_typedefs(id)?;
        let inside = Shape {
            depth: how.depth + 1,
            ..how
        };
        self.out.push(class(ty.kind()));
        if how.deep {
            self.essential_name(ty.name())?;
        }
        match ty.kind() {
            Kind::Ptr => {
                let behind = Shape {
                    behind_pointer: true,
                    ..inside
                };
                self.shape(ty.referenced().unwrap_or(TypeId::VOID), behind)?;
            }
            Kind::Array => {
                if let Some(array) = ty.array() {
                    if how.deep {
                        self.number(array.len);
                        self.out.push(b';');
                    }
                    self.shape(array.element, inside)?;
                }
            }
            Kind::FuncProto => {
                self.out.push(b'(');
                for param in ty.params() {
                    self.shape(param, inside)?;
                }
                self.out.push(b')');
                self.shape(ty.referenced().unwrap_or(TypeId::VOID), inside)?;
            }
            Kind::Int => {
                self.out.push(if has_offset(ty) { b'o' } else { b'0' });
                if how.deep {
                    self.number(ty.size().unwrap_or_default());
                    self.out.push(b';');
                    let encoding = ty.int().map_or(0, |int| int.encoding);
                    self.number(u32::from(encoding & 1));
                }
            }
            Kind::Fwd => self.out.push(if ty.kind_flag() { b'u' } else { b's' }),
            Kind::Enum | Kind::Enum64 if how.deep => {
                self.number(ty.size().unwrap_or_default());
                self.out.push(b'{');
                for enumerator in ty.enumerators() {
                    self.essential_name(enumerator.name)?;
                }
                self.out.push(b'}');
            }
            Kind::Struct | Kind::Union if how.deep && !how.behind_pointer => {
                self.out.push(b'{');
                for member in ty.members() {
                    self.essential_name(member.name)?;
                    self.shape(member.ty, inside)?;
                }
                self.out.push(b'}');
            }
            // libbpf compares only the kind. For function, variable and section types it gives up.
            Kind::Void
            | Kind::Struct
            | Kind::Union
            | Kind::Enum
            | Kind::Enum64
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::Var
            | Kind::Datasec
            | Kind::Float
            | Kind::DeclTag
            | Kind::TypeTag
            | Kind::Unknown => {}
        }
        Ok(())
    }
}

/// Whether no load of up to 8 bytes can read a bitfield. A load begins at a multiple of its own size, and the first size is
/// that of the bitfield's type (`bpf_core_calc_field_relo`).
fn is_too_wide(bit_offset: u64, bits: u32, type_size: u32) -> bool {
    let end = bit_offset + u64::from(bits);
    let mut bytes = u64::from(type_size);
    loop {
        let Some(load) = (bit_offset / 8).checked_div(bytes) else {
            return true;
        };
        if end - load * bytes * 8 <= bytes * 8 {
            return false;
        }
        if bytes >= 8 {
            return true;
        }
        bytes *= 2;
    }
}

fn has_offset(ty: Type<'_>) -> bool {
    ty.int().is_some_and(|int| int.offset != 0)
}

/// The form of a shape.
#[derive(Clone, Copy)]
struct Shape {
    /// Whether it has the names, members and sizes of a match.
    deep: bool,
    /// Whether the type is behind a pointer, where a match compares no members.
    behind_pointer: bool,
    depth: u32,
}

fn class(kind: Kind) -> u8 {
    match kind {
        Kind::Void => b'v',
        Kind::Int => b'i',
        Kind::Ptr => b'p',
        Kind::Array => b'a',
        Kind::Struct => b's',
        Kind::Union => b'u',
        Kind::Enum | Kind::Enum64 => b'e',
        Kind::Fwd => b'w',
        Kind::Typedef => b't',
        Kind::Volatile => b'V',
        Kind::Const => b'C',
        Kind::Restrict => b'R',
        Kind::Func => b'f',
        Kind::FuncProto => b'P',
        Kind::Var => b'r',
        Kind::Datasec => b'd',
        Kind::Float => b'l',
        Kind::DeclTag => b'g',
        Kind::TypeTag => b'T',
        Kind::Unknown => b'?',
    }
}

#[cfg(test)]
mod tests;
