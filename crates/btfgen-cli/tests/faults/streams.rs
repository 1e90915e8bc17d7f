//! Standard streams that are closed or full.

use std::process::Command;

use crate::Tally;
use crate::scenario::{Ended, Scenario, binary};

/// What each command prints to stdout.
const PRINTING: [&str; 13] = [
    "--help",
    "--version",
    "pack --help",
    "man",
    "completions bash",
    "list --hub hub",
    "list --hub hub --json",
    "needs a.o",
    "check a.o --hub hub",
    "hub status --hub hub",
    "hub path --hub hub",
    "hub verify --hub hub --json",
    "minimize kernel.btf a.o -o -",
];

pub(crate) fn all(scenarios: &[Scenario], tally: &mut Tally) {
    let folder = scenarios[0].folder();
    for arguments in PRINTING {
        for redirected in ["> /dev/full", ">&-"] {
            let script = format!("exec {} {arguments} {redirected}", binary());
            let output = Command::new("sh")
                .args(["-c", &script])
                .current_dir(folder.path())
                .output();
            let output = output.unwrap();
            let stderr = String::from_utf8_lossy(&output.stderr);
            let told =
                output.status.code() == Some(1) && stderr.contains("stdout: cannot be written");
            tally.take(match told {
                true => Ok(Ended::Failed),
                false => Err(format!(
                    "{arguments} {redirected}: {}: {stderr}",
                    output.status
                )),
            });
        }
    }
    // Outputs to files still work, and a closed stderr cannot report errors.
    // `check` also prints its result, so it fails.
    for scenario in scenarios.iter().filter(|s| s.name != "check") {
        for redirected in [">&- 2>&-", "> /dev/full 2> /dev/full", "<&- >&- 2>&-"] {
            let work = scenario.folder();
            let script = format!("exec \"$0\" \"$@\" {redirected}");
            let wrapper = ["sh", "-c", &script].map(str::to_owned);
            let output = scenario.command(work.path(), &wrapper).output().unwrap();
            let fault = crate::scenario::Fault {
                what: redirected,
                ..Default::default()
            };
            let verdict = scenario.check(work.path(), &output, fault);
            tally.take(verdict.and_then(|ended| match ended {
                Ended::Done => Ok(Ended::Done),
                Ended::Failed => Err(format!("{} {redirected}: {}", scenario.name, output.status)),
            }));
        }
    }
}
