//! Those who judge a minimal BTF: the outcomes, three loaders, and bpftool's size.

use std::path::{Path, PathBuf};

#[cfg(target_pointer_width = "64")]
use aya::Endianness;
use btfgen::{LoadedBtf, Minimizer, Needs, Outcome, ReloKind};
use tempfile::TempDir;

#[cfg(target_pointer_width = "64")]
use super::aya as by_aya;
use super::util::{bpftool_minimized, needs};
use super::{libbpf_versions, loader};

/// libbpf replaces what it cannot relocate by a call of this function, which the verifier refuses.
const POISON: i32 = 0xbad2310;

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
pub(super) enum Relocated {
    Whole,
    /// Some instructions are such that the verifier refuses the program, unless it never comes to them.
    Poisoned,
    Refused,
}

/// Who relocates programs.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Loaders {
    Libbpf,
    /// aya, too. It has rules of its own, by which a minimal BTF has what libbpf asks for, and panics at some programs.
    LibbpfAndAya,
}

/// Compares minimal BTFs with the full ones by all judges, and has what differs.
pub(super) struct Judges {
    loaders: Loaders,
    dir: TempDir,
    may_use_bpf: bool,
    older_libbpf: Option<PathBuf>,
    tally: Tally,
    pub(super) wrong: Vec<String>,
}

impl Judges {
    pub(super) fn new(loaders: Loaders) -> Self {
        libbpf_rs::set_print(None);
        let dir = tempfile::tempdir().expect("a temporary folder");
        let host = Path::new("/sys/kernel/btf/vmlinux");
        let may_use_bpf = loader::relocated(&btfgen_testkit::object("bootstrap"), host);
        if let Err(e) = may_use_bpf {
            btfgen_testkit::skipped(format_args!(
                "libbpf may not use BPF here (error {e}); run as root, and on 64 bits"
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
            loaders,
            dir,
            may_use_bpf: may_use_bpf.is_ok(),
            older_libbpf,
            tally: Tally::default(),
            wrong: Vec::new(),
        }
    }

    /// Compares a program of this host's byte order on one kernel. What libbpf makes of it, if it could be asked.
    pub(super) fn compare(&mut self, case: &str, object: &Path, full: &[u8]) -> Option<Relocated> {
        let needs = needs(object);
        let (minimal, outcomes) = self.compare_outcomes(case, &needs, full)?;
        let files = ["full.btf", "ours.btf"].map(|n| self.dir.path().join(n));
        for (path, bytes) in files.iter().zip([full, &minimal]) {
            std::fs::write(path, bytes).expect("the temporary folder can be written");
        }
        let input = Input {
            case,
            object,
            btfs: [full, &minimal],
            files: [&files[0], &files[1]],
            has_ids: needs.iter().any(|n| n.kind() == ReloKind::TypeIdTarget),
        };
        let relocated = self.compare_by_libbpf(&input);
        self.compare_by_older_libbpf(&input);
        if self.loaders == Loaders::LibbpfAndAya {
            self.compare_by_aya(&input);
        }
        self.compare_size(&input, &needs, &outcomes);
        relocated
    }

    /// Compares the outcomes with the full and the minimal BTF. The result is the minimal BTF, and the outcomes.
    pub(super) fn compare_outcomes(
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

    /// aya does not compile for 32 bits.
    #[cfg(not(target_pointer_width = "64"))]
    fn compare_by_aya(&mut self, _: &Input<'_>) {}

    #[cfg(target_pointer_width = "64")]
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
        // Where libbpf refuses the object, bpftool drops candidates that other selections of its programs would need.
        let is_refused = outcomes.iter().any(|outcome| outcome.refusal().is_some());
        if !is_same || is_refused {
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
    pub(super) fn finish(self, what: &str) {
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
            if relocated + refused > 0 {
                println!("{what}: {relocated} relocated alike by {judge}, {refused} refused alike");
            }
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
