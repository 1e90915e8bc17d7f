//! `btfgen fetch` from servers of all kinds, also from such as fail. What has nothing to do with a network is tested in
//! btfgen-fetch.

mod bad_hub;
mod bad_input;
mod bytes;
mod full_disk;
mod interrupt;
mod login;
mod oddities;
mod process;
mod secure;
mod told;
mod transport;
mod waiting;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use assert_cmd::Command;
use btfgen_testkit::git::{Daemon, HttpServer, PATIENCE, Repository, isolate, kernel_file};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::suite::{binary, run};

/// Whether the command finds a `git` to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Git {
    There,
    Missing,
}

const BOTH: [Git; 2] = [Git::There, Git::Missing];

/// A folder for one test: repositories, hubs, and a home in which nothing is configured.
struct Ground(TempDir);

impl Ground {
    fn new() -> Self {
        let ground = Self(tempfile::tempdir().unwrap());
        for name in ["home", "no-git", "served"] {
            fs::create_dir(ground.path(name)).unwrap();
        }
        // What runs credential helpers.
        symlink("/bin/sh", ground.path("no-git/sh")).unwrap();
        ground
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn hub(&self) -> PathBuf {
        self.path("hub")
    }

    /// A repository that the servers serve.
    fn repository(&self, name: &str) -> Repository {
        Repository::new(self.path("served").join(name))
    }

    fn daemon(&self) -> Daemon {
        Daemon::serving(&self.path("served"))
    }

    fn http(&self) -> HttpServer {
        HttpServer::of(&self.path("served"))
    }

    /// `btfgen fetch` into the hub, for those who need the process.
    fn command(&self, git: Git, url: &str) -> std::process::Command {
        self.command_into(&self.hub(), git, url)
    }

    fn command_into(&self, hub: &Path, git: Git, url: &str) -> std::process::Command {
        // A background job's child has SIGINT ignored, which it would respect.
        let mut command = std::process::Command::new("/usr/bin/env");
        isolate(&mut command, &self.path("home"));
        if git == Git::Missing {
            command.env("PATH", self.path("no-git"));
        }
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        command.arg("--default-signal=INT,TERM,HUP").arg(binary());
        command.args(["fetch", "--repo", url, "--hub"]).arg(hub);
        command
    }

    /// `btfgen fetch` into the hub.
    fn fetch(&self, git: Git, url: &str) -> Command {
        checked(self.command(git, url))
    }

    /// `btfgen fetch` into some folder.
    fn fetch_into(&self, hub: &Path, git: Git, url: &str) -> Command {
        checked(self.command_into(hub, git, url))
    }
}

/// A command that ends, if only as a failure of the test.
fn checked(command: std::process::Command) -> Command {
    let mut command = Command::from_std(command);
    command.timeout(PATIENCE);
    command
}

/// What a command with `--json` prints.
#[track_caller]
fn json(command: &mut Command) -> Value {
    let output = run(command.arg("--json"), 0, &[]);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// An URL of what a server serves.
fn url(scheme: &str, address: SocketAddr, name: &str) -> String {
    format!("{scheme}://{address}/{name}")
}

/// All files of a folder by their paths, with their contents, or where links lead to. What begins with a dot is left out.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    collect(folder, folder, false, &mut found);
    found
}

/// The same with what begins with a dot, and with folders: nothing is left out.
fn everything(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    collect(folder, folder, true, &mut found);
    found
}

fn collect(root: &Path, folder: &Path, all: bool, found: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let entry = entry.unwrap();
        let path = entry.path();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        if !all && entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        let kind = entry.file_type().unwrap();
        if kind.is_symlink() {
            let target = fs::read_link(path).unwrap();
            found.insert(name, format!("-> {}", target.display()).into_bytes());
        } else if kind.is_dir() {
            if all {
                found.insert(format!("{name}/"), Vec::new());
            }
            collect(root, &path, all, found);
        } else {
            found.insert(name, fs::read(path).unwrap());
        }
    }
}

/// The kernels of a checkout by their files' paths.
fn kernels(repository: &Repository) -> BTreeMap<String, Vec<u8>> {
    let mut files = files(repository.folder());
    files.retain(|path, _| path.ends_with(".btf.tar.xz"));
    files
}

/// Puts so many kernels of one series into a checkout.
fn put_series(repository: &Repository, place: &str, number: u64, bytes: usize) {
    for n in 0..number {
        let seed = (place.len() as u64) << 32 | u64::from(place.as_bytes()[0]) << 16 | n;
        let path = format!("{place}/5.4.0-{n}-generic.btf.tar.xz");
        repository.put(&path, kernel_file(seed, bytes));
    }
}

/// Compares without printing megabytes.
#[track_caller]
fn assert_same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    for (name, content) in found {
        assert!(*content == expected[name], "{name} has another content");
    }
}

/// A command that is under way, with its messages as they come. It ends with its value.
struct Running {
    child: Child,
    stderr: BufReader<std::process::ChildStderr>,
    told: String,
}

impl Running {
    fn start(mut command: std::process::Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            stderr,
            told: String::new(),
        }
    }

    /// Waits until the command has printed this text.
    #[track_caller]
    fn wait_for(&mut self, piece: &str) {
        while !self.told.contains(piece) {
            let read = self.stderr.read_line(&mut self.told).unwrap();
            assert!(read > 0, "no {piece:?} in: {}", self.told);
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// The command's exit code, if it ended by itself, and all its messages.
    fn end(mut self) -> (Option<i32>, String) {
        let _ = self.stderr.read_to_string(&mut self.told);
        let status = self.child.wait().unwrap();
        (status.code(), std::mem::take(&mut self.told))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
