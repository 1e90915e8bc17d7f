//! Repositories with a wrong layout, and the messages about them.

use btfgen_testkit::git::{Relay, kernel_file};

use crate::suite::fetch::{BOTH, Git, Ground, files, url};
use crate::suite::{btfgen, run, stdout, tar, xz};

const BUSTER: &str = "debian/10/x86_64/4.19.0-5-amd64.btf.tar.xz";
const EMPTY: &str = "debian/10/x86_64/4.19.0-6-amd64.btf.tar.xz";
const HOLLOW: &str = "debian/10/x86_64/4.19.0-7-amd64.btf.tar.xz";
const FOCAL: &str = "ubuntu/20.04/x86_64/5.4.0-26-generic.btf.tar.xz";

/// Check that a codename is as good as the version it leads to, when fetching and later, over every transport.
#[test]
fn codenames() {
    for (git, scheme) in [
        (Git::There, "git"),
        (Git::Missing, "git"),
        (Git::There, "file"),
    ] {
        let ground = Ground::new();
        let repository = ground.repository("kernels");
        repository.put(BUSTER, kernel_file(1, 20_000));
        repository.put(FOCAL, kernel_file(2, 20_000));
        repository.link("debian/buster", "10");
        repository.link("ubuntu/focal", "20.04");
        repository.commit();
        let daemon = ground.daemon();
        let url = match scheme {
            "git" => url("git", daemon.address(), "kernels"),
            _ => format!("file://{}", repository.folder().display()),
        };
        let distro = ["--distro", "debian/buster"];
        run(ground.fetch(git, &url).args(distro), 0, &["1 new"]);
        let found = files(&ground.hub());
        assert!(found.keys().eq([BUSTER, "debian/buster"]), "{found:?}");
        assert_eq!(found["debian/buster"], b"-> 10");
        let mut list = btfgen();
        let listed = stdout(list.arg("list").args(distro).arg("--hub").arg(ground.hub()));
        assert_eq!(listed, "debian/10/x86_64/4.19.0-5-amd64\n");
        run(ground.fetch(git, &url).args(distro), 0, &["1 unchanged"]);
    }
}

/// Check that files without a kernel are named, are not a failure, and are not transferred again.
#[test]
fn files_without_kernels() {
    for git in BOTH {
        let ground = Ground::new();
        let repository = ground.repository("kernels");
        repository.put(BUSTER, kernel_file(1, 20_000));
        repository.put(EMPTY, b"");
        repository.put(HOLLOW, xz(&tar(&[])));
        repository.commit();
        let daemon = ground.daemon();
        let relay = Relay::before(daemon.address());
        let url = url("git", relay.address(), "kernels");
        let told = ["note: skipped 2 files without a kernel", EMPTY, HOLLOW];
        run(&mut ground.fetch(git, &url), 0, &told);
        let (bytes, connections) = (relay.sent(), relay.connections());
        run(&mut ground.fetch(git, &url), 0, &told);
        assert!(relay.sent() - bytes < 4000);
        assert_eq!(relay.connections() - connections, 1);
        assert!(files(&ground.hub()).keys().eq([BUSTER]));
        // A later version of the file may contain a kernel.
        repository.put(EMPTY, kernel_file(2, 20_000));
        repository.commit();
        run(
            &mut ground.fetch(git, &url),
            0,
            &["1 new", "note: skipped 1 file without a kernel"],
        );
        assert!(files(&ground.hub()).keys().eq([BUSTER, EMPTY]));
    }
}

/// Check that damaged files are left out with a warning, this time and the next, and that all others come.
#[test]
fn damaged_files() {
    for git in BOTH {
        let ground = Ground::new();
        let repository = ground.repository("kernels");
        repository.put(BUSTER, kernel_file(1, 20_000));
        repository.put(EMPTY, vec![b'x'; 20_000]);
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n";
        repository.put(HOLLOW, pointer);
        repository.commit();
        let daemon = ground.daemon();
        let url = url("git", daemon.address(), "kernels");
        let told = [
            "warning: left out 2 files of the repositories",
            &format!("{EMPTY}: is not an xz file"),
            &format!("{HOLLOW}: is a Git LFS pointer"),
        ];
        for _ in 0..2 {
            run(&mut ground.fetch(git, &url), 0, &told);
            assert!(files(&ground.hub()).keys().eq([BUSTER]));
        }
        let output = run(ground.fetch(git, &url).arg("-q"), 0, &told);
        assert!(output.stdout.is_empty());
    }
}

/// Check that nothing but damaged and empty files is no error of the filters'.
#[test]
fn nothing_but_useless_files() {
    let ground = Ground::new();
    let repository = ground.repository("kernels");
    repository.put(EMPTY, b"");
    repository.commit();
    let folder = repository.folder().display().to_string();
    for _ in 0..2 {
        run(
            &mut ground.fetch(Git::There, &folder),
            0,
            &["no kernels", EMPTY],
        );
    }
}
