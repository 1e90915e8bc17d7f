//! A hub that is fetched into again, after something changed in the repository or in the hub.

use std::fs;

use btfgen_hub::KernelFilter;

use crate::suite::util::{BIONIC, BUSTER, FOCAL, Ground, content, id, newer};

/// Check that nothing is written where nothing changed.
#[test]
fn nothing_new() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BUSTER]);
    let fetched = ground.fetched(&repository);
    assert_eq!(fetched.added, [id(BUSTER), id(FOCAL)]);
    assert_eq!(fetched.written_bytes, 40_000);
    let before = ground.state();
    let fetched = ground.fetched(&repository);
    assert_eq!((fetched.unchanged, fetched.written_bytes), (2, 0));
    assert!(fetched.added.is_empty() && fetched.updated.is_empty());
    assert_eq!(ground.state(), before);
}

/// Check that a file that the repository has changed is replaced, and only that.
#[test]
fn changes_of_the_repository() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BUSTER]);
    ground.fetched(&repository);
    let before = ground.state();
    repository.put(FOCAL, newer());
    repository.put(BIONIC, content(BIONIC));
    repository.commit();
    let fetched = ground.fetched(&repository);
    assert_eq!(fetched.updated, [id(FOCAL)]);
    assert_eq!(fetched.added, [id(BIONIC)]);
    assert_eq!(ground.read(FOCAL), newer());
    assert_eq!(ground.state()[BUSTER], before[BUSTER]);
}

/// Check that the build id of a kernel goes when a fetch replaces or removes its BTF, and also one that was left without a kernel; and
/// that it stays with a BTF that stays.
#[test]
fn build_ids() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BUSTER]);
    ground.fetched(&repository);
    let ids = [FOCAL, BIONIC, BUSTER].map(|path| path.replace(".btf.tar.xz", ".build-id"));
    let place = |path: &str| ground.place(path, "0123456789abcdef\n");
    let [focal, bionic, buster] = ids.each_ref().map(|path| place(path));
    repository.put(FOCAL, newer());
    repository.put(BIONIC, content(BIONIC));
    repository.commit();
    ground.fetched(&repository);
    assert!(!focal.exists() && !bionic.exists());
    assert!(buster.exists());
    place(&ids[0]);
    ground.fetched(&repository);
    assert!(focal.exists());
    repository.remove(BUSTER);
    repository.commit();
    ground.fetch(&[&repository]).prune(true).run().unwrap();
    assert!(!buster.exists() && !ground.hub().join("debian").exists());
}

/// Check that kernels that the repository no longer has stay and are reported, and that pruning removes them.
#[test]
fn removals_of_the_repository() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BIONIC, BUSTER]);
    ground.fetched(&repository);
    repository.remove(FOCAL);
    repository.remove(BUSTER);
    repository.commit();
    for _ in 0..2 {
        let fetched = ground.fetched(&repository);
        assert_eq!(fetched.gone, [id(BUSTER), id(FOCAL)]);
        assert!(fetched.pruned.is_empty());
    }
    assert_eq!(ground.paths(), [BUSTER, BIONIC, FOCAL]);
    let fetched = ground.fetch(&[&repository]).prune(true).run().unwrap();
    assert_eq!(fetched.pruned, [id(BUSTER), id(FOCAL)]);
    assert!(fetched.gone.is_empty());
    assert_eq!(ground.paths(), [BIONIC]);
    assert!(!ground.hub().join("debian").exists());
    assert!(!ground.hub().join("ubuntu/20.04").exists());
}

/// Check that pruning takes only what passes the filters, came from there and is as it came.
#[test]
fn pruning_takes_no_more() {
    let ground = Ground::new();
    let changed = "ubuntu/22.04/x86_64/5.15.0-25-generic.btf.tar.xz";
    let own = "ubuntu/20.04/x86_64/5.4.0-26-mine.btf.tar.xz";
    let repository = ground.repository("kernels", &[FOCAL, BUSTER, BIONIC, changed]);
    ground.fetched(&repository);
    ground.place(own, "mine");
    ground.place("ubuntu/20.04/notes", "mine");
    ground.place(changed, "mine by now");
    for path in [FOCAL, BUSTER, changed] {
        repository.remove(path);
    }
    repository.commit();
    let filter = KernelFilter::new().distro("ubuntu");
    let fetch = ground.fetch(&[&repository]).prune(true).filter(filter);
    assert_eq!(fetch.run().unwrap().pruned, [id(FOCAL)]);
    let left = [BUSTER, BIONIC, "ubuntu/20.04/notes", own, changed];
    assert_eq!(ground.paths(), left);
    assert_eq!(ground.read(changed), b"mine by now");
}

/// Check that a file that the user put there and that is the repository's is taken for it from then on.
#[test]
fn adopted_files() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BUSTER]);
    ground.place(FOCAL, content(FOCAL));
    let before = ground.state();
    let fetched = ground.fetched(&repository);
    assert_eq!((fetched.unchanged, fetched.added), (1, vec![id(BUSTER)]));
    assert_eq!(ground.state()[FOCAL], before[FOCAL]);
    repository.put(FOCAL, newer());
    repository.commit();
    assert_eq!(ground.fetched(&repository).updated, [id(FOCAL)]);
    assert_eq!(ground.read(FOCAL), newer());
}

/// Check that the user's own file stays, in any form, whatever the repository does.
#[test]
fn files_of_the_users() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BUSTER, BIONIC]);
    let plain = FOCAL.replace(".btf.tar.xz", ".btf");
    let xz = BUSTER.replace(".btf.tar.xz", ".btf.xz");
    ground.place(&plain, "mine");
    ground.place(&xz, "mine");
    ground.place(BIONIC, "mine");
    let before = ground.state();
    for _ in 0..2 {
        let fetched = ground.fetched(&repository);
        assert_eq!(fetched.kept, [id(BUSTER), id(BIONIC), id(FOCAL)]);
        assert_eq!((fetched.added.len(), fetched.written_bytes), (0, 0));
        assert_eq!(ground.state(), before);
        for path in [FOCAL, BUSTER, BIONIC] {
            repository.put(path, newer());
        }
        repository.commit();
    }
    for path in [FOCAL, BUSTER, BIONIC] {
        repository.remove(path);
    }
    repository.put("a/1/x86_64/r.btf.tar.xz", newer());
    repository.commit();
    let fetched = ground.fetch(&[&repository]).prune(true).run().unwrap();
    assert!(fetched.pruned.is_empty());
    assert_eq!(ground.paths().len(), 4);
}

/// Check that a file that the user changed since it came is his, and that one that he removed comes again.
#[test]
fn changes_of_the_users() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BUSTER, BIONIC]);
    ground.fetched(&repository);
    ground.place(FOCAL, "changed");
    fs::remove_file(ground.hub().join(BUSTER)).unwrap();
    // Written anew, but the same.
    ground.place(BIONIC, content(BIONIC));
    let fetched = ground.fetched(&repository);
    assert_eq!((fetched.kept, fetched.unchanged), (vec![id(FOCAL)], 1));
    assert_eq!(fetched.added, [id(BUSTER)]);
    assert_eq!(ground.read(FOCAL), b"changed");
    repository.put(FOCAL, newer());
    repository.put(BIONIC, newer());
    repository.commit();
    let fetched = ground.fetched(&repository);
    assert_eq!(
        (fetched.kept, fetched.updated),
        (vec![id(FOCAL)], vec![id(BIONIC)])
    );
}

/// Check that without a record all that is the repository's is found to be, and that nothing is written.
#[test]
fn without_a_record() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BUSTER]);
    ground.fetched(&repository);
    let before = ground.state();
    let record = ground.hub().join(".btfgen/record.json");
    for garbage in [
        None,
        Some("{"),
        Some("[]"),
        Some("{\"version\":2}"),
        Some("\0"),
    ] {
        match garbage {
            None => fs::remove_file(&record).unwrap(),
            Some(text) => fs::write(&record, text).unwrap(),
        }
        assert_eq!(ground.fetched(&repository).unchanged, 2);
        assert_eq!(ground.state(), before);
    }
    // It is in the record again.
    repository.remove(FOCAL);
    repository.commit();
    assert_eq!(ground.fetched(&repository).gone, [id(FOCAL)]);
}
