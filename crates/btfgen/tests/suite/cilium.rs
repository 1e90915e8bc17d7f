//! cilium/ebpf as another judge, in the versions that scripts/cilium-judges built: it relocates by its own code and rules, one
//! program at a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use btfgen_testkit::{target_btf, target_names};

use super::util::{bpftool_minimized, btf, judges, kernels, minimal, name, needs, objects};

/// What became of each program, by the number of its pair and its name: instructions, or "refused" with the reason.
type Answers = BTreeMap<(usize, String), String>;

/// What the judge makes of each object with the BTF beside it.
fn relocated<'a>(judge: &Path, pairs: impl Iterator<Item = (&'a Path, &'a Path)>) -> Answers {
    let mut command = Command::new(judge);
    for (btf, object) in pairs {
        command.args([btf, object]);
    }
    let output = command.output().expect("the judge runs");
    assert!(output.status.success(), "{}: {output:?}", judge.display());
    let text = String::from_utf8(output.stdout).expect("the judge prints text");
    let answer = |line: &str| {
        let mut fields = line.splitn(3, '\t');
        let mut field = || fields.next().expect("a line has three fields").to_owned();
        let number = field().parse().expect("the first field is a number");
        ((number, field()), field())
    };
    text.lines().map(answer).collect()
}

/// Real kernels and made-up ones of both byte orders, by name.
fn targets() -> BTreeMap<String, PathBuf> {
    let mut targets = kernels();
    for name in target_names() {
        targets.insert(name.clone(), target_btf(&name));
    }
    targets
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("the temporary folder can be written");
}

/// Check that cilium/ebpf makes the same of every program with our BTF as with the full one, on every kernel.
#[test]
fn programs_equal_those_with_the_full_btf() {
    let judges = judges("cilium-");
    if judges.is_empty() {
        return btfgen_testkit::skipped(
            "$JUDGES names no folder with judges of scripts/cilium-judges",
        );
    }
    let mut counts = vec![[0; 3]; judges.len()];
    let mut wrong = Vec::new();
    let objects: Vec<_> = objects().into_iter().map(|o| (needs(&o), o)).collect();
    for (kernel, path) in targets() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let full = dir.path().join("full.btf");
        let bytes = btfgen::read_kernel_file(&path, u64::MAX).expect("the kernel can be read");
        write(&full, &bytes);
        // A program is for kernels of its byte order only, which the first bytes show.
        let is_big_endian = bytes.starts_with(&[0xeb, 0x9f]);
        let parsed = btf(&path);
        let pairs: Vec<_> = objects
            .iter()
            .filter(|(_, object)| name(object).contains(".eb.") == is_big_endian)
            .enumerate()
            .map(|(i, (needs, object))| {
                let ours = dir.path().join(format!("{i}.btf"));
                write(&ours, &minimal(needs, &parsed));
                (ours, object)
            })
            .collect();
        for (judge, [same, refused, unread]) in judges.iter().zip(&mut counts) {
            let expected = relocated(
                judge,
                pairs.iter().map(|(_, o)| (full.as_path(), o.as_path())),
            );
            let got = relocated(judge, pairs.iter().map(|(b, o)| (b.as_path(), o.as_path())));
            for (key, expected) in &expected {
                let (pair, program) = key;
                let object = pairs[*pair].1;
                match (program.as_str(), expected.starts_with("refused")) {
                    ("unread", _) => {
                        *unread += 1;
                        continue;
                    }
                    (_, true) => *refused += 1,
                    (_, false) => *same += 1,
                }
                if got.get(key) == Some(expected) {
                    continue;
                }
                let theirs = bpftool_minimized(&full, object).map(|theirs| {
                    let path = dir.path().join("theirs.btf");
                    write(&path, &theirs);
                    relocated(judge, [(path.as_path(), object.as_path())].into_iter())
                        .remove(&(0, program.clone()))
                });
                wrong.push(format!(
                    "{}: {kernel} for {} of {}:\n ours {:?}\n full {expected:?}\n bpftool {theirs:?}",
                    name(judge),
                    program,
                    name(object),
                    got.get(key),
                ));
            }
        }
    }
    for (judge, [same, refused, unread]) in judges.iter().zip(counts) {
        println!(
            "{}: {same} programs relocated alike, {refused} refused alike, {unread} objects are not for it",
            name(judge)
        );
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
