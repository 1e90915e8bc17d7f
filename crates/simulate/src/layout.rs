//! Sizes and offsets: what changes when a struct grows, also in the structs that embed it, and the layout for 32 bits.

use std::collections::HashMap;

use btfgen_btf::Kind;

use crate::model::{INFO, KIND_FLAG, PARTS, Record, SIZE_OR_TYPE, TypeId, Types, kind};

/// Words of a member: name, type, offset in bits.
pub(crate) const MEMBER: usize = 3;

/// The bits of an offset in a struct with bitfields; those above are the width.
const OFFSET: u32 = 0xff_ffff;

/// A member's place: the offset in bits, and the width of a bitfield or 0.
pub(crate) fn place(record: &[u32], member: usize) -> (u32, u32) {
    let word = record[PARTS + MEMBER * member + 2];
    if record[INFO] & KIND_FLAG == 0 {
        (word, 0)
    } else {
        (word & OFFSET, word >> 24)
    }
}

fn set_offset(record: &mut Record, member: usize, bits: u32) {
    let flag = record[INFO] & KIND_FLAG != 0;
    let word = &mut record[PARTS + MEMBER * member + 2];
    // No kernel has a struct of 2 MB with bitfields; if there were one, its last members would share a place.
    *word = if flag {
        *word & !OFFSET | bits.min(OFFSET)
    } else {
        bits
    };
}

pub(crate) fn member_count(record: &[u32]) -> usize {
    (record.len() - PARTS) / MEMBER
}

pub(crate) fn member_type(record: &[u32], member: usize) -> TypeId {
    record[PARTS + MEMBER * member + 1]
}

/// Sizes are multiples of this wherever something moves, so that what follows stays aligned.
pub(crate) const UNIT: u32 = 8;

pub(crate) fn round_up(bytes: u32) -> u32 {
    bytes.next_multiple_of(UNIT)
}

/// Types, and which composites embed a composite.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) types: Types,
    pointer_size: u32,
    embedders: HashMap<TypeId, Vec<TypeId>>,
}

impl Layout {
    pub(crate) fn new(types: Types) -> Self {
        let mut layout = Self {
            pointer_size: pointer_size(&types),
            types,
            embedders: HashMap::new(),
        };
        for ty in layout.types.sequence().to_vec() {
            layout.note_embedded(ty);
        }
        layout
    }

    /// Notes what a composite embeds.
    pub(crate) fn note_embedded(&mut self, ty: TypeId) {
        if !self.types.kind(ty).is_composite() {
            return;
        }
        let record = self.types.record(ty);
        let members = (0..member_count(record)).map(|member| member_type(record, member));
        let embedded: Vec<TypeId> = members
            .filter_map(|to| self.embedded(to))
            .map(|(to, _)| to)
            .collect();
        for to in embedded {
            let embedders = self.embedders.entry(to).or_default();
            if !embedders.contains(&ty) {
                embedders.push(ty);
            }
        }
    }

    /// The composite that a type is or is an array of, and how many.
    fn embedded(&self, mut ty: TypeId) -> Option<(TypeId, u32)> {
        let mut elements = 1_u32;
        loop {
            let record = self.types.record(ty);
            ty = match kind(record) {
                Kind::Struct | Kind::Union => return Some((ty, elements)),
                Kind::Array => {
                    elements = elements.saturating_mul(record[PARTS + 2]);
                    record[PARTS]
                }
                kind if kind.is_modifier_or_typedef() => record[SIZE_OR_TYPE],
                _ => return None,
            };
        }
    }

    /// How many composites an edit of a composite changes, up to 1,000: itself and those that embed it.
    pub(crate) fn reach(&self, ty: TypeId) -> usize {
        let mut reached = vec![ty];
        let mut next = 0;
        while next < reached.len() && reached.len() < 1000 {
            for to in self.embedders.get(&reached[next]).into_iter().flatten() {
                if !reached.contains(to) {
                    reached.push(*to);
                }
            }
            next += 1;
        }
        reached.len()
    }

    /// The size of a type in bytes; 0 if it has none.
    pub(crate) fn size_of(&self, ty: TypeId) -> u32 {
        let record = self.types.record(ty);
        match kind(record) {
            Kind::Int | Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Float => {
                record[SIZE_OR_TYPE]
            }
            Kind::Ptr => self.pointer_size,
            Kind::Array => record[PARTS + 2].saturating_mul(self.size_of(record[PARTS])),
            kind if kind.is_modifier_or_typedef() => self.size_of(record[SIZE_OR_TYPE]),
            _ => 0,
        }
    }

    /// Moves the members of a struct from this offset on by so many bytes, and changes its size, also in whatever embeds it.
    pub(crate) fn shift(&mut self, ty: TypeId, from_bits: u32, bytes: i64) {
        let record = self.types.record_mut(ty);
        for member in 0..member_count(record) {
            let (offset, _) = place(record, member);
            if offset >= from_bits {
                set_offset(record, member, moved(offset, 8 * bytes));
            }
        }
        let size = moved(record[SIZE_OR_TYPE], bytes);
        self.resize(ty, size);
    }

    /// Gives a composite another size, and moves what follows it wherever it is embedded.
    pub(crate) fn resize(&mut self, ty: TypeId, size: u32) {
        let place_of_size = &mut self.types.record_mut(ty)[SIZE_OR_TYPE];
        let growth = i64::from(size) - i64::from(*place_of_size);
        *place_of_size = size;
        if growth == 0 {
            return;
        }
        for embedder in self.embedders.get(&ty).cloned().unwrap_or_default() {
            self.embedded_grew(embedder, ty, growth);
        }
    }

    fn embedded_grew(&mut self, embedder: TypeId, ty: TypeId, growth: i64) {
        if self.types.kind(embedder) == Kind::Union {
            let size = self.union_size(embedder);
            return self.resize(embedder, size);
        }
        let record = self.types.record(embedder);
        let mut size = i64::from(record[SIZE_OR_TYPE]);
        let mut moves = Vec::new();
        let mut moved_by = 0;
        for member in 0..member_count(record) {
            let (offset, _) = place(record, member);
            moves.push(moved(offset, 8 * moved_by));
            if let Some((to, elements)) = self.embedded(member_type(record, member))
                && to == ty
            {
                moved_by += growth * i64::from(elements);
            }
        }
        size += moved_by;
        let record = self.types.record_mut(embedder);
        for (member, bits) in moves.into_iter().enumerate() {
            set_offset(record, member, bits);
        }
        self.resize(embedder, u32::try_from(size.max(0)).unwrap_or(u32::MAX));
    }

    /// The size that a union needs for its largest member.
    pub(crate) fn union_size(&self, ty: TypeId) -> u32 {
        let record = self.types.record(ty);
        let sizes = (0..member_count(record)).map(|n| self.size_of(member_type(record, n)));
        let largest = sizes.max().unwrap_or_default();
        if largest < UNIT {
            largest
        } else {
            round_up(largest)
        }
    }
}

fn moved(value: u32, by: i64) -> u32 {
    u32::try_from((i64::from(value) + by).max(0)).unwrap_or(u32::MAX)
}

fn is_long(name: &[u8]) -> bool {
    matches!(name, b"long int" | b"long unsigned int")
}

fn pointer_size(types: &Types) -> u32 {
    let mut sequence = types.sequence().iter();
    let long = sequence.find(|&&ty| types.kind(ty) == Kind::Int && is_long(types.name_of(ty)));
    long.map_or(8, |&ty| types.record(ty)[SIZE_OR_TYPE])
}

/// The same types on a machine of 32 bits: `long` and pointers have 4 bytes, and every struct has the layout that a compiler
/// would give it.
pub(crate) fn to_32_bits(mut types: Types) -> Types {
    let mut aligns = Aligns {
        before: Layout::new(types.clone()),
        known: HashMap::new(),
    };
    for ty in types.sequence().to_vec() {
        if types.kind(ty) == Kind::Int && is_long(types.name_of(ty)) {
            let record = types.record_mut(ty);
            record[SIZE_OR_TYPE] = 4;
            record[PARTS] = record[PARTS] & !0xff | 32;
        }
    }
    let mut after = Layout::new(types);
    for ty in after.types.sequence().to_vec() {
        aligns.lay_out(&mut after, ty);
    }
    after.types
}

/// Lays out composites, the embedded ones first.
struct Aligns {
    before: Layout,
    /// The alignment of each composite that has its layout.
    known: HashMap<TypeId, u32>,
}

impl Aligns {
    fn lay_out(&mut self, after: &mut Layout, ty: TypeId) -> u32 {
        if let Some(&align) = self.known.get(&ty) {
            return align;
        }
        let record = after.types.record(ty).to_vec();
        if !kind(&record).is_composite() {
            return self.align_of_other(after, &record, ty);
        }
        let is_union = kind(&record) == Kind::Union;
        let (mut end, mut align) = (0_u32, 1_u32);
        for member in 0..member_count(&record) {
            let to = member_type(&record, member);
            let wanted = self.lay_out(after, to);
            let (before, width) = place(self.before.types.record(ty), member);
            // A member off its alignment is in a packed struct.
            let wanted = if width == 0 && before % (8 * wanted) != 0 {
                1
            } else {
                wanted
            };
            let size = 8 * after.size_of(to);
            let start = match width {
                _ if is_union => 0,
                0 => end.next_multiple_of(8 * wanted),
                // A bitfield begins anew where it would cross the border of its type.
                _ if size > 0 && end / size != (end + width - 1) / size => {
                    end.next_multiple_of(size)
                }
                _ => end,
            };
            let len = if width == 0 { size } else { width };
            end = if is_union {
                end.max(len)
            } else {
                start.saturating_add(len)
            };
            align = align.max(wanted);
            set_offset(after.types.record_mut(ty), member, start);
        }
        let size = end.div_ceil(8).next_multiple_of(align);
        after.types.record_mut(ty)[SIZE_OR_TYPE] = size;
        self.known.insert(ty, align);
        align
    }

    fn align_of_other(&mut self, after: &mut Layout, record: &[u32], ty: TypeId) -> u32 {
        match kind(record) {
            Kind::Array => self.lay_out(after, record[PARTS]),
            kind if kind.is_modifier_or_typedef() => self.lay_out(after, record[SIZE_OR_TYPE]),
            _ => after.size_of(ty).clamp(1, 8).next_power_of_two(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(arch: &str) -> Types {
        let kernels = btfgen_testkit::sample_kernels();
        let kernel = kernels.iter().find(|kernel| kernel.contains(arch)).unwrap();
        Types::read(&std::fs::read(btfgen_testkit::sample_btf(kernel)).unwrap()).unwrap()
    }

    fn named(types: &Types, name: &str) -> TypeId {
        let mut sequence = types.sequence().iter().copied();
        let is_it = |&ty: &TypeId| {
            types.kind(ty).is_composite() && &types.name_of(ty)[..] == name.as_bytes()
        };
        sequence.find(is_it).unwrap()
    }

    /// Check that structs have the sizes for 32 bits that Linux gives them.
    #[test]
    fn layout_for_32_bits() {
        let types = to_32_bits(sample("arm64"));
        let sizes = [
            ("list_head", 8),
            ("timespec64", 16),
            ("qstr", 16),
            ("rb_node", 12),
            ("iovec", 8),
        ];
        for (name, size) in sizes {
            assert_eq!(
                types.record(named(&types, name))[SIZE_OR_TYPE],
                size,
                "{name}"
            );
        }
    }

    /// Check that a struct that grows moves what follows it in the structs that embed it, and nothing before it.
    #[test]
    fn growth_moves_what_follows() {
        let before = sample("x86_64");
        let mut layout = Layout::new(before.clone());
        let (qstr, dentry) = (named(&before, "qstr"), named(&before, "dentry"));
        let size = before.record(qstr)[SIZE_OR_TYPE];
        layout.shift(qstr, 64, 16);
        assert_eq!(layout.size_of(qstr), size + 16);
        assert_eq!(
            layout.size_of(dentry),
            before.record(dentry)[SIZE_OR_TYPE] + 16
        );
        let mut is_behind = false;
        for member in 0..member_count(before.record(dentry)) {
            let (offset, _) = place(before.record(dentry), member);
            let moved_by = if is_behind { 8 * 16 } else { 0 };
            assert_eq!(
                place(layout.types.record(dentry), member).0,
                offset + moved_by
            );
            is_behind |=
                &before.text(before.record(dentry)[PARTS + MEMBER * member])[..] == b"d_name";
        }
        assert!(is_behind);
    }
}
