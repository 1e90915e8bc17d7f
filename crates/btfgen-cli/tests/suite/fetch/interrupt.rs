//! Fetches that end before they are done: the hub is as it was, and the next one goes on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use btfgen::Hub;
use btfgen_testkit::git::{Daemon, PATIENCE, Relay, Repository, kernel_file};
use rustix::process::Signal;

use crate::suite::fetch::{
    BOTH, Git, Ground, Running, assert_same, files, kernels, put_series, url,
};
use crate::suite::run;

/// More than two batches of 64.
const FILES: u64 = 160;
const FILE_BYTES: u64 = 17_000;

/// Those of one batch.
const BATCH: u64 = 64 * FILE_BYTES;

const OLD: &str = "debian/10/x86_64/4.19.0-5-amd64.btf.tar.xz";

/// How long an end may take that is asked for. It takes much less.
const SOON: Duration = Duration::from_secs(15);

/// A hub with one kernel, which is another one in the repository by now, where a hundred more are.
struct Interrupted {
    ground: Ground,
    repository: Repository,
    daemon: Daemon,
    before: BTreeMap<String, Vec<u8>>,
}

impl Interrupted {
    fn new() -> Self {
        let ground = Ground::new();
        let repository = ground.repository("kernels");
        repository.put(OLD, kernel_file(1, 20_000));
        repository.commit();
        let folder = repository.folder().display().to_string();
        run(&mut ground.fetch(Git::There, &folder), 0, &["1 new"]);
        std::fs::rename(ground.hub(), ground.path("prepared")).unwrap();
        repository.put(OLD, kernel_file(2, 20_000));
        put_series(
            &repository,
            "ubuntu/20.04/x86_64",
            FILES,
            FILE_BYTES as usize,
        );
        repository.commit();
        let interrupted = Self {
            daemon: ground.daemon(),
            before: files(&ground.path("prepared")),
            repository,
            ground,
        };
        interrupted.begin();
        interrupted
    }

    /// Has the hub be as it was at first.
    fn begin(&self) {
        let _ = std::fs::remove_dir_all(self.ground.hub());
        let mut copy = std::process::Command::new("cp");
        copy.arg("-a").arg(self.ground.path("prepared"));
        assert!(copy.arg(self.ground.hub()).status().unwrap().success());
    }

    fn relay(&self) -> Relay {
        Relay::before(self.daemon.address())
    }

    /// The address through a relay. It is another one for each relay, of the same repository.
    fn url(&self, relay: &Relay) -> String {
        url("git", relay.address(), "kernels")
    }

    /// Checks that the hub is as it was.
    #[track_caller]
    fn is_as_before(&self) {
        assert_same(&files(&self.ground.hub()), &self.before);
    }

    /// Fetches once more, which brings everything, and returns the bytes that this took.
    #[track_caller]
    fn goes_on(&self, git: Git, relay: &Relay) -> u64 {
        relay.heal();
        let before = relay.sent();
        run(
            &mut self.ground.fetch(git, &self.url(relay)),
            0,
            &["160 new"],
        );
        assert_same(&files(&self.ground.hub()), &kernels(&self.repository));
        let left = crate::suite::names(&self.ground.hub().join(".btfgen"));
        let stay = ["readers.lock", "record.json", "repositories", "writer.lock"];
        assert_eq!(left, stay);
        relay.sent() - before
    }
}

/// Check that a connection that ends in the middle is an error, and that batches that have come do not come again.
#[test]
fn cut_connections() {
    let interrupted = Interrupted::new();
    for git in BOTH {
        interrupted.begin();
        let relay = interrupted.relay();
        // The list of files has some thousand bytes.
        relay.cut_after(BATCH + BATCH / 2);
        let mut command = interrupted.ground.fetch(git, &interrupted.url(&relay));
        run(
            &mut command,
            1,
            &["error: git://127.0.0.1:", "/kernels: ", "help: "],
        );
        interrupted.is_as_before();
        let sent = interrupted.goes_on(git, &relay);
        let rest = FILES * FILE_BYTES - BATCH;
        if git == Git::There {
            assert!(sent < rest + rest / 10, "{sent} for {rest}");
        }
    }
}

/// Check that a connection that ends at any other moment is no less of an error.
#[test]
fn cut_early_and_late() {
    let interrupted = Interrupted::new();
    let all = FILES * FILE_BYTES;
    for (git, bytes) in [
        (Git::There, 0),
        (Git::There, 100),
        (Git::There, 3000),
        (Git::There, all),
        (Git::Missing, 0),
        (Git::Missing, 100),
        (Git::Missing, all),
    ] {
        interrupted.begin();
        let relay = interrupted.relay();
        relay.cut_after(bytes);
        let mut command = interrupted.ground.fetch(git, &interrupted.url(&relay));
        run(&mut command, 1, &["error: git://127.0.0.1:"]);
        interrupted.is_as_before();
        interrupted.goes_on(git, &relay);
    }
}

/// Check that a web server that hangs up in the middle of an answer is an error too.
#[test]
fn cut_answers() {
    let ground = Ground::new();
    let repository = ground.repository("kernels");
    put_series(&repository, "ubuntu/20.04/x86_64", 30, 17_000);
    repository.commit();
    let http = ground.http().start();
    for git in BOTH {
        for bytes in [300, 15 * FILE_BYTES] {
            let relay = Relay::before(http.address());
            let url = url("http", relay.address(), "kernels");
            relay.cut_after(bytes);
            let error = format!("error: {url}: ");
            run(&mut ground.fetch(git, &url), 1, &[&error, "help: "]);
            assert!(files(&ground.hub()).is_empty());
            relay.heal();
            run(&mut ground.fetch(git, &url), 0, &["30 new"]);
            assert_same(&files(&ground.hub()), &kernels(&repository));
            std::fs::remove_dir_all(ground.hub()).unwrap();
        }
    }
}

/// Check that Ctrl-C ends a fetch with git at once wherever it is, and with libgit2, which waits for the server, the second
/// time.
#[test]
fn signals_to_end() {
    let interrupted = Interrupted::new();
    for (git, bytes, signals) in [
        (Git::There, 0, 1),
        (Git::There, BATCH + BATCH / 2, 1),
        (Git::Missing, 0, 2),
        (Git::Missing, BATCH, 2),
    ] {
        interrupted.begin();
        let relay = interrupted.relay();
        relay.hold_after(bytes);
        let command = interrupted.ground.command(git, &interrupted.url(&relay));
        let mut running = Running::start(command);
        relay.wait_until_held();
        let begin = Instant::now();
        running.signal(Signal::INT);
        if signals == 2 {
            // It does not end before the second one, so it has the time to say so.
            running.wait_for("stopping; a second Ctrl-C stops at once");
            running.signal(Signal::INT);
        }
        let (code, told) = running.end();
        assert_eq!(code, Some(130), "{told}");
        assert!(begin.elapsed() < SOON);
        interrupted.is_as_before();
        interrupted.goes_on(git, &relay);
    }
}

/// Check that libgit2 ends at the first Ctrl-C as long as something comes.
#[test]
fn signals_while_something_comes() {
    let interrupted = Interrupted::new();
    let relay = interrupted.relay();
    relay.hold_after(BATCH);
    let command = interrupted
        .ground
        .command(Git::Missing, &interrupted.url(&relay));
    let mut running = Running::start(command);
    relay.wait_until_held();
    running.signal(Signal::TERM);
    running.wait_for("stopping; a second Ctrl-C stops at once");
    relay.heal();
    let (code, told) = running.end();
    assert_eq!(code, Some(130), "{told}");
    interrupted.is_as_before();
    interrupted.goes_on(Git::Missing, &relay);
}

/// Check that the next fetch works after a fetch was killed at any moment.
#[test]
fn killed() {
    let interrupted = Interrupted::new();
    for (git, bytes) in [
        (Git::There, 0),
        (Git::There, 2000),
        (Git::There, BATCH / 2),
        (Git::There, 2 * BATCH),
        (Git::Missing, 100),
        (Git::Missing, BATCH),
    ] {
        interrupted.begin();
        let relay = interrupted.relay();
        relay.hold_after(bytes);
        let command = interrupted.ground.command(git, &interrupted.url(&relay));
        let running = Running::start(command);
        relay.wait_until_held();
        running.signal(Signal::KILL);
        // Not to its end: its git, which nobody kills, still has stderr.
        drop(running);
        interrupted.is_as_before();
        interrupted.goes_on(git, &relay);
    }
}

/// Check that a fetch that is killed when everything has come leaves it all to the next one, which takes it without
/// transferring it, whatever of it has its name already.
#[test]
fn killed_at_the_end() {
    let interrupted = Interrupted::new();
    let relay = interrupted.relay();
    let hub = interrupted.ground.hub();
    let reader = Hub::open(&[&hub]).unwrap();
    let command = interrupted
        .ground
        .command(Git::There, &interrupted.url(&relay));
    let mut running = Running::start(command);
    running.wait_for("waiting for other commands that read this hub");
    running.signal(Signal::KILL);
    drop(running);
    drop(reader);
    interrupted.is_as_before();
    // As if it had come so far.
    let staged = hub.join(".btfgen/staging");
    let new = kernel_file(2, 20_000);
    let blob = crate::suite::names(&staged)
        .into_iter()
        .find(|name| std::fs::read(staged.join(name)).unwrap() == new)
        .unwrap();
    std::fs::rename(staged.join(blob), hub.join(OLD)).unwrap();
    let sent = interrupted.goes_on(Git::There, &relay);
    assert!(sent < FILE_BYTES, "{sent} for nothing");
}

/// Check that a server that never answers can be left at any time, and that nothing is made for it.
#[test]
fn hanging_servers() {
    let ground = Ground::new();
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    for (git, scheme) in [
        (Git::There, "http"),
        (Git::There, "git"),
        (Git::Missing, "http"),
    ] {
        let mut running = Running::start(ground.command(git, &url(scheme, address, "kernels")));
        let client = listener.accept().unwrap();
        let begin = Instant::now();
        running.signal(Signal::INT);
        if git == Git::Missing {
            running.wait_for("stopping");
            running.signal(Signal::INT);
        }
        let (code, told) = running.end();
        assert_eq!(code, Some(130), "{told}");
        assert!(begin.elapsed() < SOON.min(PATIENCE));
        assert!(files(&ground.hub()).is_empty());
        drop(client);
    }
}
