//! Tests with made-up kernels, whose outcomes are known.

use btfgen::{LoadedBtf, Minimizer, Outcome, ReloKind};
use btfgen_testkit::{object, target_btf, target_names};

use super::util::{bpftool_minimized, btf, minimal, name, needs, objects};

/// All made-up kernels, in both byte orders if they exist.
fn targets() -> Vec<(String, LoadedBtf<'static>)> {
    let mut out = Vec::new();
    for target in target_names() {
        out.push((target.clone(), btf(&target_btf(&target))));
        if !["ilp32", "words32"].contains(&&*target) {
            let twin = format!("{target}.eb");
            out.push((twin.clone(), btf(&target_btf(&twin))));
        }
    }
    out
}

/// Check that every object can be minimized for every made-up kernel, with the outcomes of the full BTF and of bpftool's, if
/// bpftool makes one.
#[test]
fn outcomes_are_preserved() {
    let mut compared = 0;
    for (target, full) in targets() {
        for path in objects() {
            let needs = needs(&path);
            let minimizer = Minimizer::new(&needs);
            let case = format!("{target} for {}", name(&path));
            let expected = minimizer.outcomes(&full).expect("the kernel is good");
            let ours = LoadedBtf::parse(minimal(&needs, &full)).expect("what we write is BTF");
            let again = minimizer.outcomes(&ours).expect("what we write is good");
            assert_eq!(again, expected, "{case}");
            // If several types have one name, bpftool keeps those that were left when it reached them in the object's order.
            // So its outcomes differ from those of the full BTF if only some of the programs are loaded.
            if !name(&path).starts_with("edge") || target.contains("agreeing") {
                continue;
            }
            if let Some(theirs) = bpftool_minimized(&target_btf(&target), &path) {
                let theirs = LoadedBtf::parse(&theirs).expect("what bpftool writes is BTF");
                let theirs = minimizer.outcomes(&theirs).expect("bpftool's BTF is good");
                assert_eq!(again, theirs, "{case}, with bpftool");
                compared += 1;
            }
        }
    }
    assert!(compared > 0, "bpftool made nothing to compare with");
}

/// Check that the same source gives the same outcomes in both byte orders.
#[test]
fn byte_orders_are_alike() {
    for target in target_names()
        .into_iter()
        .filter(|t| !["ilp32", "words32"].contains(&&**t))
    {
        let (little, big) = (
            btf(&target_btf(&target)),
            btf(&target_btf(&format!("{target}.eb"))),
        );
        let needs = needs(&object("edge-matches"));
        let minimizer = Minimizer::new(&needs);
        let outcomes = |btf| minimizer.outcomes(btf).expect("the kernel is good");
        for ((need, l), b) in needs.iter().zip(outcomes(&little)).zip(outcomes(&big)) {
            // Bitfields start at the other end of their unit.
            let placed = matches!(
                need.kind(),
                ReloKind::FieldLshiftU64 | ReloKind::FieldByteOffset
            );
            if !placed {
                assert_eq!(l, b, "{target}: {need}");
            }
        }
    }
}

/// Check that types of one name are refused before and after if they disagree, as in libbpf, and are one if they agree.
#[test]
fn several_candidates() {
    let needs = needs(&object("edge"));
    let minimizer = Minimizer::new(&needs);
    let failures = |target: &str| {
        let outcomes = minimizer.outcomes(&btf(&target_btf(target))).expect("good");
        outcomes
            .iter()
            .filter(|o| matches!(o, Outcome::Failed { errno: 22, .. }))
            .count()
    };
    assert!(failures("disagreeing") > failures("same"));
    assert!(failures("agreeing") <= failures("disagreeing"));
    let ours = minimal(&needs, &btf(&target_btf("disagreeing")));
    let again = minimizer
        .outcomes(&LoadedBtf::parse(&ours).expect("BTF"))
        .expect("good");
    let kept = again
        .iter()
        .filter(|o| matches!(o, Outcome::Failed { errno: 22, .. }))
        .count();
    assert_eq!(kept, failures("disagreeing"));
}

/// Check that pointers of a 32-bit kernel keep their size, though those of this host have another.
#[test]
fn pointer_size_is_kept() {
    let full = btf(&target_btf("ilp32"));
    assert_eq!(full.pointer_size(), Some(4));
    let ours = minimal(&needs(&object("edge")), &full);
    assert_eq!(
        LoadedBtf::parse(&ours).expect("BTF").pointer_size(),
        Some(4)
    );
}

/// Check that pointers keep their size where another integer of that name would tell another one: the first one counts.
#[test]
fn several_longs() {
    let info = |kind: btfgen::Kind, vlen: u32| (kind as u32) << 24 | vlen;
    let (long, task, parent, tgid) = (1, 6, 18, 30);
    let bytes = btfgen_testkit::made_up_btf(
        &[
            &[long, info(btfgen::Kind::Int, 0), 8, 1 << 24 | 64],
            &[long, info(btfgen::Kind::Int, 0), 4, 1 << 24 | 32],
            &[
                task,
                info(btfgen::Kind::Struct, 2),
                16,
                parent,
                4,
                0,
                tgid,
                2,
                64,
            ],
            &[0, info(btfgen::Kind::Ptr, 0), 3],
        ],
        b"\0long\0task_struct\0real_parent\0tgid\0",
    );
    let full = LoadedBtf::parse(bytes).expect("it is good");
    assert_eq!(full.pointer_size(), Some(8));
    let minimal = minimal(&needs(&btfgen_testkit::object("execsnoop")), &full);
    let minimal = LoadedBtf::parse(minimal).expect("it is BTF");
    assert_eq!(minimal.pointer_size(), Some(8));
}
