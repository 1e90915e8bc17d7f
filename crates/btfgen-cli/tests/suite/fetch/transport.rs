//! Every way that kernels come, and what of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use btfgen_testkit::git::{Repository, kernel_file};

use crate::suite::fetch::{Git, Ground, assert_same, files, json, kernels, url};
use crate::suite::{btfgen, pack, run, stdout};

const FOCAL: &str = "ubuntu/20.04/x86_64/5.4.0-26-generic.btf.tar.xz";
const BIONIC: &str = "ubuntu/18.04/arm64/4.15.0-20-generic.btf.tar.xz";
const BUSTER: &str = "debian/10/x86_64/4.19.0-5-amd64.btf.tar.xz";
const BULLSEYE: &str = "debian/11/arm64/5.10.0-9-arm64.btf.tar.xz";

/// A filter, and what passes it.
const FILTERS: [(&[&str], &[&str]); 5] = [
    (&["--arch", "aarch64"], &[BULLSEYE, BIONIC]),
    (&["--distro", "ubuntu"], &[BIONIC, FOCAL]),
    (&["--distro", "debian/10"], &[BUSTER]),
    (&["--only", "*/5.*"], &[BULLSEYE, FOCAL]),
    (&["--distro", "ubuntu", "--arch", "x86_64"], &[FOCAL]),
];

const NO_GIT: &str =
    "there is no git executable on the PATH; fetching the whole last commit (shallow clone)";
const NO_FILES: &str =
    "its server does not send single files; fetching the whole last commit (shallow clone)";

fn archive(ground: &Ground, name: &str) -> Repository {
    let repository = ground.repository(name);
    for (seed, path) in (1..).zip([FOCAL, BIONIC, BUSTER, BULLSEYE]) {
        repository.put(path, kernel_file(seed, 20_000));
    }
    repository.put("README.md", "Kernels");
    repository.put("ubuntu/20.04/x86_64/marker", "");
    repository.commit();
    repository
}

/// Fetches all into a new hub, and then each filter's kernels into another.
#[track_caller]
fn comes(ground: &Ground, repository: &Repository, git: Git, url: &str, way: (&str, &str)) {
    let (transport, told) = way;
    let expected = kernels(repository);
    let mut command = ground.fetch(git, url);
    let fetched = json(&mut command);
    assert_same(&files(&ground.hub()), &expected);
    assert_eq!(fetched["repositories"][0]["transport"], transport, "{url}");
    assert_eq!(fetched["added"].as_array().unwrap().len(), expected.len());
    fs::remove_dir_all(ground.hub()).unwrap();
    for (filter, passing) in FILTERS {
        let output = run(ground.fetch(git, url).args(filter), 0, &[told]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr.contains("whole"), !told.is_empty(), "{stderr}");
        let found = files(&ground.hub());
        assert!(
            found.keys().eq(passing),
            "{url} {filter:?}: {:?}",
            found.keys()
        );
        assert!(
            found
                .iter()
                .all(|(path, content)| *content == expected[path])
        );
        fs::remove_dir_all(ground.hub()).unwrap();
    }
}

fn comes_both_ways(ground: &Ground, repository: &Repository, url: &str) {
    comes(ground, repository, Git::There, url, ("partial", ""));
    comes(ground, repository, Git::Missing, url, ("shallow", NO_GIT));
}

/// Check that all or the selected kernels of a git daemon are fetched, with and without git.
#[test]
fn from_a_daemon() {
    let ground = Ground::new();
    let repository = archive(&ground, "kernels");
    let daemon = ground.daemon();
    let url = url("git", daemon.address(), "kernels");
    comes_both_ways(&ground, &repository, &url);
}

/// Check that the same is so over HTTP.
#[test]
fn from_a_web_server() {
    let ground = Ground::new();
    let repository = archive(&ground, "kernels.git");
    let http = ground.http().start();
    let url = url("http", http.address(), "kernels.git");
    comes_both_ways(&ground, &repository, &url);
}

/// Check that folders of this machine are read where they are, also bare ones, with git or without.
#[test]
fn from_a_folder() {
    let ground = Ground::new();
    let repository = archive(&ground, "kernels");
    let folder = repository.folder().display().to_string();
    for (git, address) in [
        (Git::There, folder.clone()),
        (Git::Missing, format!("file://{folder}")),
        (Git::Missing, format!("{folder}/.git")),
    ] {
        comes(&ground, &repository, git, &address, ("local", ""));
    }
}

/// Check that ssh is git's, as it is configured: its command gets the host and what to run there. There is no ssh server
/// here: the command runs it on this machine.
#[test]
fn by_ssh() {
    let ground = Ground::new();
    let repository = archive(&ground, "kernels");
    let script = ground.path("ssh");
    let asked = ground.path("asked");
    let text = format!(
        "#!/bin/sh\necho \"$@\" >> {}\nfor last; do :; done\nexec sh -c \"$last\"\n",
        asked.display()
    );
    fs::write(&script, text).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let folder = repository.folder().display();
    for url in [
        format!("ssh://git@kernels.invalid{folder}"),
        format!("git@kernels.invalid:{folder}"),
    ] {
        let mut command = ground.fetch(Git::There, &url);
        command.env("GIT_SSH_COMMAND", &script);
        command.env("GIT_SSH_VARIANT", "ssh");
        let fetched = json(&mut command);
        assert_eq!(fetched["repositories"][0]["transport"], "partial", "{url}");
        assert_same(&files(&ground.hub()), &kernels(&repository));
        let asked = fs::read_to_string(&asked).unwrap();
        assert!(
            asked.contains("git@kernels.invalid git-upload-pack"),
            "{asked}"
        );
        fs::remove_dir_all(ground.hub()).unwrap();
    }
}

/// Check that a server that cannot send single files is told, and its repository taken whole: one that does not want to,
/// and one that says it does but lacks the version of the protocol that it takes.
#[test]
fn servers_without_single_files() {
    let ground = Ground::new();
    let repository = archive(&ground, "kernels");
    let http = ground.http().with_old_protocol().start();
    let old = url("http", http.address(), "kernels");
    comes(
        &ground,
        &repository,
        Git::There,
        &old,
        ("shallow", NO_FILES),
    );
    let daemon = ground.daemon();
    repository.configure("uploadpack.allowFilter", "false");
    let unwilling = url("git", daemon.address(), "kernels");
    comes(
        &ground,
        &repository,
        Git::There,
        &unwilling,
        ("shallow", NO_FILES),
    );
}

/// Check that the message also appears if the first requested file is a link, whose transfer is otherwise silent.
#[test]
fn old_servers_of_links() {
    let ground = Ground::new();
    let repository = archive(&ground, "kernels");
    repository.link("debian/buster", "10");
    repository.commit();
    let http = ground.http().with_old_protocol().start();
    let url = url("http", http.address(), "kernels");
    let mut command = ground.fetch(Git::There, &url);
    run(command.args(["--distro", "debian/buster"]), 0, &[NO_FILES]);
    assert!(ground.hub().join(BUSTER).is_file() && !ground.hub().join(FOCAL).exists());
    let link = fs::read_link(ground.hub().join("debian/buster")).unwrap();
    assert_eq!(link, Path::new("10"));
}

/// Check that a too old git is not used, and that the message has its version.
#[test]
fn old_git() {
    let ground = Ground::new();
    let repository = archive(&ground, "kernels");
    let daemon = ground.daemon();
    let git = ground.path("old");
    fs::create_dir(&git).unwrap();
    fs::write(git.join("git"), "#!/bin/sh\necho git version 2.28.1\n").unwrap();
    fs::set_permissions(git.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = ground.fetch(Git::There, &url("git", daemon.address(), "kernels"));
    let told = "the git executable (2.28.1) is older than 2.29; fetching the whole last commit";
    run(command.env("PATH", git), 0, &[told]);
    assert_same(&files(&ground.hub()), &kernels(&repository));
}

/// Check that a proxy that the environment names is asked for a host that only it knows. (libgit2 has proxies for HTTPS
/// only, which `secure` tests.)
#[test]
fn through_a_proxy() {
    let ground = Ground::new();
    let repository = archive(&ground, "kernels");
    // What a proxy is asked over plain HTTP is what a server is asked, with the host's name before it.
    let proxy = ground.http().start();
    let mut command = ground.fetch(Git::There, "http://btfs.invalid/kernels");
    command.env("http_proxy", format!("http://{}", proxy.address()));
    run(&mut command, 0, &[]);
    assert_same(&files(&ground.hub()), &kernels(&repository));
}

/// Check that repositories are taken from the environment where none is named, and that the hub is.
#[test]
fn named_by_the_environment() {
    let ground = Ground::new();
    let repository = archive(&ground, "kernels");
    let folder = repository.folder();
    for variable in ["BTFHUB_REPO_URL", "BTFHUB_REPO"] {
        let mut command = btfgen();
        command
            .env(variable, folder)
            .env("HOME", ground.path("home"));
        run(
            command.env("BTFHUB_CACHE_DIR", ground.hub()).arg("fetch"),
            0,
            &["4 new"],
        );
        assert_same(&files(&ground.hub()), &kernels(&repository));
        fs::remove_dir_all(ground.hub()).unwrap();
    }
}

/// Check that what was fetched is what `pack` and `list` take.
#[test]
fn packs() {
    let ground = Ground::new();
    let repository = ground.repository("kernels");
    for kernel in btfgen_testkit::sample_kernels() {
        let path = format!("{kernel}.btf.tar.xz");
        let content = fs::read(btfgen_testkit::sample_hub().join(&path)).unwrap();
        repository.put(&path, content);
    }
    repository.commit();
    let daemon = ground.daemon();
    let url = url("git", daemon.address(), "kernels");
    run(&mut ground.fetch(Git::There, &url), 0, &[]);
    let listed = stdout(btfgen().args(["list", "--hub"]).arg(ground.hub()));
    assert!(listed.lines().eq(btfgen_testkit::sample_kernels()));
    let (fetched, sample) = (ground.path("a.tar.gz"), ground.path("b.tar.gz"));
    run(&mut pack(&ground.hub(), &fetched), 0, &[]);
    run(&mut pack(&btfgen_testkit::sample_hub(), &sample), 0, &[]);
    assert!(fs::read(fetched).unwrap() == fs::read(sample).unwrap());
}
