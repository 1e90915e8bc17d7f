//! Signals at any moment: SIGKILL, and signals that a command handles.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Tally;
use crate::scenario::{Ended, Fault, Scenario};

/// How many moments, spread over the time that the command takes.
const MOMENTS: u32 = 6;

pub(crate) fn all(scenarios: &[Scenario], tally: &mut Tally) {
    for scenario in scenarios {
        let (work, begin) = (scenario.folder(), Instant::now());
        let done = scenario.command(work.path(), &[]).output().unwrap();
        assert!(done.status.success());
        let takes = begin.elapsed();
        for signal in [Signal::KILL, Signal::TERM, Signal::HUP, Signal::INT] {
            for moment in 0..MOMENTS {
                tally.take(signalled(scenario, signal, takes * moment / MOMENTS));
            }
        }
    }
}

fn signalled(scenario: &Scenario, signal: Signal, after: Duration) -> Result<Ended, String> {
    let work = scenario.folder();
    // The parent process of the tests may ignore them.
    let wrapper = ["env", "--default-signal=INT,TERM,HUP"].map(str::to_owned);
    let mut command = scenario.command(work.path(), &wrapper);
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    // It may have ended.
    let _ = kill_process(Pid::from_child(&child), signal);
    let output = child.wait_with_output().unwrap();
    let what = format!("{signal:?} after {after:?}");
    let fault = Fault {
        what: &what,
        told: &["stopped"],
    };
    let ended = scenario.check(work.path(), &output, fault)?;
    expected(&output)
        .map(|()| ended)
        .map_err(|why| format!("{}, {what}: {why}", scenario.name))
}

/// It was done, was ended by the signal before it could handle it, or says that it stopped.
fn expected(output: &Output) -> Result<(), String> {
    match output.status.code() {
        Some(0 | 130) | None => Ok(()),
        _ => Err(format!("{}", output.status)),
    }
}
