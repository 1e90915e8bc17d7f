//! Every kernel with every object: the full BTF, ours, and bpftool's give the same outcomes.

use btfgen::{LoadedBtf, Minimizer, Outcome};

use super::util::{bpftool_minimized, btf, kernels, name, needs, objects};

/// Check that our BTF gives the outcomes of the full BTF and of bpftool's, if bpftool makes one, and is never larger.
#[test]
fn outcomes_equal_full_and_bpftool() {
    let (mut pairs, mut with_bpftool, mut outcomes) = (0, 0, 0);
    let (mut ours_bytes, mut theirs_bytes) = (0, 0);
    let mut wrong = Vec::new();
    let objects: Vec<_> = objects().into_iter().map(|o| (needs(&o), o)).collect();
    for (kernel, path) in kernels() {
        let full = btf(&path);
        let plain = tempfile::Builder::new()
            .suffix(".btf")
            .tempfile()
            .expect("a temporary file");
        let bytes = btfgen::read_kernel_file(&path, u64::MAX).expect("the kernel can be read");
        std::fs::write(plain.path(), bytes).expect("the temporary file can be written");
        for (needs, object) in &objects {
            let case = format!("{kernel} for {}", name(object));
            let minimizer = Minimizer::new(needs);
            let expected = minimizer.outcomes(&full).expect("the kernel is good");
            let ours = minimizer
                .minimize(&full)
                .expect("the kernel can be minimized");
            assert_eq!(ours.outcomes, expected, "{case}");
            let parsed = LoadedBtf::parse(&ours.btf).expect("what we write is BTF");
            let again = minimizer.outcomes(&parsed).expect("what we write is good");
            compare(&mut wrong, &case, "ours", needs, &expected, &again);
            pairs += 1;
            outcomes += expected.len();
            // bpftool refuses objects of the other byte order, and kinds of types that it does not know.
            let Some(theirs) = bpftool_minimized(plain.path(), object) else {
                continue;
            };
            with_bpftool += 1;
            let parsed = LoadedBtf::parse(&theirs).expect("what bpftool writes is BTF");
            let theirs_outcomes = minimizer.outcomes(&parsed).expect("bpftool's BTF is good");
            compare(
                &mut wrong,
                &case,
                "bpftool",
                needs,
                &theirs_outcomes,
                &again,
            );
            if ours.btf.len() > theirs.len() {
                wrong.push(format!(
                    "{case}: ours has {} bytes, bpftool's {}",
                    ours.btf.len(),
                    theirs.len()
                ));
            }
            ours_bytes += ours.btf.len();
            theirs_bytes += theirs.len();
        }
    }
    println!(
        "{pairs} pairs of kernel and object, {outcomes} outcomes; bpftool made {with_bpftool} of them: \
         {theirs_bytes} bytes, ours {ours_bytes}"
    );
    assert!(with_bpftool > 0, "bpftool made nothing to compare with");
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn compare(
    wrong: &mut Vec<String>,
    case: &str,
    whose: &str,
    needs: &btfgen::Needs,
    expected: &[Outcome],
    got: &[Outcome],
) {
    for ((need, expected), got) in needs.iter().zip(expected).zip(got) {
        if expected != got {
            wrong.push(format!(
                "{case}: {need}: {got:?}, with {whose} {expected:?}"
            ));
        }
    }
}
