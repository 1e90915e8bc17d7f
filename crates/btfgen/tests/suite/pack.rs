//! Whole archives.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use btfgen::archive::Archive;
use btfgen::{ErrorKind, Hub, KernelFilter, LoadedBtf, Minimizer, Needs, Object, Pack, Progress};
use btfgen_testkit::{object, sample_hub};

use super::util::btf;

fn pack(objects: &[&str], threads: usize, out: &Path) -> btfgen::Packed {
    let pack = Pack::new().hub(sample_hub()).threads(threads);
    objects
        .iter()
        .fold(pack, |pack, name| pack.object(object(name)))
        .write(out)
        .expect("the sample hub can be packed")
}

/// Check that every kernel of the hub is in the archive with its minimal BTF, and that the bytes of the archive do not
/// depend on the number of threads.
#[test]
fn archive_holds_every_kernel() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (one, two) = (dir.path().join("one.tar.gz"), dir.path().join("two.tar.gz"));
    let names = ["execsnoop", "bootstrap", "enums"];
    let packed = pack(&names, 1, &one);
    pack(&names, 3, &two);
    let bytes = std::fs::read(&one).expect("it was written");
    assert_eq!(bytes, std::fs::read(&two).expect("it was written"));
    assert_eq!(packed.totals.archive_bytes, bytes.len() as u64);
    assert!(packed.left_out.is_empty());

    let objects = names.map(|n| Object::open(object(n)).expect("good"));
    let digests = objects.each_ref().map(Needs::digest);
    let needs = Needs::new(objects.into());
    let minimizer = Minimizer::new(&needs);
    let archive = Archive::from_bytes(&bytes).expect("it is an archive");
    let hub = Hub::open(&[sample_hub()]).expect("it is a hub");
    assert_eq!(
        archive.kernels().expect("readable").len(),
        hub.kernels().len()
    );
    for kernel in hub.kernels() {
        let content = archive
            .get(kernel.id())
            .expect("readable")
            .expect("it is there");
        let content = LoadedBtf::parse(&content).expect("it is BTF");
        let outcomes = |btf| minimizer.outcomes(btf).expect("it is good");
        assert_eq!(
            outcomes(&content),
            outcomes(&btf(kernel.path())),
            "{}",
            kernel.id()
        );
    }
    let manifest = archive.manifest().expect("readable").expect("it is there");
    for digest in digests {
        assert!(manifest.objects.contains(&digest));
    }
    let matches = |name: &str| {
        let object = std::fs::read(object(name)).expect("the object is there");
        archive.matches_object(&object).expect("both are good")
    };
    assert!(names.into_iter().all(matches));
    assert!(matches("execsnoop.eb") && matches("no-relocations"));
    assert!(!matches("fields"));
}

/// Check that a kernel that cannot be packed is left out and named, that strict refuses it, and that an older output
/// stays as it was then.
#[test]
fn broken_kernels_are_named() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = dir.path().join("hub/debian/12/x86_64");
    std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
    let good = sample_hub().join("debian/12/x86_64/6.1.0-47-cloud-amd64.btf.tar.xz");
    std::fs::copy(good, folder.join("good.btf.tar.xz")).expect("it can be copied");
    std::fs::write(folder.join("broken.btf"), b"no BTF at all, but some bytes").expect("writable");
    std::fs::write(dir.path().join("hub/stray.btf"), b"").expect("writable");
    let out = dir.path().join("out.tar.gz");
    std::fs::write(&out, b"older").expect("writable");
    let pack = Pack::new()
        .object(object("execsnoop"))
        .hub(dir.path().join("hub"));
    let error = Pack::new()
        .object(object("execsnoop"))
        .hub(dir.path().join("hub"))
        .filter(KernelFilter::new().only("debian/*").expect("a glob"))
        .strict(true)
        .write(&out)
        .expect_err("strict refuses");
    assert!(
        matches!(
            error.kind(),
            ErrorKind::InvalidKernel | ErrorKind::InvalidName
        ),
        "{error}"
    );
    assert_eq!(std::fs::read(&out).expect("it is there"), b"older");
    let packed = pack.write(&out).expect("the good one is packed");
    assert_eq!(packed.totals.kernels, 1);
    let left_out: Vec<String> = packed.left_out.iter().map(ToString::to_string).collect();
    assert!(
        left_out.iter().any(|e| e.contains("stray.btf")),
        "{left_out:?}"
    );
    assert!(
        left_out.iter().any(|e| e.contains("broken.btf")),
        "{left_out:?}"
    );
}

/// Check that a cancelled pack writes nothing and leaves nothing behind.
#[test]
fn cancelled_pack_leaves_nothing() {
    struct CancelAtOnce(AtomicBool);
    impl Progress for CancelAtOnce {
        fn start(&self, _: usize) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let cancel = CancelAtOnce(AtomicBool::new(false));
    let error = Pack::new()
        .object(object("execsnoop"))
        .hub(sample_hub())
        .progress(&cancel)
        .cancel(&cancel.0)
        .write(dir.path().join("out.tar.gz"))
        .expect_err("it was cancelled");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0);
}
