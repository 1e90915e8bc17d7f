//! Those who change a hub at once, and those who do not keep to its lock.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use btfgen_hub::Hub;
use btfgen_hub::{Add, Change, ErrorKind, Fate, Verify, Waiting};
use btfgen_testkit::git::PATIENCE;

use crate::suite::util::{BIONIC, BUSTER, FOCAL, Ground, Told, content, id, newer};

/// An addition of a real kernel under this name.
fn add<'a>(ground: &Ground, path: &str) -> Add<'a> {
    let name = id(path).to_string();
    Add::to_hub(ground.hub()).id(&name).unwrap()
}

fn kernel() -> std::path::PathBuf {
    btfgen_testkit::sample_btf("debian/12/x86_64/6.1.0-47-cloud-amd64")
}

/// Check that a kernel which is added while a fetch waits for readers comes after the fetch, and that neither is lost.
#[test]
fn added_during_a_fetch() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BUSTER]);
    ground.fetched(&repository);
    repository.put(BIONIC, content(BIONIC));
    repository.commit();
    let (told, receive) = Told::new();
    let hub = Hub::open(&[ground.hub()]).unwrap();
    thread::scope(|scope| {
        let fetch = ground.fetch(&[&repository]).progress(&told);
        let fetching = scope.spawn(move || fetch.run());
        receive.recv_timeout(PATIENCE).unwrap();
        let (send, waits) = channel();
        let send = Mutex::new(send);
        let ground = &ground;
        let adding = scope.spawn(move || {
            let told = |whom| send.lock().unwrap().send(whom).unwrap();
            let add = add(ground, BIONIC).waiting(&told);
            add.file(&kernel()).map(|added| added.change)
        });
        assert_eq!(waits.recv_timeout(PATIENCE), Ok(Waiting::Writer));
        drop(hub);
        assert_eq!(fetching.join().unwrap().unwrap().added, [id(BIONIC)]);
        // The fetch was first, so this would replace its kernel.
        let error = adding.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Exists);
    });
    assert_eq!(ground.read(BIONIC), content(BIONIC));
}

/// Check that a file which another program puts into a kernel's place while a fetch waits stays, in whatever form, and that
/// the fetch says so and does the rest.
#[test]
fn written_by_others_during_a_fetch() {
    const JAMMY: &str = "ubuntu/22.04/x86_64/5.15.0-25-generic.btf.tar.xz";
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BUSTER]);
    ground.fetched(&repository);
    for path in [FOCAL, BUSTER, BIONIC, JAMMY] {
        repository.put(path, newer());
    }
    repository.commit();
    let (told, receive) = Told::new();
    let hub = Hub::open(&[ground.hub()]).unwrap();
    let other_form = JAMMY.replace(".tar.xz", "");
    let fetched = thread::scope(|scope| {
        let fetch = ground.fetch(&[&repository]).progress(&told);
        let fetching = scope.spawn(move || fetch.run());
        receive.recv_timeout(PATIENCE).unwrap();
        for path in [FOCAL, BIONIC, &other_form] {
            ground.place(path, "mine");
        }
        drop(hub);
        fetching.join().unwrap().unwrap()
    });
    assert_eq!(fetched.kept, [id(BIONIC), id(FOCAL), id(JAMMY)]);
    assert_eq!(fetched.updated, [id(BUSTER)]);
    assert!(fetched.added.is_empty());
    for path in [FOCAL, BIONIC, &other_form] {
        assert_eq!(ground.read(path), b"mine");
    }
    assert!(!ground.hub().join(JAMMY).exists());
    // And for good: what the fetch had planned does not make them the fetch's.
    assert_eq!(ground.fetched(&repository).kept.len(), 3);
}

/// Check that what another program changes while a fetch waits is not pruned.
#[test]
fn changed_before_it_is_pruned() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BUSTER, BIONIC]);
    ground.fetched(&repository);
    repository.remove(BUSTER);
    repository.remove(BIONIC);
    repository.commit();
    let (told, receive) = Told::new();
    let hub = Hub::open(&[ground.hub()]).unwrap();
    let fetched = thread::scope(|scope| {
        let fetch = ground.fetch(&[&repository]).prune(true).progress(&told);
        let fetching = scope.spawn(move || fetch.run());
        receive.recv_timeout(PATIENCE).unwrap();
        ground.place(BUSTER, "mine");
        drop(hub);
        fetching.join().unwrap().unwrap()
    });
    assert_eq!(fetched.pruned, [id(BIONIC)]);
    assert_eq!(ground.paths(), [BUSTER, FOCAL]);
}

/// Check that a hub is verified with deletion only while nobody changes it, and that this can be stopped.
#[test]
fn one_writer() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL]);
    ground.fetched(&repository);
    repository.put(FOCAL, newer());
    repository.commit();
    let ((told, receive), cancel) = (Told::new(), AtomicBool::new(false));
    let hub = Hub::open(&[ground.hub()]).unwrap();
    thread::scope(|scope| {
        let fetch = ground.fetch(&[&repository]).progress(&told);
        let fetching = scope.spawn(move || fetch.run());
        receive.recv_timeout(PATIENCE).unwrap();
        // Without deletion it is one of the readers.
        assert_eq!(Verify::hub(ground.hub()).run().unwrap().broken.len(), 1);
        let stop = |whom| {
            assert_eq!(whom, Waiting::Writer);
            cancel.store(true, Ordering::Relaxed);
        };
        let verify = Verify::hub(ground.hub()).delete(true);
        let error = verify.waiting(&stop).cancel(&cancel).run().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
        drop(hub);
        fetching.join().unwrap().unwrap();
    });
}

/// Check that what a fetch brought under another kernel's name is deleted, and is brought again; and that the same file stays
/// where its user put it.
#[test]
fn fetched_and_broken() {
    let ground = Ground::new();
    add(&ground, FOCAL).file(&kernel()).unwrap();
    let sound = ground.read(FOCAL);
    let repository = ground.repository("kernels", &[]);
    repository.put(BUSTER, &sound);
    repository.commit();
    ground.fetched(&repository);
    ground.place(BIONIC, &sound);
    let verified = Verify::hub(ground.hub()).delete(true).run().unwrap();
    assert_eq!(verified.sound, 1);
    let fates = verified.broken.iter().map(|b| b.fate);
    assert_eq!(fates.collect::<Vec<_>>(), [Fate::Deleted, Fate::Stays]);
    assert_eq!(ground.paths(), [BIONIC, FOCAL]);
    assert_eq!(ground.fetched(&repository).added, [id(BUSTER)]);
}

/// Check that a record which cannot be read ends a fetch: without it, what was fetched would be taken for its user's.
#[test]
fn unreadable_record() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL]);
    ground.fetched(&repository);
    let record = ground.hub().join(".btfgen/record.json");
    let recorded = fs::read(&record).unwrap();
    fs::remove_file(&record).unwrap();
    fs::create_dir(&record).unwrap();
    let error = ground.fetch(&[&repository]).run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.subject().ends_with("record.json"), "{error}");
    fs::remove_dir(&record).unwrap();
    fs::write(&record, recorded).unwrap();
    repository.put(FOCAL, newer());
    repository.commit();
    assert_eq!(ground.fetched(&repository).updated, [id(FOCAL)]);
}

/// Check that a repository with names that are not UTF-8 gives its other kernels, and that these names are reported.
#[test]
fn names_that_are_no_text() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL]);
    for name in [
        &b"ubuntu/20.04/x86_64/\xe9.btf"[..],
        b"a\xff/1/x86_64/1.btf",
        b"\xe9t\xe9/README",
    ] {
        let path = repository.folder().join(std::ffi::OsStr::from_bytes(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    repository.commit();
    let fetched = ground.fetched(&repository);
    assert_eq!(fetched.added, [id(FOCAL)]);
    let whys = fetched.left_out.iter().map(|l| &*l.why);
    assert_eq!(whys.collect::<Vec<_>>(), ["its name is not UTF-8"; 2]);
}

/// Check that adding leaves no lock behind, and waits for nobody where it only adds.
#[test]
fn adding_is_quiet() {
    let ground = Ground::new();
    let added = add(&ground, FOCAL).file(&kernel()).unwrap();
    assert_eq!(added.change, Change::New);
    let hub = Hub::open(&[ground.hub()]).unwrap();
    add(&ground, BUSTER).file(&kernel()).unwrap();
    drop(hub);
    assert!(!ground.hub().join(".btfgen").exists());
}

/// Check that the next writer removes what a killed one left, and nothing else.
#[test]
fn left_by_a_killed_writer() {
    let ground = Ground::new();
    add(&ground, FOCAL).file(&kernel()).unwrap();
    let folder = ground.hub().join("ubuntu/20.04/x86_64");
    fs::write(folder.join(".btfgen-tmp-0123456789"), "half").unwrap();
    fs::write(folder.join(".btfgen-notes"), "mine").unwrap();
    let other = FOCAL.replace("5.4.0-26", "5.4.0-27");
    add(&ground, &other).file(&kernel()).unwrap();
    let hidden = |entry: &fs::DirEntry| entry.file_name().as_bytes().starts_with(b".");
    let left = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let left: Vec<_> = left.filter(hidden).map(|e| e.file_name()).collect();
    assert_eq!(left, [".btfgen-notes"]);
}
