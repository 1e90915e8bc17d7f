//! What a type is to a program, whatever its typedefs are called: two fields of equal essence are the same field.

use std::iter;

use btfgen_btf::{Btf, Kind, Type, TypeId};

/// The most types in a chain of pointers, arrays, modifiers and typedefs. Kernels have fewer than 20.
const MAX_CHAIN: usize = 128;

/// The essence of a type, as a text that only compares. Prototypes are all the same: a BPF program calls no pointer.
pub(super) fn essence(btf: &Btf<'_>, id: TypeId) -> String {
    let mut essence = String::new();
    let mut typedef: Option<Type<'_>> = None;
    for ty in chain(btf, id) {
        match ty.kind() {
            Kind::Typedef => typedef = Some(ty),
            Kind::Const | Kind::Volatile | Kind::Restrict | Kind::TypeTag => continue,
            Kind::Ptr => essence.push('*'),
            Kind::Array => {
                let len = ty.array().map_or(0, |array| array.len);
                essence.push_str(&format!("[{len}]"));
            }
            // It is signed on some architectures, and some compilers do not tell.
            Kind::Int if ty.name() == b"char" => essence.push_str("char"),
            Kind::Int => {
                let signed = ty.int().map_or(0, |int| int.encoding & 1);
                let size = ty.size().unwrap_or_default();
                essence.push_str(&format!("int {size} {signed}"));
            }
            kind => {
                let keyword = match kind {
                    Kind::Void => "void",
                    Kind::Struct => "struct",
                    Kind::Union => "union",
                    Kind::Enum | Kind::Enum64 => "enum",
                    Kind::Fwd if ty.kind_flag() => "union",
                    Kind::Fwd => "struct",
                    Kind::Float => "float",
                    _ => "function",
                };
                let nameless = if kind.is_composite() { "{}" } else { keyword };
                match (ty.name(), typedef) {
                    // Without a name of its own, it is known by that of the typedef.
                    (b"", Some(typedef)) if kind.is_composite() || kind.is_enum() => {
                        let name = String::from_utf8_lossy(typedef.name());
                        essence.push_str(&format!("typedef {name}"));
                    }
                    (b"", _) => essence.push_str(nameless),
                    (name, _) => {
                        let name = String::from_utf8_lossy(name);
                        essence.push_str(&format!("{keyword} {name}"));
                    }
                }
            }
        }
        if ty.kind() != Kind::Typedef {
            typedef = None;
        }
    }
    essence
}

/// The type, and each one that it is made of, up to one with a name.
pub(super) fn chain<'b>(btf: &'b Btf<'b>, id: TypeId) -> impl Iterator<Item = Type<'b>> {
    let next = |ty: &Type<'b>| match ty.kind() {
        Kind::Array => btf.type_by_id(ty.array()?.element),
        Kind::Ptr
        | Kind::Typedef
        | Kind::Const
        | Kind::Volatile
        | Kind::Restrict
        | Kind::TypeTag => btf.type_by_id(ty.referenced()?),
        _ => None,
    };
    iter::successors(btf.type_by_id(id), next).take(MAX_CHAIN)
}
