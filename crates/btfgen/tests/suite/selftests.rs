//! The kernel's own CO-RE selftests: its programs, and the kernels that it made up for them, alone and several in one BTF.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aya::Endianness;
use btfgen::{LoadedBtf, Minimizer, Needs, Outcome, ReloKind};
use tempfile::TempDir;

use super::concatenated::concatenated;
use super::util::{bpftool_minimized, kernels, needs};
use super::{aya as by_aya, libbpf_versions, loader};

/// Ends of the names of objects and BTFs: little-endian, big-endian.
const ORDERS: [&str; 2] = ["", ".eb"];

/// The loaders relocate objects of this host's byte order.
const HOST_ORDER: &str = ORDERS[cfg!(target_endian = "big") as usize];

/// libbpf replaces what it cannot relocate by a call of this function, which the verifier refuses.
const POISON: i32 = 0xbad2310;

/// Of the triples of a program's kernels every seventh is taken.
const TRIPLES_STEP: usize = 7;

/// One of the kernel's cases, a line of the file that scripts/kernel-selftests writes.
struct Case {
    name: String,
    program: String,
    /// The made-up kernel; without one, the program is for real kernels.
    target: Option<String>,
    fails: bool,
}

/// The folder that scripts/kernel-selftests filled, with its cases. `None` where there is none, which is said.
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

/// What was compared, by each judge.
#[derive(Default)]
struct Tally {
    inputs: u32,
    outcomes: usize,
    /// Relocated alike by our libbpf, and refused alike.
    libbpf: (u32, u32),
    /// The same by the system's libbpf, and by aya.
    older_libbpf: (u32, u32),
    aya: (u32, u32),
    /// Minimized by bpftool with the outcomes of the full BTF, and with others.
    bpftool: (u32, u32),
    ours_bytes: usize,
    bpftool_bytes: usize,
}

/// A program of this host's byte order, the full BTF of a kernel, and the minimal one, as bytes and as files.
struct Input<'i> {
    case: &'i str,
    object: &'i Path,
    btfs: [&'i [u8]; 2],
    files: [&'i Path; 2],
    /// The program asks for types' ids. A type has another id in a smaller BTF, so only success is compared; the outcomes say
    /// which type it is.
    has_ids: bool,
}

/// What libbpf makes of a program.
#[derive(PartialEq)]
enum Relocated {
    Whole,
    /// Some instructions are such that the verifier refuses the program, unless it never comes to them.
    Poisoned,
    Refused,
}

/// Compares minimal BTFs with the full ones by all judges.
struct Judges {
    selftests: PathBuf,
    dir: TempDir,
    may_use_bpf: bool,
    older_libbpf: Option<PathBuf>,
    tally: Tally,
    wrong: Vec<String>,
}

impl Judges {
    fn new(selftests: &Path) -> Self {
        libbpf_rs::set_print(None);
        let dir = tempfile::tempdir().expect("a temporary folder");
        let host = Path::new("/sys/kernel/btf/vmlinux");
        let may_use_bpf = loader::relocated(&btfgen_testkit::object("bootstrap"), host);
        if let Err(e) = may_use_bpf {
            btfgen_testkit::skipped(format_args!(
                "libbpf may not use BPF here (error {e}); run as root"
            ));
        }
        let older_libbpf = match libbpf_versions::build(dir.path()) {
            Ok(judge) => Some(judge),
            Err(why) => {
                btfgen_testkit::skipped(format_args!("the system's libbpf, no judge: {why}"));
                None
            }
        };
        Self {
            selftests: selftests.to_owned(),
            dir,
            may_use_bpf: may_use_bpf.is_ok(),
            older_libbpf,
            tally: Tally::default(),
            wrong: Vec::new(),
        }
    }

    /// The BTFs of some made-up kernels, of one byte order, as one.
    fn target(&self, names: &[&str], order: &str) -> Vec<u8> {
        let read = |name| std::fs::read(self.selftests.join(format!("{name}{order}.btf")));
        let btfs: Vec<Vec<u8>> = names
            .iter()
            .map(|n| read(n).expect("it was made"))
            .collect();
        concatenated(&btfs.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    /// Compares a program on several kernels in one, all of both byte orders.
    fn compare_merged(&mut self, program: &str, targets: &[&str]) {
        for order in ORDERS {
            let full = self.target(targets, order);
            self.compare(&format!("{}{order}", targets.join(" + ")), program, &full);
        }
    }

    /// Compares a program of both byte orders on one kernel. What libbpf makes of it, if it could be asked.
    fn compare(&mut self, case: &str, program: &str, full: &[u8]) -> Option<Relocated> {
        let mut relocated = None;
        for order in ORDERS {
            let object = self.selftests.join(format!("{program}{order}.bpf.o"));
            let case = format!("{case} for {program}{order}");
            let needs = needs(&object);
            let Some((minimal, outcomes)) = self.compare_outcomes(&case, &needs, full) else {
                continue;
            };
            if order != HOST_ORDER {
                continue;
            }
            let files = ["full.btf", "ours.btf"].map(|n| self.dir.path().join(n));
            for (path, bytes) in files.iter().zip([full, &minimal]) {
                std::fs::write(path, bytes).expect("the temporary folder can be written");
            }
            let input = Input {
                case: &case,
                object: &object,
                btfs: [full, &minimal],
                files: [&files[0], &files[1]],
                has_ids: needs.iter().any(|n| n.kind() == ReloKind::TypeIdTarget),
            };
            relocated = self.compare_by_libbpf(&input);
            self.compare_by_older_libbpf(&input);
            self.compare_by_aya(&input);
            self.compare_size(&input, &needs, &outcomes);
        }
        relocated
    }

    /// Compares the outcomes with the full and the minimal BTF. The result is the minimal BTF, and the outcomes.
    fn compare_outcomes(
        &mut self,
        case: &str,
        needs: &Needs,
        full: &[u8],
    ) -> Option<(Vec<u8>, Vec<Outcome>)> {
        let minimizer = Minimizer::new(needs);
        let full = LoadedBtf::parse(full).expect("the kernel is good");
        let expected = minimizer.outcomes(&full).expect("the kernel is good");
        self.tally.inputs += 1;
        self.tally.outcomes += expected.len();
        let minimal = match minimizer.minimize(&full) {
            Ok(minimal) => minimal.btf,
            Err(e) => {
                self.wrong.push(format!("{case}: {e}"));
                return None;
            }
        };
        let ours = LoadedBtf::parse(minimal.clone()).expect("what we write is BTF");
        let got = minimizer.outcomes(&ours).expect("what we write is good");
        for ((need, expected), got) in needs.iter().zip(&expected).zip(&got) {
            if expected != got {
                self.wrong
                    .push(format!("{case}: {need}: {expected:?} became {got:?}"));
            }
        }
        Some((minimal, expected))
    }

    fn compare_by_libbpf(&mut self, input: &Input<'_>) -> Option<Relocated> {
        if !self.may_use_bpf {
            return None;
        }
        let [expected, got] = input.files.map(|btf| loader::relocated(input.object, btf));
        let alike = input.has_ids && expected.is_ok() && got.is_ok();
        if !(expected == got || alike) {
            let case = input.case;
            self.wrong
                .push(format!("{case}, libbpf: {expected:x?} became {got:x?}"));
        }
        count(&mut self.tally.libbpf, expected.is_ok());
        let Ok(programs) = expected else {
            return Some(Relocated::Refused);
        };
        let is_poison = |insn: &[u8]| insn[0] == 0x85 && insn[4..] == POISON.to_le_bytes();
        let mut instructions = programs.iter().flat_map(|p| p.chunks(8));
        Some(if instructions.any(is_poison) {
            Relocated::Poisoned
        } else {
            Relocated::Whole
        })
    }

    /// What the older libbpf cannot judge is passed over: 1.1 crashes on programs for `tp_btf/…` of a type that it does not know.
    fn compare_by_older_libbpf(&mut self, input: &Input<'_>) {
        let Some(judge) = &self.older_libbpf else {
            return;
        };
        let judged = |btf| libbpf_versions::relocated(judge, input.object, btf, u64::MAX);
        let [Ok(expected), got] = input.files.map(judged) else {
            return;
        };
        if expected.starts_with("unread") {
            return;
        }
        let got = got.unwrap_or_default();
        let [is_refused, got_refused] = [&expected, &got].map(|t| t.starts_with("refused"));
        let alike = input.has_ids && !got.is_empty() && is_refused == got_refused;
        if !(expected == got || alike) {
            let case = input.case;
            self.wrong
                .push(format!("{case}, older libbpf: {expected} became {got}"));
        }
        count(&mut self.tally.older_libbpf, !is_refused);
    }

    fn compare_by_aya(&mut self, input: &Input<'_>) {
        let parse = |btf| aya_obj::btf::Btf::parse(btf, Endianness::default());
        // aya takes BTFs of this host's byte order.
        let [Ok(full), Ok(ours)] = input.btfs.map(parse) else {
            return;
        };
        let object = std::fs::read(input.object).expect("it was made");
        let [expected, got] = [full, ours].map(|btf| by_aya::relocated(&object, &btf));
        let is_same = match (&expected, &got) {
            (Ok(expected), Ok(got)) => input.has_ids || expected == got,
            (Err(_), Err(_)) => true,
            _ => false,
        };
        if !is_same {
            let case = input.case;
            self.wrong
                .push(format!("{case}, aya: {expected:x?} became {got:x?}"));
        }
        count(&mut self.tally.aya, expected.is_ok());
    }

    /// Compares the sizes of ours and of bpftool's minimal BTF, where that has the outcomes of the full one. Of several types of
    /// one name bpftool keeps those that were left when it came to them in the object's order, which are fewer.
    fn compare_size(&mut self, input: &Input<'_>, needs: &Needs, outcomes: &[Outcome]) {
        let Some(theirs) = bpftool_minimized(input.files[0], input.object) else {
            return;
        };
        let parsed = LoadedBtf::parse(&theirs).expect("what bpftool writes is BTF");
        let got = Minimizer::new(needs).outcomes(&parsed);
        let is_same = got.expect("bpftool's BTF is good") == outcomes;
        count(&mut self.tally.bpftool, is_same);
        if !is_same {
            return;
        }
        let (ours, theirs) = (input.btfs[1].len(), theirs.len());
        if ours > theirs {
            let case = input.case;
            self.wrong
                .push(format!("{case}: ours has {ours} bytes, bpftool's {theirs}"));
        }
        self.tally.ours_bytes += ours;
        self.tally.bpftool_bytes += theirs;
    }

    /// Says what was compared, and fails if anything differs.
    fn finish(self, what: &str) {
        let Self { tally, wrong, .. } = self;
        println!(
            "{what}: {} inputs, {} outcomes",
            tally.inputs, tally.outcomes
        );
        for (judge, (relocated, refused)) in [
            ("libbpf", tally.libbpf),
            ("the system's libbpf", tally.older_libbpf),
            ("aya", tally.aya),
        ] {
            println!("{what}: {relocated} relocated alike by {judge}, {refused} refused alike");
        }
        let (same, other) = tally.bpftool;
        let (ours, theirs) = (tally.ours_bytes, tally.bpftool_bytes);
        println!(
            "{what}: bpftool made {same} with the same outcomes, {theirs} bytes, ours {ours}; \
             {other} with others"
        );
        assert!(tally.inputs > 0, "there is nothing to compare");
        let differences = wrong.join("\n");
        assert!(
            wrong.is_empty(),
            "{} differences:\n{differences}",
            wrong.len()
        );
    }
}

fn count((yes, no): &mut (u32, u32), is_yes: bool) {
    *if is_yes { yes } else { no } += 1;
}

/// Check that each of the kernel's cases comes out with the minimal BTF as with the full one, and as the kernel says.
#[test]
fn cases() {
    let Some((folder, cases)) = selftests() else {
        return;
    };
    let mut judges = Judges::new(&folder);
    for case in &cases {
        let fulls: Vec<(String, Vec<u8>)> = match &case.target {
            Some(target) => ORDERS
                .map(|order| (order.to_owned(), judges.target(&[target], order)))
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
            let relocated = judges.compare(&name, &case.program, &full);
            // A program that works may have instructions that it never comes to.
            let (wrong, how) = if case.fails {
                (Relocated::Whole, "works")
            } else {
                (Relocated::Refused, "fails")
            };
            if relocated == Some(wrong) {
                judges.wrong.push(format!("{name} {how}, and must not"));
            }
        }
    }
    judges.finish(&format!("{} cases", cases.len()));
}

/// Check that this holds where one BTF has the types of two or three of a program's kernels, in any order: names with several
/// types, which agree or not.
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
    let mut judges = Judges::new(&folder);
    let (mut pairs, mut triples) = (0, 0);
    for (program, targets) in families {
        let mut different = Vec::new();
        for &a in &targets {
            for &b in &targets {
                judges.compare_merged(program, &[a, b]);
                pairs += 1;
                let thirds = targets.iter().filter(|&&c| a != b && b != c && c != a);
                different.extend(thirds.map(|&c| [a, b, c]));
            }
        }
        for triple in different.iter().step_by(TRIPLES_STEP) {
            judges.compare_merged(program, triple);
            triples += 1;
        }
    }
    judges.finish(&format!("{pairs} pairs, {triples} triples"));
}
