//! What git says on stderr: progress, and why it failed.

use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::process::{ChildStderr, ExitStatus};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};

use crate::session::Transfer;

/// The number of git's last messages to keep for an error.
const KEPT_LINES: usize = 20;

/// The number of git's last messages to show in an error.
const TOLD_LINES: usize = 3;

/// What btfgen recognizes in git's messages, because git says it in no other way: its exit code is the same for all failures.
/// An unknown message is a failure to reach the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// The server cannot send single files.
    WholeOnly,
    /// This git lacks its program for the URL's protocol, which some distributions put into a separate package.
    NoProtocol,
    /// The repository has no commit.
    Empty,
    /// Another git works on the same folder.
    AnotherGit,
    /// The disk is full.
    NoRoom,
    /// The login is missing or wrong.
    Credentials,
    /// ssh does not know the server.
    HostKey,
    /// The server's certificate is not trusted.
    Certificate,
}

/// Parts of messages, which `LC_ALL=C` keeps untranslated. They are git's own unless marked.
const SENTENCES: [(&str, Said); 14] = [
    // Only a warning, after which git transfers all files.
    ("filtering not recognized by server", Said::WholeOnly),
    // A server that knows filters, but not version 2 of git's protocol.
    ("request for unadvertised object", Said::WholeOnly),
    ("is not a git command", Said::NoProtocol),
    ("couldn't find remote ref HEAD", Said::Empty),
    ("has changed since we read it", Said::AnotherGit),
    (".lock': File exists", Said::AnotherGit),
    // The C library's.
    (NO_SPACE, Said::NoRoom),
    ("could not read Username", Said::Credentials),
    ("could not read Password", Said::Credentials),
    ("Authentication failed", Said::Credentials),
    // The HTTP status "Forbidden", by curl.
    ("returned error: 403", Said::Credentials),
    // The next two are ssh's.
    ("Permission denied (", Said::Credentials),
    ("Host key verification failed", Said::HostKey),
    // curl's, and those of the TLS libraries below it.
    ("certificate", Said::Certificate),
];

/// The C library's message for a full disk, which git and libgit2 repeat.
pub(crate) const NO_SPACE: &str = "No space left on device";

/// Git's exit status and its last messages.
#[derive(Debug)]
pub(crate) struct Failure {
    status: ExitStatus,
    lines: VecDeque<String>,
    said: Option<Said>,
}

/// Reads git's messages on stderr without blocking.
pub(crate) struct Messages {
    stderr: Option<ChildStderr>,
    /// An incomplete line.
    begun: Vec<u8>,
    /// The last lines that are not progress.
    lines: VecDeque<String>,
}

impl Messages {
    pub(crate) fn of(stderr: Option<ChildStderr>) -> Self {
        let unblocked = |stderr: &ChildStderr| fcntl_setfl(stderr, OFlags::NONBLOCK).is_ok();
        Self {
            stderr: stderr.filter(unblocked),
            begun: Vec::new(),
            lines: VecDeque::new(),
        }
    }

    /// Waits until there is something to read, at most for `timeout`.
    pub(crate) fn wait(&self, timeout: Duration) {
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
    pub(crate) fn read(&mut self, mut progress: impl FnMut(Transfer)) {
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

    /// The meaning of the messages so far. If several are known, the first one in the table counts.
    pub(crate) fn said(&self) -> Option<Said> {
        let is_said = |text: &str| self.lines.iter().any(|line| line.contains(text));
        let known = SENTENCES.iter().find(|(text, _)| is_said(text));
        known.map(|&(_, said)| said)
    }

    /// The failure of a git that ended with this status.
    pub(crate) fn failure(self, status: ExitStatus) -> Failure {
        Failure {
            status,
            said: self.said(),
            lines: self.lines,
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
        if let Some(transfer) = received(&line) {
            progress(transfer);
        } else if !line.is_empty() && !is_progress(&line) {
            self.lines.push_back(line);
            if self.lines.len() > KEPT_LINES {
                self.lines.pop_front();
            }
        }
    }
}

/// Whether a line is progress of the server or of git, such as `remote: Counting objects: 100% (5/5), done.`
fn is_progress(line: &str) -> bool {
    line.ends_with(", done.") || line.contains("% (") || line.contains(" (delta ")
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
    /// The failure of a git that cannot be run.
    pub(crate) fn unstarted(e: &std::io::Error) -> Self {
        Self {
            status: ExitStatus::default(),
            lines: [format!("cannot be run: {e}")].into(),
            said: None,
        }
    }

    /// The meaning of the failure, if it is known.
    pub(crate) fn said(&self) -> Option<Said> {
        self.said
    }

    /// The failure in one line.
    pub(crate) fn message(&self) -> String {
        // After its last error git only gives advice.
        let last = self
            .lines
            .iter()
            .rposition(|line| line.starts_with("fatal: "));
        let told: Vec<&str> = self
            .lines
            .iter()
            .take(last.map_or(usize::MAX, |last| last + 1))
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

    /// Check that the message is git's own text without its labels, its progress and its advice, and that its meaning is known.
    #[test]
    fn messages() {
        let mut messages = Messages::of(None);
        let said = b"remote: Counting objects: 50% (1/2)\rremote: Total 2 (delta 0), reused 0 (delta 0)\n\
            me@host: Permission denied (publickey).\nfatal: Could not read from remote repository.\n\nPlease make sure\n";
        for &byte in said {
            messages.take(byte, &mut |_| {});
        }
        let failure = messages.failure(ExitStatus::default());
        assert_eq!(failure.said(), Some(Said::Credentials));
        let told = "me@host: Permission denied (publickey); Could not read from remote repository";
        assert_eq!(failure.message(), told);
    }
}
