//! Hubs that cannot be written to, or must not be.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use btfgen_testkit::git::{Repository, kernel_file};
use btfgen_testkit::skipped;

use crate::suite::fetch::{Git, Ground, assert_same, checked, everything, files, kernels};
use crate::suite::{binary, place, run};

const FOCAL: &str = "ubuntu/20.04/x86_64/5.4.0-26-generic.btf.tar.xz";

/// An account without rights, by convention.
const NOBODY: &str = "65534";

fn archive(ground: &Ground) -> (Repository, String) {
    let repository = ground.repository("kernels");
    repository.put(FOCAL, kernel_file(1, 20_000));
    repository.commit();
    let folder = repository.folder().display().to_string();
    (repository, folder)
}

/// Check that a file is no hub, nor is what lies below one.
#[test]
fn files_are_no_hubs() {
    let ground = Ground::new();
    let (_, url) = archive(&ground);
    let file = place(&ground.path("folder"), "file", b"content");
    let before = everything(&ground.path("folder"));
    let subject = format!("error: {}: is not a folder", file.display());
    for hub in [file.clone(), file.join("below"), file.join("a/b/c")] {
        let pieces = [&*subject, "help: name a folder with --hub"];
        run(&mut ground.fetch_into(&hub, Git::There, &url), 1, &pieces);
    }
    assert_eq!(everything(&ground.path("folder")), before);
}

fn setpriv() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
    command
}

/// Check that folders that are not the user's to write to are left as they are.
#[test]
fn folders_of_others() {
    let ground = Ground::new();
    let (_, url) = archive(&ground);
    let folder = ground.path("folder");
    fs::create_dir_all(folder.join("hub")).unwrap();
    let everybody = Permissions::from_mode(0o555);
    for path in [ground.path(""), folder.clone(), folder.join("hub")] {
        fs::set_permissions(path, everybody.clone()).unwrap();
    }
    let is_root = fs::write(folder.join("try"), "").is_ok();
    let _ = fs::remove_file(folder.join("try"));
    let can_change = || {
        let output = setpriv().arg(binary()).arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    };
    if is_root && !can_change() {
        skipped("the command cannot be run as a user without rights");
        return;
    }
    let as_nobody = |command: Command| {
        if !is_root {
            return command;
        }
        let mut setpriv = setpriv();
        setpriv.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => setpriv.env(name, value),
                None => setpriv.env_remove(name),
            };
        }
        setpriv
    };
    let before = everything(&folder);
    for hub in [folder.join("hub"), folder.join("new"), folder.join("a/b")] {
        let command = as_nobody(ground.command_into(&hub, Git::There, &url));
        let pieces = [
            "cannot be created",
            "Permission denied",
            "help: name a writable folder",
        ];
        run(&mut checked(command), 1, &pieces);
        assert_eq!(everything(&folder), before);
    }
    for path in [folder.join("hub"), folder, ground.path("")] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
}

fn init(folder: &Path) -> Repository {
    let repository = Repository::new(folder);
    repository.put("README.md", "Somebody's");
    repository.commit();
    repository
}

/// Check that a checkout is left alone, and what lies in one, unless it is ignored there.
#[test]
fn checkouts_of_others() {
    let ground = Ground::new();
    let (repository, url) = archive(&ground);
    let foreign = init(&ground.path("foreign"));
    let before = everything(foreign.folder());
    for hub in ["", "hub", "deep/er/hub", ".git", ".git/hub"] {
        let hub = foreign.folder().join(hub);
        let pieces = [
            "is inside the git repository",
            "help: name a folder outside of it",
        ];
        run(&mut ground.fetch_into(&hub, Git::There, &url), 1, &pieces);
    }
    assert!(everything(foreign.folder()) == before);
    foreign.put(".gitignore", "/cache\n");
    for hub in ["cache", "cache/btfhub"] {
        let hub = foreign.folder().join(hub);
        run(
            &mut ground.fetch_into(&hub, Git::There, &url),
            0,
            &["1 new"],
        );
        assert_same(&files(&hub), &kernels(&repository));
        fs::remove_dir_all(hub).unwrap();
    }
}
