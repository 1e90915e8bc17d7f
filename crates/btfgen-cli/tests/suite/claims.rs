//! An output is never an input or another output, whatever its name.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use tempfile::{TempDir, tempdir};

use crate::suite::{NEW, OLD, btfgen, hub, object, place, place_kernel, run, xz};

/// A folder with an object, a hub, an archive and a package.json.
struct Ground(TempDir);

impl Ground {
    fn new() -> Self {
        let ground = Self(tempdir().unwrap());
        fs::copy(object(), ground.at("a.o")).unwrap();
        place_kernel(&ground.at("hub"), NEW);
        let other_form = format!("hub/{NEW}.btf.tar.xz");
        fs::copy(
            hub().join(format!("{NEW}.btf.tar.xz")),
            ground.at(&other_form),
        )
        .unwrap();
        place_kernel(&ground.at("hub"), OLD);
        place(ground.0.path(), "package.json", b"{}");
        let mut pack = ground.command(&["pack", "a.o", "--hub", "hub", "--only", OLD]);
        // One form of a kernel is left out for the other.
        run(pack.args(["-o", "made.tar.gz", "--no-store"]), 0, &[]);
        ground
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = btfgen();
        command.current_dir(self.0.path()).args(arguments);
        command
    }

    /// Every file and what is in it.
    fn state(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn walk(folder: &Path, state: &mut Vec<(PathBuf, Vec<u8>)>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, state);
                } else {
                    state.push((path.clone(), fs::read(&path).unwrap_or_default()));
                }
            }
        }
        let mut state = Vec::new();
        walk(self.0.path(), &mut state);
        state.sort();
        state
    }

    /// Checks that a command is refused before it does anything, and with what.
    #[track_caller]
    fn refused(&self, arguments: &[&str], piece: &str) {
        let before = self.state();
        run(&mut self.command(arguments), 1, &[piece, "help: "]);
        assert_eq!(self.state(), before, "{arguments:?}");
    }
}

const PACK: [&str; 6] = [
    "pack",
    "a.o",
    "--hub",
    "hub",
    "--package-json",
    "package.json",
];

/// Check that each output of each command is refused where it is an input.
#[test]
fn inputs_stay() {
    let ground = Ground::new();
    let kernel = format!("hub/{NEW}.btf");
    let other_form = format!("hub/{NEW}.btf.tar.xz");
    let pack = |outputs: &[&str], piece| ground.refused(&[&PACK[..], outputs].concat(), piece);
    for (input, what) in [
        ("a.o", "is the BPF object"),
        ("package.json", "is the file for package.json"),
        (&*kernel, "is a kernel of the hub"),
        // Not read, but its user's all the same.
        (&*other_form, "is a kernel of the hub"),
    ] {
        pack(&["-o", input], what);
        pack(&["-o", "new.tar.gz", "--emit-obj", input], what);
    }
    ground.refused(
        &["minimize", &kernel, "a.o", "-o", &kernel],
        "is the kernel",
    );
    ground.refused(
        &["minimize", &kernel, "a.o", "-o", "a.o"],
        "is the BPF object",
    );
    let extract = ["extract", "made.tar.gz", OLD, "-o", "made.tar.gz"];
    ground.refused(&extract, "is the archive");
    // A filter does not give the other kernels away.
    pack(&["--only", OLD, "-o", &kernel], "is a kernel of the hub");
}

/// Check that no two outputs are one file.
#[test]
fn outputs_are_apart() {
    let ground = Ground::new();
    let pack = |outputs: &[&str], piece| ground.refused(&[&PACK[..], outputs].concat(), piece);
    for name in ["made.tar.gz", "new"] {
        pack(&["-o", name, "--emit-obj", name], "is the archive");
    }
    // What comes of them may go to one place that takes everything.
    let mut command = ground.command(&PACK);
    command.args(["-o", "/dev/null", "--emit-obj", "/dev/null"]);
    run(&mut command, 0, &["1 kernel left out"]);
}

/// Check that links, hard or symbolic, of a file or of its folder, do not hide what an output is; also where nothing is there
/// yet.
#[test]
fn links_are_followed() {
    let ground = Ground::new();
    symlink("a.o", ground.at("link.o")).unwrap();
    symlink("link.o", ground.at("link-of-link.o")).unwrap();
    fs::hard_link(ground.at("a.o"), ground.at("hard.o")).unwrap();
    symlink(".", ground.at("here")).unwrap();
    symlink("not-yet", ground.at("dangling")).unwrap();
    let absolute = ground.at("a.o").display().to_string();
    for name in [
        "link.o",
        "link-of-link.o",
        "hard.o",
        "here/a.o",
        "./hub/../a.o",
        &absolute,
    ] {
        ground.refused(&[&PACK[..], &["-o", name]].concat(), "is the BPF object");
    }
    let twice = ["-o", "dangling", "--emit-obj", "here/not-yet"];
    ground.refused(&[&PACK[..], &twice].concat(), "is the archive");
}

/// Check that nothing is written into the folder of a hub that is btfgen's.
#[test]
fn own_folder() {
    let ground = Ground::new();
    fs::create_dir(ground.at("hub/.btfgen")).unwrap();
    let into = ["-o", "hub/.btfgen/record.json"];
    ground.refused(&[&PACK[..], &into].concat(), "btfgen's own folder");
}

/// Check that a link that leads nowhere yet is followed, and stays a link.
#[test]
fn dangling_link() {
    let ground = Ground::new();
    fs::create_dir(ground.at("folder")).unwrap();
    symlink("folder/made", ground.at("dangling")).unwrap();
    let mut extract = ground.command(&["extract", "made.tar.gz", OLD, "-o", "dangling"]);
    run(&mut extract, 0, &["dangling: "]);
    assert!(ground.at("dangling").is_symlink());
    assert!(ground.at("folder/made").is_file());
}

/// Check that a file to which stdout is redirected is appended to, and not replaced.
#[test]
fn redirected_stdout() {
    let ground = Ground::new();
    let script = r#"echo begin > log
        "$0" -q extract made.tar.gz "$1" -o /dev/stdout >> log
        echo middle >> log
        "$0" -q extract made.tar.gz "$1" -o /proc/self/fd/5 5>> log
        "$0" -q extract made.tar.gz "$1" -o - >> log"#;
    let mut command = Command::new("sh");
    command.args(["-ec", script, env!("CARGO_BIN_EXE_btfgen"), OLD]);
    run(command.current_dir(ground.0.path()), 0, &[]);
    run(
        &mut ground.command(&["extract", "made.tar.gz", OLD, "-o", "x"]),
        0,
        &[],
    );
    let btf = fs::read(ground.at("x")).unwrap();
    let log = [b"begin\n", &*btf, b"middle\n", &*btf, &*btf].concat();
    assert_eq!(fs::read(ground.at("log")).unwrap(), log);
}

/// Check that stdout is an output, too.
#[test]
fn stdout_is_an_input() {
    let ground = Ground::new();
    let before = ground.state();
    let mut command = Command::new("sh");
    let script = r#""$0" extract made.tar.gz "$1" -o - >> made.tar.gz"#;
    command.args(["-c", script, env!("CARGO_BIN_EXE_btfgen"), OLD]);
    run(
        command.current_dir(ground.0.path()),
        1,
        &["stdout: is the archive"],
    );
    assert_eq!(ground.state(), before);
}

/// Check that `add` does not replace the file that it was given.
#[test]
fn added_to_itself() {
    let ground = Ground::new();
    let btf = |kernel| fs::read(btfgen_testkit::sample_btf(kernel)).unwrap();
    place(&ground.at("hub"), &format!("{OLD}.btf.xz"), &xz(&btf(NEW)));
    let place = place(&ground.at("hub"), &format!("{OLD}.btf"), &btf(OLD));
    let own = place.display().to_string();
    let add = ["add", &own, "--id", OLD, "--hub", "hub", "--force"];
    ground.refused(&add, "would replace itself");
}
