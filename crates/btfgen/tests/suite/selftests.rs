//! Runs the kernel's own CO-RE selftests: its programs, and its made-up kernels, each alone and several in one BTF.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::concatenated::concatenated;
use super::judges::{Judges, Loaders, Relocated};
use super::util::{kernels, needs};

/// The suffixes of the names of objects and BTFs: little-endian, big-endian.
const ORDERS: [&str; 2] = ["", ".eb"];

/// The suffix of this host's byte order: the loaders relocate only such objects.
const HOST_ORDER: &str = ORDERS[cfg!(target_endian = "big") as usize];

/// Only every seventh triple of a program's kernels is tested.
const TRIPLES_STEP: usize = 7;

/// One of the kernel's cases: a line of the file that scripts/kernel-selftests writes.
struct Case {
    name: String,
    program: String,
    /// The made-up kernel; `None` if the program is for real kernels.
    target: Option<String>,
    fails: bool,
}

/// The folder of scripts/kernel-selftests, with its cases. `None`, with a message, if there is none.
fn selftests() -> Option<(PathBuf, Vec<Case>)> {
    let Some(folder) = std::env::var_os("SELFTESTS").map(PathBuf::from) else {
        btfgen_testkit::skipped("$SELFTESTS names no folder of scripts/kernel-selftests");
        return None;
    };
    let text = std::fs::read_to_string(folder.join("cases")).expect("$SELFTESTS has cases");
    let cases = text.lines().map(|line| {
        let fields: Vec<&str> = line.split(' ').collect();
        let [name, program, target, expected] = fields[..] else {
            panic!("a case has four fields: {line}")
        };
        Case {
            name: name.to_owned(),
            program: program.to_owned(),
            target: (target != "-").then(|| target.to_owned()),
            fails: expected == "fails",
        }
    });
    let cases = cases.collect();
    Some((folder, cases))
}

/// The folder, and who judges what comes of it.
struct Selftests {
    folder: PathBuf,
    judges: Judges,
}

impl Selftests {
    fn new(folder: PathBuf) -> Self {
        let judges = Judges::new(Loaders::LibbpfAndAya);
        Self { folder, judges }
    }

    /// Merges the BTFs of some made-up kernels of one byte order.
    fn target(&self, names: &[&str], order: &str) -> Vec<u8> {
        let read = |name| std::fs::read(self.folder.join(format!("{name}{order}.btf")));
        let btfs: Vec<Vec<u8>> = names
            .iter()
            .map(|n| read(n).expect("it was made"))
            .collect();
        concatenated(&btfs.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// Compares a program on several kernels in one BTF, in both byte orders.
    fn compare_merged(&mut self, program: &str, targets: &[&str]) {
        for order in ORDERS {
            let full = self.target(targets, order);
            self.compare(&format!("{}{order}", targets.join(" + ")), program, &full);
        }
    }

    /// Compares a program on one kernel, in both byte orders. Returns libbpf's result, if libbpf could be asked.
    fn compare(&mut self, case: &str, program: &str, full: &[u8]) -> Option<Relocated> {
        let mut relocated = None;
        for order in ORDERS {
            let object = self.folder.join(format!("{program}{order}.bpf.o"));
            let case = format!("{case} for {program}{order}");
            if order == HOST_ORDER {
                relocated = self.judges.compare(&case, &object, full);
            } else {
                self.judges.compare_outcomes(&case, &needs(&object), full);
            }
        }
        relocated
    }
}

/// Check that each of the kernel's cases has the same result with the minimal BTF as with the full one, and the result that
/// the kernel expects.
#[test]
fn cases() {
    let Some((folder, cases)) = selftests() else {
        return;
    };
    let mut selftests = Selftests::new(folder);
    for case in &cases {
        let fulls: Vec<(String, Vec<u8>)> = match &case.target {
            Some(target) => ORDERS
                .map(|order| (order.to_owned(), selftests.target(&[target], order)))
                .into(),
            None => {
                let read = |path: &Path| btfgen::read_kernel_file(path, u64::MAX);
                kernels()
                    .iter()
                    .map(|(k, path)| (format!(" on {k}"), read(path).expect("it can be read")))
                    .collect()
            }
        };
        for (which, full) in fulls {
            let name = format!("{}{which}", case.name);
            let relocated = selftests.compare(&name, &case.program, &full);
            // A program that works may have instructions that it never comes to.
            let (wrong, how) = if case.fails {
                (Relocated::Whole, "works")
            } else {
                (Relocated::Refused, "fails")
            };
            if relocated == Some(wrong) {
                selftests
                    .judges
                    .wrong
                    .push(format!("{name} {how}, and must not"));
            }
        }
    }
    selftests.judges.finish(&format!("{} cases", cases.len()));
}

/// Check the same if one BTF has the types of two or three of a program's kernels, in any order: then names have several
/// types, which may or may not agree.
#[test]
fn pairs_and_triples() {
    let Some((folder, cases)) = selftests() else {
        return;
    };
    let mut families: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for case in &cases {
        if let Some(target) = &case.target {
            families.entry(&case.program).or_default().push(target);
        }
    }
    let mut selftests = Selftests::new(folder);
    let (mut pairs, mut triples) = (0, 0);
    for (program, targets) in families {
        let mut different = Vec::new();
        for &a in &targets {
            for &b in &targets {
                selftests.compare_merged(program, &[a, b]);
                pairs += 1;
                let thirds = targets.iter().filter(|&&c| a != b && b != c && c != a);
                different.extend(thirds.map(|&c| [a, b, c]));
            }
        }
        for triple in different.iter().step_by(TRIPLES_STEP) {
            selftests.compare_merged(program, triple);
            triples += 1;
        }
    }
    selftests
        .judges
        .finish(&format!("{pairs} pairs, {triples} triples"));
}
