//! Tests that libbpf's answers do not depend on which relocations a program has, and in which order.

use std::cell::Cell;
use std::collections::BTreeMap;

use btfgen::{Checked, Checker, Kind, LoadedBtf, Need, Needs, ReloKind, Resolver, essential_name};
use btfgen_testkit::{sample_btf, sample_kernels, target_btf, target_names};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use super::util::{btf, minimal, needs, objects};

/// The needs of each root: its kind, with enums of both widths as one, and its name without flavour.
fn roots(needs: &Needs) -> BTreeMap<(u32, &[u8]), Vec<&Need>> {
    let mut roots = BTreeMap::<_, Vec<_>>::new();
    for need in needs.iter() {
        let root = need.relocation().root();
        let key = (normalized(root.kind()), essential_name(root.name()));
        roots.entry(key).or_default().push(need);
    }
    roots
}

fn normalized(kind: Kind) -> u32 {
    match kind {
        Kind::Enum64 => Kind::Enum as u32,
        kind => kind as u32,
    }
}

/// libbpf's candidates for a root.
fn candidates<'b>(btf: &'b LoadedBtf<'b>, (kind, name): (u32, &[u8])) -> Vec<Checked<'b>> {
    let mut checker = Checker::new(btf);
    btf.types()
        .filter(|ty| normalized(ty.kind()) == kind && essential_name(ty.name()) == name)
        .map(|ty| checker.check(ty.id()).expect("libbpf can walk it"))
        .collect()
}

/// libbpf's answers to some relocations of one local type, one after the other, up to the first one that it refuses.
fn in_this_order(needs: &[&Need], mut candidates: Vec<Checked<'_>>) -> Vec<String> {
    let mut resolver = Resolver::new();
    let mut answers = Vec::new();
    for need in needs {
        let relocation = need.relocation();
        match resolver.resolve_and_prune(relocation, &mut candidates) {
            Ok((mut resolution, _)) => {
                // A type may have another id in a smaller BTF.
                if relocation.kind() == ReloKind::TypeIdTarget {
                    resolution.value = resolution.value.min(1);
                }
                answers.push(format!("{resolution:?}"));
            }
            Err(failure) => {
                answers.push(format!("refused: {}", failure.errno));
                break;
            }
        }
    }
    answers
}

/// Check that libbpf gives the same answers with the minimal BTF as with the full one, for any selection of a type's
/// relocations in any order. libbpf drops candidates from its list after each relocation.
#[test]
fn any_selection_in_any_order() {
    let targets = target_names().into_iter().map(|t| target_btf(&t));
    let kernels = sample_kernels().into_iter().step_by(4);
    let kernels = kernels.map(|kernel| sample_btf(&kernel));
    let config = ProptestConfig::with_cases(24);
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let refused = Cell::new(0);
    let objects: Vec<Needs> = objects().iter().map(|path| needs(path)).collect();
    for path in targets.chain(kernels) {
        let full = btf(&path);
        for needs in &objects {
            let minimal = minimal(needs, &full);
            let minimal = LoadedBtf::parse(&minimal).expect("it is BTF");
            for (root, asked) in roots(needs) {
                let of_full = candidates(&full, root);
                // If there is only one candidate, libbpf never drops one.
                if of_full.len() < 2 {
                    continue;
                }
                let of_minimal = candidates(&minimal, root);
                let all: Vec<_> = (0..asked.len()).collect();
                let some = prop::sample::subsequence(all, 1..=asked.len());
                runner
                    .run(&some.prop_shuffle(), |chosen| {
                        let chosen: Vec<_> = chosen.iter().map(|&i| asked[i]).collect();
                        let expected = in_this_order(&chosen, of_full.clone());
                        let is_refused = expected.iter().any(|a| a.starts_with("refused"));
                        refused.set(refused.get() + u32::from(is_refused));
                        prop_assert_eq!(in_this_order(&chosen, of_minimal.clone()), expected);
                        Ok(())
                    })
                    .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            }
        }
    }
    assert!(refused.get() > 0, "some candidates disagree");
}
