//! Answers questions about types from a BTF.

use std::collections::HashSet;

use btfgen_btf::{Btf, Kind, Member, Type, TypeId};

use super::fact::{FactType, Question};
use super::{Answer, Missing};

/// The most anonymous structs and unions in a type. No kernel has more than a hundred, and without a bound a damaged BTF could use
/// up the stack.
const MAX_ANONYMOUS: usize = 1000;

/// The kinds of types that a name may mean. An enum of either width is [`Kind::Enum`].
pub(super) fn kinds(question: &Question) -> &'static [Kind] {
    let ty = match question {
        Question::Function(_) => return &[],
        Question::Value(..) => return &[Kind::Enum, Kind::Typedef],
        Question::Member(ty, _) | Question::Size(ty, _) => ty,
    };
    match ty.kind {
        Some(Kind::Struct) => &[Kind::Struct],
        Some(Kind::Union) => &[Kind::Union],
        Some(Kind::Enum) => &[Kind::Enum],
        Some(Kind::Typedef) => &[Kind::Typedef],
        _ if matches!(question, Question::Member(..)) => {
            &[Kind::Struct, Kind::Union, Kind::Typedef]
        }
        _ => &[
            Kind::Struct,
            Kind::Union,
            Kind::Typedef,
            Kind::Enum,
            Kind::Int,
            Kind::Float,
        ],
    }
}

/// The type that a question names.
pub(super) fn type_of(question: &Question) -> Option<&FactType> {
    match question {
        Question::Member(ty, _) | Question::Size(ty, _) | Question::Value(ty, _) => Some(ty),
        Question::Function(_) => None,
    }
}

/// The answer that candidates give together. As with CO-RE, candidates that do not have what is asked for do not count.
pub(super) fn answer(btf: &Btf<'_>, question: &Question, candidates: &[TypeId]) -> Answer {
    let mut missing = Missing::Type;
    let mut found: Vec<Answer> = Vec::new();
    for &id in candidates {
        match of_one(btf, question, id) {
            Ok(answer) if found.contains(&answer) => {}
            Ok(answer) => found.push(answer),
            Err(why) => missing = missing.max(why),
        }
    }
    match found.len() {
        0 => Answer::Missing(missing),
        1 => found.remove(0),
        _ => Answer::Ambiguous(found),
    }
}

fn of_one(btf: &Btf<'_>, question: &Question, id: TypeId) -> Result<Answer, Missing> {
    match question {
        Question::Member(_, path) => {
            let place = walk(btf, id, path)?;
            let bytes = btf.resolve_size(place.ty).ok_or(Missing::Size)?;
            Ok(Answer::Member {
                bit_offset: place.bit_offset,
                bytes,
                bits: place.bits,
            })
        }
        Question::Size(_, path) => {
            let place = walk(btf, id, path)?;
            let bytes = btf.resolve_size(place.ty).ok_or(Missing::Size)?;
            Ok(Answer::Size { bytes })
        }
        Question::Value(_, name) => {
            let ty = btf.skip_modifiers_and_typedefs(id).ok_or(Missing::Type)?;
            let mut all = ty.enumerators();
            let found = all.find(|e| e.name == name.as_bytes());
            let value = found.ok_or_else(|| Missing::Part(name.clone()))?.value;
            Ok(Answer::Value {
                value: value.cast_signed(),
            })
        }
        Question::Function(_) => Err(Missing::Function),
    }
}

/// A place in a type.
struct Place {
    ty: TypeId,
    bit_offset: u64,
    bits: Option<u32>,
}

fn walk(btf: &Btf<'_>, id: TypeId, path: &[String]) -> Result<Place, Missing> {
    let mut place = Place {
        ty: id,
        bit_offset: 0,
        bits: None,
    };
    for name in path {
        let missing = || Missing::Part(name.clone());
        let ty = btf.skip_modifiers_and_typedefs(place.ty);
        let ty = ty
            .filter(|ty| ty.kind().is_composite())
            .ok_or_else(missing)?;
        let (member, offset) =
            find(btf, ty, name.as_bytes(), &mut HashSet::new()).ok_or_else(missing)?;
        place.ty = member.ty;
        place.bit_offset += offset;
        place.bits = (member.bitfield_size > 0).then_some(member.bitfield_size);
        // Old compilers tell a bitfield by an int that is narrower than its bytes.
        let int = btf.skip_modifiers_and_typedefs(member.ty);
        let narrow = int.and_then(|ty| Some((ty.int()?, ty.size()?)));
        if let Some((int, bytes)) = narrow
            && place.bits.is_none()
            && (u32::from(int.bits) < 8 * bytes || int.offset > 0)
        {
            place.bit_offset += u64::from(int.offset);
            place.bits = Some(int.bits.into());
        }
    }
    Ok(place)
}

/// A member of a struct or union, or of an anonymous one in it, and its offset in bits from the outer one. A type in which the name
/// is not is looked at once.
fn find<'b>(
    btf: &'b Btf<'_>,
    ty: Type<'b>,
    name: &[u8],
    seen: &mut HashSet<TypeId>,
) -> Option<(Member<'b>, u64)> {
    for member in ty.members() {
        let offset = u64::from(member.bit_offset);
        if member.name == name {
            return Some((member, offset));
        }
        if let Some(inner) = anonymous(btf, &member, seen)
            && let Some((found, inside)) = find(btf, inner, name, seen)
        {
            return Some((found, offset + inside));
        }
    }
    None
}

/// The type of an anonymous member, unless it was seen.
fn anonymous<'b>(
    btf: &'b Btf<'_>,
    member: &Member<'_>,
    seen: &mut HashSet<TypeId>,
) -> Option<Type<'b>> {
    let inner = btf.skip_modifiers_and_typedefs(member.ty)?;
    let is_new = member.name.is_empty() && seen.len() < MAX_ANONYMOUS && seen.insert(inner.id());
    is_new.then_some(inner)
}

/// The names at which a path or the name of an enum failed: members or names that are there instead.
pub(super) fn names_instead<'b>(
    btf: &'b Btf<'_>,
    question: &Question,
    candidates: &[TypeId],
    part: &str,
) -> Vec<&'b [u8]> {
    let mut names = Vec::new();
    for &id in candidates {
        let path = match question {
            Question::Member(_, path) | Question::Size(_, path) => path.as_slice(),
            Question::Value(..) | Question::Function(_) => &[],
        };
        let before = path
            .iter()
            .position(|name| name == part)
            .unwrap_or_default();
        let Ok(place) = walk(btf, id, &path[..before]) else {
            continue;
        };
        if let Some(ty) = btf.skip_modifiers_and_typedefs(place.ty) {
            names.extend(ty.enumerators().map(|e| e.name));
            members(btf, ty, &mut names, &mut HashSet::new());
        }
    }
    names
}

fn members<'b>(
    btf: &'b Btf<'_>,
    ty: Type<'b>,
    names: &mut Vec<&'b [u8]>,
    seen: &mut HashSet<TypeId>,
) {
    for member in ty.members() {
        if let Some(inner) = anonymous(btf, &member, seen) {
            members(btf, inner, names, seen);
        } else if !member.name.is_empty() {
            names.push(member.name);
        }
    }
}
