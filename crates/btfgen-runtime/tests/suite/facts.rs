//! What a lookup answers to the facts of an archive.

use std::fs;

use btfgen_archive::Builder;
use btfgen_btf::testing::made_up_btf;
use btfgen_runtime::{Answer, Answered, ErrorKind, Fact, KernelId, Lookup};

use crate::btf;

const RELEASE: &str = "5.4.0-26-generic";

/// An archive with kernels of `RELEASE` that have the same BTF, and the sizes of a struct in them.
fn archive(kernels: &[(&str, u32)]) -> Vec<u8> {
    let facts = ["size:task_struct", "func:tty_write"];
    let facts = facts.map(|fact| fact.parse::<Fact>().unwrap());
    let mut builder = Builder::new().facts(facts.to_vec()).unwrap();
    for &(directory, bytes) in kernels {
        let kernel: KernelId = format!("{directory}/{RELEASE}").parse().unwrap();
        let answers = [Answer::Size { bytes }, Answer::Unknown];
        let answers = answers.map(|answer| Answered {
            question: 0,
            answer,
        });
        builder = builder.add(kernel.clone(), btf("text")).unwrap();
        builder = builder.answers(kernel, answers.to_vec());
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes).unwrap();
    bytes
}

/// A lookup for a host with this os-release.
fn lookup<'a>(archive: &'a [u8], os_release: &std::path::Path) -> Lookup<'a> {
    let lookup = Lookup::new().archive_bytes(archive).os_release(os_release);
    lookup.release(RELEASE).arch("x86_64")
}

/// Check that the answers are those of the entry that was taken, and if several equal entries were, that answers in which they
/// differ are ambiguous.
#[test]
fn of_the_entry() {
    let archive = archive(&[("ubuntu/20.04/x86_64", 64), ("debian/10/amd64", 72)]);
    let os_release = tempfile::NamedTempFile::new().unwrap();
    let size = |os: &str| {
        fs::write(&os_release, os).unwrap();
        let lookup = lookup(&archive, os_release.path()).facts(true);
        let found = lookup.find().unwrap();
        let function = found.fact("func_tty_write").unwrap();
        assert_eq!(function.answer, Answer::Unknown);
        found.fact("size_task_struct").unwrap().answer.clone()
    };
    assert_eq!(
        size("ID=ubuntu\nVERSION_ID=20.04\n"),
        Answer::Size { bytes: 64 }
    );
    assert_eq!(
        size("ID=debian\nVERSION_ID=10\n"),
        Answer::Size { bytes: 72 }
    );
    let both = [64, 72].map(|bytes| Answer::Size { bytes });
    let Answer::Ambiguous(all) = size("ID=other\nVERSION_ID=1\n") else {
        panic!("the kernels differ");
    };
    assert!(all.len() == 2 && both.iter().all(|answer| all.contains(answer)));
}

/// Check that a BTF that is not the archive's is itself asked, and that the archive's facts say what.
#[test]
fn of_a_file() {
    let archive = archive(&[("ubuntu/20.04/x86_64", 64)]);
    // struct task_struct, of 80 bytes.
    let bytes = made_up_btf(&[&[1, 4 << 24, 80]], b"\0task_struct\0");
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(&file, bytes).unwrap();
    let lookup = Lookup::new().archive_bytes(&archive).btf_file(file.path());
    let found = lookup.facts(true).find().unwrap();
    let answers = found.facts().unwrap().into_iter();
    let answers = answers.map(|(fact, answered)| (fact.name(), answered.answer.clone()));
    let expected = [
        ("size_task_struct", Answer::Size { bytes: 80 }),
        ("func_tty_write", Answer::Unknown),
    ];
    assert!(answers.eq(expected));
}

/// Check that the error names the facts that there are, and what is missing.
#[test]
fn no_such_fact() {
    let with = archive(&[("ubuntu/20.04/x86_64", 64)]);
    let mut without = Vec::new();
    let kernel = format!("ubuntu/20.04/x86_64/{RELEASE}");
    let builder = Builder::new().add(kernel.parse().unwrap(), btf("text"));
    builder.unwrap().write(&mut without).unwrap();
    let os_release = tempfile::NamedTempFile::new().unwrap();
    fs::write(&os_release, "ID=ubuntu\nVERSION_ID=20.04\n").unwrap();
    for (archive, facts, told) in [
        (&with, true, "it has size_task_struct, func_tty_write"),
        (&with, false, "`Lookup::facts`"),
        (&without, true, "`btfgen pack --fact` adds them"),
    ] {
        let lookup = lookup(archive, os_release.path()).facts(facts);
        let error = lookup.find().unwrap().fact("other").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoFact);
        assert!(error.message().contains(told), "{error}");
    }
}

/// Check that a kernel whose answers are missing in an archive that has facts is an error, not a wrong answer.
#[test]
fn missing_answers() {
    let kernel: KernelId = format!("ubuntu/20.04/x86_64/{RELEASE}").parse().unwrap();
    let builder = Builder::new().add(kernel, btf("text")).unwrap();
    let mut bytes = Vec::new();
    let facts = vec!["size:task_struct".parse().unwrap()];
    let builder = builder.facts(facts).unwrap();
    builder.write(&mut bytes).unwrap();
    let os_release = tempfile::NamedTempFile::new().unwrap();
    fs::write(&os_release, "ID=ubuntu\nVERSION_ID=20.04\n").unwrap();
    let lookup = lookup(&bytes, os_release.path()).facts(true);
    let found = lookup.find().unwrap();
    let error = found.fact("size_task_struct").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Archive);
}
