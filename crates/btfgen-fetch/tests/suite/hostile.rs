//! Repositories that are up to something.

use std::fs;
use std::os::unix::fs::symlink;

use btfgen_testkit::git::Repository;
use git2::{ObjectType, Oid, Signature};

use crate::suite::util::{BUSTER, FOCAL, Ground, content, left_out, newer};

/// Check that no link is created that leads out of its distribution's folder, or to something that is not a version.
#[test]
fn links() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BUSTER]);
    for (name, target) in [
        ("debian/up", "../.."),
        ("debian/out", "../../outside"),
        ("debian/absolute", "/etc"),
        ("debian/other", "../ubuntu/20.04"),
        ("debian/deep", "10/x86_64"),
        ("debian/itself", "."),
        ("debian/hidden", ".btfgen"),
        ("debian/none", "99"),
        ("debian/long", &"x/".repeat(2000)),
        ("top", "debian"),
        ("debian/10/arm64", "x86_64"),
        (".git-link", "/etc/passwd"),
    ] {
        repository.link(name, target);
    }
    repository.link("debian/10/x86_64/link.btf.tar.xz", "/etc/passwd");
    repository.commit();
    let fetched = ground.fetched(&repository);
    assert_eq!(
        left_out(&fetched),
        [("debian/10/x86_64/link.btf.tar.xz", "is a symbolic link")]
    );
    assert_eq!(ground.paths(), [BUSTER, FOCAL]);
}

/// Check that neither git's folders nor ours are a distribution's.
#[test]
fn hidden_folders() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL]);
    repository.put(".btfgen/staging/x86_64/r.btf.tar.xz", newer());
    repository.put(".ssh/a/b/c.btf", newer());
    repository.commit();
    ground.fetched(&repository);
    assert_eq!(ground.paths(), [FOCAL]);
    for path in [".ssh", ".btfgen/staging"] {
        assert!(!ground.hub().join(path).exists(), "{path}");
    }
}

/// A tree with one entry of any name.
fn tree(repository: &git2::Repository, mode: &str, name: &str, id: Oid) -> Oid {
    let mut raw = format!("{mode} {name}\0").into_bytes();
    raw.extend(id.as_bytes());
    let odb = repository.odb().unwrap();
    odb.write(ObjectType::Tree, &raw).unwrap()
}

/// Commits one file by the names of its path, which git would not take.
fn commit_raw(repository: &Repository, path: &[&str]) {
    let git = git2::Repository::open(repository.folder()).unwrap();
    let mut id = git.blob(&newer()).unwrap();
    let mut mode = "100644";
    for name in path.iter().rev() {
        id = tree(&git, mode, name, id);
        mode = "40000";
    }
    let tree = git.find_tree(id).unwrap();
    let parent = git.head().unwrap().peel_to_commit().unwrap();
    let who = Signature::now("Test", "test@example.org").unwrap();
    git.commit(Some("HEAD"), &who, &who, "Kernels", &tree, &[&parent])
        .unwrap();
}

/// Check that names that no git would make lead nowhere.
#[test]
fn climbing_names() {
    for path in [
        &["..", "1", "x86_64", "r.btf.tar.xz"][..],
        &["a", "..", "..", "r.btf.tar.xz"],
        &["a", "..", "x86_64", "r.btf.tar.xz"],
        &["a", "1", "x86_64", "../../../../r.btf.tar.xz"],
        &["/tmp", "1", "x86_64", "r.btf.tar.xz"],
        &[".", "1", "x86_64", "r.btf.tar.xz"],
    ] {
        let ground = Ground::new();
        let repository = ground.repository("kernels", &[FOCAL]);
        let before = fs::read_dir(ground.path("")).unwrap().count();
        commit_raw(&repository, path);
        // Whether it is an error or left out, it is not taken.
        let _ = ground.fetch(&[&repository]).run();
        assert!(ground.paths().is_empty(), "{path:?}: {:?}", ground.paths());
        let after = fs::read_dir(ground.path("")).unwrap();
        let others = after.filter(|e| e.as_ref().unwrap().file_name() != "hub");
        assert_eq!(others.count(), before, "{path:?}");
    }
}

/// Check that a file of the hub that is a link is the user's, and that nothing is written through it.
#[test]
fn links_in_the_hub() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BUSTER]);
    let outside = ground.path("outside");
    fs::write(&outside, "mine").unwrap();
    let link = ground.hub().join(FOCAL);
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink(&outside, &link).unwrap();
    let fetched = ground.fetched(&repository);
    assert_eq!((fetched.kept.len(), fetched.added.len()), (1, 1));
    assert_eq!(fs::read(outside).unwrap(), b"mine");
    assert_eq!(ground.read(BUSTER), content(BUSTER));
}
