//! Faults, injected into every command that writes: `make faults`.
//!
//! A fault is an error of a system call (by strace), a limit (by prlimit), a full disk, a closed or full stdout, a signal, or
//! other commands at work on the same hub. After each run:
//!
//! - every file is the old one or the new one, and whole; no input has changed;
//! - exit code 0 means that all is new, another one that it failed and says why;
//! - the same command, run again without a fault, does its work, and no temporary file is left anywhere.
//!
//! A scenario is skipped and named if the machine cannot run it.

mod compact;
mod inject;
mod limits;
mod scenario;
mod signals;
mod state;
mod streams;
mod stress;

use std::process::ExitCode;
use std::time::Instant;

use crate::scenario::Scenario;

/// What a part of the tests has to tell.
#[derive(Debug, Default)]
struct Tally {
    runs: usize,
    /// Runs that did their work in spite of the fault.
    absorbed: usize,
    /// What went wrong, with all that is needed to see it again.
    faults: Vec<String>,
    skipped: Vec<String>,
}

impl Tally {
    fn skip(&mut self, why: impl std::fmt::Display) {
        self.skipped.push(why.to_string());
    }

    /// Takes in what one run came to.
    fn take(&mut self, verdict: Result<scenario::Ended, String>) {
        self.runs += 1;
        match verdict {
            Ok(scenario::Ended::Done) => self.absorbed += 1,
            Ok(scenario::Ended::Failed) => {}
            Err(fault) => self.faults.push(fault),
        }
    }
}

fn main() -> ExitCode {
    let scenarios = Scenario::all();
    let parts: [(&str, fn(&[Scenario], &mut Tally)); 7] = [
        ("errors of system calls", inject::errors),
        ("kills at system calls", inject::kills),
        ("kills of compact and expand", compact::kills),
        ("limits and full disks", limits::all),
        ("streams", streams::all),
        ("signals", signals::all),
        ("readers and writers at once", stress::all),
    ];
    let (mut runs, mut faults) = (0, 0);
    for (name, part) in parts {
        let (mut tally, begin) = (Tally::default(), Instant::now());
        part(&scenarios, &mut tally);
        let Tally { absorbed, .. } = tally;
        let seconds = begin.elapsed().as_secs();
        println!(
            "{name}: {} runs, {absorbed} done all the same, {seconds} s",
            tally.runs
        );
        for why in &tally.skipped {
            println!("skipped: {name}: {why}");
        }
        for fault in &tally.faults {
            println!("FAULT: {name}: {fault}");
        }
        runs += tally.runs;
        faults += tally.faults.len();
    }
    println!("{} passed, {faults} failed", runs - faults);
    if faults == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
