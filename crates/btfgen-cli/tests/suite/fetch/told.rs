//! The messages of a fetch: numbers before and after, JSON, and `--quiet`.

use btfgen_testkit::git::{Relay, Repository, kernel_file};
use serde_json::json;

use crate::suite::fetch::{BOTH, Git, Ground, everything, json as json_of, put_series, url};
use crate::suite::{place, run};

const FILES: u64 = 40;
const FILE_BYTES: u64 = 20_000;

fn archive(ground: &Ground) -> Repository {
    let repository = ground.repository("kernels");
    put_series(
        &repository,
        "ubuntu/20.04/x86_64",
        FILES,
        FILE_BYTES as usize,
    );
    put_series(&repository, "rhel/8/x86_64", FILES, FILE_BYTES as usize);
    repository.commit();
    repository
}

/// Check that a dry run tells what would come, writes nothing, and is right.
#[test]
fn dry_runs() {
    let ground = Ground::new();
    let repository = archive(&ground);
    let daemon = ground.daemon();
    let relay = Relay::before(daemon.address());
    let remote = url("git", relay.address(), "kernels");
    let folder = repository.folder().display().to_string();
    for (git, url, transport) in [
        (Git::There, &remote, "partial"),
        (Git::Missing, &remote, "shallow"),
        (Git::There, &folder, "local"),
    ] {
        let filter = ["--distro", "ubuntu"];
        let mut command = ground.fetch(git, url);
        let preview = json_of(command.arg("--dry-run").args(filter));
        let repository = &preview["repositories"][0];
        assert_eq!(repository["address"], **url);
        assert_eq!(repository["transport"], transport);
        assert_eq!(repository["kernels"], FILES);
        assert_eq!(repository["kernels_are_exact"], true);
        let told = repository["bytes"].as_u64().unwrap();
        assert!(!ground.hub().exists());

        let mut command = ground.fetch(git, url);
        let before = relay.sent();
        let fetched = json_of(command.args(filter));
        let written = FILES * FILE_BYTES;
        assert_eq!(fetched["written_bytes"], written);
        let came = match transport {
            "partial" => relay.sent() - before,
            _ => written,
        };
        assert!(
            told.abs_diff(came) * 10 < came * 3,
            "{told} told, {came} came"
        );

        // The rest would come then.
        let before = everything(&ground.hub());
        let preview = json_of(ground.fetch(git, url).arg("-n"));
        assert_eq!(preview["repositories"][0]["kernels"], FILES);
        assert_eq!(everything(&ground.hub()), before);
        let output = run(ground.fetch(git, url).arg("-n"), 0, &[]);
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert!(
            stdout.starts_with(&format!("{url}: ")) && stdout.contains("40 kernels to "),
            "{stdout}"
        );
        std::fs::remove_dir_all(ground.hub()).unwrap();
    }
}

/// Check that a dry run does not transfer a large repository whole, and estimates what would come.
#[test]
fn estimate_of_a_whole_repository() {
    const FILES: u64 = 40;
    const FILE_BYTES: u64 = 1_000_000;
    let ground = Ground::new();
    let repository = ground.repository("kernels");
    put_series(&repository, "ol/8/x86_64", FILES, FILE_BYTES as usize);
    repository.commit();
    let daemon = ground.daemon();
    let relay = Relay::before(daemon.address());
    let remote = url("git", relay.address(), "kernels");
    let preview = json_of(ground.fetch(Git::Missing, &remote).arg("--dry-run"));
    let repository = &preview["repositories"][0];
    assert_eq!(repository["kernels_are_exact"], false);
    let files = repository["kernels"].as_u64().unwrap();
    // With the commit and the folders, which git counts too.
    assert!((FILES..FILES + 10).contains(&files), "{files}");
    let (told, all) = (repository["bytes"].as_u64().unwrap(), FILES * FILE_BYTES);
    assert!(told.abs_diff(all) * 10 < all * 2, "{told} told");
    assert!(relay.sent() < all * 3 / 4, "{} sent", relay.sent());
    assert!(!ground.hub().exists());
}

/// Check that all of what came of a fetch is in its JSON, under the names that programs read.
#[test]
fn json_for_programs() {
    let ground = Ground::new();
    let repository = ground.repository("kernels");
    let path = |n| format!("debian/{n}/x86_64/r.btf.tar.xz");
    for n in 1..=4 {
        repository.put(&path(n), kernel_file(n, 20_000));
    }
    repository.commit();
    place(&ground.hub(), &path(4), b"mine");
    let folder = repository.folder().display().to_string();
    let fetched = json_of(&mut ground.fetch(Git::There, &folder));
    let debian = |n| format!("debian/{n}/x86_64/r");
    assert_eq!(fetched["added"], json!([debian(1), debian(2), debian(3)]));
    assert_eq!(fetched["kept"], json!([debian(4)]));
    assert_eq!(fetched["written_bytes"], 60_000);
    assert_eq!(
        fetched["repositories"][0]["commit"].as_str().unwrap().len(),
        40
    );
    repository.remove(&path(1));
    repository.put(&path(2), kernel_file(9, 20_000));
    repository.put("misplaced.btf.tar.xz", kernel_file(9, 20_000));
    repository.commit();
    let fetched = json_of(&mut ground.fetch(Git::There, &folder));
    assert_eq!(fetched["gone"], json!([debian(1)]));
    assert_eq!(fetched["updated"], json!([debian(2)]));
    assert_eq!(fetched["unchanged"], 1);
    assert_eq!(fetched["left_out"][0]["path"], "misplaced.btf.tar.xz");
    assert_eq!(fetched["left_out"][0]["broken"], false);
    let fetched = json_of(ground.fetch(Git::There, &folder).arg("--prune"));
    assert_eq!(fetched["pruned"], json!([debian(1)]));
    assert_eq!(fetched["gone"], json!([]));
}

/// Check that there is no progress bar if stderr is not a terminal, that stdout has only data, and that `--quiet` is quiet.
#[test]
fn without_a_terminal() {
    let ground = Ground::new();
    archive(&ground);
    let daemon = ground.daemon();
    let url = url("git", daemon.address(), "kernels");
    for git in BOTH {
        let output = run(
            &mut ground.fetch(git, &url),
            0,
            &["80 new", "1.53 MiB written"],
        );
        assert!(output.stdout.is_empty());
        let moves = |b: &u8| b.is_ascii_control() && *b != b'\n';
        assert!(!output.stderr.iter().any(moves), "{:?}", output.stderr);
        std::fs::remove_dir_all(ground.hub()).unwrap();
        let output = run(ground.fetch(git, &url).arg("-q"), 0, &[]);
        assert!(output.stdout.is_empty() && output.stderr.is_empty());
        std::fs::remove_dir_all(ground.hub()).unwrap();
    }
    let output = run(
        ground.fetch(Git::There, &url).arg("-v"),
        0,
        &[" transferred"],
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(&format!("{url} at ")), "{stderr}");
}

/// Check that control characters in a repository's names are escaped.
#[test]
fn hostile_names() {
    let ground = Ground::new();
    let repository = ground.repository("kernels");
    repository.put("a/1/x86_64/\x1b[2J/r.btf.tar.xz", kernel_file(1, 20_000));
    repository.put("a/1/x86_64/\x1b[31mr.btf.tar.xz", b"no kernel");
    repository.put("a/1/x86_64/r.btf.tar.xz", kernel_file(1, 20_000));
    repository.commit();
    let folder = repository.folder().display().to_string();
    let output = ground.fetch(Git::There, &folder).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        !stderr.contains('\x1b') && stderr.contains("\\u{1b}[2J"),
        "{stderr}"
    );
}
