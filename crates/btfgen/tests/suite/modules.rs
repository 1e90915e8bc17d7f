//! Types that only modules have.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use btfgen::{
    Btf, InModules, KernelId, LoadedBtf, Minimizer, ModuleType, Outcome, Pack, Packed, Refusal,
    StoreUse,
};
use btfgen_hub::{Module, write_modules};
use btfgen_testkit::{module_btf, object, sample_btf, target_btf};

use super::util::{name, objects};

const KERNEL: &str = "debian/12/x86_64/6.1.0";

fn kernel_btf() -> Vec<u8> {
    fs::read(target_btf("modular")).expect("it is there")
}

/// The modules of the made-up kernel, by name.
fn modules(names: &[&str]) -> Vec<Module> {
    let kernel = kernel_btf();
    let kernel = Btf::parse(&kernel).expect("it is good");
    let module = |name: &&str| {
        let flat = fs::read(target_btf(&format!("module-{name}"))).expect("it is there");
        Module {
            name: format!("mod_{name}"),
            btf: module_btf(&kernel, &flat),
        }
    };
    names.iter().map(module).collect()
}

fn file(hub: &Path, kernel: &str, ending: &str) -> PathBuf {
    let path = hub.join(format!("{kernel}{ending}"));
    fs::create_dir_all(path.parent().expect("it is in a folder")).expect("writable");
    path
}

/// Adds the made-up kernel to a hub, with these of its modules.
fn add(hub: &Path, kernel: &str, names: Option<&[&str]>) {
    fs::write(file(hub, kernel, ".btf"), kernel_btf()).expect("writable");
    if let Some(names) = names {
        let mut bytes = Vec::new();
        write_modules(&mut bytes, &kernel_btf(), "6.1.0", &modules(names)).expect("they are good");
        fs::write(file(hub, kernel, ".modules.tar.zst"), bytes).expect("writable");
    }
}

fn pack(hub: &Path, object: &Path, store: StoreUse, chosen: &[&str]) -> Packed {
    let pack = Pack::new().hub(hub).object(object).store(store);
    let pack = chosen.iter().fold(pack, |pack, name| pack.module(name));
    pack.build().expect("the hub can be packed")
}

/// The outcomes by what is asked for.
fn outcomes(packed: &Packed, kernel: &str) -> BTreeMap<String, Outcome> {
    let id: KernelId = kernel.parse().expect("it is a kernel's name");
    let all = packed.needs.iter().enumerate();
    all.map(|(n, need)| {
        let outcome = packed.matrix.outcome(&id, n).expect("it is packed");
        (need.to_string(), outcome)
    })
    .collect()
}

/// The value of an offset, whatever the size of the field.
fn offset(packed: &Packed, kernel: &str, field: &str) -> Option<u64> {
    match outcomes(packed, kernel)[&format!("byte_off {field}")] {
        Outcome::Value { value, .. } => Some(value),
        _ => None,
    }
}

/// The modules that have a type on this kernel.
fn modules_of(packed: &Packed, name: &str) -> Option<Vec<String>> {
    let ty = packed.module_types.iter().find(|ty| ty.name == name)?;
    let [
        InModules {
            modules, kernels, ..
        },
    ] = &ty.found[..]
    else {
        return None;
    };
    assert_eq!(kernels.len(), 1);
    Some(modules.clone())
}

/// Check that modules' types are found where the kernel has none of their names, and with `Pack::module` only in the modules that
/// are named; that what modules disagree about is refused; that the result names the modules; and that the minimal BTF alone
/// gives the same outcomes.
#[test]
fn types_of_modules() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let hub = dir.path();
    add(hub, KERNEL, Some(&["a", "b"]));
    let object = object("modules");
    let refused = Outcome::Failed {
        errno: 22,
        reason: Refusal::Disagreement,
    };
    for (chosen, in_a, second, number, same) in [
        (&[][..], Some(8), Some(7), None, Some(4)),
        (&["mod-a"], Some(8), None, Some(0), Some(4)),
        (&["mod_b"], None, Some(7), Some(8), Some(4)),
        (&["mod_a", "mod_b"], Some(8), Some(7), None, Some(4)),
        (&["no_such_module"], None, None, None, None),
    ] {
        for store in [
            StoreUse::Kept,
            StoreUse::Kept,
            StoreUse::Cold,
            StoreUse::None,
        ] {
            let packed = pack(hub, &object, store, chosen);
            let at = |field: &str| offset(&packed, KERNEL, field);
            assert_eq!(at("struct in_all.count"), Some(28), "{chosen:?}");
            assert_eq!(at("struct in_a.number"), in_a, "{chosen:?}");
            assert_eq!(at("struct disputed.number"), number, "{chosen:?}");
            assert_eq!(at("struct disputed.same"), same, "{chosen:?}");
            assert_eq!(at("struct in_no_module.number"), None);
            let outcomes = outcomes(&packed, KERNEL);
            let is_refused = outcomes["byte_off struct disputed.number"] == refused;
            assert_eq!(is_refused, chosen.len() != 1, "{chosen:?}");
            let value = &outcomes["enumval_value enum in_b::IN_B_SECOND"];
            let is_second = matches!(value, Outcome::Value { value: 7, .. });
            assert_eq!(is_second, second.is_some(), "{chosen:?}: {value:?}");
            assert_eq!(modules_of(&packed, "struct in_all"), None);
            let a = in_a.map(|_| vec!["mod_a".to_owned()]);
            assert_eq!(modules_of(&packed, "struct in_a"), a, "{chosen:?}");

            let archive = btfgen::archive::Archive::from_bytes(packed.archive()).expect("good");
            let minimal = archive.get(&KERNEL.parse().expect("a name")).expect("good");
            let minimal = LoadedBtf::parse(minimal.expect("it is there")).expect("good");
            let again = Minimizer::new(&packed.needs)
                .outcomes(&minimal)
                .expect("good");
            assert_eq!(packed.matrix.sets()[0].outcomes, again, "{chosen:?}");
        }
    }
}

/// Check that a kernel's modules change nothing for objects that ask for none of their types, and for types that the kernel has.
#[test]
fn modules_do_no_harm() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (with, without) = (dir.path().join("with"), dir.path().join("without"));
    add(&with, KERNEL, Some(&["a", "b"]));
    add(&without, KERNEL, None);
    let modules = object("modules");
    let little = objects().into_iter();
    for object in little.filter(|object| !name(object).ends_with(".eb.bpf.o")) {
        let [with, without] = [&with, &without].map(|hub| {
            let packed = pack(hub, &object, StoreUse::Kept, &[]);
            (packed.archive().to_vec(), packed.matrix)
        });
        assert_eq!(with.0 != without.0, object == modules, "{object:?}");
        assert_eq!(with.1 != without.1, object == modules, "{object:?}");
    }
}

/// Check that kernels whose modules are not known are counted where a type may be a module's, and that kernels may have a type in
/// different modules.
#[test]
fn unknown_modules() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let hub = dir.path();
    let kernels = ["1", "2", "3", "4"].map(|version| KERNEL.replace("12", version));
    for (kernel, names) in kernels.iter().zip([&["a"][..], &["b"], &["a", "b"]]) {
        add(hub, kernel, Some(names));
    }
    add(hub, &kernels[3], None);
    let packed = pack(hub, &object("modules"), StoreUse::Kept, &[]);
    let find = |name: &str| packed.module_types.iter().find(|ty| ty.name == name);
    let found = |ty: &ModuleType| {
        let found = ty.found.iter();
        let found = found.map(|found| (found.modules.join(" "), found.kernels.len()));
        (found.collect::<Vec<_>>(), ty.unknown)
    };
    let in_b = vec![("mod_b".to_owned(), 2)];
    assert_eq!(find("enum in_b").map(found), Some((in_b, 1)));
    let ways = ["mod_a", "mod_a mod_b", "mod_b"].map(|way| (way.to_owned(), 1));
    assert_eq!(find("struct disputed").map(found), Some((ways.to_vec(), 1)));
    assert_eq!(find("struct in_no_module").map(found), Some((vec![], 1)));
    assert_eq!(find("struct in_all"), None);
    assert_eq!(packed.store.alone, 0);
}

/// Check that a kernel whose modules are damaged, or continue another BTF, is left out and named; and only where an object asks
/// for a type that the kernel itself does not have.
#[test]
fn modules_that_do_not_fit() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let hub = dir.path();
    let [good, damaged, replaced] = ["1", "2", "3"].map(|version| KERNEL.replace("12", version));
    for kernel in [&good, &damaged, &replaced] {
        add(hub, kernel, Some(&["a"]));
    }
    let first = pack(hub, &object("modules"), StoreUse::Kept, &[]);
    assert_eq!(first.kernels.len(), 3);
    let other = fs::read(target_btf("moved")).expect("it is there");
    fs::write(file(hub, &replaced, ".btf"), other).expect("writable");
    let modules = file(hub, &damaged, ".modules.tar.zst");
    let mut bytes = fs::read(&modules).expect("it is there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(&modules, bytes).expect("writable");
    for store in [StoreUse::Kept, StoreUse::Cold, StoreUse::None] {
        let packed = pack(hub, &object("modules"), store, &[]);
        let named = packed.left_out.iter().map(|e| e.kernel().cloned());
        let expected = [&damaged, &replaced].map(|kernel| kernel.parse().ok());
        assert_eq!(named.collect::<Vec<_>>(), expected, "{:?}", packed.left_out);
        assert_eq!(packed.kernels.len(), 1);
    }

    let kernel = "debian/12/x86_64/6.1.0-47-cloud-amd64";
    let hub = dir.path().join("real");
    fs::copy(sample_btf(kernel), file(&hub, kernel, ".btf")).expect("it can be copied");
    fs::write(file(&hub, kernel, ".modules.tar.zst"), "no modules").expect("writable");
    let packed = pack(&hub, &object("few"), StoreUse::Kept, &[]);
    assert_eq!((packed.kernels.len(), packed.left_out.len()), (1, 0));
}
