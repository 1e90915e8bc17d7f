//! Answers questions from a BTF.

use std::collections::{BTreeSet, HashSet};
use std::convert::Infallible;

use btfgen_btf::{Btf, Kind, Member, Type, TypeId};
use btfgen_object::essential_name;

use crate::answer::{Answer, Answered, Missing};
use crate::fact::{Fact, FactType, Question};

/// The most anonymous structs and unions in a type. No kernel has more than a hundred, and without a bound a damaged BTF could use
/// up the stack.
const MAX_ANONYMOUS: usize = 1000;

impl Fact {
    /// The answer of a kernel's whole BTF.
    pub fn ask(&self, btf: &Btf<'_>) -> Answered {
        let answered = self.ask_in_turn(|question| Ok::<_, Infallible>(question.ask(btf)));
        match answered {
            Ok(answered) => answered,
        }
    }

    /// The answer of the first question that finds something, else that of the first one.
    ///
    /// # Errors
    /// Those of `ask`.
    pub fn ask_in_turn<E>(
        &self,
        mut ask: impl FnMut(&Question) -> Result<Answer, E>,
    ) -> Result<Answered, E> {
        let mut first = None;
        for (question, asked) in self.questions().iter().enumerate() {
            let answer = ask(asked)?;
            let is_last = !matches!(answer, Answer::Missing(_));
            let answered = Answered { question, answer };
            if is_last {
                return Ok(answered);
            }
            first.get_or_insert(answered);
        }
        // A fact has a question.
        Ok(first.unwrap_or(Answered {
            question: 0,
            answer: Answer::Missing(Missing::Type),
        }))
    }
}

impl Question {
    /// The kinds of types that its name may mean; none for a function. An enum of either width is [`Kind::Enum`].
    pub fn kinds(&self) -> &'static [Kind] {
        let ty = match self {
            Self::Function(_) => return &[],
            Self::Value(..) => return &[Kind::Enum, Kind::Typedef],
            Self::Member(ty, _) | Self::Size(ty, _) => ty,
        };
        match ty.kind {
            Some(Kind::Struct) => &[Kind::Struct],
            Some(Kind::Union) => &[Kind::Union],
            Some(Kind::Enum) => &[Kind::Enum],
            Some(Kind::Typedef) => &[Kind::Typedef],
            _ if matches!(self, Self::Member(..)) => &[Kind::Struct, Kind::Union, Kind::Typedef],
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

    /// The type that it names; `None` for a function.
    pub fn type_name(&self) -> Option<&FactType> {
        match self {
            Self::Member(ty, _) | Self::Size(ty, _) | Self::Value(ty, _) => Some(ty),
            Self::Function(_) => None,
        }
    }

    /// Whether it asks for a type or function. As with CO-RE, a type may have a flavour: `task_struct___old`.
    pub fn asks_for(&self, ty: Type<'_>) -> bool {
        match (self, self.type_name()) {
            (Self::Function(name), _) => ty.kind() == Kind::Func && ty.name() == name.as_bytes(),
            (_, Some(asked)) => {
                let kind = if ty.kind().is_enum() {
                    Kind::Enum
                } else {
                    ty.kind()
                };
                self.kinds().contains(&kind) && essential_name(ty.name()) == asked.name.as_bytes()
            }
            (_, None) => false,
        }
    }

    /// The answer of a kernel's whole BTF.
    fn ask(&self, btf: &Btf<'_>) -> Answer {
        let Self::Function(_) = self else {
            let asked = btf.types().filter(|&ty| self.asks_for(ty));
            let candidates: Vec<TypeId> = asked.map(|ty| ty.id()).collect();
            return self.ask_candidates(btf, &candidates);
        };
        let mut functions = btf.types_of(|kind| kind == Kind::Func).peekable();
        let has_functions = functions.peek().is_some();
        let asked = functions.filter(|&ty| self.asks_for(ty));
        let counts = asked.map(|ty| {
            let proto = ty.referenced().and_then(|id| btf.type_by_id(id));
            let params = proto.map(|proto| proto.params().collect::<Vec<_>>());
            let params = params.unwrap_or_default();
            let variadic = params.last() == Some(&TypeId::VOID);
            params.len() as u32 - u32::from(variadic)
        });
        Answer::of_functions(has_functions, counts)
    }

    /// The answer that the types of its name give together. As with CO-RE, those that do not have what is asked for do not count.
    pub fn ask_candidates(&self, btf: &Btf<'_>, candidates: &[TypeId]) -> Answer {
        let mut missing = Missing::Type;
        let mut found: Vec<Answer> = Vec::new();
        for &id in candidates {
            match of_one(btf, self, id) {
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

    /// The names of members or values that types have where it asks for `part`, which they do not have.
    pub fn names_instead<'b>(
        &self,
        btf: &'b Btf<'_>,
        candidates: &[TypeId],
        part: &str,
    ) -> Vec<&'b [u8]> {
        let path = match self {
            Self::Member(_, path) | Self::Size(_, path) => path.as_slice(),
            Self::Value(..) | Self::Function(_) => &[],
        };
        let before = path.iter().position(|name| name == part);
        let before = &path[..before.unwrap_or_default()];
        let mut names = Vec::new();
        for &id in candidates {
            let Ok(place) = walk(btf, id, before) else {
                continue;
            };
            if let Some(ty) = btf.skip_modifiers_and_typedefs(place.ty) {
                names.extend(ty.enumerators().map(|e| e.name));
                members(btf, ty, &mut names, &mut HashSet::new());
            }
        }
        names
    }
}

impl Answer {
    /// The answer of functions of one name by their numbers of parameters. A BTF without any function says nothing.
    pub fn of_functions(has_functions: bool, counts: impl Iterator<Item = u32>) -> Self {
        let counts: BTreeSet<u32> = counts.collect();
        let answers = counts.into_iter();
        let mut answers: Vec<Self> = answers
            .map(|parameters| Self::Function { parameters })
            .collect();
        match answers.len() {
            0 if has_functions => Self::Missing(Missing::Function),
            0 => Self::Unknown,
            1 => answers.remove(0),
            _ => Self::Ambiguous(answers),
        }
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
