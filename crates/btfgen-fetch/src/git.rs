//! Runs the `git` executable, because libgit2 cannot transfer only some files of a repository (partial clone).

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use btfgen_hub::Result;
use git2::Config;
use rustix::process::{Pid, Signal, kill_process};

use crate::address::{Login, Url};
use crate::messages::{Failure, Messages, Said};
use crate::session::Session;

/// The first git whose `fetch` reads object ids from stdin.
const OLDEST: (u32, u32) = (2, 29);

/// How often to check whether git has ended or must be stopped.
const POLL: Duration = Duration::from_millis(100);

/// How long git may take to clean up after SIGTERM.
const GRACE: Duration = Duration::from_secs(2);

/// A credential helper that knows one login, from the environment.
const LOGIN_HELPER: &str = r#"!f() { test "$1" != get || printf 'username=%s\npassword=%s\n' "$BTFGEN_GIT_USER" "$BTFGEN_GIT_PASSWORD"; }; f"#;

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
    /// The server cannot send single files. Git was stopped before it transferred all files.
    WholeOnly,
    Failed(Failure),
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
        url: &Url,
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
        if let Some(login) = &url.login {
            pass_login(&mut command, login);
        }
        command
            .env("LC_ALL", "C")
            .arg("--git-dir")
            .arg(repository)
            .args(["-c", &format!("remote.origin.url={}", url.shown)])
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

/// Passes the password of a URL to git by a credential helper (gitcredentials(7)), for the URL's server only. All users of the
/// machine see the arguments of git and of its children; only this user sees the environment. The helper also keeps the user's
/// own helpers from storing the password.
fn pass_login(command: &mut Command, login: &Login) {
    let helper = format!("credential.{}.helper", login.server);
    command
        .args(["-c", &format!("{helper}=")])
        .args(["-c", &format!("{helper}={LOGIN_HELPER}")])
        .env("BTFGEN_GIT_USER", &login.user)
        .env("BTFGEN_GIT_PASSWORD", &login.password);
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
        if messages.said() == Some(Said::WholeOnly) {
            stop(&mut child);
            return Ok(Ended::WholeOnly);
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
        Ok(status) => Ended::Failed(messages.failure(status)),
        Err(e) => Ended::Failed(Failure::unstarted(&e)),
    })
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
