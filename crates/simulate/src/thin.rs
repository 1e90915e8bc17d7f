//! Makes a kernel smaller: all types that have a name stay, and one of some functions.
//!
//! Two thirds of a kernel's BTF are functions and their prototypes. No relocation asks for them, so a hub with a part of them
//! takes a third of the disk and of the time to make, and a store of definitions has the same work.

use btfgen_btf::Kind;

use crate::dice::hash;
use crate::model::{TypeId, Types, type_places};

/// One of so many functions stays, chosen by name: kernels share their functions before and after.
const FUNCTIONS: u64 = 12;

/// Drops functions, and the types without a name that only those refer to.
pub(crate) fn thin(types: &mut Types) {
    let mut kept = vec![false; types.sequence().len() + 1];
    let mut open: Vec<TypeId> = Vec::new();
    for &ty in types.sequence() {
        let name = types.name_of(ty);
        let stays = match types.kind(ty) {
            Kind::Func => hash(0, name).is_multiple_of(FUNCTIONS),
            Kind::DeclTag => false,
            Kind::Var | Kind::Datasec => true,
            _ => !name.is_empty(),
        };
        if stays {
            open.push(ty);
        }
    }
    while let Some(ty) = open.pop() {
        if std::mem::replace(&mut kept[ty as usize], true) {
            continue;
        }
        let record = types.record(ty);
        open.extend(type_places(record).into_iter().map(|place| record[place]));
    }
    let tagged =
        |ty: &TypeId| types.kind(*ty) == Kind::DeclTag && kept[target(types, *ty) as usize];
    let tags: Vec<TypeId> = types.sequence().iter().copied().filter(tagged).collect();
    for ty in tags {
        kept[ty as usize] = true;
    }
    types.retain(|&ty| kept[ty as usize]);
}

/// What a type with one reference refers to.
fn target(types: &Types, ty: TypeId) -> TypeId {
    let record = types.record(ty);
    type_places(record)
        .first()
        .map_or(0, |&place| record[place])
}
