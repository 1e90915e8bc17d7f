//! Any bytes as a kernel's BTF, which is minimized for one of the test objects.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use btfgen::{Btf, LoadedBtf, MinimizeError, Minimized, Minimizer, Needs, Object};
use libfuzzer_sys::fuzz_target;

/// The test objects by the number that an input begins with: every kind of relocation, and each way to spell one. Those of
/// many relocations are left out, as they are the same again and slow. scripts/fuzz reads this list.
const OBJECTS: [&str; 16] = [
    "edge-matches",
    "matches",
    "bitfields",
    "enum64",
    "nesting",
    "arrays",
    "types",
    "edge",
    "enums",
    "fields",
    "flavours",
    "typedefs",
    "first",
    "floats",
    "missing",
    "refused",
];

/// What each of them asks for.
static NEEDS: LazyLock<Vec<Needs>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bpf");
    let needs = OBJECTS.map(|name| {
        let object = Object::open(folder.join(format!("{name}.bpf.o")));
        let object = object.unwrap_or_else(|e| panic!("{e}: scripts/bpf-objects target/bpf"));
        Needs::new(vec![object])
    });
    needs.into()
});

static MINIMIZERS: LazyLock<Vec<Minimizer<'static>>> =
    LazyLock::new(|| NEEDS.iter().map(Minimizer::new).collect());

fuzz_target!(|input: &[u8]| {
    let Some((&first, bytes)) = input.split_first() else {
        return;
    };
    let minimizer = &MINIMIZERS[usize::from(first) % OBJECTS.len()];
    let full = match LoadedBtf::parse(bytes) {
        Ok(full) => full,
        Err(error) => {
            assert_eq!(error.kind(), btfgen_libbpf::ErrorKind::InvalidBtf);
            return;
        }
    };
    match minimizer.minimize(&full) {
        Ok(minimized) => check(minimizer, &full, &minimized),
        Err(error @ MinimizeError::Damaged(_)) => {
            assert!(!error.is_machine_fault(), "{error:?}");
            // Else it was the minimal one that was refused.
            assert!(minimizer.outcomes(&full).is_err(), "{error:?}");
        }
        // A field that no kernel has, such as a function, cannot be written.
        Err(MinimizeError::Inexpressible(why)) => assert!(!why.is_empty()),
        // The minimal BTF was wrong.
        Err(error) => panic!("{error}"),
    }
});

/// Check a minimal BTF against the full one.
fn check(minimizer: &Minimizer<'_>, full: &LoadedBtf<'_>, minimized: &Minimized) {
    let outcomes = minimizer.outcomes(full).expect("it was minimized");
    assert_eq!(minimized.outcomes, outcomes);
    let minimal = LoadedBtf::parse(&minimized.btf).expect("what we write is BTF");
    assert!(minimal.is_classic());
    assert_eq!(minimal.byte_order(), full.byte_order());
    assert!(minimal.type_count() <= full.type_count());
    assert!(minimized.btf.len() <= written_out(full));
    check_again(minimizer, &minimal, minimized);
    if !full.is_classic() {
        let classic = full.to_classic().into_owned();
        let classic = LoadedBtf::parse(classic).expect("what we write is BTF");
        let same = minimizer
            .minimize(&classic)
            .expect("the types are the same");
        assert!(same == *minimized, "a new layout makes no difference");
    }
}

/// Check what comes of minimizing a minimal BTF: the same outcomes and types, though not the same bytes. A struct whose size
/// nobody asks for ends where its last member does, and that one may have become shorter before; the places of names that no
/// type has are paid for by what the full BTF has more.
fn check_again(minimizer: &Minimizer<'_>, minimal: &LoadedBtf<'_>, minimized: &Minimized) {
    let twice = minimizer.minimize(minimal).expect("it proved itself");
    assert_eq!(twice.outcomes, minimized.outcomes);
    assert!(twice.btf.len() <= minimized.btf.len());
    let btf = LoadedBtf::parse(&twice.btf).expect("what we write is BTF");
    assert!(btf.type_count() <= minimal.type_count());
    // Types that differed in such a size only have become one otherwise.
    if btf.type_count() == minimal.type_count() {
        for (now, before) in btf.types().zip(minimal.types()) {
            assert!(btfgen_fuzz::is_same(now, before), "{before:?}");
            let is_shorter = now.kind().is_composite() && now.size() < before.size();
            assert!(is_shorter || now.size() == before.size(), "{before:?}");
        }
    }
}

/// How many bytes the BTF would have if no two names shared any. A minimal one has less: the places for names that it lacks
/// may cost what it saves.
fn written_out(btf: &Btf<'_>) -> usize {
    let name = |name: &[u8]| name.len() + 1;
    let names = btf.types().map(|ty| {
        let members = ty.members().map(|m| name(m.name));
        let enumerators = ty.enumerators().map(|e| name(e.name));
        name(ty.name()) + members.chain(enumerators).sum::<usize>()
    });
    btf.to_classic().len() + names.sum::<usize>()
}
