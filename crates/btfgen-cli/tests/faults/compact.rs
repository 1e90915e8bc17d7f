//! `hub compact` and `hub expand`, killed at any moment: no kernel is lost.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Tally;
use crate::scenario::{Ended, Scenario, command, read_all};
use crate::state::{State, temporary};

/// How often each command is killed.
const KILLS: u32 = 20;

const COMMANDS: [&str; 2] = [
    "hub compact --replace --hub hub",
    "hub expand --replace --hub hub",
];

pub(crate) fn kills(_: &[Scenario], tally: &mut Tally) {
    let work = tempfile::tempdir().unwrap();
    let folder = work.path();
    fs::create_dir(folder.join("tmp")).unwrap();
    // Full BTFs, so that each step takes a while.
    let sample = btfgen_testkit::sample_hub();
    for place in ["debian/11", "debian/12/x86_64"] {
        let to = folder.join("hub").join(place);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        copy(&sample.join(place), &to);
    }
    let wanted = read_all(folder).unwrap();
    for arguments in COMMANDS {
        let before = tempfile::tempdir().unwrap();
        copy(&folder.join("hub"), &before.path().join("hub"));
        let begin = Instant::now();
        assert!(start(folder, arguments).wait().unwrap().success());
        let took = begin.elapsed();
        for n in 0..KILLS {
            fs::remove_dir_all(folder.join("hub")).unwrap();
            copy(&before.path().join("hub"), &folder.join("hub"));
            tally.take(killed(folder, arguments, took * n / KILLS, &wanted));
        }
    }
}

/// Kills the command after a while. Then all kernels are there, and the next run ends its work and leaves nothing behind.
fn killed(
    folder: &Path,
    arguments: &str,
    after: Duration,
    wanted: &State,
) -> Result<Ended, String> {
    let mut child = start(folder, arguments);
    std::thread::sleep(after);
    let _ = child.kill();
    let status = child.wait().unwrap();
    let says = |why: &str| format!("{arguments}, killed after {after:?}: {why}");
    for again in [false, true] {
        if again && !start(folder, arguments).wait().unwrap().success() {
            return Err(says("the next run fails"));
        }
        let found = read_all(folder).map_err(|e| says(&e))?;
        if found != *wanted {
            return Err(says("not all kernels are there"));
        }
    }
    let left = temporary(folder);
    if !left.is_empty() {
        return Err(says(&format!("left behind: {left:?}")));
    }
    Ok(match status.signal() {
        None => Ended::Done,
        Some(_) => Ended::Failed,
    })
}

fn start(folder: &Path, arguments: &str) -> std::process::Child {
    let words: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
    let mut command = command(folder, &[], &words);
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(copied.unwrap().success());
}
