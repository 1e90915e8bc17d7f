//! Compares with cilium/ebpf, in the versions that scripts/cilium-judges built: it relocates by its own code and rules, one
//! program at a time.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use btfgen_testkit::{target_btf, target_names};

use super::util::{bpftool_minimized, btf, judges, kernels, minimal, name, needs, objects};

/// Programs that ask for a type by a name that kernels have for a type of another kind: a struct for a typedef, a union for
/// a struct. Only cilium/ebpf accepts such a candidate, so neither a minimal BTF nor bpftool's has it.
const OTHER_KINDS: [(&str, &str); 3] = [
    ("typedefs", "roots"),
    ("edge", "offsets"),
    ("edge-matches", "offsets"),
];

/// The error for a relocation that the loader does not know: cilium/ebpf before 0.15 does not know `type_matches`.
const UNKNOWN: &str = "unknown: not supported";

/// The result of each program, by the number of its pair and its name: instructions, or "refused" with the reason.
type Answers = BTreeMap<(usize, String), String>;

/// The judge's result for each object with the BTF beside it.
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

/// Real kernels, and made-up ones in both byte orders, by name.
fn targets() -> BTreeMap<String, PathBuf> {
    let mut targets = kernels();
    for target in target_names() {
        let little_endian = target_btf(&target);
        let name = format!("{target}.eb");
        let big_endian = little_endian.with_file_name(format!("{name}.btf"));
        targets.insert(target, little_endian);
        // Some have no twin in the other byte order.
        if big_endian.exists() {
            targets.insert(name, big_endian);
        }
    }
    targets
}

/// The judge's result for an object with bpftool's BTF, if there is one.
fn with_bpftool(judge: &Path, kernel: &Path, object: &Path) -> Option<Answers> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    write(file.path(), &bpftool_minimized(kernel, object)?);
    Some(relocated(judge, [(file.path(), object)].into_iter()))
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("the temporary folder can be written");
}

/// The numbers of programs that were relocated alike, and refused alike, with the full BTF and with ours.
#[derive(Default)]
struct Counts {
    same: u32,
    refused: u32,
    /// Only cilium/ebpf finds a candidate in the full BTF.
    other_kind: u32,
    /// The loader cannot read the object, or does not know a relocation.
    unread: u32,
}

/// Compares the judge's results for each object with the kernel's BTF and with ours beside it. Returns the differences.
fn compare(
    judge: &Path,
    full: &Path,
    pairs: &[(PathBuf, &Path)],
    counts: &mut Counts,
) -> Vec<String> {
    let expected = relocated(judge, pairs.iter().map(|(_, object)| (full, *object)));
    let got = relocated(judge, pairs.iter().map(|(btf, object)| (&**btf, *object)));
    let mut wrong = Vec::new();
    for (key, expected) in expected {
        let (pair, program) = &key;
        let object = pairs[*pair].1;
        let object_name = name(object);
        // Without ".bpf.o", or ".eb.bpf.o" for the other byte order.
        let source = object_name.split('.').next().unwrap_or_default();
        let is_refused = expected.starts_with("refused");
        if program == "unread" || is_refused && expected.contains(UNKNOWN) {
            counts.unread += 1;
            continue;
        }
        let got = got.get(&key);
        // The reasons of a refusal may differ, because types are relocated in any order.
        if is_refused && got.is_some_and(|got| got.starts_with("refused")) {
            counts.refused += 1;
        } else if got == Some(&expected) {
            counts.same += 1;
        } else if OTHER_KINDS.contains(&(source, program)) && !is_refused {
            counts.other_kind += 1;
            let theirs = with_bpftool(judge, full, object);
            // bpftool does not accept objects of the other byte order.
            let theirs = theirs.as_ref().map(|t| t.get(&(0, program.clone())));
            if theirs.is_some_and(|theirs| theirs != got) {
                wrong.push(format!(
                    "{program} of {object_name}: {got:?}, with bpftool's BTF {theirs:?}"
                ));
            }
        } else {
            wrong.push(format!(
                "{program} of {object_name}: {got:?}, with the full BTF {expected}"
            ));
        }
    }
    wrong
}

/// Check that cilium/ebpf gives the same result for every program with our BTF as with the full one, on every kernel.
#[test]
fn programs_equal_those_with_the_full_btf() {
    let judges = judges("cilium-");
    if judges.is_empty() {
        return btfgen_testkit::skipped("no folder $JUDGES with what scripts/cilium-judges builds");
    }
    let mut judges: Vec<_> = judges.iter().map(|j| (j, Counts::default())).collect();
    let mut wrong = Vec::new();
    let objects: Vec<_> = objects().into_iter().map(|o| (needs(&o), o)).collect();
    for (kernel, path) in targets() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let full = dir.path().join("full.btf");
        let bytes = btfgen::read_kernel_file(&path, u64::MAX).expect("the kernel can be read");
        write(&full, &bytes);
        // A program is only for kernels of its byte order, which the first bytes show.
        let is_big_endian = bytes.starts_with(&[0xeb, 0x9f]);
        let parsed = btf(&path);
        let mut pairs = Vec::new();
        for (needs, object) in &objects {
            if name(object).contains(".eb.") == is_big_endian {
                let ours = dir.path().join(format!("{}.btf", pairs.len()));
                write(&ours, &minimal(needs, &parsed));
                pairs.push((ours, object.as_path()));
            }
        }
        for (judge, counts) in &mut judges {
            let differ = compare(judge, &full, &pairs, counts);
            wrong.extend(
                differ
                    .iter()
                    .map(|d| format!("{}, {kernel}, {d}", name(judge))),
            );
        }
    }
    for (judge, counts) in judges {
        let Counts {
            same,
            refused,
            other_kind,
            unread,
        } = counts;
        println!(
            "{}: {same} programs relocated alike, {refused} refused alike, {other_kind} find other kinds of types, {unread} not for it",
            name(judge)
        );
        assert!(same > refused, "most programs can be relocated");
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
