//! The system's libbpf as a judge, which is older than ours: 1.1 on Debian 12. It looks at more than ours does.

use std::path::{Path, PathBuf};
use std::process::Command;

use btfgen_testkit::{object, target_btf, target_names};

use super::util::{btf, kernels, minimal, name, needs};

const JUDGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/judges/libbpf.c");

/// The judge, or why there is none.
pub(super) fn build(folder: &Path) -> Result<PathBuf, String> {
    let out = folder.join("judge");
    let flags = Command::new("pkg-config")
        .args(["--cflags", "--libs", "libbpf"])
        .output()
        .map_err(|e| format!("pkg-config: {e}"))?;
    let flags = String::from_utf8_lossy(&flags.stdout).into_owned();
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Werror", "-o"]).arg(&out).arg(JUDGE);
    let built = cc.args(flags.split_whitespace()).output();
    let built = built.map_err(|e| format!("cc: {e}"))?;
    if built.status.success() {
        Ok(out)
    } else {
        Err(String::from_utf8_lossy(&built.stderr).into_owned())
    }
}

/// What the judge prints of these programs, a bit for each. `None` where it cannot judge: this process may not use BPF, for
/// instance.
pub(super) fn relocated(judge: &Path, object: &Path, btf: &Path, programs: u64) -> Option<String> {
    let mut judge = Command::new(judge);
    judge.arg(object).arg(btf).arg(format!("{programs:x}"));
    let output = judge.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// How many were relocated, and how many refused, by the full BTF and by ours alike.
#[derive(Default)]
struct Alike {
    same: u32,
    refused: u32,
}

impl Alike {
    /// Compares what the judge makes of an object with two BTFs. What it cannot judge is passed over.
    fn compare(&mut self, case: &str, judged: impl Fn(&Path) -> Option<String>, btfs: [&Path; 2]) {
        let Some(expected) = judged(btfs[0]) else {
            return;
        };
        assert_eq!(judged(btfs[1]).as_ref(), Some(&expected), "{case}");
        if expected.starts_with("refused") {
            self.refused += 1;
        } else {
            self.same += 1;
        }
    }

    /// False where nothing could be judged, which is said.
    fn is_judged(&self) -> bool {
        let Self { same, refused } = self;
        if *same == 0 {
            btfgen_testkit::skipped("the system's libbpf may not use BPF here; run as root");
        } else {
            println!("{same} relocated alike, {refused} refused alike");
        }
        *same > 0
    }
}

/// Check that the system's libbpf makes the same instructions of every program with our BTF as with the full one.
#[test]
fn instructions_equal_those_with_the_full_btf() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let judge = match build(dir.path()) {
        Ok(judge) => judge,
        Err(why) => return btfgen_testkit::skipped(format_args!("no judge can be built: {why}")),
    };
    let (full, ours) = (dir.path().join("full.btf"), dir.path().join("ours.btf"));
    let write = |path: &Path, bytes: Vec<u8>| {
        std::fs::write(path, bytes).expect("the temporary folder can be written");
    };
    let mut alike = Alike::default();
    for (kernel, path) in kernels() {
        let kernel_btf = btf(&path);
        let bytes = btfgen::read_kernel_file(&path, u64::MAX).expect("the kernel can be read");
        write(&full, bytes);
        for object in btfgen_testkit::objects() {
            // Type ids differ, and are compared elsewhere.
            if ["types.", "missing."]
                .iter()
                .any(|n| name(&object).starts_with(n))
            {
                continue;
            }
            write(&ours, minimal(&needs(&object), &kernel_btf));
            let case = format!("{kernel} for {}", name(&object));
            let judged = |btf: &Path| relocated(&judge, &object, btf, u64::MAX);
            alike.compare(&case, judged, [&full, &ours]);
        }
    }
    if alike.is_judged() {
        assert!(alike.same > alike.refused, "most objects can be relocated");
    }
}

/// Check that this holds for any selection of an object's programs: libbpf drops candidates from one relocation to the next,
/// so that each selection may come out otherwise.
#[test]
fn any_selection_of_programs() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let judge = match build(dir.path()) {
        Ok(judge) => judge,
        Err(why) => return btfgen_testkit::skipped(format_args!("no judge can be built: {why}")),
    };
    let ours = dir.path().join("ours.btf");
    let mut alike = Alike::default();
    for target in target_names().into_iter().filter(|t| t != "ilp32") {
        let full = target_btf(&target);
        for object in ["edge", "first", "nesting", "enums"].map(object) {
            let bytes = minimal(&needs(&object), &btf(&full));
            std::fs::write(&ours, bytes).expect("the temporary folder can be written");
            // Each of the first four programs alone, all of them, and some pairs and triples. The fifth one of `edge` asks for
            // type ids, which differ.
            for programs in [1, 2, 4, 8, 3, 5, 6, 7, 0xa, 0xc, 0xf] {
                let case = format!("{target} for {}, programs {programs:#x}", name(&object));
                let judged = |btf: &Path| relocated(&judge, &object, btf, programs);
                alike.compare(&case, judged, [&full, &ours]);
            }
        }
    }
    if alike.is_judged() {
        assert!(alike.refused > 0, "some candidates disagree");
    }
}
