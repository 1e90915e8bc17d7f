//! What is written is read back.

use btfgen_archive::{Archive, ArchiveOptions, Builder, ErrorKind, KernelId, Manifest};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, proptest};

use super::{Kernels, builder, content, kernels, write};

fn check(bytes: &[u8], expected: &Kernels) {
    let archive = Archive::from_bytes(bytes).unwrap();
    let ids: Vec<_> = expected.keys().cloned().collect();
    assert_eq!(archive.kernels().unwrap(), ids);
    for (id, btf) in expected {
        assert_eq!(archive.get(id).unwrap().as_ref(), Some(btf), "{id}");
    }
    let missing = KernelId::new("ubuntu", "18.04", "x86_64", "5.0.0-1-gener").unwrap();
    assert_eq!(archive.get(&missing).unwrap(), None);

    let entries = archive.entries().unwrap();
    assert_eq!(entries.len(), ids.len());
    for entry in entries {
        let btf = &expected[&entry.kernel];
        assert_eq!(entry.size, btf.len() as u64);
        let target = entry.link_target.unwrap_or(entry.kernel);
        assert_eq!(&expected[&target], btf);
    }
}

/// Check that every kernel is read back, with and without links, index and prefix, in small and large archives.
#[test]
fn every_kernel() {
    let manifest = Manifest {
        tool: "btfgen 1".to_owned(),
        options: vec![],
        objects: vec![1, 0xfedc_ba98],
    };
    for kernels in [kernels(39, 12, 3000), kernels(300, 100, 8000)] {
        for (links, index, prefix) in [
            (true, true, ""),
            (true, false, "btfs"),
            (false, true, "deep/er"),
            (false, false, ""),
        ] {
            let builder = builder(&kernels)
                .prefix(prefix)
                .unwrap()
                .hard_links(links)
                .index(index)
                .manifest(manifest.clone())
                .file("package.json", *b"{}")
                .unwrap();
            let bytes = write(builder);
            check(&bytes, &kernels);
            let archive = Archive::from_bytes(&bytes).unwrap();
            assert_eq!(archive.has_index(), index);
            assert_eq!(archive.manifest().unwrap().as_ref(), Some(&manifest));
            for name in ["package.json", "./package.json"] {
                let file = archive.file(name).unwrap();
                assert_eq!(file.as_deref(), Some(&b"{}"[..]), "{name}");
            }
            assert_eq!(archive.file("package").unwrap(), None);
            assert_eq!(archive.file("../package.json").unwrap(), None);
        }
    }
}

/// Check that an archive of nothing is one.
#[test]
fn empty() {
    for index in [false, true] {
        let bytes = write(Builder::new().index(index));
        check(&bytes, &Kernels::new());
        let archive = Archive::from_bytes(&bytes).unwrap();
        assert_eq!(archive.manifest().unwrap(), None);
    }
}

/// Check that only large archives have an index by default, and the size of the index.
#[test]
fn index_where_it_pays() {
    let small = kernels(39, 12, 3000);
    let mut bytes = Vec::new();
    let summary = builder(&small).write(&mut bytes).unwrap();
    assert_eq!(summary.index_bytes, 0);
    assert_eq!((summary.kernels, summary.distinct), (39, 12));

    let summary = builder(&small).index(true).write(&mut bytes).unwrap();
    assert!((100..=400).contains(&summary.index_bytes), "{summary:?}");

    let bytes = write(builder(&kernels(600, 10, 1000)));
    assert!(Archive::from_bytes(&bytes).unwrap().has_index());
}

/// Check that all kernels of one release and architecture are found, whatever the distribution.
#[test]
fn find() {
    let id = |distro, version, arch, release| KernelId::new(distro, version, arch, release);
    let ids = [
        id("centos", "8", "x86_64", "4.18.0-305.el8").unwrap(),
        id("ol", "8.10", "x86_64", "4.18.0-305.el8").unwrap(),
        id("ol", "8.9", "arm64", "4.18.0-305.el8").unwrap(),
        id("ol", "8.9", "x86_64", "4.18.0-305.el8").unwrap(),
        id("ol", "8.9", "x86_64", "4.18.0-305.el8.1").unwrap(),
        id("ol", "8.9", "x86_64", "4.18.0-30").unwrap(),
    ];
    for index in [false, true] {
        let add = |builder: Builder, id: &KernelId| builder.add(id.clone(), *b"BTF").unwrap();
        let bytes = write(ids.iter().fold(Builder::new().index(index), add));
        let archive = Archive::from_bytes(&bytes).unwrap();
        let found = archive.find("4.18.0-305.el8", "x86_64").unwrap();
        assert_eq!(found, [ids[0].clone(), ids[3].clone(), ids[1].clone()]);
        assert_eq!(archive.find("4.18.0-305.el8", "x86").unwrap(), []);
        assert_eq!(archive.find("4.18.0", "x86_64").unwrap(), []);
        assert_eq!(archive.find("", "").unwrap(), []);
    }
}

/// Check that names use the whole of a ustar header, link only where they can, and are errors beyond.
#[test]
fn long_names() {
    let id = |len: usize| {
        // "./ubuntu/20.04/x86_64/" and ".btf" around the release.
        let release = "r".repeat(len - 26);
        KernelId::new("ubuntu", "20.04", "x86_64", &release).unwrap()
    };
    // The name field holds 100 bytes; what is before the release goes into the prefix.
    for lengths in [&[100, 101, 102][..], &[101, 102]] {
        let kernels: Kernels = lengths.iter().map(|len| (id(*len), vec![7])).collect();
        for index in [false, true] {
            let bytes = write(builder(&kernels).index(index));
            check(&bytes, &kernels);
            let entries = Archive::from_bytes(&bytes).unwrap().entries().unwrap();
            let links = entries.iter().filter(|entry| entry.link_target.is_some());
            let expected = if lengths[0] == 100 {
                lengths.len() - 1
            } else {
                0
            };
            assert_eq!(links.count(), expected);
        }
    }
    let kernels = Kernels::from([(id(123), vec![])]);
    let error = builder(&kernels).write(Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NameTooLong);
    assert!(error.to_string().contains("rrr"), "{error}");
}

/// Check that an entry beyond the reader's limit is refused, and an archive beyond it given up.
#[test]
fn limits() {
    let kernels = kernels(4, 4, 10_000);
    for index in [false, true] {
        let bytes = write(builder(&kernels).index(index));
        let id = kernels.keys().next().unwrap();
        let open = |options: ArchiveOptions| options.open(&bytes[..]).unwrap();

        let archive = open(ArchiveOptions::new().max_entry_size(9_999));
        let error = archive.get(id).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge);
        assert!(error.to_string().contains(id.release()), "{error}");
        assert!(
            open(ArchiveOptions::new().max_entry_size(10_000))
                .get(id)
                .is_ok()
        );

        let archive = open(ArchiveOptions::new().max_total_size(20_000));
        assert_eq!(archive.entries().unwrap_err().kind(), ErrorKind::TooLarge);
        assert_eq!(archive.get(id).is_ok(), index);
    }
}

/// Kernels in some order.
type Sequence = Vec<(KernelId, Vec<u8>)>;

/// Kernels in two orders.
fn shuffled() -> impl Strategy<Value = (Sequence, Sequence)> {
    let part = "[a-c0-9][a-c0-9.]{0,2}";
    let contents = (0..5_usize, 0..3000_usize).prop_map(|(seed, len)| content(seed, len));
    let kernel = (part, part, part, part);
    prop::collection::btree_map(kernel, contents, 0..20).prop_flat_map(|kernels| {
        let kernels: Sequence = kernels
            .into_iter()
            .map(|((d, v, a, r), btf)| (KernelId::new(&d, &v, &a, &r).unwrap(), btf))
            .collect();
        (Just(kernels.clone()), Just(kernels).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Check that the bytes do not depend on the order kernels are added in, and everything is read back.
    #[test]
    fn deterministic(
        (sorted, shuffled) in shuffled(),
        links in any::<bool>(),
        index in any::<bool>(),
    ) {
        let build = |kernels: &Sequence, files: [&str; 2]| {
            let builder = Builder::new().hard_links(links).index(index);
            let builder = files.into_iter().fold(builder, |builder, name| {
                builder.file(name, name.as_bytes()).unwrap()
            });
            write(kernels.iter().cloned().fold(builder, |builder, (id, btf)| {
                builder.add(id, btf).unwrap()
            }))
        };
        let bytes = build(&sorted, ["a", "b"]);
        assert_eq!(build(&shuffled, ["b", "a"]), bytes);
        check(&bytes, &sorted.into_iter().collect());
    }
}
