//! Errors and kills at the n-th call of each kind, injected by strace.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::Mutex;

use crate::Tally;
use crate::scenario::{Ended, Fault, Scenario, find};

/// System calls, what may go wrong with them, and how strerror(3) calls it.
const ERRORS: [(&str, &[(&str, &str)]); 9] = [
    (
        "openat",
        &[
            ("EIO", "Input/output error"),
            ("EMFILE", "Too many open files"),
            ("ENFILE", "Too many open files in system"),
            ("ENOMEM", "Cannot allocate memory"),
        ],
    ),
    ("read", &[("EIO", "Input/output error")]),
    (
        "write",
        &[
            ("EIO", "Input/output error"),
            ("ENOSPC", "No space left on device"),
        ],
    ),
    (
        "fsync,syncfs",
        &[
            ("EIO", "Input/output error"),
            ("ENOSPC", "No space left on device"),
        ],
    ),
    (
        "rename,renameat,renameat2",
        &[
            ("EIO", "Input/output error"),
            ("ENOSPC", "No space left on device"),
        ],
    ),
    (
        "link,linkat,mkdir,mkdirat",
        &[("ENOSPC", "No space left on device")],
    ),
    ("unlink,unlinkat,rmdir", &[("EIO", "Input/output error")]),
    ("getdents64", &[("EIO", "Input/output error")]),
    ("flock", &[("ENOLCK", "No locks available")]),
];

/// Lack of memory and threads: whoever asked may end the process by itself, so who tells is not known.
const RESOURCES: [(&str, &str); 3] = [
    ("mmap", "ENOMEM"),
    ("brk", "ENOMEM"),
    ("clone,clone3", "EAGAIN"),
];

/// Where a process is killed.
const KILLS: [&str; 5] = [
    "openat",
    "write",
    "fsync,syncfs,flock",
    "rename,renameat,renameat2,link,linkat",
    "unlink,unlinkat,rmdir,mkdir,mkdirat",
];

/// How many of the calls of one kind are tried; the last one always is.
const POINTS: usize = 8;

pub(crate) fn errors(scenarios: &[Scenario], tally: &mut Tally) {
    let Some(counts) = counted(scenarios, tally) else {
        return;
    };
    let mut tries = Vec::new();
    for (scenario, counts) in scenarios.iter().zip(&counts) {
        for (calls, errors) in ERRORS {
            for (errno, text) in errors {
                for n in points(counts, calls) {
                    tries.push(Try::new(
                        scenario,
                        calls,
                        &format!("error={errno}"),
                        n,
                        text,
                    ));
                }
            }
        }
        for (calls, errno) in RESOURCES {
            for n in points(counts, calls) {
                tries.push(Try::new(scenario, calls, &format!("error={errno}"), n, ""));
            }
        }
    }
    run(tries, tally);
}

pub(crate) fn kills(scenarios: &[Scenario], tally: &mut Tally) {
    let Some(counts) = counted(scenarios, tally) else {
        return;
    };
    let mut tries = Vec::new();
    for (scenario, counts) in scenarios.iter().zip(&counts) {
        for calls in KILLS {
            for n in points(counts, calls) {
                tries.push(Try::new(scenario, calls, "signal=KILL", n, ""));
            }
        }
    }
    run(tries, tally);
}

struct Try<'s> {
    scenario: &'s Scenario,
    wrapper: Vec<String>,
    what: String,
    told: &'static str,
}

impl<'s> Try<'s> {
    fn new(scenario: &'s Scenario, calls: &str, fault: &str, n: usize, told: &'static str) -> Self {
        let inject = format!("inject={calls}:{fault}:when={n}");
        let wrapper = ["strace", "-f", "-qqq", "-o", "/dev/null", "-e"];
        let wrapper = wrapper.map(str::to_owned).into_iter();
        Self {
            scenario,
            what: inject.clone(),
            wrapper: wrapper
                .chain([format!("trace={calls}"), "-e".to_owned(), inject])
                .collect(),
            told,
        }
    }

    fn run(&self) -> Result<Ended, String> {
        let told: &[&str] = match self.told {
            "" => &[],
            text => &[text],
        };
        let fault = Fault {
            what: &self.what,
            told,
        };
        self.scenario.try_with(&self.wrapper, fault)
    }
}

/// Runs on all processors.
fn run(tries: Vec<Try<'_>>, tally: &mut Tally) {
    let (next, tally) = (Mutex::new(tries.into_iter()), Mutex::new(tally));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let Some(one) = next.lock().unwrap().next() else {
                        return;
                    };
                    let verdict = one.run();
                    tally.lock().unwrap().take(verdict);
                }
            });
        }
    });
}

/// How often each scenario makes each call; `None` where strace does not work.
fn counted(scenarios: &[Scenario], tally: &mut Tally) -> Option<Vec<BTreeMap<String, usize>>> {
    if find("strace").is_none() {
        tally.skip("strace is not installed");
        return None;
    }
    let works = Command::new("strace")
        .args(["-qqq", "-o", "/dev/null", "true"])
        .output();
    if !works.is_ok_and(|o| o.status.success()) {
        tally.skip("strace cannot trace here");
        return None;
    }
    Some(scenarios.iter().map(count).collect())
}

fn count(scenario: &Scenario) -> BTreeMap<String, usize> {
    let work = scenario.folder();
    let log = tempfile::NamedTempFile::new().unwrap();
    let log_path = log.path().display().to_string();
    let wrapper = ["strace", "-f", "-qqq", "-o", &log_path].map(str::to_owned);
    let output = scenario.command(work.path(), &wrapper).output().unwrap();
    assert!(output.status.success(), "{}", scenario.name);
    let mut counts = BTreeMap::new();
    // `12345 openat(AT_FDCWD, "…", O_RDONLY) = 3`
    for line in fs::read_to_string(log.path()).unwrap().lines() {
        let call = line
            .split_once(' ')
            .and_then(|(_, rest)| rest.trim_start().split_once('('));
        if let Some((call, _)) = call {
            *counts.entry(call.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// Some of the calls of these kinds, from the first to the last.
fn points(counts: &BTreeMap<String, usize>, calls: &str) -> Vec<usize> {
    let all: usize = calls.split(',').filter_map(|call| counts.get(call)).sum();
    let mut points: Vec<usize> = (1..=POINTS).map(|n| (all * n).div_ceil(POINTS)).collect();
    points.retain(|&n| n > 0);
    points.dedup();
    points
}
