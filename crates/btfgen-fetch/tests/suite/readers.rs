//! Those who read a hub while it is fetched into.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use btfgen_hub::Hub;
use btfgen_hub::{ErrorKind, Waiting};
use btfgen_testkit::git::PATIENCE;

use crate::suite::util::{BIONIC, BUSTER, FOCAL, Ground, Told, content, id, newer};

/// A hub before a fetch that updates one kernel, removes one, and adds one.
fn prepared() -> (Ground, btfgen_testkit::git::Repository) {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BUSTER]);
    ground.fetched(&repository);
    repository.put(FOCAL, newer());
    repository.remove(BUSTER);
    repository.put(BIONIC, content(BIONIC));
    repository.commit();
    (ground, repository)
}

/// Check that a hub does not change while a process reads it, and that it changes afterwards.
#[test]
fn readers_keep_changes_out() {
    let (ground, repository) = prepared();
    let before = ground.state();
    let (told, receive) = Told::new();
    let hub = Hub::open(&[ground.hub()]).unwrap();
    let fetched = thread::scope(|scope| {
        let fetch = ground.fetch(&[&repository]).prune(true).progress(&told);
        let fetching = scope.spawn(move || fetch.run());
        for _ in 0..3 {
            let waiting = receive.recv_timeout(PATIENCE).unwrap();
            assert_eq!(waiting, Waiting::Readers);
            assert_eq!(ground.state(), before);
        }
        // Another one sees the same, and one of several does not let it in.
        let other = Hub::open(&[ground.hub()]).unwrap();
        drop(hub);
        receive.try_iter().for_each(drop);
        assert_eq!(receive.recv_timeout(PATIENCE), Ok(Waiting::Readers));
        let ids: Vec<_> = other.kernels().iter().map(|k| k.id().clone()).collect();
        assert_eq!(ids, [id(BUSTER), id(FOCAL)]);
        assert_eq!(ground.state(), before);
        drop(other);
        fetching.join().unwrap().unwrap()
    });
    assert_eq!(fetched.updated, [id(FOCAL)]);
    assert_eq!(fetched.pruned, [id(BUSTER)]);
    assert_eq!(ground.paths(), [BIONIC, FOCAL]);
    assert_eq!(ground.read(FOCAL), newer());
}

/// Check that a fetch that waits for readers can be stopped, and that the next one has what it brought.
#[test]
fn waiting_can_be_stopped() {
    let (ground, repository) = prepared();
    let before = ground.state();
    let ((told, receive), cancel) = (Told::new(), AtomicBool::new(false));
    let hub = Hub::open(&[ground.hub()]).unwrap();
    thread::scope(|scope| {
        let fetch = ground.fetch(&[&repository]).progress(&told).cancel(&cancel);
        let fetching = scope.spawn(move || fetch.run());
        receive.recv_timeout(PATIENCE).unwrap();
        cancel.store(true, Ordering::Relaxed);
        let error = fetching.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Cancelled);
    });
    assert_eq!(ground.state(), before);
    drop(hub);
    let fetched = ground.fetched(&repository);
    assert_eq!(fetched.added, [id(BIONIC)]);
    assert_eq!(fetched.updated, [id(FOCAL)]);
    assert_eq!(fetched.gone, [id(BUSTER)]);
}

/// Check that a fetch that is stopped before it starts makes nothing.
#[test]
fn stopped_before_it_starts() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL]);
    let cancel = AtomicBool::new(true);
    let error = ground.fetch(&[&repository]).cancel(&cancel).run();
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(ground.paths().is_empty());
    ground.fetched(&repository);
    assert_eq!(ground.paths(), [FOCAL]);
}

/// Check that several fetches at once, from threads of one process, all succeed one after the other.
#[test]
fn several_at_once() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BUSTER, BIONIC]);
    let brought: usize = thread::scope(|scope| {
        let start = |_| scope.spawn(|| ground.fetched(&repository).added.len());
        let all: Vec<_> = (0..4).map(start).collect();
        all.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(brought, 3);
    assert_eq!(ground.paths(), [BUSTER, BIONIC, FOCAL]);
}
