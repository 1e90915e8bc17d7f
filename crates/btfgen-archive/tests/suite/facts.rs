//! The file of facts in an archive.

use btfgen_archive::{Archive, Builder, ErrorKind, KernelId, Manifest};
use btfgen_facts::{Answer, Answered, Fact};

use super::{builder, kernels, write};

fn facts() -> Vec<Fact> {
    let state = "task_struct.__state | task_struct.state";
    let state: Fact = state.parse().unwrap();
    vec![
        state.named("state").unwrap(),
        "func:tty_write".parse().unwrap(),
    ]
}

/// The answers of kernel number `seed`: some are equal.
fn answers(seed: usize) -> Vec<Answered> {
    let bytes = (seed % 7) as u32;
    let size = Answered {
        question: seed % 2,
        answer: Answer::Size { bytes },
    };
    let function = Answered {
        question: 0,
        answer: Answer::Unknown,
    };
    vec![size, function]
}

/// Check that each kernel has its answers, with an index and without one, and that others have none.
#[test]
fn round_trip() {
    let kernels = kernels(300, 100, 800);
    for index in [false, true] {
        let mut builder = builder(&kernels).index(index).facts(facts()).unwrap();
        builder = builder.prefix("some/folder").unwrap();
        for (n, kernel) in kernels.keys().enumerate().filter(|(n, _)| n % 3 > 0) {
            builder = builder.answers(kernel.clone(), answers(n));
        }
        let bytes = write(builder.manifest(Manifest::default()));
        let archive = Archive::from_bytes(&bytes).unwrap();
        let found = archive.facts().unwrap();
        assert_eq!(found.facts().unwrap(), facts());
        for (n, kernel) in kernels.keys().enumerate() {
            let expected = (n % 3 > 0).then(|| answers(n));
            assert_eq!(found.answers(kernel).unwrap(), expected, "{kernel}");
        }
        assert_eq!(archive.kernels().unwrap().len(), 300);
    }
}

/// Check that answers of a kernel that is not added are left out, that the order does not matter, and that without facts an
/// archive has the bytes of one that was never asked to have any.
#[test]
fn only_what_is_added() {
    let kernels = kernels(20, 10, 400);
    let absent: KernelId = "debian/12/x86_64/6.1.0-47-amd64".parse().unwrap();
    let add = |builder: Builder, (n, kernel): (usize, &KernelId)| {
        builder.answers(kernel.clone(), answers(n))
    };
    let start = || builder(&kernels).facts(facts()).unwrap();
    let forward = write(kernels.keys().enumerate().fold(start(), add));
    let keys: Vec<_> = kernels.keys().enumerate().collect();
    let with_absent = start().answers(absent.clone(), answers(1));
    let backward = write(keys.into_iter().rev().fold(with_absent, add));
    assert_eq!(forward, backward);
    let plain = write(builder(&kernels));
    let without = builder(&kernels).answers(absent.clone(), answers(1));
    assert_eq!(write(without.facts(Vec::new()).unwrap()), plain);
    let archive = Archive::from_bytes(&plain).unwrap();
    assert_eq!(archive.facts().unwrap().facts().unwrap(), []);
    assert_eq!(archive.facts().unwrap().answers(&absent).unwrap(), None);
}

/// Check that the file has the form that the README specifies, as other tars show it.
#[test]
fn as_specified() {
    let kernels: Vec<KernelId> = ["a/1/x86_64/5.4", "a/1/x86_64/5.5", "b/1/x86_64/5.4"]
        .map(|kernel| kernel.parse().unwrap())
        .to_vec();
    let mut builder = Builder::new().facts(facts()).unwrap();
    for (n, kernel) in kernels.iter().enumerate() {
        builder = builder.add(kernel.clone(), *b"BTF").unwrap();
        builder = builder.answers(kernel.clone(), answers(n % 2));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("btfs.tar.gz");
    std::fs::write(&path, write(builder)).unwrap();
    let mut tar = std::process::Command::new("tar");
    tar.arg("-xzOf").arg(&path).arg("./.btfgen/facts");
    let text = String::from_utf8(tar.output().unwrap().stdout).unwrap();
    let expected = "btfgen-facts 1\n\
        fact state task_struct.__state | task_struct.state\n\
        fact func_tty_write func:tty_write\n\
        row 0:size:0 0:unknown\n\
        a/1/x86_64/5.4\n\
        b/1/x86_64/5.4\n\
        row 1:size:1 0:unknown\n\
        a/1/x86_64/5.5\n";
    assert_eq!(text, expected);
}

/// Check that two facts of one name are refused, and so are answers that are not as many as the facts.
#[test]
fn refused() {
    let twice = vec!["a.b".parse().unwrap(), "a::b".parse().unwrap()];
    let error = Builder::new().facts(twice).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Duplicate);
    assert!(error.to_string().contains("a_b"), "{error}");
    let kernels = kernels(1, 1, 8);
    let kernel = kernels.keys().next().unwrap().clone();
    let builder = builder(&kernels).facts(facts()).unwrap();
    let builder = builder.answers(kernel, answers(0)[..1].to_vec());
    let error = builder.write(&mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidFacts);
}
