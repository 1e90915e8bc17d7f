//! The file of build ids in an archive.

use btfgen_archive::{Archive, BuildId, Builder, KernelId, Manifest};

use super::{builder, kernels, write};

fn id(seed: usize) -> BuildId {
    let bytes: Vec<u8> = (0..20).map(|n| (seed * 31 + n * 7) as u8).collect();
    BuildId::new(&bytes).unwrap()
}

/// Check that each kernel has the first bytes of its id, with an index and without one, and that others have none.
#[test]
fn round_trip() {
    let kernels = kernels(300, 100, 800);
    for index in [false, true] {
        let mut builder = builder(&kernels)
            .index(index)
            .prefix("some/folder")
            .unwrap();
        for (n, kernel) in kernels.keys().enumerate().filter(|(n, _)| n % 3 > 0) {
            builder = builder.build_id(kernel.clone(), id(n));
        }
        let bytes = write(builder.manifest(Manifest::default()));
        let archive = Archive::from_bytes(&bytes).unwrap();
        let ids = archive.build_ids().unwrap();
        for (n, kernel) in kernels.keys().enumerate() {
            let expected = (n % 3 > 0).then(|| id(n).short());
            assert_eq!(ids.get(kernel), expected, "{kernel}");
        }
        assert_eq!(ids.iter().count(), 200);
        assert!(ids.iter().all(|(kernel, id)| ids.get(&kernel) == Some(id)));
        assert_eq!(archive.kernels().unwrap().len(), 300);
    }
}

/// Check that an archive without known ids has the bytes of one that was never asked to have any.
#[test]
fn without_ids() {
    let kernels = kernels(20, 10, 400);
    let absent: KernelId = "debian/12/x86_64/6.1.0-47-amd64".parse().unwrap();
    let with = |change: fn(Builder, KernelId) -> Builder| {
        let builder = builder(&kernels).manifest(Manifest::default());
        write(change(builder, absent.clone()))
    };
    let bytes = with(|builder, _| builder);
    assert_eq!(
        with(|builder, absent| builder.build_id(absent, id(1))),
        bytes
    );
    let archive = Archive::from_bytes(&bytes).unwrap();
    assert!(archive.build_ids().unwrap().is_empty());
}

/// Check that the order in which ids are added does not matter.
#[test]
fn deterministic() {
    let kernels = kernels(20, 10, 400);
    let add =
        |builder: Builder, (n, kernel): (usize, &KernelId)| builder.build_id(kernel.clone(), id(n));
    let forward = kernels.keys().enumerate().fold(builder(&kernels), add);
    let keys: Vec<_> = kernels.keys().enumerate().collect();
    let backward = keys.into_iter().rev().fold(builder(&kernels), add);
    assert_eq!(write(forward), write(backward));
}
