//! Repositories that want a login, and passwords, which nobody is shown.

use std::fs;
use std::process::Command;

use btfgen_testkit::git::{LOGIN, Repository, kernel_file};
use btfgen_testkit::skipped;

use crate::suite::fetch::{BOTH, Ground, assert_same, checked, everything, files, kernels};
use crate::suite::run;

const FOCAL: &str = "ubuntu/20.04/x86_64/5.4.0-26-generic.btf.tar.xz";

fn archive(ground: &Ground) -> Repository {
    let repository = ground.repository("kernels");
    repository.put(FOCAL, kernel_file(1, 20_000));
    repository.commit();
    repository
}

/// Check that a password in a URL is used, and that neither messages nor the hub's files contain it.
#[test]
fn passwords_in_urls() {
    let (user, password) = LOGIN;
    for git in BOTH {
        let ground = Ground::new();
        let repository = archive(&ground);
        let http = ground.http().with_login().start();
        let address = http.address();
        let url = format!("http://{user}:{password}@{address}/kernels");
        let wrong = format!("http://{user}:wr0ng@{address}/kernels");
        let missing = format!("http://{user}:{password}@{address}/missing");
        let shown = format!("http://{user}@{address}/");
        let mut told = Vec::new();
        for (url, arguments, code) in [
            (&url, &["-v", "--json"][..], 0),
            (&url, &["-v", "--dry-run"], 0),
            (&wrong, &["-v"], 1),
            (&missing, &["-v"], 1),
        ] {
            let output = run(ground.fetch(git, url).args(arguments), code, &[]);
            let all = [output.stdout, output.stderr].concat();
            let all = String::from_utf8(all).unwrap();
            assert!(all.contains(&shown), "{all}");
            told.push(all);
        }
        assert_same(&files(&ground.hub()), &kernels(&repository));
        let kept = everything(&ground.hub());
        for secret in [password, "wr0ng"] {
            assert!(told.iter().all(|text| !text.contains(secret)), "{told:?}");
            let bytes = secret.as_bytes();
            let has = |text: &[u8]| text.windows(bytes.len()).any(|part| part == bytes);
            for (name, content) in &kept {
                assert!(!name.contains(secret) && !has(content), "{name}");
            }
        }
    }
}

/// Check that with no terminal to ask on a missing login is an error at once.
#[test]
fn without_a_terminal() {
    if Command::new("setsid").arg("--version").output().is_err() {
        skipped("setsid is not installed");
        return;
    }
    for git in BOTH {
        let ground = Ground::new();
        archive(&ground);
        let http = ground.http().with_login().start();
        let address = http.address();
        for url in [
            format!("http://{address}/kernels"),
            format!("http://{}:wr0ng@{address}/kernels", LOGIN.0),
        ] {
            let fetch = ground.command(git, &url);
            let mut setsid = Command::new("/usr/bin/setsid");
            setsid
                .arg("--wait")
                .arg(fetch.get_program())
                .args(fetch.get_args());
            for (name, value) in fetch.get_envs() {
                match value {
                    Some(value) => setsid.env(name, value),
                    None => setsid.env_remove(name),
                };
            }
            let pieces = [
                &*address.to_string(),
                "help: check the address; if it is right, provide the login",
            ];
            run(&mut checked(setsid), 1, &pieces);
            assert!(!ground.hub().exists());
        }
    }
}

/// Check that git's credential helpers are asked, with git and without.
#[test]
fn credential_helpers() {
    for git in BOTH {
        let ground = Ground::new();
        let repository = archive(&ground);
        let http = ground.http().with_login().start();
        let (user, password) = LOGIN;
        let config = format!(
            "[credential]\n\thelper = \"!f() {{ echo username={user}; echo password={password}; }}; f\"\n"
        );
        fs::write(ground.path("home/.gitconfig"), config).unwrap();
        let mut command = ground.fetch(git, &format!("http://{}/kernels", http.address()));
        command.env("GIT_CONFIG_GLOBAL", ground.path("home/.gitconfig"));
        run(&mut command, 0, &[]);
        assert_same(&files(&ground.hub()), &kernels(&repository));
    }
}
