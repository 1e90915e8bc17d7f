//! The type store: packs with it, without it, and with a damaged one have the same bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use btfgen::{Hub, Object, Pack, Packed, StoreUse, TypeStore};
use btfgen_store::{Digest, Files, Stamp, Tables, stored_bytes};
use proptest::prelude::{Strategy as _, any};
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use super::util::{btf, kernels, name, objects};

/// A hub with these kernels, whose store is this hub's own.
pub(super) fn hub<'k>(
    folder: &Path,
    kernels: impl IntoIterator<Item = (&'k String, &'k PathBuf)>,
) -> PathBuf {
    let hub = folder.join("hub");
    for (kernel, path) in kernels {
        let file = name(path);
        let (_, ending) = file.split_at(file.find(".btf").expect("it is a kernel's file"));
        let to = hub.join(format!("{kernel}{ending}"));
        fs::create_dir_all(to.parent().expect("it is in a folder")).expect("writable");
        fs::copy(path, to).expect("it can be copied");
    }
    hub
}

fn store(hub: &Path) -> PathBuf {
    hub.join(".btfgen/types")
}

fn pack(hub: &Path, objects: &[PathBuf], store: StoreUse) -> Packed {
    let pack = Pack::new().hub(hub).store(store);
    let pack = objects.iter().fold(pack, with);
    pack.build().expect("the hub can be packed")
}

/// Adds an object and its big-endian twin, so that no kernel is left out. Those in `$OBJECTS` have none, so another object has to do.
fn with<'p>(pack: Pack<'p>, object: &PathBuf) -> Pack<'p> {
    let twin = object.with_file_name(name(object).replace(".bpf.o", ".eb.bpf.o"));
    let twin = match twin.exists() {
        true => twin,
        false => btfgen_testkit::object("execsnoop.eb"),
    };
    pack.object(object).object(twin)
}

/// The archive of a pack that neither reads nor writes a store.
fn without(hub: &Path, objects: &[PathBuf]) -> Vec<u8> {
    pack(hub, objects, StoreUse::None).into_archive()
}

fn objects_in_this_byte_order() -> Vec<PathBuf> {
    let all = objects().into_iter();
    all.filter(|o| !name(o).ends_with(".eb.bpf.o")).collect()
}

/// Check that the first pack, later ones, one that trusts no store, and one without a store give the same archive for every
/// object alone, for all objects, and for random sets of objects and kernels; that the first pack adds all kernels to the store;
/// and that no kernel has to be packed by its own BTF.
#[test]
fn same_archive() {
    let kernels = kernels();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let hub = hub(dir.path(), &kernels);
    let objects = objects_in_this_byte_order();
    let first = pack(&hub, &objects, StoreUse::Kept);
    assert_eq!((first.store.known, first.store.alone), (0, 0));
    assert!(first.store.written_bytes.is_some() && first.store.failure.is_none());
    let expected = without(&hub, &objects);
    assert!(first.archive() == expected);
    let cold = pack(&hub, &objects, StoreUse::Cold);
    assert_eq!(cold.store.known, 0);
    assert!(cold.archive() == expected);
    let warm = pack(&hub, &objects, StoreUse::Kept);
    assert_eq!((warm.store.known, warm.store.alone), (kernels.len(), 0));
    assert!(warm.archive() == expected);
    assert_eq!(warm.matrix, first.matrix);

    for object in &objects {
        let object = std::slice::from_ref(object);
        let warm = pack(&hub, object, StoreUse::Kept);
        assert_eq!(warm.store.known, kernels.len());
        assert!(warm.archive() == without(&hub, object), "{object:?}");
    }
    let mut runner = TestRunner::deterministic();
    for _ in 0..4 {
        let mut some = |n: usize| {
            let bits = proptest::collection::vec(any::<bool>(), n);
            let bits = bits.prop_filter("not empty", |bits| bits.contains(&true));
            bits.new_tree(&mut runner)
                .expect("there are some")
                .current()
        };
        let (of_kernels, of_objects) = (some(kernels.len()), some(objects.len()));
        let some = objects.iter().zip(of_objects).filter(|(_, taken)| *taken);
        let some: Vec<PathBuf> = some.map(|(object, _)| object.clone()).collect();
        let taken = kernels.iter().zip(of_kernels).filter(|(_, taken)| *taken);
        let taken = taken.map(|((kernel, _), _)| kernel);
        let filter = taken.fold(btfgen::KernelFilter::new(), |filter, kernel| {
            filter.only(kernel).expect("it is a pattern")
        });
        let pack = |store| {
            let pack = Pack::new().hub(&hub).filter(filter.clone()).store(store);
            let pack = some.iter().fold(pack, with);
            pack.build().expect("the hub can be packed").into_archive()
        };
        assert!(pack(StoreUse::Kept) == pack(StoreUse::None));
    }
}

/// Check that a pack after a kernel was added, changed or removed gives the archive of a pack without a store, reads only what is
/// new, and that the store forgets what is gone.
#[test]
fn changed_hub() {
    let kernels = kernels();
    let mut kernels = kernels.iter();
    let (removed, kept, new) = (kernels.next(), kernels.next(), kernels.next());
    let [Some(removed), Some(kept), Some(new)] = [removed, kept, new] else {
        panic!("there are not enough kernels");
    };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let hub = hub(dir.path(), [removed, kept]);
    let objects = objects_in_this_byte_order();
    let of_two = pack(&hub, &objects, StoreUse::Kept).store.written_bytes;

    self::hub(dir.path(), [new]);
    let added = pack(&hub, &objects, StoreUse::Kept);
    assert_eq!(added.store.known, 2);
    assert!(added.archive() == without(&hub, &objects));
    assert!(added.store.written_bytes > of_two);

    let gone = Hub::open(&[&hub]).expect("it is a hub");
    let gone = gone
        .kernels()
        .iter()
        .find(|k| k.id().to_string() == *removed.0);
    fs::remove_file(gone.expect("it is there").path()).expect("it is ours");
    // Another kernel under the same name.
    let changed = Hub::open(&[&hub]).expect("it is a hub");
    let changed = changed
        .kernels()
        .iter()
        .find(|k| k.id().to_string() == *kept.0);
    fs::copy(new.1, changed.expect("it is there").path()).expect("it can be copied");
    let changed = pack(&hub, &objects, StoreUse::Kept);
    assert_eq!(changed.store.known, 2);
    assert!(changed.archive() == without(&hub, &objects));
    assert!(changed.store.written_bytes < of_two);
}

/// Check that a store that is cut off, changed anywhere, of another version or byte order, or no file at all is made again, and
/// that the archive is right.
#[test]
fn damaged_store() {
    let kernels = kernels();
    let dir = tempfile::tempdir().expect("a temporary folder");
    let hub = hub(dir.path(), kernels.iter().take(1));
    let objects = [btfgen_testkit::object("execsnoop")];
    let expected = without(&hub, &objects);
    pack(&hub, &objects, StoreUse::Kept);
    let sound = fs::read(store(&hub)).expect("the store was written");
    let is_known = |what: &str, known: bool| {
        let packed = pack(&hub, &objects, StoreUse::Kept);
        assert!(packed.archive() == expected, "{what}");
        assert_eq!(packed.store.known == 1, known, "{what}");
    };
    is_known("the sound store", true);
    let places = (0..8)
        .map(|n| sound.len() * n / 8)
        .chain([9, 17, 30, sound.len() - 1]);
    for place in places {
        fs::write(store(&hub), &sound[..place]).expect("writable");
        is_known(&format!("cut off at {place}"), false);
        let mut flipped = sound.clone();
        flipped[place] ^= 0x10;
        fs::write(store(&hub), &flipped).expect("writable");
        is_known(&format!("changed at {place}"), false);
        is_known("the store that was made again", true);
    }
    let mut swapped = sound.clone();
    swapped[8..].chunks_exact_mut(8).for_each(<[u8]>::reverse);
    fs::write(store(&hub), &swapped).expect("writable");
    is_known("another byte order", false);
    fs::remove_file(store(&hub)).expect("it is ours");
    fs::create_dir(store(&hub)).expect("writable");
    let packed = pack(&hub, &objects, StoreUse::Kept);
    assert!(packed.archive() == expected);
    assert!(packed.store.failure.is_some());
}

/// Check that a store that is whole but says of a kernel what another kernel has is noticed by the kernel's own BTF, and made
/// again.
#[test]
fn lying_store() {
    let kernels = kernels();
    let mut kernels = kernels.iter();
    let (Some(own), Some((_, other))) = (kernels.next(), kernels.next_back()) else {
        panic!("there are not enough kernels");
    };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let hub = hub(dir.path(), [own]);
    // A younger file would be read.
    std::thread::sleep(Duration::from_millis(2100));
    let objects = [btfgen_testkit::object("execsnoop")];
    let expected = without(&hub, &objects);
    let mut tables = Tables::new();
    let number = tables.ingest(&btf(other)).expect("there is room");
    let opened = Hub::open(&[&hub]).expect("it is a hub");
    let file = opened.kernels()[0].path();
    let mut files = Files::default();
    let stamp = Stamp::of(&fs::metadata(file).expect("it is there"));
    let digest = Digest::of(&fs::read(file).expect("readable"));
    files.note(own.0, stamp, digest, number);
    let lies = stored_bytes(&tables.definitions(), &files).expect("it is whole");
    fs::create_dir_all(hub.join(".btfgen")).expect("writable");
    fs::write(store(&hub), lies).expect("writable");
    let found = TypeStore::of(&opened).find(&opened.kernels()[0]);
    assert_eq!(found, Some(number), "the store is believed at first");
    let packed = pack(&hub, &objects, StoreUse::Kept);
    assert!(packed.archive() == expected);
    let again = pack(&hub, &objects, StoreUse::Kept);
    assert!(again.archive() == expected);
    assert_eq!(again.store.known, 1);
}

/// Check that a proof by a kernel's full BTF is kept, that the file is made again when it is damaged or lost, and that a pack which
/// trusts no store starts without.
#[test]
fn proofs() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let hub = hub(dir.path(), kernels().iter().take(2));
    let objects = [btfgen_testkit::object("execsnoop")];
    let file = hub.join(".btfgen/types.proofs");
    let proofs = |store| {
        pack(&hub, &objects, store);
        fs::read(&file).expect("the proofs are kept")
    };
    let first = proofs(StoreUse::Kept);
    assert!(first.len() > 16, "there is a proof before the checksum");
    assert_eq!(proofs(StoreUse::Kept), first, "nothing is left to prove");
    for damaged in [&first[..first.len() - 1], &[0; 48], b""] {
        fs::write(&file, damaged).expect("writable");
        let mut again = proofs(StoreUse::Kept);
        again.truncate(16);
        assert!(first.chunks(16).any(|proof| proof == again));
    }
    fs::remove_file(&file).expect("it is ours");
    assert!(proofs(StoreUse::Kept).len() > 16);
    let cold = proofs(StoreUse::Cold);
    assert_eq!(cold.len(), 16 * 3, "one for each kernel");
    let of_another = [btfgen_testkit::object("bootstrap")];
    pack(&hub, &of_another, StoreUse::Kept);
    let more = fs::read(&file).expect("the proofs are kept");
    assert!(more.len() > cold.len());
}

/// Check that the kernels of a hub with a BTF that has no definitions are packed, that one alone, and that a root of a kind that
/// no relocation matches is answered.
#[test]
fn without_definitions() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let hub = hub(dir.path(), kernels().iter().take(1));
    // A struct that contains itself, which no relocation asks for.
    let int = [1, 1 << 24, 4, 32];
    let own = [5, 4 << 24 | 1, 8, 5, 2, 0];
    let odd = btfgen_btf::testing::made_up_btf(&[&int, &own], b"\0int\0odd\0");
    fs::write(hub.join("debian/11/x86_64/odd.btf"), odd).expect("writable");
    let objects = [btfgen_testkit::object("execsnoop")];
    let expected = without(&hub, &objects);
    for _ in 0..2 {
        let packed = pack(&hub, &objects, StoreUse::Kept);
        assert_eq!((packed.kernels.len(), packed.store.alone), (2, 1));
        assert!(packed.archive() == expected);
    }
    let object = Object::open(&objects[0]).expect("it is good");
    assert!(!object.relocations().is_empty());
}
