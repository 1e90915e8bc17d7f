//! What is no repository, or has no kernel that is asked for: one line that says so, and nothing is changed.

use std::fs;
use std::net::TcpListener;

use btfgen_testkit::git::{Relay, Repository, kernel_file};

use crate::suite::fetch::{BOTH, Git, Ground, everything, files, url};
use crate::suite::{place, run};

const FOCAL: &str = "ubuntu/20.04/x86_64/5.4.0-26-generic.btf.tar.xz";
const BUSTER: &str = "debian/10/arm64/4.19.0-5-arm64.btf.tar.xz";

/// Checks that it fails, with a hub that is not there and with one that is.
#[track_caller]
fn refused(ground: &Ground, git: Git, url: &str, arguments: &[&str], pieces: &[&str]) {
    run(ground.fetch(git, url).args(arguments), 1, pieces);
    assert!(!ground.hub().exists(), "{url}");
    let mut command = ground.fetch(git, url);
    run(command.args(arguments).arg("--dry-run"), 1, pieces);
    assert!(!ground.hub().exists(), "{url}");
    place(&ground.hub(), FOCAL, b"mine");
    let before = everything(&ground.hub());
    run(ground.fetch(git, url).args(arguments), 1, pieces);
    assert_eq!(everything(&ground.hub()), before, "{url}");
    fs::remove_dir_all(ground.hub()).unwrap();
}

fn archive(ground: &Ground) -> Repository {
    let repository = ground.repository("kernels");
    repository.put(FOCAL, kernel_file(1, 20_000));
    repository.put(BUSTER, kernel_file(2, 20_000));
    repository.commit();
    repository
}

/// Check that addresses that lead nowhere are errors that name them.
#[test]
fn nowhere() {
    let ground = Ground::new();
    archive(&ground);
    let (daemon, http) = (ground.daemon(), ground.http().start());
    let refusing = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let closed = refusing.local_addr().unwrap();
    drop(refusing);
    for git in BOTH {
        for url in [
            url("http", closed, "kernels"),
            url("git", closed, "kernels"),
            url("http", http.address(), "none"),
            url("http", http.address(), "page"),
            url("git", daemon.address(), "none"),
            "http://btfs.invalid/kernels".to_owned(),
            "git://btfs.invalid/kernels".to_owned(),
        ] {
            let subject = format!("error: {url}: ");
            refused(
                &ground,
                git,
                &url,
                &[],
                &[&subject, "help: check the address"],
            );
        }
    }
}

/// Check that folders that are no repositories, and that are none at all, are errors that name them.
#[test]
fn folders() {
    let ground = Ground::new();
    let plain = ground.path("plain");
    place(&plain, FOCAL, b"content");
    let file = place(&ground.path("files"), "file", b"content");
    let missing = ground.path("missing");
    let cases = [
        (&plain, "is not a git repository", "is already a hub"),
        (&file, "is not a git repository", "help: "),
        (&missing, "is not a git repository", "help: "),
    ];
    for (path, message, help) in cases {
        let shown = path.display().to_string();
        let subject = format!("error: {shown}: {message}");
        refused(&ground, Git::There, &shown, &[], &[&subject, help]);
        let url = format!("file://{shown}");
        refused(&ground, Git::There, &url, &[], &[&subject, help]);
    }
}

/// Check that repositories without a commit and without a kernel give their own errors.
#[test]
fn empty_repositories() {
    let ground = Ground::new();
    let empty = ground.repository("empty");
    let bare = ground.repository("other");
    bare.put("README.md", "No kernels");
    bare.put("src/main.c", "int main;");
    bare.commit();
    let daemon = ground.daemon();
    for git in BOTH {
        let other = url("git", daemon.address(), "other");
        let pieces = [&*other, "has no files ID/VERSION/ARCH/RELEASE", "help: "];
        refused(&ground, git, &other, &[], &pieces);
        let url = url("git", daemon.address(), "empty");
        refused(&ground, git, &url, &[], &[&url, "the repository is empty"]);
    }
    let folder = empty.folder().display().to_string();
    let pieces = [&*folder, "the repository is empty"];
    refused(&ground, Git::There, &folder, &[], &pieces);
}

/// Check that what git would take for an option or a program to run is refused, and not run.
#[test]
fn dangerous_addresses() {
    let ground = Ground::new();
    let proof = ground.path("proof");
    let run_it = format!("ext::sh -c 'touch {}'", proof.display());
    let option = format!("--upload-pack=touch {}", proof.display());
    for (url, piece) in [
        (&*run_it, "names a git helper program, which is not allowed"),
        ("fd::17", "names a git helper program, which is not allowed"),
        ("ftp://btfs.invalid/kernels", "has an unsupported scheme"),
        ("http:// /kernels", "error: "),
        ("http://", "error: "),
        (
            "https://btfs.invalid/\u{1b}[2J",
            "is not a repository address",
        ),
    ] {
        for git in BOTH {
            refused(&ground, git, url, &[], &["help: ", piece]);
        }
    }
    let mut command = ground.fetch(Git::There, "none");
    command.arg(format!("--repo={option}"));
    run(&mut command, 1, &["is not a repository address", "help: "]);
    // Hosts are arguments of ssh.
    for url in ["ssh://-oProxyCommand=x/kernels", "-oProxyCommand=x:kernels"] {
        let mut command = ground.fetch(Git::There, "ssh://btfs.invalid/x");
        run(command.arg(format!("--repo={url}")), 1, &["error: "]);
    }
    assert!(!proof.exists() && !ground.hub().exists());
}

/// Check that the error for filters that no kernel passes lists the available ones.
#[test]
fn filters_without_kernels() {
    let ground = Ground::new();
    let repository = archive(&ground);
    let daemon = ground.daemon();
    let url = url("git", daemon.address(), "kernels");
    let folder = repository.folder().display().to_string();
    for (git, url) in [(Git::There, &url), (Git::There, &folder)] {
        let all = "help: it has debian/10/arm64, ubuntu/20.04/x86_64";
        for (filter, why, help) in [
            (["--distro", "rhel"], "is of the distribution rhel", all),
            (
                ["--distro", "debain"],
                "is of the distribution debain",
                "help: did you mean debian?",
            ),
            (["--arch", "s390x"], "has the architecture s390x", all),
            (
                ["--only", "ubuntu/*/arm64/*"],
                "matches ubuntu/*/arm64/*",
                all,
            ),
        ] {
            let why = format!("none of the 2 kernels {why}");
            refused(&ground, git, url, &filter, &[url, &why, help]);
        }
    }
}

/// Check that a filter that nothing passes does not cost the transfer of a whole repository: the next one finds it.
#[test]
fn filters_without_kernels_of_a_shallow_clone() {
    let ground = Ground::new();
    archive(&ground);
    let daemon = ground.daemon();
    let relay = Relay::before(daemon.address());
    let url = url("git", relay.address(), "kernels");
    let fetch = || ground.fetch(Git::Missing, &url);
    let pieces = ["has the architecture s390x", "help: it has debian/10/arm64"];
    run(fetch().args(["--arch", "s390x", "--dry-run"]), 1, &pieces);
    assert!(!ground.hub().exists());
    run(fetch().args(["--arch", "s390x"]), 1, &pieces);
    assert!(files(&ground.hub()).is_empty());
    let before = relay.sent();
    run(&mut fetch(), 0, &["2 new"]);
    assert!(relay.sent() - before < 4000);
}

/// Check that of several repositories a bad one spoils all, and nothing is changed.
#[test]
fn one_of_several() {
    let ground = Ground::new();
    let folder = archive(&ground).folder().display().to_string();
    let daemon = ground.daemon();
    let remote = url("git", daemon.address(), "kernels");
    for good in [&folder, &remote] {
        for bad in ["http://127.0.0.1:1/kernels", "/none"] {
            let subject = format!("error: {bad}: ");
            refused(&ground, Git::There, good, &["--repo", bad], &[&subject]);
            refused(&ground, Git::There, bad, &["--repo", good], &[&subject]);
        }
    }
}
