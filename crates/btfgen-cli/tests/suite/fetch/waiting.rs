//! Several at one hub.

use btfgen_testkit::git::{Daemon, Relay, Repository};
use rustix::process::Signal;

use crate::suite::fetch::{Git, Ground, Running, assert_same, files, kernels, put_series, url};

/// Two fetches into one hub: the first one is held in the middle of its transfer, and the second one waits for it.
struct Two {
    relay: Relay,
    first: Running,
    second: Running,
    _daemon: Daemon,
}

impl Two {
    fn start(ground: &Ground) -> Self {
        let daemon = ground.daemon();
        let relay = Relay::before(daemon.address());
        let url = url("git", relay.address(), "kernels");
        relay.hold_after(50_000);
        let first = Running::start(ground.command(Git::There, &url));
        relay.wait_until_held();
        let mut second = Running::start(ground.command(Git::There, &url));
        second.wait_for("note: waiting for another command that changes this hub");
        Self {
            relay,
            first,
            second,
            _daemon: daemon,
        }
    }
}

fn archive(ground: &Ground, kernels: u64) -> Repository {
    let repository = ground.repository("kernels");
    put_series(&repository, "ubuntu/20.04/x86_64", kernels, 17_000);
    repository.commit();
    repository
}

/// Check that of two fetches into one hub the second waits, says so, and finds what the first one brought.
#[test]
fn two_fetches() {
    let ground = Ground::new();
    let repository = archive(&ground, 80);
    let two = Two::start(&ground);
    two.relay.heal();
    let (code, told) = two.first.end();
    assert!(code == Some(0) && told.contains("80 new"), "{told}");
    let (code, told) = two.second.end();
    assert!(code == Some(0) && told.contains("80 unchanged"), "{told}");
    assert_eq!(told.matches("waiting").count(), 1, "{told}");
    assert_same(&files(&ground.hub()), &kernels(&repository));
}

/// Check that one that waits can be stopped, and leaves the other alone.
#[test]
fn waiting_can_be_stopped() {
    let ground = Ground::new();
    let repository = archive(&ground, 10);
    let two = Two::start(&ground);
    two.second.signal(Signal::INT);
    assert_eq!(two.second.end().0, Some(130));
    two.relay.heal();
    let (code, told) = two.first.end();
    assert_eq!(code, Some(0), "{told}");
    assert_same(&files(&ground.hub()), &kernels(&repository));
}

/// Check that many at once, into a hub that none of them finds, all succeed.
#[test]
fn many_fetches() {
    let ground = Ground::new();
    let repository = archive(&ground, 10);
    let folder = repository.folder().display().to_string();
    let start = |_| Running::start(ground.command(Git::There, &folder));
    let all: Vec<Running> = (0..6).map(start).collect();
    for running in all {
        let (code, told) = running.end();
        assert_eq!(code, Some(0), "{told}");
    }
    assert_same(&files(&ground.hub()), &kernels(&repository));
}
