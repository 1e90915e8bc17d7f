//! Commands that write one hub, and such that read it, all at once, some of them killed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use btfgen_testkit::git::Repository;

use crate::Tally;
use crate::scenario::{Ended, Scenario, command};
use crate::state::temporary;

const SECONDS: u64 = 20;

/// How often two packs write to the same files.
const ROUNDS: usize = 100;

/// What changes or reads the hub, over and over.
const WRITERS: [&str; 6] = [
    "fetch --repo repository --hub hub --prune",
    "add kernel.btf --id a/1/x86_64/added --hub hub",
    "add kernel.btf --id a/1/x86_64/forced --hub hub --force",
    "hub verify --delete --hub hub",
    "hub compact --replace --hub hub --only debian/*",
    "hub expand --replace --hub hub --only debian/*",
];
const READERS: [&str; 3] = [
    "pack a.o --hub hub -o out.tar.gz --emit-obj out.o",
    "list --hub hub",
    "hub verify --hub hub",
];

pub(crate) fn all(scenarios: &[Scenario], tally: &mut Tally) {
    // The one with a repository.
    let fetch = scenarios.iter().find(|s| s.name == "fetch").unwrap();
    let work = fetch.folder();
    let folder = work.path();
    let repository = Repository::at(folder.join("repository"));
    let kernel = fs::read(folder.join("kernel.btf")).unwrap();
    let older = fs::read_dir(folder.join("repository/f/1/x86_64")).unwrap();
    let older = fs::read(older.flatten().next().unwrap().path()).unwrap();
    let end = Instant::now() + Duration::from_secs(SECONDS);
    let verdicts = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (n, arguments) in WRITERS.iter().chain(&READERS).enumerate() {
            let verdicts = &verdicts;
            scope.spawn(move || {
                let mut round = n as u64;
                while Instant::now() < end {
                    round += 7;
                    let verdict = once(folder, arguments, round);
                    verdicts.lock().unwrap().push(verdict);
                }
            });
        }
        // What is fetched changes, comes and goes.
        scope.spawn(|| {
            for round in 0.. {
                if Instant::now() >= end {
                    break;
                }
                let content = if round % 2 == 0 { &kernel } else { &older };
                repository.put("f/1/x86_64/changes.btf", content);
                repository.put(&format!("f/1/x86_64/comes-{round}.btf"), content);
                if round > 2 {
                    repository.remove(&format!("f/1/x86_64/comes-{}.btf", round - 2));
                }
                repository.commit();
                std::thread::sleep(Duration::from_millis(100));
            }
        });
    });
    for verdict in verdicts.into_inner().unwrap() {
        tally.take(verdict);
    }
    tally.take(at_the_end(folder));
    for _ in 0..ROUNDS {
        tally.take(two_packs(folder));
    }
}

/// Packs two selections to the same files at once: in the end the archive and the object are those of one of them.
fn two_packs(folder: &Path) -> Result<Ended, String> {
    let pack = |only: &str| {
        let arguments = "pack a.o --hub hub -o both.tar.gz --emit-obj both.o --only";
        let words = arguments.split(' ').chain([only]).map(str::to_owned);
        let mut pack = command(folder, &[], &words.collect::<Vec<_>>());
        let pack = pack.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        pack.unwrap()
    };
    let both = [pack("debian/11/*"), pack("debian/12/*")];
    if !both
        .into_iter()
        .all(|mut one| one.wait().unwrap().success())
    {
        return Err("one of two packs failed".to_owned());
    }
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let (archive, object) = (read("both.tar.gz"), read("both.o"));
    if object.windows(archive.len()).any(|part| part == archive) {
        Ok(Ended::Done)
    } else {
        Err("two packs left the archive of one and the object of the other".to_owned())
    }
}

/// Runs a command, and kills every third one.
fn once(folder: &Path, arguments: &str, round: u64) -> Result<Ended, String> {
    let words: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
    let mut child = command(folder, &[], &words);
    let mut child = child
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let is_killed = round % 3 == 0;
    if is_killed {
        std::thread::sleep(Duration::from_millis(round * 13 % 15));
        let _ = child.kill();
    }
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    // The hub is sound at any time, so nothing is ever left out or broken.
    match output.status.code() {
        Some(0) => Ok(Ended::Done),
        None if is_killed => Ok(Ended::Failed),
        _ => Err(format!("{arguments}: {}: {stderr}", output.status)),
    }
}

/// Files that no command removes exist, the hub equals the repository, and no temporary files are left.
fn at_the_end(folder: &Path) -> Result<Ended, String> {
    for arguments in WRITERS.iter().chain(&READERS) {
        let words: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        let output = command(folder, &[], &words).output().unwrap();
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{arguments}, at the end: {stderr}"));
        }
    }
    let names = |folder: &str, path: &Path| -> BTreeSet<String> {
        let entries = fs::read_dir(path.join(folder))
            .into_iter()
            .flatten()
            .flatten();
        entries
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect()
    };
    let (here, there) = (
        names("hub/f/1/x86_64", folder),
        names("repository/f/1/x86_64", folder),
    );
    if here != there {
        return Err(format!("the hub has {here:?}, the repository {there:?}"));
    }
    for kernel in [
        "debian/11",
        "debian/12",
        "a/1/x86_64/added.btf.tar.xz",
        "a/1/x86_64/forced.btf.tar.xz",
    ] {
        if !folder.join("hub").join(kernel).exists() {
            return Err(format!("{kernel} is gone"));
        }
    }
    let listed = Command::new("git")
        .args(["status", "--porcelain"])
        .current_dir(folder.join("repository"))
        .output();
    if listed.is_ok_and(|o| !o.stdout.is_empty()) {
        return Err("the repository was written to".to_owned());
    }
    let left = temporary(folder);
    if left.is_empty() {
        Ok(Ended::Done)
    } else {
        Err(format!("left behind: {left:?}"))
    }
}
