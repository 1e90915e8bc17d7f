//! Several at one hub.

use btfgen_testkit::git::Relay;

use crate::suite::fetch::{Git, Ground, Running, assert_same, files, kernels, put_series, url};

/// Check that of two fetches into one hub the second waits, says so, and finds what the first one brought.
#[test]
fn two_fetches() {
    let ground = Ground::new();
    let repository = ground.repository("kernels");
    put_series(&repository, "ubuntu/20.04/x86_64", 80, 17_000);
    repository.commit();
    let daemon = ground.daemon();
    let relay = Relay::before(daemon.address());
    let url = url("git", relay.address(), "kernels");
    relay.hold_after(50_000);
    let first = Running::start(ground.command(Git::There, &url));
    relay.wait_until_held();
    let mut second = Running::start(ground.command(Git::There, &url));
    second.wait_for("note: waiting for another fetch into this hub");
    relay.heal();
    let (code, told) = first.end();
    assert!(code == Some(0) && told.contains("80 new"), "{told}");
    let (code, told) = second.end();
    assert!(code == Some(0) && told.contains("80 unchanged"), "{told}");
    assert_eq!(told.matches("waiting").count(), 1, "{told}");
    assert_same(&files(&ground.hub()), &kernels(&repository));
}

/// Check that one that waits can be stopped, and leaves the other alone.
#[test]
fn waiting_can_be_stopped() {
    let ground = Ground::new();
    let repository = ground.repository("kernels");
    put_series(&repository, "ubuntu/20.04/x86_64", 10, 17_000);
    repository.commit();
    let daemon = ground.daemon();
    let relay = Relay::before(daemon.address());
    let url = url("git", relay.address(), "kernels");
    relay.hold_after(50_000);
    let first = Running::start(ground.command(Git::There, &url));
    relay.wait_until_held();
    let mut second = Running::start(ground.command(Git::There, &url));
    second.wait_for("waiting for another fetch");
    second.signal("-INT");
    assert_eq!(second.end().0, Some(130));
    relay.heal();
    let (code, told) = first.end();
    assert_eq!(code, Some(0), "{told}");
    assert_same(&files(&ground.hub()), &kernels(&repository));
}

/// Check that many at once, into a hub that none of them finds, all succeed.
#[test]
fn many_fetches() {
    let ground = Ground::new();
    let repository = ground.repository("kernels");
    put_series(&repository, "ubuntu/20.04/x86_64", 10, 17_000);
    repository.commit();
    let folder = repository.folder().display().to_string();
    let start = |_| Running::start(ground.command(Git::There, &folder));
    let all: Vec<Running> = (0..6).map(start).collect();
    for running in all {
        let (code, told) = running.end();
        assert_eq!(code, Some(0), "{told}");
    }
    assert_same(&files(&ground.hub()), &kernels(&repository));
}
