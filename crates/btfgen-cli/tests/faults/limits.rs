//! Limits of a process, and disks without room.

use std::path::Path;
use std::process::Command;

use crate::Tally;
use crate::scenario::{Fault, Scenario, binary, find};

pub(crate) fn all(scenarios: &[Scenario], tally: &mut Tally) {
    if find("prlimit").is_none() {
        return tally.skip("prlimit is not installed");
    }
    for scenario in scenarios {
        for mebibytes in [16, 24, 32, 48, 64, 96, 128, 160, 200, 240] {
            // The dynamic loader, the C library, libgit2 and Rust each have their own words for it.
            limited(scenario, &format!("--as={}", mebibytes << 20), &[], tally);
        }
        for descriptors in [3, 4, 5, 6, 7, 8, 10, 12, 16] {
            let told = ["Too many open files", "too many open files"];
            limited(scenario, &format!("--nofile={descriptors}"), &told, tally);
        }
        for bytes in [0, 100, 400, 1000] {
            let told = ["File too large"];
            limited(scenario, &format!("--fsize={bytes}"), &told, tally);
        }
    }
    processes(scenarios, tally);
    full_disks(scenarios, tally);
}

/// A limit of processes, and so of threads, that is used up. It does not hold for root.
fn processes(scenarios: &[Scenario], tally: &mut Tally) {
    let wrapper = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--inh-caps=-all",
        "--bounding-set=-all",
        "prlimit",
        "--nproc=1",
    ]
    .map(str::to_owned);
    let mut may = Command::new(&wrapper[0]);
    may.args(&wrapper[1..]).args([binary(), "--version"]);
    if !may.output().is_ok_and(|o| o.status.success()) {
        return tally.skip("another user, who may run the command, cannot be had");
    }
    let owned_by = |user: &str, folder: &Path| {
        let mut chown = Command::new("chown");
        let status = chown.args(["-R", user]).arg(folder).status();
        assert!(status.unwrap().success());
    };
    for scenario in scenarios {
        let work = scenario.folder();
        owned_by("65534:65534", work.path());
        let output = scenario.command(work.path(), &wrapper).output().unwrap();
        owned_by("0:0", work.path());
        let fault = Fault {
            what: "--nproc=1",
            told: &["Resource temporarily unavailable"],
        };
        tally.take(scenario.check(work.path(), &output, fault));
    }
}

fn limited(scenario: &Scenario, limit: &str, told: &[&str], tally: &mut Tally) {
    let wrapper = ["prlimit", limit].map(str::to_owned);
    let fault = Fault { what: limit, told };
    tally.take(scenario.try_with(&wrapper, fault));
}

/// A disk of the size of the folder and so many KiB.
fn full_disks(scenarios: &[Scenario], tally: &mut Tally) {
    let may = Command::new("unshare").args(["-m", "true"]).output();
    if !may.is_ok_and(|o| o.status.success()) {
        return tally.skip("file systems cannot be mounted here");
    }
    for scenario in scenarios {
        for pages in [0, 1, 2, 4] {
            tally.take(full_disk(scenario, pages));
        }
    }
}

fn full_disk(scenario: &Scenario, pages: usize) -> Result<crate::scenario::Ended, String> {
    // What is on the disk in the end is copied out of the name space that it is seen in.
    let script = r#"mkdir disk && mount -t tmpfs -o size=32m none disk || exit 77
        cp -a "$1/." disk && cd disk
        head -c "$3" /dev/zero > tmp/room && cat /dev/zero > tmp/fill 2> /dev/null
        rm tmp/room
        HOME=$PWD TMPDIR=$PWD/tmp "$2" "$@"
        code=$?
        rm tmp/fill
        cp -a . "$4" && exit $code"#;
    let script = script.replace(
        r#""$2" "$@""#,
        r#"program=$2 to=$4; from=$1 room=$3; shift 4; "$program" "$@""#,
    );
    let script = script.replace(r#"cp -a . "$4""#, r#"cp -a . "$to""#);
    let (template, result, place) = (
        scenario.folder(),
        tempfile::tempdir().unwrap(),
        tempfile::tempdir().unwrap(),
    );
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", &script, "sh"])
        .arg(template.path());
    command
        .arg(binary())
        .arg((pages * 4096).to_string())
        .arg(result.path());
    command
        .args(scenario.arguments())
        .current_dir(place.path())
        .env("LC_ALL", "C");
    let output = command.output().unwrap();
    let what = format!("a disk with room for {pages} pages");
    let fault = Fault {
        what: &what,
        told: &["No space left on device", "no space left"],
    };
    scenario.check(result.path(), &output, fault)
}
