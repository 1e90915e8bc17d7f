//! `hub compact` and `hub expand`, killed at any moment: no kernel is lost.

use std::process::Stdio;
use std::time::Instant;

use crate::Tally;
use crate::scenario::{Ended, Fault, Scenario};

/// How often each command is killed, at moments that are spread over its run.
const KILLS: u32 = 20;

pub(crate) fn kills(scenarios: &[Scenario], tally: &mut Tally) {
    for scenario in scenarios.iter().filter(|s| s.moves_kernels()) {
        for n in 0..KILLS {
            tally.take(killed(scenario, n));
        }
    }
}

/// Measures a run, and kills the next one after so many of [`KILLS`] parts of that time.
fn killed(scenario: &Scenario, n: u32) -> Result<Ended, String> {
    let start = |work: &tempfile::TempDir| {
        let mut command = scenario.command(work.path(), &[]);
        let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let first = scenario.folder();
    let begin = Instant::now();
    let output = start(&first).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", scenario.name);
    let after = begin.elapsed() * n / KILLS;
    let work = scenario.folder();
    let mut child = start(&work);
    std::thread::sleep(after);
    // It may have ended.
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    let what = format!("killed after {after:?}");
    let fault = Fault {
        what: &what,
        told: &[],
    };
    scenario.check(work.path(), &output, fault)
}
