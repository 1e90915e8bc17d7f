//! Checks: verdicts, effects, reasons and lines.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use btfgen::{Effect, KernelFilter, Pack, StoreUse, Support, Verdict};
use btfgen_testkit::{object, sample_hub};

fn check(name: &str) -> Support {
    let filter = KernelFilter::new().arch("x86_64").distro("debian");
    let pack = Pack::new().object(object(name)).hub(sample_hub());
    let pack = pack.filter(filter).store(StoreUse::None);
    pack.check().expect("the hub can be checked")
}

/// The group of the first kernel of a version of Linux.
fn group(support: &Support, linux: &str) -> usize {
    let mut groups = support.groups.iter();
    let of_linux = |release: &str| release.starts_with(&format!("{linux}."));
    groups
        .position(|group| group.kernels.iter().any(|k| of_linux(k.release())))
        .expect("the hub has it")
}

/// What the comments of a source say: for each line, what is expected on which version of Linux.
fn marks(name: &str) -> BTreeMap<u32, BTreeMap<String, String>> {
    let objects = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/objects");
    let source = fs::read_to_string(objects.join(format!("{name}.bpf.c"))).expect("it is there");
    let lines = (1..).zip(source.lines()).filter_map(|(line, text)| {
        let (_, comment) = text.split_once("/* ")?;
        let marks = comment.trim_end_matches("*/").split(',').map(|mark| {
            let (linux, word) = mark.split_once(": ")?;
            Some((linux.trim().to_owned(), word.trim().to_owned()))
        });
        Some((line, marks.collect::<Option<_>>()?))
    });
    lines.collect()
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Answer => "answer",
        Effect::Guarded => "guarded",
        Effect::Poisoned => "poisoned",
        Effect::Refused => "refused",
        _ => "unknown",
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Loads => "loads",
        Verdict::Poisoned => "poisoned",
        Verdict::Fails => "fails",
        Verdict::Refused => "refused",
        _ => "unknown",
    }
}

/// Check that each marked line of the source has the effects that its comment says, that no other line has one, and that the
/// programs have the verdicts above them.
#[test]
fn effects_of_lines() {
    let support = check("guards");
    let marks = marks("guards");
    let [checked] = &support.objects[..] else {
        panic!("there is one object");
    };
    for linux in ["5.10", "6.1"] {
        let group = group(&support, linux);
        let mut seen: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
        for failed in &checked.places {
            if let Some(&known) = failed.effects.get(&group) {
                let line = failed.place.line.expect("the object has lines");
                seen.entry(line).or_default().insert(effect(known));
            }
        }
        let programs = checked.programs.iter();
        let mut programs: BTreeMap<&str, Verdict> =
            programs.map(|p| (&p.name[..], p.verdicts[group])).collect();
        let source = fs::read_to_string(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../testkit/objects/guards.bpf.c"),
        )
        .expect("it is there");
        let lines: Vec<&str> = source.lines().collect();
        for (line, expected) in &marks {
            let below = lines.get(*line as usize).copied().unwrap_or_default();
            let expected = expected.get(linux).map(String::as_str);
            match below.strip_prefix("PROGRAM(") {
                Some(name) if lines[*line as usize - 1].starts_with("/*") => {
                    let name = name.trim_end_matches(')');
                    let known = programs.remove(name).expect("it is a program");
                    assert_eq!(Some(verdict(known)), expected, "{name} on {linux}");
                }
                _ => {
                    let known = seen.remove(line).unwrap_or_default();
                    let expected: BTreeSet<&str> = expected.into_iter().collect();
                    assert_eq!(known, expected, "line {line} on {linux}");
                }
            }
        }
        assert_eq!(seen, BTreeMap::new(), "other lines on {linux}");
        assert_eq!(programs, BTreeMap::new(), "other programs on {linux}");
    }
}

/// Check that the reasons name what the kernel lacks and what is nearest.
#[test]
fn reasons() {
    let support = check("guards");
    let reasons = |linux: &str| -> BTreeSet<String> {
        let group = &support.groups[group(&support, linux)];
        group.reasons.values().map(|r| r.to_string()).collect()
    };
    let nothing = "no `struct no_such_struct`".to_owned();
    assert_eq!(
        reasons("5.10"),
        [
            "no field `__state` in `struct task_struct`; nearest: `state`".to_owned(),
            nothing.clone()
        ]
        .into()
    );
    assert_eq!(
        reasons("6.1"),
        [
            "no field `state` in `struct task_struct`; nearest: `__state`".to_owned(),
            nothing
        ]
        .into()
    );
}
