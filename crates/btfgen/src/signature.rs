//! What a relocation asks, apart from how its object happens to spell it.
//!
//! A signature holds everything of the local type that libbpf compares with the target, and nothing else: names
//! along the path, whether each field is a struct, pointer, integer or array (`bpf_core_fields_are_compat`), the local
//! size where a load may be resized, the whole shape for relocations of types (`__bpf_core_types_are_compat`,
//! `__bpf_core_types_match`). Local offsets and type ids are not part of it.

use btfgen_libbpf::{Btf, Kind, ReloKind, Relocation, Type, TypeId, essential_name};

/// A byte string that is equal for two relocations if libbpf gives both the same outcome against any kernel.
///
/// Its form is internal; it is stable enough to be digested, see [`Needs::digest`](crate::Needs::digest).
pub(crate) fn signature(relocation: &Relocation) -> Vec<u8> {
    let btf = relocation.btf();
    let root = relocation.root();
    let kind = relocation.kind();
    let mut out = Vec::with_capacity(64);
    out.extend_from_slice(kind.name().as_bytes());
    out.push(b' ');
    out.push(class(root.kind()));
    if kind == ReloKind::TypeIdLocal {
        // Answered from the object itself: never the same as another object's.
        out.extend_from_slice(&relocation.root().id().0.to_le_bytes());
        out.extend_from_slice(root.name());
        return out;
    }
    out.extend_from_slice(essential_name(root.name()));
    out.push(b' ');
    if kind.is_type() {
        if relocation.accessors() != [0] {
            out.extend_from_slice(b"invalid");
        }
        if kind == ReloKind::TypeSize && btf.resolve_size(root.id()).is_none() {
            out.push(b'?');
        }
        let deep = kind == ReloKind::TypeMatches;
        shape(btf, root.id(), deep, false, &mut out);
        return out;
    }
    match steps(relocation) {
        Some(steps) => field(btf, kind, &steps, &mut out),
        // libbpf refuses such a relocation whatever the kernel; keep different ones apart.
        None => {
            out.extend_from_slice(b"invalid ");
            for a in relocation.accessors() {
                out.extend_from_slice(&a.to_le_bytes());
            }
        }
    }
    out
}

/// One accessor that libbpf matches by name or index; anonymous members are not among them.
#[derive(Debug, Clone, Copy)]
enum Step<'b> {
    Index(u32, TypeId),
    Member(&'b [u8], TypeId, u32),
    Enumerator(&'b [u8]),
}

fn steps(relocation: &Relocation) -> Option<Vec<Step<'_>>> {
    let btf = relocation.btf();
    let (&first, rest) = relocation.accessors().split_first()?;
    let root = btf.skip_modifiers_and_typedefs(relocation.root().id())?;
    if relocation.kind().is_enumval() {
        let e = root.enumerators().get(first as usize).copied()?;
        return rest.is_empty().then(|| vec![Step::Enumerator(e.name)]);
    }
    let mut out = vec![Step::Index(first, root.id())];
    let mut ty = root;
    for &accessor in rest {
        let next = if let Some(array) = ty.array() {
            out.push(Step::Index(accessor, array.element));
            array.element
        } else {
            let member = ty.members().nth(accessor as usize)?;
            if !member.name.is_empty() {
                out.push(Step::Member(member.name, member.ty, member.bitfield_size));
            }
            member.ty
        };
        ty = btf.skip_modifiers_and_typedefs(next)?;
    }
    Some(out)
}

fn field(btf: &Btf, kind: ReloKind, steps: &[Step<'_>], out: &mut Vec<u8>) {
    for step in steps {
        match *step {
            Step::Index(i, _) => {
                out.push(b'[');
                out.extend_from_slice(i.to_string().as_bytes());
                out.push(b']');
            }
            Step::Member(name, ty, _) => {
                out.push(b'.');
                out.extend_from_slice(name);
                out.push(b':');
                field_class(btf, ty, out);
            }
            Step::Enumerator(name) => {
                out.extend_from_slice(b"::");
                out.extend_from_slice(essential_name(name));
            }
        }
    }
    // The local field itself counts where libbpf computes its value too, and where a load may be resized.
    if let Some(&(Step::Index(_, ty) | Step::Member(_, ty, _))) = steps.last() {
        let bitfield = matches!(steps.last(), Some(Step::Member(_, _, 1..)));
        out.push(if bitfield { b'#' } else { b'=' });
        if kind == ReloKind::FieldByteOffset && !bitfield {
            let element = innermost(btf, ty);
            out.extend_from_slice(
                element
                    .map_or(0, |e| class(e.kind()))
                    .to_string()
                    .as_bytes(),
            );
            let size = element.and_then(|e| btf.resolve_size(e.id()));
            out.extend_from_slice(format!(" {size:?} ").as_bytes());
            out.extend_from_slice(
                element
                    .map_or(0, |e| e.int_encoding())
                    .to_string()
                    .as_bytes(),
            );
        } else if btf.resolve_size(ty).is_none() {
            out.push(b'?');
        }
    }
}

/// The element of an array of any dimension, or the type itself.
fn innermost(btf: &Btf, id: TypeId) -> Option<Type<'_>> {
    let mut ty = btf.skip_modifiers_and_typedefs(id)?;
    while let Some(array) = ty.array() {
        ty = btf.skip_modifiers_and_typedefs(array.element)?;
    }
    Some(ty)
}

/// What `bpf_core_fields_are_compat` compares of a field's type.
fn field_class(btf: &Btf, id: TypeId, out: &mut Vec<u8>) {
    let Some(ty) = btf.skip_modifiers_and_typedefs(id) else {
        out.push(b'?');
        return;
    };
    match ty.kind() {
        Kind::Struct | Kind::Union => out.push(b's'),
        Kind::Array => {
            out.push(b'a');
            if let Some(array) = ty.array() {
                field_class(btf, array.element, out);
            }
        }
        Kind::Int if ty.int_offset() != 0 => out.push(b'o'),
        kind @ (Kind::Enum | Kind::Enum64 | Kind::Fwd) => {
            out.push(class(kind));
            out.extend_from_slice(essential_name(ty.name()));
        }
        kind => out.push(class(kind)),
    }
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
    }
}

/// What the comparison of whole types sees of one; `deep` with the names, members and sizes of a match.
fn shape(btf: &Btf, id: TypeId, deep: bool, behind_ptr: bool, out: &mut Vec<u8>) {
    let Some(ty) = btf.skip_modifiers_and_typedefs(id) else {
        out.push(b'?');
        return;
    };
    out.push(class(ty.kind()));
    let name = |out: &mut Vec<u8>, name: &[u8]| {
        out.extend_from_slice(essential_name(name));
        out.push(b';');
    };
    if deep {
        name(out, ty.name());
    }
    match ty.kind() {
        Kind::Ptr => shape(btf, ty.referenced(), deep, true, out),
        Kind::Array => {
            if let Some(array) = ty.array() {
                if deep {
                    out.extend_from_slice(&array.len.to_le_bytes());
                }
                shape(btf, array.element, deep, behind_ptr, out);
            }
        }
        Kind::FuncProto => {
            out.push(b'(');
            for p in ty.params() {
                shape(btf, p.ty, deep, behind_ptr, out);
            }
            out.push(b')');
            shape(btf, ty.referenced(), deep, behind_ptr, out);
        }
        Kind::Int => {
            out.push(if ty.int_offset() == 0 { b'0' } else { b'o' });
            if deep {
                out.extend_from_slice(&ty.size().to_le_bytes());
                out.push(ty.int_encoding() & 1);
            }
        }
        Kind::Fwd => out.push(u8::from(ty.kind_flag())),
        Kind::Enum | Kind::Enum64 if deep => {
            out.extend_from_slice(&ty.size().to_le_bytes());
            for e in ty.enumerators() {
                name(out, e.name);
            }
        }
        Kind::Struct | Kind::Union if deep && !behind_ptr => {
            out.push(b'{');
            for m in ty.members() {
                name(out, m.name);
                shape(btf, m.ty, deep, behind_ptr, out);
            }
            out.push(b'}');
        }
        // By kind alone. libbpf gives up on function, variable and section types.
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
        | Kind::TypeTag => {}
    }
}

/// The path in C's spelling: `real_parent`, `a.b[3]`, `[1].c`; the enumerator's name; empty for a type as a whole.
pub(crate) fn accessor_path(relocation: &Relocation) -> String {
    if relocation.kind().is_type() {
        return String::new();
    }
    let Some(steps) = steps(relocation) else {
        let raw: Vec<String> = relocation.accessors().iter().map(u32::to_string).collect();
        return format!("({})", raw.join(":"));
    };
    let mut out = String::new();
    for (i, step) in steps.iter().enumerate() {
        match *step {
            Step::Index(n, _) if i > 0 || n > 0 => out.push_str(&format!("[{n}]")),
            Step::Index(..) => {}
            Step::Member(name, ..) => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(&String::from_utf8_lossy(name));
            }
            Step::Enumerator(name) => out.push_str(&String::from_utf8_lossy(name)),
        }
    }
    out
}
