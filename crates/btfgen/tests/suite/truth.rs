//! A minimal BTF has only facts of the kernel's own BTF, and has equal types once.

use std::collections::{HashMap, HashSet};

use btfgen::{Btf, Kind, LoadedBtf, ReloKind, Type, TypeId};
use btfgen_testkit::target_btf;

use super::concatenated::concatenated;
use super::util::{btf, kernels, minimal, name, needs, objects};

/// Compares a minimal BTF with the full one.
struct Judge<'b> {
    minimal: &'b Btf<'b>,
    full: &'b Btf<'b>,
    /// Pairs that were compared, or are being compared: a struct may have a pointer to itself.
    seen: HashSet<(u32, u32)>,
}

impl Judge<'_> {
    /// Whether one type is a part of another: all facts of the first are facts of the second.
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
                // Other types are compared when a type refers to them.
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

/// Check that each type of a kernel that was never deduplicated is written once: the bytes are the same as with
/// deduplication.
#[test]
fn never_deduplicated() {
    for target in ["same", "resized", "bitfields", "arrays"] {
        let once = std::fs::read(target_btf(target)).expect("the fixture is there");
        let many = LoadedBtf::parse(concatenated(&[&once[..]; 50])).expect("BTF");
        let once = LoadedBtf::parse(&once).expect("BTF");
        assert_eq!(many.type_count() - 1, 50 * (once.type_count() - 1));
        for object in objects() {
            let needs = needs(&object);
            // For a type id, two types are an ambiguity, but one type is not.
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
