//! Whole archives.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

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
    let names = ["execsnoop", "execsnoop.eb", "bootstrap", "enums"];
    let packed = pack(&names, 1, &one);
    pack(&names, 3, &two);
    let bytes = std::fs::read(&one).expect("it was written");
    assert_eq!(bytes, std::fs::read(&two).expect("it was written"));
    assert_eq!(packed.archive(), bytes);
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
        let outcomes = |btf: &LoadedBtf<'_>| minimizer.outcomes(btf).expect("it is good");
        let full = outcomes(&btf(kernel.path()));
        assert_eq!(outcomes(&content), full, "{}", kernel.id());
        let set = packed.matrix.set_of(kernel.id()).expect("it was packed");
        assert_eq!(packed.matrix.sets()[set].outcomes, full);
    }
    assert_eq!(packed.matrix.sets().len(), packed.totals.outcome_sets);
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
    hub(dir.path(), 1..2);
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
        left_out.iter().any(|e| e.contains("/1.btf")),
        "{left_out:?}"
    );
}

/// A hub with a good kernel, broken kernels, and a file with a wrong path.
fn hub(dir: &Path, broken: std::ops::Range<u32>) -> PathBuf {
    let hub = dir.join("hub");
    let folder = hub.join("debian/12/x86_64");
    std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
    let good = sample_hub().join("debian/12/x86_64/6.1.0-47-cloud-amd64.btf.tar.xz");
    std::fs::copy(good, folder.join("0.btf.tar.xz")).expect("it can be copied");
    for n in broken {
        std::fs::write(folder.join(format!("{n}.btf")), b"no BTF at all").expect("writable");
    }
    hub
}

/// Check that objects and a hub that are values give the same archive as the same objects and hub in files.
#[test]
fn values() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let packed = pack(&["execsnoop", "enums"], 2, &dir.path().join("a.tar.gz"));
    let parsed = |name: &str| {
        let bytes = std::fs::read(object(name)).expect("the object is there");
        Object::parse(name, &bytes).expect("the object is good")
    };
    let values = Pack::new()
        .parsed_object(parsed("enums"))
        .object(object("execsnoop"))
        .opened_hub(Hub::open(&[sample_hub()]).expect("it is a hub"));
    let values = values.build().expect("the sample hub can be packed");
    assert_eq!(values.archive(), packed.archive());
    assert_eq!(values.into_archive(), packed.into_archive());
    let filter = KernelFilter::new().arch("mips");
    let empty = Pack::new().opened_hub(Hub::open(&[sample_hub()]).expect("it is a hub"));
    let error = empty.filter(filter).build().expect_err("none is left");
    assert_eq!(error.kind(), ErrorKind::NoKernels);
    assert_eq!(error.subject(), sample_hub().display().to_string());
}

/// Check that strict names the first broken kernel for any number of threads.
#[test]
fn strict_names_the_first() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let hub = hub(dir.path(), 1..40);
    for threads in 1..5 {
        let pack = Pack::new().object(object("execsnoop")).hub(&hub);
        let error = pack.threads(threads).strict(true).build();
        let error = error.expect_err("strict refuses");
        assert!(error.subject().ends_with("/1.btf"), "{error}");
    }
}

/// The newest time of a path and everything below it, as cargo computes it. `None` if the path is missing: cargo then runs
/// the script.
fn time(path: &Path) -> Option<SystemTime> {
    let metadata = std::fs::metadata(path).ok()?;
    let below = metadata.is_dir().then(|| std::fs::read_dir(path));
    let below = below.into_iter().flatten().flatten();
    let times = below.filter_map(|entry| time(&entry.ok()?.path()));
    times.chain([metadata.modified().ok()?]).max()
}

/// Check that cargo notices objects and kernels that are new, changed or gone, and that a pack itself changes nothing.
#[test]
fn rerun_if_changed() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let hub = hub(dir.path(), 0..0);
    let app = dir.path().join("app.bpf.o");
    std::fs::copy(object("execsnoop"), &app).expect("it can be copied");
    let watched = || {
        let pack = Pack::new().object(&app).hub(&hub);
        pack.rerun_if_changed()
    };
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    // Makes everything old, makes the change, and returns whether cargo would run the script again.
    let is_noticed = |change: &dyn Fn()| {
        fn age(path: &Path, past: SystemTime) {
            let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
            entries.for_each(|entry| age(&entry.path(), past));
            let file = std::fs::File::open(path).expect("it is there");
            file.set_modified(past).expect("it is ours");
        }
        age(dir.path(), past);
        let watched = watched();
        change();
        watched
            .iter()
            .any(|path| time(path).is_none_or(|t| t > past))
    };
    let write = |path: PathBuf| {
        let folder = path.parent().expect("it is in a folder");
        std::fs::create_dir_all(folder).expect("the temporary folder is writable");
        std::fs::write(path, b"").expect("writable");
    };
    assert_eq!(watched(), [app.clone(), hub.clone()]);
    assert!(!is_noticed(&|| {}));
    assert!(!is_noticed(&|| {
        let pack = Pack::new().object(&app).hub(&hub).build();
        pack.expect("a kernel is sound");
    }));
    let kernel = || hub.join("debian/12/x86_64/2.btf");
    assert!(is_noticed(&|| write(kernel())));
    assert!(is_noticed(&|| write(kernel())));
    assert!(is_noticed(
        &|| std::fs::remove_file(kernel()).expect("it is there")
    ));
    assert!(is_noticed(&|| write(hub.join("new/13/arm64/1.btf"))));
    assert!(is_noticed(&|| write(app.clone())));
    let missing = Pack::new()
        .hub(dir.path().join("missing"))
        .rerun_if_changed();
    assert_eq!(missing, [dir.path().join("missing")]);
    let opened = Hub::open(&[&hub]).expect("it is a hub");
    let values = Pack::new().opened_hub(opened).rerun_if_changed();
    assert_eq!(values, watched()[1..]);
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
