//! Several repositories for one hub.

use btfgen_fetch::Transport;

use crate::suite::util::{BIONIC, BUSTER, FOCAL, Ground, content, id, newer};

/// Check that the first repository with a kernel wins, and that only different contents are reported.
#[test]
fn the_first_counts() {
    let ground = Ground::new();
    let first = ground.repository("first", &[FOCAL, BUSTER]);
    let second = ground.repository("second", &[FOCAL, BIONIC]);
    second.put(BUSTER, newer());
    second.commit();
    let fetched = ground.fetch(&[&first, &second]).run().unwrap();
    assert_eq!(fetched.added, [id(BUSTER), id(BIONIC), id(FOCAL)]);
    assert_eq!(ground.read(BUSTER), content(BUSTER));
    let [collision] = &*fetched.collisions else {
        panic!("{:?}", fetched.collisions);
    };
    assert_eq!(collision.kernel, id(BUSTER));
    assert_eq!(collision.taken_from, first.folder().display().to_string());
    assert_eq!(collision.also_in, second.folder().display().to_string());
    let preview = ground.fetch(&[&first, &second]).preview().unwrap();
    assert_eq!(preview.collisions.len(), 1);

    let fetched = ground.fetch(&[&second, &first]).run().unwrap();
    assert_eq!(fetched.updated, [id(BUSTER)]);
    assert_eq!(ground.read(BUSTER), newer());
}

/// Check that a repository that is named twice is one.
#[test]
fn twice_the_same() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL]);
    let fetched = ground.fetch(&[&repository, &repository]).run().unwrap();
    assert_eq!(fetched.repositories.len(), 1);
    assert_eq!(fetched.repositories[0].transport, Transport::Local);
    assert_eq!(fetched.added, [id(FOCAL)]);
    let preview = ground.fetch(&[&repository, &repository]).preview().unwrap();
    assert_eq!(preview.repositories.len(), 1);
    assert_eq!(preview.repositories[0].kernels, 0);
}

/// Check that a kernel that the first repository has no more comes from the second.
#[test]
fn the_second_steps_in() {
    let ground = Ground::new();
    let first = ground.repository("first", &[FOCAL, BUSTER]);
    let second = ground.repository("second", &[BUSTER]);
    second.put(FOCAL, newer());
    second.commit();
    ground.fetch(&[&first, &second]).run().unwrap();
    first.remove(FOCAL);
    first.remove(BUSTER);
    first.put(BIONIC, content(BIONIC));
    first.commit();
    let fetch = ground.fetch(&[&first, &second]).prune(true);
    let fetched = fetch.run().unwrap();
    assert_eq!(fetched.updated, [id(FOCAL)]);
    assert_eq!((fetched.unchanged, fetched.pruned.len()), (1, 0));
    assert_eq!(ground.read(FOCAL), newer());
    // By now they are the second one's.
    second.remove(FOCAL);
    second.commit();
    assert_eq!(ground.fetched(&second).gone, [id(FOCAL)]);
}

/// Check that pruning looks only at repositories that are named.
#[test]
fn others_are_not_pruned() {
    let ground = Ground::new();
    let first = ground.repository("first", &[FOCAL, BUSTER]);
    let second = ground.repository("second", &[BIONIC]);
    ground.fetch(&[&first, &second]).run().unwrap();
    first.remove(FOCAL);
    first.commit();
    let fetched = ground.fetch(&[&second]).prune(true).run().unwrap();
    assert!(fetched.pruned.is_empty() && fetched.gone.is_empty());
    assert_eq!(ground.paths(), [BUSTER, BIONIC, FOCAL]);
}
