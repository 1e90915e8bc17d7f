//! What goes over the network, counted between the server and the command.

use btfgen_testkit::git::{Relay, Repository, kernel_file};

use crate::suite::fetch::{Git, Ground, assert_same, files, json, kernels, put_series, url};
use crate::suite::run;

const FILES: u64 = 30;
const FILE_BYTES: usize = 24_000;

/// More than a question and its answer, less than any kernel.
const A_LITTLE: u64 = 12_000;

const ONE: &str = "ubuntu/20.04/x86_64";

/// A repository of ten folders of one size.
fn tenfold(ground: &Ground) -> Repository {
    let repository = ground.repository("kernels");
    put_series(&repository, ONE, FILES, FILE_BYTES);
    for n in 1..10_usize {
        let version = "1".repeat(n);
        put_series(
            &repository,
            &format!("rhel/{version}/x86_64"),
            FILES,
            FILE_BYTES,
        );
    }
    repository.commit();
    repository
}

/// Commits one more kernel, and returns what its transfer may take: of the lists of files come those that are different.
fn one_more(repository: &Repository) -> u64 {
    let path = format!("{ONE}/5.4.0-999-generic.btf.tar.xz");
    repository.put(&path, kernel_file(1 << 60, FILE_BYTES));
    repository.commit();
    FILE_BYTES as u64 + A_LITTLE
}

/// Fetches one of the folders, and checks what that takes.
fn brings_one_folder(scheme: &str) {
    let ground = Ground::new();
    let repository = tenfold(&ground);
    let (daemon, http) = (ground.daemon(), ground.http().start());
    let relay = Relay::before(match scheme {
        "git" => daemon.address(),
        _ => http.address(),
    });
    let url = url(scheme, relay.address(), "kernels");
    let fetch = || {
        let mut command = ground.fetch(Git::There, &url);
        let before = relay.sent();
        let fetched = json(command.args(["--only", &format!("{ONE}/*")]));
        let told = fetched["repositories"][0]["received_bytes"]
            .as_u64()
            .unwrap();
        (relay.sent() - before, told)
    };
    let all: usize = kernels(&repository).values().map(Vec::len).sum();
    let wanted = FILES * FILE_BYTES as u64;
    assert_eq!(all as u64, 10 * wanted);

    let (sent, told) = fetch();
    let ratio = sent as f64 / wanted as f64;
    println!("{scheme}: {sent} bytes for {wanted}, {ratio:.4}; told {told}");
    assert!(ratio <= 1.1, "{ratio}");
    assert!(
        told.abs_diff(sent) * 100 <= 5 * sent,
        "{told} told, {sent} sent"
    );
    let mut expected = kernels(&repository);
    expected.retain(|path, _| path.starts_with(ONE));
    assert_same(&files(&ground.hub()), &expected);

    let (sent, _) = fetch();
    assert!(sent < A_LITTLE, "{sent} for nothing new");

    let allowed = one_more(&repository);
    let (sent, told) = fetch();
    assert!(sent < allowed && told < allowed, "{sent} sent, {told} told");
    assert_eq!(files(&ground.hub()).len() as u64, FILES + 1);
}

/// Check that of one folder of ten only its files come, then nothing, then only what is new: from a git daemon.
#[test]
fn of_one_folder_from_a_daemon() {
    brings_one_folder("git");
}

/// Check that the same is so over HTTP.
#[test]
fn of_one_folder_from_a_web_server() {
    brings_one_folder("http");
}

/// Check that libgit2, which takes all, takes it once, then nothing, then only what is new.
#[test]
fn of_a_shallow_clone() {
    for scheme in ["git", "http"] {
        let ground = Ground::new();
        let repository = ground.repository("kernels");
        put_series(&repository, ONE, FILES, FILE_BYTES);
        put_series(&repository, "rhel/8/x86_64", FILES, FILE_BYTES);
        repository.commit();
        let (daemon, http) = (ground.daemon(), ground.http().start());
        let relay = Relay::before(match scheme {
            "git" => daemon.address(),
            _ => http.address(),
        });
        let url = url(scheme, relay.address(), "kernels");
        let fetch = |code| {
            let mut command = ground.fetch(Git::Missing, &url);
            let before = relay.sent();
            run(command.args(["--only", &format!("{ONE}/*")]), code, &[]);
            relay.sent() - before
        };
        let all = 2 * FILES * FILE_BYTES as u64;
        let sent = fetch(0);
        assert!(sent >= all && sent * 10 <= all * 11, "{sent} for {all}");
        let sent = fetch(0);
        assert!(sent < A_LITTLE, "{sent} for nothing new");
        let allowed = one_more(&repository);
        let sent = fetch(0);
        assert!(sent < allowed, "{scheme}: {sent} for one file");
        assert_eq!(files(&ground.hub()).len() as u64, FILES + 1);
    }
}

/// Check that a hub whose record is gone or garbage is found to have what it has, by its contents.
#[test]
fn without_a_record() {
    let ground = Ground::new();
    let repository = ground.repository("kernels");
    put_series(&repository, ONE, FILES, FILE_BYTES);
    repository.commit();
    let daemon = ground.daemon();
    let relay = Relay::before(daemon.address());
    let url = url("git", relay.address(), "kernels");
    run(&mut ground.fetch(Git::There, &url), 0, &["30 new"]);
    let record = ground.hub().join(".btfgen/record.json");
    for garbage in [None, Some("{"), Some("{\"version\":9}"), Some("\0\0")] {
        match garbage {
            None => std::fs::remove_file(&record).unwrap(),
            Some(text) => std::fs::write(&record, text).unwrap(),
        }
        let before = relay.sent();
        run(&mut ground.fetch(Git::There, &url), 0, &["30 unchanged"]);
        let sent = relay.sent() - before;
        assert!(sent < A_LITTLE, "{sent} for nothing new");
    }
    std::fs::remove_dir_all(ground.hub().join(".btfgen")).unwrap();
    run(&mut ground.fetch(Git::There, &url), 0, &["30 unchanged"]);
    assert_same(&files(&ground.hub()), &kernels(&repository));
}
