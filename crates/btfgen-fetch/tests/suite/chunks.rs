//! Chunks in repositories and in hubs.

use std::fs;

use btfgen_hub::{Compact, Expand, Hub, KernelFilter, Verify};
use btfgen_testkit::git::Repository;

use crate::suite::util::{Ground, left_out};

const OLD: &str = "debian/11/x86_64/5.10.0-30-cloud-amd64";
const NEW: &str = "debian/12/x86_64/6.1.0-47-cloud-amd64";
const SID: &str = "debian/sid/x86_64/7.2.13+deb14-cloud-amd64";
const CHUNK: &str = "debian/12/x86_64.btfs";

fn btf(kernel: &str) -> Vec<u8> {
    fs::read(btfgen_testkit::sample_btf(kernel)).unwrap()
}

/// The bytes of a chunk with these releases of `debian/12/x86_64` and their BTFs.
fn chunk(kernels: &[(&str, &str)]) -> Vec<u8> {
    let hub = tempfile::tempdir().unwrap();
    let folder = hub.path().join("debian/12/x86_64");
    fs::create_dir_all(&folder).unwrap();
    for (release, of) in kernels {
        fs::write(folder.join(format!("{release}.btf")), btf(of)).unwrap();
    }
    Compact::hub(hub.path()).run().unwrap();
    fs::read(hub.path().join(CHUNK)).unwrap()
}

fn file(release: &str) -> String {
    format!("debian/12/x86_64/{release}.btf")
}

fn id(release: &str) -> btfgen_archive::KernelId {
    format!("debian/12/x86_64/{release}").parse().unwrap()
}

fn compact(ground: &Ground) {
    let compacted = Compact::hub(ground.hub()).replace(true).run().unwrap();
    assert!(compacted.left_out.is_empty(), "{:?}", compacted.left_out);
}

/// The BTF of a kernel in the hub.
fn read(ground: &Ground, release: &str) -> Vec<u8> {
    let hub = Hub::open(&[ground.hub()]).unwrap();
    let kernel = hub.kernels().iter().find(|k| *k.id() == id(release));
    kernel.unwrap().read(1 << 30).unwrap()
}

fn repository(ground: &Ground, name: &str, files: &[(&str, Vec<u8>)]) -> Repository {
    let repository = ground.repository(name, &[]);
    for (path, content) in files {
        repository.put(path, content);
    }
    repository.commit();
    repository
}

/// Check that build ids stay for the kernels of a fetched chunk that the next chunk has unchanged, and go for the others, unless
/// these have files of their own.
#[test]
fn build_ids() {
    let ground = Ground::new();
    let first = chunk(&[("1", OLD), ("2", NEW), ("3", NEW)]);
    let repository = repository(&ground, "chunks", &[(CHUNK, first)]);
    ground.fetched(&repository);
    let place = |release: &str| {
        let path = format!("debian/12/x86_64/{release}.build-id");
        ground.place(&path, "0123456789abcdef\n")
    };
    let [same, changed, own, new] = ["1", "2", "3", "4"].map(place);
    ground.place(&file("3"), btf(SID));
    repository.put(
        CHUNK,
        chunk(&[("1", OLD), ("2", SID), ("3", OLD), ("4", NEW)]),
    );
    repository.commit();
    ground.fetched(&repository);
    assert!(same.exists() && own.exists());
    assert!(!changed.exists() && !new.exists());
}

/// Check that a chunk is fetched, counted by its kernels, recorded, updated and pruned like a file.
#[test]
fn of_a_repository() {
    let ground = Ground::new();
    let first = chunk(&[("1", OLD), ("2", NEW)]);
    let repository = repository(&ground, "chunks", &[(CHUNK, first.clone())]);
    let preview = ground.fetch(&[&repository]).preview().unwrap();
    let of = &preview.repositories[0];
    assert_eq!((of.kernels, of.chunks), (0, 1));
    assert_eq!((of.bytes, of.bytes_are_exact), (first.len() as u64, true));
    let fetched = ground.fetched(&repository);
    assert_eq!(fetched.added, [id("1"), id("2")]);
    assert_eq!(fetched.chunks.written, [CHUNK]);
    assert!(fetched.chunks.whole.is_empty());
    assert_eq!(ground.paths(), [CHUNK]);
    let before = ground.state();
    let fetched = ground.fetched(&repository);
    assert_eq!((fetched.unchanged, fetched.written_bytes), (2, 0));
    assert_eq!(ground.state(), before);

    repository.put(CHUNK, chunk(&[("1", OLD), ("2", SID), ("3", NEW)]));
    repository.commit();
    let fetched = ground.fetched(&repository);
    assert_eq!(
        (fetched.added, fetched.updated),
        (vec![id("3")], vec![id("2")])
    );
    assert_eq!(fetched.unchanged, 1);
    assert!(read(&ground, "2") == btf(SID));

    repository.remove(CHUNK);
    repository.commit();
    assert_eq!(ground.fetched(&repository).chunks.gone, [CHUNK]);
    let only = KernelFilter::new().only("*/2").unwrap();
    let fetch = ground.fetch(&[&repository]).prune(true).filter(only);
    let fetched = fetch.run();
    // The filter excludes some kernels of the chunk, so it is not the chunk that is gone.
    assert!(fetched.is_err() || fetched.unwrap().chunks.pruned.is_empty());
    let fetched = ground.fetch(&[&repository]).prune(true).run().unwrap();
    assert_eq!(fetched.chunks.pruned, [CHUNK]);
    assert!(ground.paths().is_empty());
}

/// Check that filters of distribution and architecture select chunks, and that a chunk comes as a whole, which is told.
#[test]
fn filtered() {
    let ground = Ground::new();
    let both = chunk(&[("1", OLD), ("2", NEW)]);
    let other = "debian/11/x86_64.btfs";
    let files = [(CHUNK, both.clone()), (other, both)];
    let repository = repository(&ground, "chunks", &files);
    let fetch = |filter| ground.fetch(&[&repository]).filter(filter).run();
    let error = fetch(KernelFilter::new().arch("arm64")).unwrap_err();
    assert!(error.to_string().contains("none of the kernels"), "{error}");
    let fetched = fetch(KernelFilter::new().only("debian/12/*/2").unwrap()).unwrap();
    assert_eq!(fetched.chunks.whole, [CHUNK]);
    assert_eq!(ground.paths(), [CHUNK]);
    let fetched = fetch(KernelFilter::new().distro("debian/11")).unwrap();
    assert!(fetched.chunks.whole.is_empty() && fetched.added.len() == 2);
}

/// Check that a damaged chunk, a link and a chunk in a wrong place do not come, and that a sound one is not replaced by them.
#[test]
fn broken() {
    let ground = Ground::new();
    let sound = chunk(&[("1", OLD), ("2", NEW)]);
    let repository = repository(&ground, "chunks", &[(CHUNK, sound.clone())]);
    ground.fetched(&repository);
    let mut flipped = sound.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    for bad in [
        b"text".to_vec(),
        sound[..last].to_vec(),
        flipped,
        Vec::new(),
    ] {
        repository.put(CHUNK, bad);
        repository.put("debian/x86_64.btfs", &sound);
        fs::remove_file(repository.folder().join("debian/12/arm64.btfs")).unwrap_or_default();
        repository.link("debian/12/arm64.btfs", "x86_64.btfs");
        repository.commit();
        let fetched = ground.fetched(&repository);
        assert!(fetched.chunks.written.is_empty());
        let left_out = left_out(&fetched);
        assert_eq!(left_out.len(), 3, "{left_out:?}");
        assert!(left_out.contains(&("debian/12/arm64.btfs", "is a symbolic link")));
        let misplaced = "its path is not ID/VERSION/ARCH.btfs";
        assert!(left_out.contains(&("debian/x86_64.btfs", misplaced)));
        assert!(ground.read(CHUNK) == sound);
    }
    repository.put(CHUNK, chunk(&[("1", SID)]));
    repository.commit();
    let fetched = ground.fetched(&repository);
    assert_eq!(fetched.updated, [id("1")]);
}

/// Check that a chunk of the user's own stays, and that one which compact changed is the user's own.
#[test]
fn users_chunk() {
    let ground = Ground::new();
    let repository = repository(&ground, "chunks", &[(CHUNK, chunk(&[("1", OLD)]))]);
    ground.fetched(&repository);
    ground.place(&file("mine"), btf(NEW));
    compact(&ground);
    repository.put(CHUNK, chunk(&[("1", SID)]));
    repository.commit();
    let fetched = ground.fetched(&repository);
    assert_eq!(fetched.chunks.kept, [CHUNK]);
    assert!(read(&ground, "1") == btf(OLD) && read(&ground, "mine") == btf(NEW));
}

/// Check that files which a fetch brought and compact put into a chunk do not come again, and that new and changed ones do.
#[test]
fn compacted_files() {
    let ground = Ground::new();
    let files = [(&*file("1"), btf(OLD)), (&file("2"), btf(NEW))];
    let repository = repository(&ground, "files", &files);
    ground.fetched(&repository);
    compact(&ground);
    assert_eq!(ground.paths(), [CHUNK]);
    let before = ground.state();
    for _ in 0..2 {
        let fetched = ground.fetched(&repository);
        assert_eq!((fetched.unchanged, fetched.written_bytes), (2, 0));
        assert!(fetched.kept.is_empty() && ground.state() == before);
    }
    repository.put(&file("2"), btf(SID));
    repository.put(&file("3"), btf(OLD));
    repository.commit();
    let fetched = ground.fetched(&repository);
    assert_eq!(
        (&*fetched.added, &*fetched.updated),
        (&[id("3")][..], &[id("2")][..])
    );
    assert_eq!(ground.paths(), [CHUNK.to_owned(), file("2"), file("3")]);
    assert!(read(&ground, "2") == btf(SID));
    compact(&ground);
    assert_eq!(ground.paths(), [CHUNK]);
    assert_eq!(ground.fetched(&repository).unchanged, 3);
    assert!(read(&ground, "2") == btf(SID));
    // Without the record, the chunk is the user's own, and nothing comes a second time.
    fs::remove_file(ground.hub().join(".btfgen/record.json")).unwrap();
    assert_eq!(ground.fetched(&repository).kept.len(), 3);
    assert_eq!(ground.paths(), [CHUNK]);
}

/// Check that files which expand made of fetched ones are still the fetch's.
#[test]
fn expanded_files() {
    let ground = Ground::new();
    let path = format!("{}.tar.xz", file("1"));
    let packed = {
        let own = tempfile::tempdir().unwrap();
        let add = btfgen_hub::Add::to_hub(own.path()).id("debian/12/x86_64/1");
        let added = add.unwrap().file(&btfgen_testkit::sample_btf(OLD)).unwrap();
        fs::read(added.path).unwrap()
    };
    // A second stream without content: the file is another one, its BTF is not.
    let other = [packed.clone(), packed_empty()].concat();
    let repository = repository(&ground, "files", &[(&path, other)]);
    ground.fetched(&repository);
    compact(&ground);
    let expanded = Expand::hub(ground.hub()).replace(true).run().unwrap();
    assert!(expanded.chunks[0].removed && expanded.left_out.is_empty());
    assert!(ground.read(&path) == packed);
    assert_eq!(ground.fetched(&repository).unchanged, 1);
    repository.put(&path, &packed);
    repository.commit();
    let fetched = ground.fetched(&repository);
    assert!(fetched.kept.is_empty(), "{fetched:?}");
}

/// An xz stream without content.
fn packed_empty() -> Vec<u8> {
    use std::process::{Command, Stdio};
    let xz = Command::new("xz").arg("-c").stdin(Stdio::null()).output();
    xz.unwrap().stdout
}

/// Check that the first repository that has a kernel wins, if one has it in a chunk and another one as a file.
#[test]
fn chunks_and_files() {
    let ground = Ground::new();
    let chunks = repository(
        &ground,
        "chunks",
        &[(CHUNK, chunk(&[("1", OLD), ("2", NEW)]))],
    );
    let files = [(&*file("1"), btf(SID)), (&file("3"), btf(SID))];
    let files = repository(&ground, "files", &files);
    for _ in 0..2 {
        ground.fetch(&[&chunks, &files]).run().unwrap();
        assert_eq!(ground.paths(), [CHUNK.to_owned(), file("3")]);
    }
    assert!(read(&ground, "1") == btf(OLD));
    let other = Ground::new();
    for _ in 0..2 {
        let fetch = other.fetch(&[&files, &chunks]);
        fetch.run().unwrap();
        assert_eq!(other.paths(), [CHUNK.to_owned(), file("1"), file("3")]);
        assert!(read(&other, "1") == btf(SID));
    }
    assert_eq!(Verify::hub(other.hub()).run().unwrap().sound, 3);
    // A repository may have both: the file is the newer one.
    chunks.put(&file("2"), btf(SID));
    chunks.commit();
    ground.fetched(&chunks);
    assert!(read(&ground, "2") == btf(SID));
    // Two chunks of one place cannot both be taken, and that is told.
    let second = repository(&ground, "second", &[(CHUNK, chunk(&[("9", OLD)]))]);
    let fetched = ground.fetch(&[&chunks, &second]).run().unwrap();
    let left_out = left_out(&fetched);
    assert!(
        left_out.len() == 1 && left_out[0].0 == CHUNK,
        "{left_out:?}"
    );
}
