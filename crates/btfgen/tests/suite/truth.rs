//! A minimal BTF says nothing that the kernel's own does not say, and equal types once.

use std::collections::{HashMap, HashSet};

use btfgen::{Btf, Kind, LoadedBtf, ReloKind, Type, TypeId};
use btfgen_testkit::target_btf;

use super::util::{btf, kernels, minimal, name, needs, objects};

/// Holds a minimal BTF against the full one.
struct Judge<'b> {
    minimal: &'b Btf<'b>,
    full: &'b Btf<'b>,
    /// Pairs that are being looked at, or were: a struct may hold a pointer to itself.
    seen: HashSet<(u32, u32)>,
}

impl Judge<'_> {
    /// Whether one type is a part of another one: whatever it says, the other one says, too.
    fn is_part(&mut self, part: TypeId, whole: TypeId) -> bool {
        let part = self.minimal.type_by_id(part).expect("it is written");
        let modified = part.kind().is_modifier_or_typedef();
        let whole = if modified {
            self.full.type_by_id(whole)
        } else {
            self.full.skip_modifiers_and_typedefs(whole)
        };
        let whole = whole.expect("the kernel is good");
        if !self.seen.insert((part.id().0, whole.id().0)) {
            return true;
        }
        part.kind() == whole.kind() && part.name() == whole.name() && self.agrees(part, whole)
    }

    fn agrees(&mut self, part: Type<'_>, whole: Type<'_>) -> bool {
        match part.kind() {
            Kind::Int => (part.size(), part.int()) == (whole.size(), whole.int()),
            Kind::Ptr => part.referenced() == Some(TypeId::VOID) || self.refer_alike(part, whole),
            Kind::Array => {
                let (p, w) = (part.array().expect("one"), whole.array().expect("one"));
                p.len == w.len
                    && self.is_part(p.element, w.element)
                    && self.is_part(p.index, w.index)
            }
            Kind::Struct | Kind::Union => {
                part.size() <= whole.size()
                    && part.members().all(|p| {
                        whole.members().any(|w| {
                            (p.name, p.bit_offset, p.bitfield_size)
                                == (w.name, w.bit_offset, w.bitfield_size)
                                && self.is_part(p.ty, w.ty)
                        })
                    })
            }
            Kind::Enum | Kind::Enum64 => {
                let facts = |t: Type<'_>| (t.size(), t.kind_flag());
                let all: HashSet<_> = whole.enumerators().collect();
                facts(part) == facts(whole) && part.enumerators().all(|e| all.contains(&e))
            }
            Kind::FuncProto => {
                part.len() == whole.len()
                    && part
                        .params()
                        .zip(whole.params())
                        .all(|(p, w)| self.is_part(p, w))
                    && self.refer_alike(part, whole)
            }
            Kind::Fwd => part.kind_flag() == whole.kind_flag(),
            Kind::Float => part.size() == whole.size(),
            Kind::Void => true,
            _ => self.refer_alike(part, whole),
        }
    }

    fn refer_alike(&mut self, part: Type<'_>, whole: Type<'_>) -> bool {
        let both = part.referenced().zip(whole.referenced());
        both.is_some_and(|(part, whole)| self.is_part(part, whole))
    }
}

/// Check that each type of each minimal BTF is a part of one of the kernel's types.
#[test]
fn nothing_is_made_up() {
    let mut compared = 0;
    for (kernel, path) in kernels() {
        let full = btf(&path);
        let mut by_name: HashMap<(Kind, Vec<u8>), Vec<TypeId>> = HashMap::new();
        for ty in full.types() {
            let named = by_name.entry((ty.kind(), ty.name().to_vec()));
            named.or_default().push(ty.id());
        }
        for object in objects() {
            let ours = LoadedBtf::parse(minimal(&needs(&object), &full)).expect("BTF");
            for ty in ours.types() {
                // The others are looked at where something refers to them.
                if ty.name().is_empty() {
                    continue;
                }
                let wholes = by_name.get(&(ty.kind(), ty.name().to_vec()));
                let is_there = wholes.into_iter().flatten().any(|&whole| {
                    let seen = HashSet::new();
                    let (minimal, full) = (&ours, &full);
                    Judge {
                        minimal,
                        full,
                        seen,
                    }
                    .is_part(ty.id(), whole)
                });
                assert!(is_there, "{kernel} for {}: {ty:?}", name(&object));
                compared += 1;
            }
        }
    }
    assert!(compared > 1000, "{compared}");
}

/// A BTF with each of its types many times, as before deduplication. Of little-endian ones.
fn repeated(btf: &[u8], times: u32) -> Vec<u8> {
    let word = |at: usize| u32::from_le_bytes(btf[at..at + 4].try_into().expect("four bytes"));
    let header = word(4) as usize;
    let (types, strings) = (header + word(8) as usize, header + word(16) as usize);
    let types: Vec<u32> = (types..types + word(12) as usize)
        .step_by(4)
        .map(word)
        .collect();
    let mut count = 0;
    let mut records = Vec::new();
    let mut at = 0;
    while at < types.len() {
        let (info, vlen) = (types[at + 1], (types[at + 1] & 0xffff) as usize);
        // Words behind the common three, and which words of the record are type ids (kernel Documentation/bpf/btf.rst).
        let (more, ids): (usize, Vec<usize>) = match info >> 24 & 0x1f {
            1 => (1, vec![]),
            2 | 8..=12 | 18 => (0, vec![2]),
            3 => (3, vec![3, 4]),
            4 | 5 => (3 * vlen, (0..vlen).map(|m| 4 + 3 * m).collect()),
            6 => (2 * vlen, vec![]),
            7 | 16 => (0, vec![]),
            13 => (2 * vlen, (0..vlen).map(|p| 4 + 2 * p).chain([2]).collect()),
            14 | 17 => (1, vec![2]),
            15 => (3 * vlen, (0..vlen).map(|v| 3 + 3 * v).collect()),
            19 => (3 * vlen, vec![]),
            kind => panic!("kind {kind}"),
        };
        records.push((types[at..at + 3 + more].to_vec(), ids));
        at += 3 + more;
        count += 1;
    }
    let copies = (0..times).flat_map(|copy| {
        records.iter().flat_map(move |(record, ids)| {
            let mut record = record.clone();
            for &id in ids.iter().filter(|&&id| record[id] > 0).collect::<Vec<_>>() {
                record[id] += copy * count;
            }
            record
        })
    });
    let types: Vec<u8> = copies.flat_map(u32::to_le_bytes).collect();
    let strings = &btf[strings..strings + word(20) as usize];
    let lengths = [
        24,
        0,
        types.len() as u32,
        types.len() as u32,
        strings.len() as u32,
    ];
    let lengths = lengths.map(u32::to_le_bytes).concat();
    [&btf[..4], &lengths, &types, strings].concat()
}

/// Check that of a kernel that was never deduplicated each type comes out once: the same bytes as with it deduplicated.
#[test]
fn never_deduplicated() {
    for target in ["same", "resized", "bitfields", "arrays"] {
        let once = std::fs::read(target_btf(target)).expect("the fixture is there");
        let many = LoadedBtf::parse(repeated(&once, 50)).expect("BTF");
        let once = LoadedBtf::parse(&once).expect("BTF");
        assert_eq!(many.type_count() - 1, 50 * (once.type_count() - 1));
        for object in objects() {
            let needs = needs(&object);
            // Two types to choose from for an id are an ambiguity, one is not.
            if needs
                .iter()
                .any(|need| need.kind() == ReloKind::TypeIdTarget)
            {
                continue;
            }
            let case = format!("{target} for {}", name(&object));
            assert_eq!(minimal(&needs, &many), minimal(&needs, &once), "{case}");
        }
    }
}
