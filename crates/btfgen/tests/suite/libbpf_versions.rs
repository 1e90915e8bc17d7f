//! Compares with other versions of libbpf: the system's, which is 1.1 on Debian 12, and those that scripts/libbpf-versions
//! built. Some look at more facts than ours.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use btfgen_testkit::{object, target_btf, target_names};
use rayon::prelude::*;

use super::util::{btf, judges, kernels, minimal, name, needs, objects};

const JUDGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/judges/libbpf.c");

/// The judge with the system's libbpf, or the reason why there is none.
pub(super) fn build(folder: &Path) -> Result<PathBuf, String> {
    let out = folder.join("libbpf-system");
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

/// The judge's output for these programs, a bit for each. The error says how the judge ended early.
pub(super) fn relocated(
    judge: &Path,
    object: &Path,
    btf: &Path,
    programs: u64,
) -> Result<String, String> {
    let mut judge = Command::new(judge);
    judge.arg(object).arg(btf).arg(format!("{programs:x}"));
    let output = judge.output().expect("the judge runs");
    if !output.status.success() {
        return Err(format!("{judge:?}: {output:?}"));
    }
    Ok(String::from_utf8(output.stdout).expect("the judge prints text"))
}

/// A judge, and the numbers of objects that it relocated alike, and refused alike, with the full BTF and with ours.
struct Judge {
    program: PathBuf,
    same: AtomicU32,
    refused: AtomicU32,
    /// With the full BTF, the judge does not reach the relocations: for instance, libbpf before 1.0 does not know enums of
    /// 64 bits.
    unread: AtomicU32,
    wrong: Mutex<Vec<String>>,
}

impl Judge {
    /// All existing judges. Reports it if there is none for the system's libbpf.
    fn all(folder: &Path) -> Vec<Self> {
        let mut programs = judges("libbpf-");
        match build(folder) {
            Ok(program) => programs.push(program),
            Err(why) => {
                btfgen_testkit::skipped(format_args!("the system's libbpf, no judge: {why}"));
            }
        }
        let new = |program| Self {
            program,
            same: AtomicU32::default(),
            refused: AtomicU32::default(),
            unread: AtomicU32::default(),
            wrong: Mutex::default(),
        };
        programs.into_iter().map(new).collect()
    }

    /// Compares the results for an object with the full BTF and with ours.
    fn compare(&self, case: &str, object: &Path, [full, ours]: [&Path; 2], programs: u64) {
        let judged = |btf: &Path| {
            relocated(&self.program, object, btf, programs).expect("the judge ends by itself")
        };
        let expected = judged(full);
        let count = match expected.get(..7) {
            Some("unread:") => {
                self.unread.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Some("refused") => &self.refused,
            _ => &self.same,
        };
        count.fetch_add(1, Ordering::Relaxed);
        let got = judged(ours);
        if got != expected {
            let judge = name(&self.program);
            let wrong = format!("{judge}, {case}:\n{got}with the full BTF\n{expected}");
            self.wrong.lock().expect("no panics").push(wrong);
        }
    }

    /// The numbers of relocated and refused objects; `None`, with a message, if nothing could be judged.
    fn finish(self) -> Option<[u32; 2]> {
        let judge = name(&self.program);
        let wrong = self.wrong.into_inner().expect("no panics");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let [same, refused, unread] =
            [self.same, self.refused, self.unread].map(AtomicU32::into_inner);
        if same == 0 {
            btfgen_testkit::skipped(format_args!("{judge} may not use BPF here; run as root"));
            return None;
        }
        println!("{judge}: {same} relocated alike, {refused} refused alike, {unread} not for it");
        Some([same, refused])
    }
}

fn write(path: &Path, bytes: Vec<u8>) {
    std::fs::write(path, bytes).expect("the temporary folder can be written");
}

/// Check that each libbpf makes the same instructions of every program with our BTF as with the full one.
#[test]
fn instructions_equal_those_with_the_full_btf() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let judges = Judge::all(dir.path());
    // Type ids differ, and other tests compare them. libbpf opens only objects of this host's byte order.
    let mut objects = objects();
    objects.retain(|o| {
        let name = name(o);
        !["types.", "missing."].iter().any(|n| name.starts_with(n)) && !name.contains(".eb.")
    });
    let mut objects: Vec<_> = objects.iter().map(|o| (o, needs(o))).collect();
    objects.retain(|(_, needs)| needs.iter().next().is_some());
    kernels().par_iter().for_each(|(kernel, path)| {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (full, ours) = (dir.path().join("full.btf"), dir.path().join("ours.btf"));
        let kernel_btf = btf(path);
        let bytes = btfgen::read_kernel_file(path, u64::MAX).expect("the kernel can be read");
        write(&full, bytes);
        for (object, needs) in &objects {
            write(&ours, minimal(needs, &kernel_btf));
            let case = format!("{kernel} for {}", name(object));
            for judge in &judges {
                judge.compare(&case, object, [&full, &ours], u64::MAX);
            }
        }
    });
    for judge in judges {
        if let Some([same, refused]) = judge.finish() {
            assert!(same > refused, "most objects can be relocated");
        }
    }
}

/// Check the same for any selection of an object's programs: libbpf drops candidates after each relocation, so each
/// selection may have other results.
#[test]
fn any_selection_of_programs() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let judges = Judge::all(dir.path());
    let targets: Vec<_> = target_names()
        .into_iter()
        .filter(|t| !["ilp32", "words32"].contains(&&**t))
        .collect();
    targets.par_iter().for_each(|target| {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let ours = dir.path().join("ours.btf");
        let full = target_btf(target);
        for object in ["edge", "first", "nesting", "enums"].map(object) {
            write(&ours, minimal(&needs(&object), &btf(&full)));
            // Each of the first four programs alone, all of them, and some pairs and triples. The fifth program of `edge`
            // asks for type ids, which differ.
            for programs in [1, 2, 4, 8, 3, 5, 6, 7, 0xa, 0xc, 0xf] {
                let case = format!("{target} for {}, programs {programs:#x}", name(&object));
                for judge in &judges {
                    judge.compare(&case, &object, [&full, &ours], programs);
                }
            }
        }
    });
    for judge in judges {
        if let Some([_, refused]) = judge.finish() {
            assert!(refused > 0, "some candidates disagree");
        }
    }
}
