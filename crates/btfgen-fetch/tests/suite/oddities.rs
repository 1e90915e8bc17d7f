//! Repositories that are not quite laid out as they should be.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use btfgen_hub::ErrorKind;
use btfgen_hub::{Hub, KernelFilter};
use git2::{ObjectType, Oid};

use crate::suite::util::{BIONIC, BUSTER, FOCAL, Ground, content, id, left_out, newer};

/// Check that files that do not look like kernels are skipped without a message.
#[test]
fn other_files() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL]);
    for (path, text) in [
        ("README.md", "Kernels"),
        ("LICENSE", "Free"),
        (".github/workflows/a.yml", ""),
        ("ubuntu/20.04/x86_64/5.4.0-26-generic.failed", ""),
        ("ubuntu/20.04/x86_64/marker", ""),
        ("tools/update.sh", "#!/bin/sh"),
    ] {
        repository.put(path, text);
    }
    repository.commit();
    let fetched = ground.fetched(&repository);
    assert!(fetched.left_out.is_empty(), "{:?}", fetched.left_out);
    assert_eq!(ground.paths(), [FOCAL]);
}

/// Check that a kernel in a wrong place is reported and not fetched.
#[test]
fn misplaced() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL]);
    let places = [
        "1/x86_64/r.btf.tar.xz",
        "r.btf.tar.xz",
        "ubuntu/20.04/x86_64/deep/r.btf.tar.xz",
    ];
    for path in places {
        repository.put(path, newer());
    }
    repository.commit();
    let fetched = ground.fetched(&repository);
    let why = "its path is not ID/VERSION/ARCH/RELEASE";
    assert_eq!(left_out(&fetched), places.map(|path| (path, why)));
    assert!(fetched.left_out.iter().all(|l| !l.broken));
    assert_eq!(ground.paths(), [FOCAL]);
}

/// Check that a kernel in a folder with another name of its architecture comes under the hub's name, and only once.
#[test]
fn names_of_architectures() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[BIONIC]);
    let other = |path: &str| path.replace("arm64", "aarch64");
    let second = "debian/12/aarch64/6.1.0-1-arm64.btf.tar.xz";
    repository.put(&other(BIONIC), newer());
    repository.put(second, content(second));
    repository.commit();
    let fetched = ground.fetched(&repository);
    let why = format!("the same kernel is in {BIONIC}");
    assert_eq!(left_out(&fetched), [(&*other(BIONIC), &*why)]);
    let hubs = second.replace("aarch64", "arm64");
    assert_eq!(ground.paths(), [&*hubs, BIONIC]);
    assert_eq!(ground.read(BIONIC), content(BIONIC));
    assert_eq!(ground.fetched(&repository).unchanged, 2);
    // The user's own file with another name stays, and is the kernel.
    let ground = Ground::new();
    ground.place(&other(BIONIC), newer());
    let fetched = ground.fetched(&repository);
    assert_eq!(fetched.kept, [id(BIONIC)]);
    assert_eq!(ground.paths(), [hubs, other(BIONIC)]);
}

/// Check that one content under two names is stored once.
#[test]
fn duplicates() {
    let ground = Ground::new();
    let twins = [
        "sles/12.5/x86_64/4.12.14-1-default.btf.tar.xz",
        "sles/12.5/x86_64/4.12.14-1.1-default.btf.tar.xz",
        "sles/15.0/x86_64/4.12.14-1-default.btf.tar.xz",
    ];
    let repository = ground.repository("kernels", &[FOCAL]);
    for path in twins {
        repository.put(path, newer());
    }
    repository.commit();
    assert_eq!(ground.fetched(&repository).added.len(), 4);
    let inodes = twins.map(|path| {
        assert_eq!(ground.read(path), newer());
        fs::metadata(ground.hub().join(path)).unwrap().ino()
    });
    assert!(inodes.iter().all(|&inode| inode == inodes[0]));
    assert_eq!(ground.fetched(&repository).unchanged, 4);
    // A new content for one of them is not the others'.
    repository.put(twins[0], content(twins[0]));
    repository.commit();
    assert_eq!(ground.fetched(&repository).updated, [id(twins[0])]);
    assert_eq!(ground.read(twins[0]), content(twins[0]));
    assert_eq!(ground.read(twins[1]), newer());
}

/// Check that a content which is staged for one form only, for a fetch was killed there, comes in the other form too.
#[test]
fn duplicates_in_two_forms() {
    let ground = Ground::new();
    let other = FOCAL.replace(".btf.tar.xz", "-twin.btf.xz");
    let repository = ground.repository("kernels", &[FOCAL]);
    repository.put(&other, content(FOCAL));
    repository.commit();
    let blob = Oid::hash_object(ObjectType::Blob, &content(FOCAL)).unwrap();
    let staged = format!(".btfgen/staging/{blob}.btf.tar.xz");
    ground.place(&staged, content(FOCAL));
    assert_eq!(ground.fetched(&repository).added.len(), 2);
    assert_eq!(ground.read(FOCAL), content(FOCAL));
    assert_eq!(ground.read(&other), content(FOCAL));
}

/// Check that the form of btfhub wins if a kernel has two forms, and that the other one is reported.
#[test]
fn two_forms() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL]);
    let other = FOCAL.replace(".btf.tar.xz", ".btf.xz");
    repository.put(&other, newer());
    repository.commit();
    let fetched = ground.fetched(&repository);
    let why = format!("the same kernel is in {FOCAL}");
    assert_eq!(left_out(&fetched), [(&*other, &*why)]);
    assert_eq!(ground.paths(), [FOCAL]);
    // If it is the only one, it is that kernel's.
    repository.remove(FOCAL);
    repository.commit();
    let fetched = ground.fetched(&repository);
    assert_eq!(
        fetched.added.len() + fetched.updated.len() + fetched.kept.len(),
        1
    );
    let hub = Hub::open(&[ground.hub()]).unwrap();
    assert_eq!(hub.kernels().len(), 1);
}

/// Check that kernels of the other forms come as well.
#[test]
fn other_forms() {
    let ground = Ground::new();
    let plain = "a/1/x86_64/r1.btf";
    let xz = "a/1/x86_64/r2.btf.xz";
    let repository = ground.repository("kernels", &[plain, xz]);
    assert_eq!(ground.fetched(&repository).added.len(), 2);
    assert_eq!(ground.paths(), [plain, xz]);
    assert_eq!(ground.read(plain), content(plain));
}

/// Check that a codename passes the filters, and that its link is made where its version is, and nothing has its name.
#[test]
fn codenames() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BIONIC, BUSTER]);
    repository.link("debian/buster", "10");
    repository.link("ubuntu/focal", "20.04/");
    repository.link("ubuntu/bionic", "18.04");
    repository.commit();
    ground.place("ubuntu/bionic", "mine");
    let filter = KernelFilter::new()
        .distro("debian/buster")
        .distro("ubuntu/bionic");
    let fetched = ground.fetch(&[&repository]).filter(filter).run().unwrap();
    assert_eq!(fetched.added, [id(BUSTER), id(BIONIC)]);
    let link = |name| fs::read_link(ground.hub().join(name)).ok();
    assert_eq!(link("debian/buster").unwrap().to_str(), Some("10"));
    assert_eq!((link("ubuntu/focal"), link("ubuntu/bionic")), (None, None));
    assert_eq!(ground.read("ubuntu/bionic"), b"mine");
    ground.fetched(&repository);
    assert!(link("ubuntu/focal").is_some());
    let filter = KernelFilter::new().distro("debian/buster");
    let hub = Hub::open(&[ground.hub()])
        .unwrap()
        .filtered(&filter)
        .unwrap();
    assert_eq!(hub.kernels().len(), 1);
    assert_eq!(hub.kernels()[0].id(), &id(BUSTER));
}

/// Check that a repository without kernels, and a filter that none passes, are errors.
#[test]
fn no_kernels() {
    let ground = Ground::new();
    let repository = ground.repository("kernels", &[FOCAL, BUSTER]);
    let filter = KernelFilter::new().arch("s390x");
    let fetch = ground.fetch(&[&repository]).filter(filter);
    for error in [fetch.run().unwrap_err(), fetch.preview().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::NoKernels);
        let help = "it has debian/10/x86_64, ubuntu/20.04/x86_64";
        assert_eq!(error.help(), Some(help));
    }
    let other = ground.repository("other", &["README.md"]);
    let error = ground.fetch(&[&other]).run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NoKernels);
    assert_eq!(error.subject(), other.folder().display().to_string());
    assert!(!ground.hub().exists());
}
