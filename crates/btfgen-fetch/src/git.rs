//! Runs the `git` executable, because libgit2 cannot transfer only some files of a repository (partial clone).

use std::collections::VecDeque;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use btfgen_hub::Result;
use git2::Config;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{Pid, Signal, kill_process};

use crate::session::{Session, Transfer};

/// The first git whose `fetch` reads object ids from stdin.
const OLDEST: (u32, u32) = (2, 29);

/// How often to check whether git has ended or must be stopped.
const POLL: Duration = Duration::from_millis(100);

/// How long git may take to clean up after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// The number of git's last messages to keep for an error.
const KEPT_LINES: usize = 20;

/// The number of git's last messages to show in an error.
const TOLD_LINES: usize = 3;

/// Messages that do not say what went wrong.
const NOISE: [&str; 8] = [
    "From ",
    "Please make sure you have the correct access rights",
    "and the repository exists",
    "remote: Enumerating objects",
    "remote: Counting objects",
    "remote: Compressing objects",
    "remote: Total",
    "fatal: Could not read from remote repository",
];

/// Variables that would make git work on another repository (`git rev-parse --local-env-vars`).
const FOREIGN: [&str; 10] = [
    "GIT_DIR",
    "GIT_COMMON_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_SHALLOW_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
];

/// Proof that git is installed and new enough.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Git(());

/// What to fetch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum What<'w> {
    /// One commit, as a refspec.
    Head(&'w str),
    /// Objects, as one id for each line.
    Objects(&'w str),
}

/// How a run of git ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Done,
    /// The server cannot send single files; git was stopped before it transferred all files.
    Unfiltered,
    Failed(Failure),
}

/// Git's exit status and its last messages.
#[derive(Debug)]
pub(crate) struct Failure {
    status: ExitStatus,
    lines: VecDeque<String>,
}

impl Git {
    /// Looks for git on the PATH. The error says why git cannot be used.
    pub(crate) fn find() -> Result<Self, String> {
        let output = Command::new("git")
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|_| "there is no git executable on the PATH".to_owned())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.trim().trim_start_matches("git version ");
        let mut numbers = version.split('.').map_while(|n| n.parse::<u32>().ok());
        match (numbers.next(), numbers.next()) {
            (Some(major), Some(minor)) if (major, minor) >= OLDEST => Ok(Self(())),
            _ => Err(format!(
                "the git executable ({version}) is older than {}.{}",
                OLDEST.0, OLDEST.1
            )),
        }
    }

    /// Fetches into a bare repository.
    pub(crate) fn fetch(
        self,
        repository: &Path,
        url: &str,
        what: What<'_>,
        session: &Session<'_>,
    ) -> Result<Ended> {
        let (option, refspec, stdin) = match what {
            What::Head(refspec) => ("--depth=1", Some(refspec), ""),
            What::Objects(ids) => ("--stdin", None, ids),
        };
        let mut command = Command::new("git");
        for variable in FOREIGN {
            command.env_remove(variable);
        }
        if let What::Objects(_) = what {
            // The objects are temporary.
            command.args(["-c", "core.fsync=none"]);
        }
        command
            .env("LC_ALL", "C")
            .arg("--git-dir")
            .arg(repository)
            // Not in the repository's configuration, because the URL may contain a password.
            .args(["-c", &format!("remote.origin.url={url}")])
            .args(["-c", "protocol.version=2"])
            .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"])
            .args(["-c", "fetch.writeCommitGraph=false"])
            .args(["fetch", "--no-tags", "--no-write-fetch-head", "--progress"])
            .args(["--recurse-submodules=no", "--filter=blob:none"])
            .args([option, "origin"])
            .args(refspec)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if !std::io::stdin().is_terminal() {
            // Nobody could answer a prompt.
            command.env("GIT_TERMINAL_PROMPT", "0");
        }
        certificates(&mut command);
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(e) => return Ok(Ended::Failed(Failure::unstarted(&e))),
        };
        if let Some(mut pipe) = child.stdin.take() {
            // Ignore an error: if git ends early, it says why on stderr.
            let _ = pipe.write_all(stdin.as_bytes());
        }
        watch(child, session)
    }
}

/// Passes OpenSSL's variables to git under git's names, because git's HTTP library does not read them.
fn certificates(command: &mut Command) {
    let config = Config::open_default();
    for (ours, git, key) in [
        ("SSL_CERT_FILE", "GIT_SSL_CAINFO", "http.sslcainfo"),
        ("SSL_CERT_DIR", "GIT_SSL_CAPATH", "http.sslcapath"),
    ] {
        let configured = config
            .as_ref()
            .is_ok_and(|config| config.get_entry(key).is_ok());
        if let Some(value) = std::env::var_os(ours)
            && std::env::var_os(git).is_none()
            && !configured
        {
            command.env(git, value);
        }
    }
}

/// Reads git's messages until git ends. It does not wait for the end of stderr, because a process that git started (a
/// credential helper or a daemon) may keep stderr open.
fn watch(mut child: Child, session: &Session<'_>) -> Result<Ended> {
    let mut messages = Messages::of(child.stderr.take());
    let ended = loop {
        if let Err(e) = session.check() {
            stop(&mut child);
            return Err(e);
        }
        let ended = child.try_wait();
        // Read after `try_wait`, so that the last messages are not lost.
        messages.read(|transfer| session.transferred(transfer));
        if messages.says_unfiltered {
            stop(&mut child);
            return Ok(Ended::Unfiltered);
        }
        match ended {
            Ok(None) => messages.wait(POLL),
            Ok(Some(status)) => break Ok(status),
            Err(e) => break Err(e),
        }
    };
    // On a terminal, Ctrl-C also reaches git, which may end first.
    session.check()?;
    Ok(match ended {
        Ok(status) if status.success() => Ended::Done,
        Ok(status) => Ended::Failed(Failure {
            status,
            lines: messages.lines,
        }),
        Err(e) => Ended::Failed(Failure::unstarted(&e)),
    })
}

/// Reads git's messages on stderr without blocking.
struct Messages {
    stderr: Option<ChildStderr>,
    /// An incomplete line.
    begun: Vec<u8>,
    /// The last lines that are not progress.
    lines: VecDeque<String>,
    says_unfiltered: bool,
}

impl Messages {
    fn of(stderr: Option<ChildStderr>) -> Self {
        let unblocked = |stderr: &ChildStderr| fcntl_setfl(stderr, OFlags::NONBLOCK).is_ok();
        Self {
            stderr: stderr.filter(unblocked),
            begun: Vec::new(),
            lines: VecDeque::new(),
            says_unfiltered: false,
        }
    }

    /// Waits until there is something to read, at most for `timeout`.
    fn wait(&self, timeout: Duration) {
        let Some(stderr) = &self.stderr else {
            // Git has closed stderr, so it ends soon.
            return std::thread::sleep(timeout / 10);
        };
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // A signal may end the wait early; this is harmless.
        let _ = poll(&mut [PollFd::new(stderr, PollFlags::IN)], Some(&timeout));
    }

    /// Reads the available messages. Calls `progress` for progress messages.
    fn read(&mut self, mut progress: impl FnMut(Transfer)) {
        let mut buffer = [0; 4096];
        while let Some(stderr) = &mut self.stderr {
            match stderr.read(&mut buffer) {
                Ok(n @ 1..) => {
                    for &byte in &buffer[..n] {
                        self.take(byte, &mut progress);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                _ => self.stderr = None,
            }
        }
    }

    /// Handles one byte. A line ends with `\n`, or with `\r` if git overwrites it.
    fn take(&mut self, byte: u8, progress: &mut impl FnMut(Transfer)) {
        if !matches!(byte, b'\r' | b'\n') {
            // Bound the memory for a line without an end.
            if self.begun.len() < 4096 {
                self.begun.push(byte);
            }
            return;
        }
        let line = String::from_utf8_lossy(&self.begun).trim().to_owned();
        self.begun.clear();
        if line.contains("filtering not recognized by server") {
            self.says_unfiltered = true;
        } else if let Some(transfer) = received(&line) {
            progress(transfer);
        } else if !line.is_empty() {
            self.lines.push_back(line);
            if self.lines.len() > KEPT_LINES {
                self.lines.pop_front();
            }
        }
    }
}

/// Asks git to end, so that it removes its temporary files. Kills it if it does not end in time.
fn stop(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
    let end = Instant::now() + GRACE;
    while Instant::now() < end {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Parses a line of progress: `Receiving objects:  42% (12/28), 1.50 MiB | 2.00 MiB/s`.
fn received(line: &str) -> Option<Transfer> {
    let rest = line.strip_prefix("Receiving objects:")?;
    let (_, rest) = rest.split_once('(')?;
    let (counts, rest) = rest.split_once(')')?;
    let (objects, of) = counts.split_once('/')?;
    let bytes = rest
        .trim_start_matches(',')
        .split('|')
        .next()
        .and_then(amount);
    Some(Transfer {
        files: objects.parse().ok()?,
        of: Some(of.parse().ok()?),
        bytes: bytes.unwrap_or(0),
    })
}

/// Parses `1.50 MiB` into bytes.
fn amount(text: &str) -> Option<u64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let number: f64 = number.parse().ok()?;
    let factor = match unit.trim_end_matches(", done.") {
        "bytes" | "byte" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((number * factor) as u64)
}

impl Failure {
    fn unstarted(e: &std::io::Error) -> Self {
        Self {
            status: ExitStatus::default(),
            lines: [format!("cannot be run: {e}")].into(),
        }
    }

    /// Whether a message of git contains this text.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }

    /// Whether git failed because another git works on the same repository.
    pub(crate) fn is_about_another_git(&self) -> bool {
        self.says("has changed since we read it") || self.says(".lock': File exists")
    }

    /// The failure in one line.
    pub(crate) fn message(&self) -> String {
        let told: Vec<&str> = self
            .lines
            .iter()
            .filter(|line| !NOISE.iter().any(|noise| line.starts_with(noise)))
            .map(|line| {
                let labels = ["fatal: ", "error: ", "remote: "];
                let label = labels.iter().find_map(|label| line.strip_prefix(label));
                label.unwrap_or(line).trim_end_matches(['.', ':'])
            })
            .collect();
        if told.is_empty() {
            return format!("git ended with {}", self.status);
        }
        told[told.len().saturating_sub(TOLD_LINES)..].join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that lines of progress are parsed, and that other lines are not.
    #[test]
    fn progress_lines() {
        let seen = received("Receiving objects:  42% (12/28), 1.50 MiB | 2.00 MiB/s");
        let seen = seen.expect("progress");
        assert_eq!((seen.files, seen.of, seen.bytes), (12, Some(28), 1_572_864));
        let last = received("Receiving objects: 100% (2/2), 488.60 KiB | 8.72 MiB/s, done.");
        assert_eq!(last.map(|t| t.bytes), Some(500_326));
        let early = received("Receiving objects:  10% (1/10)").expect("progress");
        assert_eq!((early.files, early.bytes), (1, 0));
        assert!(received("fatal: no such repository (1/2)").is_none());
    }

    /// Check that the message is git's own text without its labels.
    #[test]
    fn messages() {
        let failure = Failure {
            status: ExitStatus::default(),
            lines: ["From here", "remote: nothing here", "fatal: not found."]
                .map(str::to_owned)
                .into(),
        };
        assert_eq!(failure.message(), "nothing here; not found");
        assert!(failure.says("not found") && !failure.says("password"));
    }
}
