//! Properties that hold for any input.

use std::path::Path;
use std::sync::LazyLock;

use btfgen::{LoadedBtf, Minimizer, Needs, Object};
use btfgen_testkit::{object, target_btf};
use proptest::prelude::*;

use super::util::{btf, minimal, needs};

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("the fixture is there")
}

static EDGE: LazyLock<Vec<u8>> = LazyLock::new(|| read(&object("edge-matches")));
static TARGETS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    ["same", "moved", "disagreeing", "tags", "same.eb"]
        .map(|t| read(&target_btf(t)))
        .into()
});

/// Overwrites some bytes of `original`: each change is a place and a value.
fn damaged(original: &[u8], damage: &[(prop::sample::Index, u8)]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for (at, value) in damage {
        let at = at.index(bytes.len());
        bytes[at] = *value;
    }
    bytes
}

/// All facts of the types. The strings may have gaps, within the bytes that were saved elsewhere.
fn types(bytes: &[u8]) -> Vec<String> {
    let btf = LoadedBtf::parse(bytes).expect("what we write is BTF");
    let facts = |ty: btfgen::Type<'_>| {
        let own = (
            ty.size(),
            ty.referenced(),
            ty.kind_flag(),
            ty.int(),
            ty.array(),
        );
        let parts: (Vec<_>, Vec<_>, Vec<_>) = (
            ty.members().collect(),
            ty.enumerators().collect(),
            ty.params().collect(),
        );
        format!("{ty:?} {own:?} {parts:?}")
    };
    btf.types().map(facts).collect()
}

fn damage() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Check that a damaged object is refused or used, and does no harm.
    #[test]
    fn damaged_objects_do_no_harm(damage in damage()) {
        let bytes = damaged(&EDGE, &damage);
        if let Ok(object) = Object::parse("damaged.bpf.o", &bytes) {
            let needs = Needs::new(vec![object]);
            for need in &needs {
                needs.places(need);
            }
            let target = LoadedBtf::parse(&TARGETS[0]).expect("the fixture is good");
            // A minimal BTF is proved before it is returned, whatever the object asks.
            let _ = Minimizer::new(&needs).minimize(&target);
        }
    }

    /// Check that a damaged kernel is refused, or minimized with its own outcomes.
    #[test]
    fn damaged_kernels_do_no_harm(target in 0..5_usize, damage in damage()) {
        let bytes = damaged(&TARGETS[target], &damage);
        if let Ok(btf) = LoadedBtf::parse(&bytes) {
            let needs = needs(&object("edge-matches"));
            let minimizer = Minimizer::new(&needs);
            if let Ok(one) = minimizer.minimize(&btf) {
                let again = LoadedBtf::parse(&one.btf).expect("what we write is BTF");
                prop_assert_eq!(one.outcomes, minimizer.outcomes(&again).expect("and good"));
            }
        }
    }

    /// Check that a truncated kernel is refused.
    #[test]
    fn truncated_kernels_are_refused(target in 0..5_usize, at in any::<prop::sample::Index>()) {
        let bytes = &TARGETS[target];
        prop_assert!(LoadedBtf::parse(&bytes[..at.index(bytes.len())]).is_err());
    }

    /// Check for any choice of objects, in any order, that minimizing twice changes no type, and that the bytes do not
    /// depend on the order.
    #[test]
    fn minimizing_is_idempotent_and_blind_to_order(
        mut chosen in prop::sample::subsequence(btfgen_testkit::objects(), 1..6).prop_shuffle(),
        target in prop::sample::select(btfgen_testkit::target_names()),
    ) {
        let full = btf(&target_btf(&target));
        let all = |paths: &[std::path::PathBuf]| {
            Needs::new(paths.iter().map(|p| Object::open(p).expect("good")).collect())
        };
        let needs = all(&chosen);
        let once = minimal(&needs, &full);
        let twice = minimal(&needs, &LoadedBtf::parse(&once).expect("what we write is BTF"));
        prop_assert_eq!(types(&once), types(&twice));
        chosen.sort();
        prop_assert_eq!(&once, &minimal(&all(&chosen), &full));
    }
}
