//! The git process: what other users of the machine see of it, and when it counts as ended.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use btfgen_testkit::git::{LOGIN, kernel_file};

use crate::suite::fetch::{Git, Ground, assert_same, files, kernels, url};
use crate::suite::run;

const FOCAL: &str = "ubuntu/20.04/x86_64/5.4.0-26-generic.btf.tar.xz";

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn output(command: &mut Command) -> PathBuf {
    let output = command.output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().into()
}

/// Check that a password in a URL is in no argument of git or of the helper that it starts, because all users see arguments.
#[test]
fn no_password_in_arguments() {
    let ground = Ground::new();
    let repository = ground.repository("kernels");
    repository.put(FOCAL, kernel_file(1, 20_000));
    repository.commit();
    // git and its helper for HTTP, behind scripts that note how the system shows them.
    let seen = ground.path("seen");
    let noting = |whom: &str, program: &Path| {
        let (seen, program) = (seen.display(), program.display());
        format!("cat {whom} >> {seen}\nexec {program} \"$@\"")
    };
    let real = output(Command::new("git").arg("--exec-path"));
    let (path, exec_path) = (ground.path("path"), ground.path("exec-path"));
    fs::create_dir(&path).unwrap();
    fs::create_dir(&exec_path).unwrap();
    for entry in fs::read_dir(&real).unwrap() {
        let name = entry.unwrap().file_name();
        symlink(real.join(&name), exec_path.join(&name)).unwrap();
    }
    let helper = exec_path.join("git-remote-http");
    fs::remove_file(&helper).unwrap();
    script(
        &helper,
        &noting(
            "/proc/$PPID/cmdline /proc/$$/cmdline",
            &real.join("git-remote-http"),
        ),
    );
    let git = output(Command::new("sh").args(["-c", "command -v git"]));
    script(&path.join("git"), &noting("/proc/$$/cmdline", &git));

    let (user, password) = LOGIN;
    let http = ground.http().with_login().start();
    let address = http.address();
    // The first letter of the password is written as in RFC 3986, 2.1.
    let encoded = format!("%{:02x}{}", password.as_bytes()[0], &password[1..]);
    for password in [password, &encoded] {
        let url = format!("http://{user}:{password}@{address}/kernels");
        let mut command = ground.fetch(Git::There, &url);
        let search = format!("{}:{}", path.display(), std::env::var("PATH").unwrap());
        command.env("PATH", search).env("GIT_EXEC_PATH", &exec_path);
        run(&mut command, 0, &["1 new"]);
        assert_same(&files(&ground.hub()), &kernels(&repository));
        fs::remove_dir_all(ground.hub()).unwrap();
    }
    let seen = fs::read(&seen).unwrap();
    let seen = String::from_utf8_lossy(&seen).replace('\0', " ");
    let shown = format!("{user}@{address}/kernels");
    assert!(
        seen.contains("remote-http") && seen.contains(&shown),
        "{seen}"
    );
    assert!(!seen.contains(&password[1..]), "{seen}");
}

/// Check that a fetch fails as soon as git does, although a process that git started goes on and keeps git's stderr open.
#[test]
fn stderr_that_stays_open() {
    let ground = Ground::new();
    let path = ground.path("path");
    fs::create_dir(&path).unwrap();
    let fifo = ground.path("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    script(
        &path.join("git"),
        &format!(
            "test \"$1\" = --version && exec echo git version 2.47.3\n\
             (read line < {}) &\necho fatal: it is gone >&2\nexit 128",
            fifo.display()
        ),
    );
    let daemon = ground.daemon();
    let url = url("git", daemon.address(), "kernels");
    let mut command = ground.fetch(Git::There, &url);
    command.env("PATH", format!("{}:/usr/bin:/bin", path.display()));
    run(&mut command, 1, &["kernels: it is gone"]);
    // Only now may the process end, which the test would otherwise wait for in vain.
    fs::write(&fifo, "end\n").unwrap();
}
