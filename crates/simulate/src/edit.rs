//! Edits of a kernel's types, as the development of Linux makes them.
//!
//! An edit names its target, and finds the place in it by the names of members. So the same edit changes the same place in the
//! flavours and architectures of a series.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use btfgen_btf::Kind;

use crate::dice::{Dice, hash};
use crate::layout::{Layout, MEMBER, UNIT, member_count, member_type, place, round_up};
use crate::model::{INFO, NAME, NameId, PARTS, Record, SIZE_OR_TYPE, TypeId, Types, info, kind};

/// What an edit does to a struct or union.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// A new member; those behind it move.
    Insert,
    /// A new struct, and a member that points to it.
    InsertStruct,
    /// A member less. Those behind it move, or there is a hole.
    Remove,
    /// Two members of one size change places.
    Swap,
    /// A member gets another type of the same size.
    Retype,
    Rename,
    /// An array gets longer.
    Lengthen,
}

/// One edit.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    pub(crate) what: What,
    /// The name of a struct or union; a kernel without it stays as it is.
    pub(crate) target: Arc<[u8]>,
    pub(crate) seed: u64,
}

/// Words of made-up names.
const WORDS: [&str; 24] = [
    "flags", "state", "lock", "count", "owner", "cache", "stats", "index", "limit", "last", "next",
    "head", "event", "queue", "ops", "node", "group", "mask", "seq", "time", "weight", "offset",
    "page", "data",
];

const INTS: [&[u8]; 6] = [
    b"int",
    b"unsigned int",
    b"long unsigned int",
    b"long long unsigned int",
    b"short unsigned int",
    b"unsigned char",
];

const EMBEDDED: [&[u8]; 3] = [b"atomic_t", b"u64", b"spinlock_t"];

/// A kernel that is edited.
#[derive(Debug, Clone)]
pub(crate) struct Kernel {
    layout: Layout,
    /// Structs and unions by name. Some kernels have copies of a type, which stay equal, as if pahole had made them.
    composites: HashMap<Arc<[u8]>, Vec<TypeId>>,
    enums: Vec<TypeId>,
    /// Ints and typedefs by name.
    scalars: HashMap<Arc<[u8]>, TypeId>,
    pointers: HashMap<TypeId, TypeId>,
    /// The type of the index of arrays.
    index: TypeId,
    /// Functions without tags, which may go.
    functions: Vec<TypeId>,
}

impl Kernel {
    pub(crate) fn new(types: Types) -> Self {
        let layout = Layout::new(types);
        let mut kernel = Self {
            composites: HashMap::new(),
            enums: Vec::new(),
            scalars: HashMap::new(),
            pointers: HashMap::new(),
            index: 0,
            functions: Vec::new(),
            layout,
        };
        let types = &kernel.layout.types;
        let mut tagged = HashSet::new();
        for &ty in types.sequence() {
            let (record, name) = (types.record(ty), Arc::clone(types.name_of(ty)));
            match kind(record) {
                Kind::Struct | Kind::Union if !name.is_empty() => {
                    kernel.composites.entry(name).or_default().push(ty);
                }
                Kind::Enum => kernel.enums.push(ty),
                Kind::Int | Kind::Typedef => {
                    kernel.scalars.entry(name).or_insert(ty);
                }
                Kind::Ptr => {
                    kernel.pointers.entry(record[SIZE_OR_TYPE]).or_insert(ty);
                }
                Kind::Array => kernel.index = record[PARTS + 1],
                Kind::Func => kernel.functions.push(ty),
                Kind::DeclTag => {
                    tagged.insert(record[SIZE_OR_TYPE]);
                }
                _ => {}
            }
        }
        kernel.functions.retain(|ty| !tagged.contains(ty));
        kernel
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        self.layout.types.write()
    }

    /// The names of the structs and unions, sorted, each with the number of composites that an edit of it changes.
    pub(crate) fn targets(&self) -> Vec<(Arc<[u8]>, usize)> {
        let reach = |types: &Vec<TypeId>| types.iter().map(|&ty| self.layout.reach(ty)).sum();
        let composites = self.composites.iter();
        let mut targets: Vec<_> = composites
            .map(|(name, types)| (Arc::clone(name), reach(types)))
            .collect();
        targets.sort_unstable();
        targets
    }

    /// Makes an edit. An edit that does not fit the target changes nothing.
    pub(crate) fn edit(&mut self, edit: &Edit) {
        for ty in self
            .composites
            .get(&edit.target)
            .cloned()
            .unwrap_or_default()
        {
            self.edit_type(ty, edit);
        }
    }

    fn edit_type(&mut self, ty: TypeId, edit: &Edit) {
        let mut dice = Dice::of(edit.seed, &[&edit.target]);
        match edit.what {
            What::Insert => {
                let to = self.any_type(ty, &mut dice);
                self.insert(ty, to, &mut dice);
            }
            What::InsertStruct => {
                let to = self.new_struct(ty, &mut dice);
                self.insert(ty, to, &mut dice);
            }
            What::Remove => self.remove(ty, &mut dice),
            What::Swap => self.swap(ty, &mut dice),
            What::Retype => self.retype(ty, &mut dice),
            What::Rename => self.rename(ty, &mut dice),
            What::Lengthen => self.lengthen(ty, &mut dice),
        }
    }

    /// Adds an enumerator to an enum.
    pub(crate) fn edit_enum(&mut self, seed: u64) {
        let types = &mut self.layout.types;
        let names = self
            .enums
            .iter()
            .filter(|&&ty| !types.name_of(ty).is_empty());
        let Some(&ty) = names.min_by_key(|&&ty| hash(seed, types.name_of(ty))) else {
            return;
        };
        let mut dice = Dice::of(seed, &[b"enumerator"]);
        let name = self.new_name(&mut dice);
        let record = self.layout.types.record_mut(ty);
        let value = record.last().map_or(0, |value| value.wrapping_add(1));
        record.extend([name, value]);
        record[INFO] += 1;
    }

    /// Renames a function, or adds one.
    pub(crate) fn edit_function(&mut self, seed: u64) {
        let types = &self.layout.types;
        let functions = self.functions.iter();
        let Some(&ty) = functions.min_by_key(|&&ty| hash(seed, types.name_of(ty))) else {
            return;
        };
        let mut dice = Dice::of(seed, &[b"function"]);
        let name = self.new_name(&mut dice);
        let mut record = self.layout.types.record(ty).to_vec();
        record[NAME] = name;
        if dice.chance(500) {
            *self.layout.types.record_mut(ty) = record;
        } else {
            let added = self.layout.types.add(ty, vec![record]);
            self.functions.push(added);
        }
    }

    fn new_name(&mut self, dice: &mut Dice) -> NameId {
        let (first, second) = (dice.pick(&WORDS), dice.pick(&WORDS));
        let name = format!("{first}_{second}{}", dice.below(100));
        self.layout.types.name(name.as_bytes())
    }

    /// A type for a new member of `target`.
    fn any_type(&mut self, target: TypeId, dice: &mut Dice) -> TypeId {
        match dice.below(10) {
            0..4 => self.scalar(dice.pick::<&[u8]>(&INTS)),
            4..6 => self.scalar(dice.pick::<&[u8]>(&EMBEDDED)),
            6 => self.array(target, 8 * (1 + dice.below(8)) as u32),
            7 => match self.composites.get(&b"list_head"[..]).map(|lists| lists[0]) {
                Some(list) if list != target => list,
                _ => self.pointer_to(target, target),
            },
            _ => self.pointer_to(target, target),
        }
    }

    /// The int or typedef of this name; `int`, or at last `void`, in a kernel without it.
    fn scalar(&self, name: &[u8]) -> TypeId {
        let int = || self.scalars.get(&b"int"[..]);
        self.scalars
            .get(name)
            .or_else(int)
            .copied()
            .unwrap_or_default()
    }

    fn pointer_to(&mut self, to: TypeId, behind: TypeId) -> TypeId {
        if let Some(&pointer) = self.pointers.get(&to) {
            return pointer;
        }
        let pointer = self
            .layout
            .types
            .add(behind, vec![vec![0, info(Kind::Ptr, 0), to]]);
        self.pointers.insert(to, pointer);
        pointer
    }

    fn array(&mut self, behind: TypeId, len: u32) -> TypeId {
        let element = self.scalar(b"char");
        let record = vec![0, info(Kind::Array, 0), 0, element, self.index, len];
        self.layout.types.add(behind, vec![record])
    }

    /// A pointer to a new struct.
    fn new_struct(&mut self, behind: TypeId, dice: &mut Dice) -> TypeId {
        let count = 3 + dice.below(8);
        let mut record = vec![self.new_name(dice), info(Kind::Struct, count), 0];
        let mut size = 0;
        for _ in 0..count {
            let to = match self.pointers.get(&behind) {
                Some(&pointer) if dice.chance(400) => pointer,
                _ => self.scalar(dice.pick::<&[u8]>(&INTS)),
            };
            record.extend([self.new_name(dice), to, 8 * size]);
            size += round_up(self.layout.size_of(to));
        }
        record[SIZE_OR_TYPE] = size;
        let name = Arc::clone(self.layout.types.text(record[NAME]));
        let added = self.layout.types.add(behind, vec![record]);
        self.composites.entry(name).or_default().push(added);
        self.pointer_to(added, added)
    }

    /// The member for which a condition holds and whose name comes first in an order that depends on the seed.
    fn member(
        &self,
        ty: TypeId,
        dice: &mut Dice,
        fits: impl Fn(&Record, usize) -> bool,
    ) -> Option<usize> {
        let types = &self.layout.types;
        let (record, seed) = (types.record(ty).to_vec(), dice.next());
        let members = (0..member_count(&record)).filter(|&member| fits(&record, member));
        members.min_by_key(|&member| hash(seed, types.text(record[PARTS + MEMBER * member])))
    }

    fn insert(&mut self, ty: TypeId, to: TypeId, dice: &mut Dice) {
        let len = round_up(self.layout.size_of(to)).max(UNIT);
        let name = self.new_name(dice);
        let union = self.layout.types.kind(ty) == Kind::Union;
        let aligned = |record: &Record, member| {
            let (offset, width) = place(record, member);
            width == 0 && offset % (8 * UNIT) == 0
        };
        let count = member_count(self.layout.types.record(ty));
        let size = self.layout.types.record(ty)[SIZE_OR_TYPE];
        // An array without a length stays the last member.
        let open_end = count > 0
            && self
                .layout
                .size_of(member_type(self.layout.types.record(ty), count - 1))
                == 0;
        let anchor = self.member(ty, dice, aligned);
        let (at, offset) = match anchor {
            _ if union => (count, 0),
            Some(member) if open_end || dice.chance(700) => {
                (member, place(self.layout.types.record(ty), member).0)
            }
            _ if open_end => return,
            _ => (count, 8 * round_up(size)),
        };
        if union {
            self.add_member(ty, at, [name, to, 0]);
            let size = self.layout.union_size(ty).max(size);
            self.layout.resize(ty, size);
        } else if at < count {
            self.layout.shift(ty, offset, len.into());
            self.add_member(ty, at, [name, to, offset]);
        } else {
            self.add_member(ty, at, [name, to, offset]);
            self.layout.resize(ty, round_up(size) + len);
        }
        self.layout.note_embedded(ty);
    }

    fn add_member(&mut self, ty: TypeId, at: usize, member: [u32; MEMBER]) {
        let record = self.layout.types.record_mut(ty);
        let at = PARTS + MEMBER * at;
        record.splice(at..at, member);
        record[INFO] += 1;
    }

    fn remove(&mut self, ty: TypeId, dice: &mut Dice) {
        let count = member_count(self.layout.types.record(ty));
        let plain = |record: &Record, member| place(record, member).1 == 0;
        let Some(member) = self.member(ty, dice, plain).filter(|_| count > 1) else {
            return;
        };
        let record = self.layout.types.record(ty);
        let (offset, _) = place(record, member);
        let size = self.layout.size_of(member_type(record, member));
        let end = if member + 1 < count {
            place(record, member + 1).0
        } else {
            8 * record[SIZE_OR_TYPE]
        };
        let closes = kind(record) == Kind::Struct
            && size > 0
            && size.is_multiple_of(UNIT)
            && end == offset + 8 * size;
        let record = self.layout.types.record_mut(ty);
        let at = PARTS + MEMBER * member;
        record.drain(at..at + MEMBER);
        record[INFO] -= 1;
        if closes {
            self.layout.shift(ty, end, -i64::from(size));
        }
    }

    fn swap(&mut self, ty: TypeId, dice: &mut Dice) {
        let size =
            |layout: &Layout, record: &Record, member| layout.size_of(member_type(record, member));
        let plain = |record: &Record, member: usize| place(record, member).1 == 0;
        let Some(first) = self.member(ty, dice, plain) else {
            return;
        };
        let fits = |record: &Record, member| {
            member != first
                && plain(record, member)
                && size(&self.layout, record, member) == size(&self.layout, record, first)
        };
        let Some(second) = self.member(ty, dice, fits) else {
            return;
        };
        let record = self.layout.types.record_mut(ty);
        for word in 0..2 {
            record.swap(
                PARTS + MEMBER * first + word,
                PARTS + MEMBER * second + word,
            );
        }
    }

    fn retype(&mut self, ty: TypeId, dice: &mut Dice) {
        let (layout, scalars) = (&self.layout, &self.scalars);
        let is_int = |record: &Record, member| {
            let to = member_type(record, member);
            place(record, member).1 == 0
                && scalars.get(layout.types.name_of(to)) == Some(&to)
                && layout.size_of(to) > 0
        };
        let Some(member) = self.member(ty, dice, is_int) else {
            return;
        };
        let before = member_type(layout.types.record(ty), member);
        let others = INTS.iter().map(|name| self.scalar(name));
        let fits = |&to: &TypeId| to != before && layout.size_of(to) == layout.size_of(before);
        let to = others
            .filter(fits)
            .min_by_key(|&to| hash(dice.clone().next(), layout.types.name_of(to)));
        let to = to.unwrap_or(before);
        self.layout.types.record_mut(ty)[PARTS + MEMBER * member + 1] = to;
    }

    fn rename(&mut self, ty: TypeId, dice: &mut Dice) {
        let types = &self.layout.types;
        let named =
            |record: &Record, member| !types.text(record[PARTS + MEMBER * member]).is_empty();
        let Some(member) = self.member(ty, dice, named) else {
            return;
        };
        let name = self.new_name(dice);
        self.layout.types.record_mut(ty)[PARTS + MEMBER * member] = name;
    }

    fn lengthen(&mut self, ty: TypeId, dice: &mut Dice) {
        let layout = &self.layout;
        let is_array = |record: &Record, member| {
            let to = member_type(record, member);
            place(record, member).1 == 0
                && layout.types.kind(to) == Kind::Array
                && layout.size_of(to) > 0
        };
        let Some(member) = self.member(ty, dice, is_array) else {
            return;
        };
        let record = layout.types.record(ty);
        let ((offset, _), before) = (place(record, member), member_type(record, member));
        let element = layout.size_of(layout.types.record(before)[PARTS]);
        // So many elements more that what follows stays aligned.
        let more = UNIT * (1 + dice.below(4)) as u32;
        let mut array = layout.types.record(before).to_vec();
        array[PARTS + 2] += more;
        let to = self.layout.types.add(before, vec![array]);
        self.layout.types.record_mut(ty)[PARTS + MEMBER * member + 1] = to;
        if self.layout.types.kind(ty) == Kind::Struct {
            self.layout.shift(ty, offset + 1, i64::from(more * element));
        } else {
            let size = self
                .layout
                .union_size(ty)
                .max(self.layout.types.record(ty)[SIZE_OR_TYPE]);
            self.layout.resize(ty, size);
        }
    }
}
