//! The commands that write, each with a folder to work in and what becomes of it.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use btfgen_testkit::git::Repository;
use tempfile::TempDir;

use crate::state::{State, temporary, visible};

/// Kernels of the sample hub that become small ones here.
const KERNELS: [&str; 4] = [
    "debian/11/x86_64/5.10.0-30-cloud-amd64",
    "debian/12/arm64/6.1.0-47-cloud-arm64",
    "debian/12/x86_64/6.1.0-47-cloud-amd64",
    "debian/13/x86_64/6.12.107+deb13-cloud-amd64",
];

/// One command, and the folder that it is run in.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    arguments: Vec<String>,
    template: TempDir,
    before: State,
    after: State,
    /// The kernels of the hub, for commands that must not lose any.
    kernels: Option<State>,
    /// Outputs that must be of one run, unless it was killed between two renames.
    pair: bool,
}

/// What a run came to.
pub(crate) enum Ended {
    Done,
    Failed,
}

/// The kind of a fault, for the check of a run.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fault<'f> {
    /// What it is, to see it again.
    pub(crate) what: &'f str,
    /// One of these is in the message of a run that fails. Empty where nobody knows who tells it.
    pub(crate) told: &'f [&'f str],
}

pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_btfgen")
}

/// The command without an environment that has a say.
pub(crate) fn command(folder: &Path, wrapper: &[String], arguments: &[String]) -> Command {
    let mut words = wrapper.iter().map(String::as_str).chain([binary()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(arguments).current_dir(folder);
    for name in [
        "BTFGEN_HUB",
        "BTFHUB_CACHE",
        "BTFHUB_CACHE_DIR",
        "XDG_CACHE_HOME",
        "RUST_BACKTRACE",
    ] {
        command.env_remove(name);
    }
    command.env("HOME", folder).env("LC_ALL", "C");
    // The folder for temporary files is watched, too.
    command.env("TMPDIR", folder.join("tmp"));
    command
}

fn small_kernel(kernel: &str, folder: &Path) -> Vec<u8> {
    let out = folder.join("small.btf");
    let (full, object) = (
        btfgen_testkit::sample_btf(kernel),
        btfgen_testkit::object("execsnoop"),
    );
    let (full, object) = (full.to_str().unwrap(), object.to_str().unwrap());
    run(folder, &["minimize", full, object, "-o", "small.btf"]);
    let btf = fs::read(&out).unwrap();
    fs::remove_file(out).unwrap();
    btf
}

#[track_caller]
fn run(folder: &Path, arguments: &[&str]) {
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let output = command(folder, &[], &arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
}

fn place(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

/// Makes `vmlinux`, with the BTF in `kernel.btf` and a build id.
fn vmlinux(folder: &Path) {
    place(folder, "vmlinux.c", b"int _start(void) { return 0; }");
    for command in [
        "cc -nostdlib -static -Wl,--build-id=sha1 -o vmlinux vmlinux.c",
        "objcopy --add-section .BTF=kernel.btf vmlinux",
    ] {
        let mut words = command.split(' ');
        let mut command = Command::new(words.next().unwrap());
        let status = command.args(words).current_dir(folder).status();
        assert!(status.unwrap().success());
    }
    fs::remove_file(folder.join("vmlinux.c")).unwrap();
}

impl Scenario {
    /// Every command that writes.
    pub(crate) fn all() -> Vec<Self> {
        let make = tempfile::tempdir().unwrap();
        fs::create_dir(make.path().join("tmp")).unwrap();
        let kernels = KERNELS.map(|kernel| small_kernel(kernel, make.path()));
        let new = |name, arguments: &str, pair, prepare: &dyn Fn(&Path)| {
            Self::new(name, arguments, pair, &kernels, prepare)
        };
        let nothing = |_: &Path| {};
        let repository = |folder: &Path| repository(folder, &kernels);
        vec![
            new("pack", "pack a.o --hub hub -o out.tar.gz", false, &nothing),
            new(
                "pack --emit-obj",
                "pack a.o --hub hub -o out.tar.gz --emit-obj out.o",
                true,
                &|folder| place(folder, "out.o", b"older"),
            ),
            new(
                "check",
                "check a.o --hub hub --write-baseline out.json --html out.html",
                false,
                &|folder| place(folder, "out.html", b"older"),
            ),
            new(
                "minimize",
                "minimize kernel.btf a.o -o out.tar.gz",
                false,
                &nothing,
            ),
            new(
                "extract",
                &format!("extract in.tar.gz {} -o out.tar.gz", KERNELS[0]),
                false,
                &|folder| run(folder, &["pack", "a.o", "--hub", "hub", "-o", "in.tar.gz"]),
            ),
            new(
                "add",
                "add kernel.btf --id a/1/x86_64/new --hub hub",
                false,
                &nothing,
            ),
            new(
                "add --force",
                &format!("add kernel.btf --id {} --hub hub --force", KERNELS[0]),
                false,
                // It replaces this one, too.
                &|folder| place(folder, &format!("hub/{}.btf", KERNELS[0]), &kernels[1]),
            ),
            new(
                "add --force of another build",
                &format!("add vmlinux --id {} --hub hub --force", KERNELS[0]),
                false,
                &|folder| {
                    vmlinux(folder);
                    let id = format!("hub/{}.build-id", KERNELS[0]);
                    place(folder, &id, b"0123456789abcdef\n");
                },
            ),
            new(
                "add modules",
                &format!("add new --id {} --hub hub --force", KERNELS[0]),
                false,
                // It replaces these modules, with their kernel.
                &|folder| {
                    for (name, kernel) in [("old", &kernels[0]), ("new", &kernels[1])] {
                        place(folder, &format!("{name}/vmlinux"), kernel);
                        place(folder, &format!("{name}/mod"), &module(kernel));
                    }
                    run(folder, &["add", "old", "--id", KERNELS[0], "--hub", "hub"]);
                },
            ),
            new(
                "fetch",
                "fetch --repo repository --hub hub",
                false,
                &repository,
            ),
            new(
                "fetch --prune",
                "fetch --repo repository --hub fetched --prune",
                false,
                &|folder| {
                    repository(folder);
                    run(
                        folder,
                        &["fetch", "--repo", "repository", "--hub", "fetched"],
                    );
                    let repository = Repository::at(folder.join("repository"));
                    repository.put("f/1/x86_64/1.btf", &kernels[2]);
                    repository.put("f/1/x86_64/5.btf", &kernels[3]);
                    repository.remove("f/1/x86_64/2.btf");
                    repository.commit();
                },
            ),
            new(
                "hub compact --replace",
                "hub compact --replace --hub hub",
                false,
                &|folder| {
                    run(folder, &["hub", "compact", "--hub", "hub"]);
                    place(folder, "hub/debian/12/x86_64/6.2.btf", &kernels[3]);
                },
            ),
            new(
                "hub expand --replace",
                "hub expand --replace --hub hub",
                false,
                &|folder| run(folder, &["hub", "compact", "--replace", "--hub", "hub"]),
            ),
            new(
                "hub cat",
                &format!("hub cat {} --hub hub -o out.tar.gz", KERNELS[0]),
                false,
                &|folder| run(folder, &["hub", "compact", "--replace", "--hub", "hub"]),
            ),
            new(
                "hub verify --delete",
                "hub verify --delete --hub hub",
                false,
                &|folder| {
                    place(folder, "hub/a/1/x86_64/damaged.btf", b"no BTF");
                },
            ),
        ]
    }

    fn new(
        name: &'static str,
        arguments: &str,
        pair: bool,
        kernels: &[Vec<u8>],
        prepare: &dyn Fn(&Path),
    ) -> Self {
        let template = tempfile::tempdir().unwrap();
        let folder = template.path();
        fs::create_dir(folder.join("tmp")).unwrap();
        fs::copy(btfgen_testkit::object("execsnoop"), folder.join("a.o")).unwrap();
        place(folder, "kernel.btf", &kernels[3]);
        place(folder, "out.tar.gz", b"older");
        for (kernel, content) in KERNELS.iter().zip(kernels).take(3) {
            place(folder, "small.btf", content);
            run(
                folder,
                &["add", "small.btf", "--id", kernel, "--hub", "hub"],
            );
            fs::remove_file(folder.join("small.btf")).unwrap();
        }
        prepare(folder);
        let mut scenario = Self {
            name,
            arguments: arguments.split(' ').map(str::to_owned).collect(),
            before: visible(folder),
            after: State::new(),
            kernels: ["hub compact", "hub expand"]
                .iter()
                .any(|moves| name.starts_with(moves))
                .then(|| read_all(folder).unwrap()),
            template,
            pair,
        };
        let work = scenario.folder();
        let output = scenario.command(work.path(), &[]).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {stderr}");
        scenario.after = visible(work.path());
        assert_ne!(scenario.before, scenario.after, "{name} writes nothing");
        scenario
    }

    /// A copy of the folder before the run.
    pub(crate) fn folder(&self) -> TempDir {
        let work = tempfile::tempdir().unwrap();
        self.fill(work.path());
        work
    }

    /// Copies the folder from before the run into an empty folder.
    pub(crate) fn fill(&self, to: &Path) {
        let from = self.template.path().join(".");
        let status = Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(status.unwrap().success());
    }

    /// The command, below a wrapper.
    pub(crate) fn command(&self, folder: &Path, wrapper: &[String]) -> Command {
        command(folder, wrapper, &self.arguments)
    }

    /// Whether the command must not lose a kernel.
    pub(crate) fn moves_kernels(&self) -> bool {
        self.kernels.is_some()
    }

    pub(crate) fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// Runs the command with a fault, and checks all that must be true then.
    pub(crate) fn try_with(&self, wrapper: &[String], fault: Fault<'_>) -> Result<Ended, String> {
        let work = self.folder();
        let output = self.command(work.path(), wrapper).output().unwrap();
        self.check(work.path(), &output, fault)
    }

    /// Checks the folder after a run, and that the next run does the work.
    pub(crate) fn check(
        &self,
        folder: &Path,
        output: &Output,
        fault: Fault<'_>,
    ) -> Result<Ended, String> {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let says = |why: &str| {
            format!(
                "{}, {}: {why}; {}: {stderr}",
                self.name, fault.what, output.status
            )
        };
        let killed = output.status.signal().is_some() || output.status.code() == Some(128 + 9);
        self.check_files(folder, output.status.success(), killed)
            .and_then(|()| self.check_kernels(folder))
            .and_then(|()| check_message(output, &stderr, fault.told))
            .map_err(|why| says(&why))?;
        let again = self.command(folder, &[]).output().unwrap();
        let after = visible(folder);
        if !again.status.success() || after != self.after {
            let second = String::from_utf8_lossy(&again.stderr);
            return Err(says(&format!(
                "the next run does not do its work: {}: {second}; {}",
                again.status,
                difference(&self.after, &after)
            )));
        }
        let left = temporary(folder);
        if !left.is_empty() {
            return Err(says(&format!("the next run leaves {left:?}")));
        }
        Ok(if output.status.success() {
            Ended::Done
        } else {
            Ended::Failed
        })
    }

    /// All kernels of a hub with chunks are there, with their BTFs.
    fn check_kernels(&self, folder: &Path) -> Result<(), String> {
        let Some(wanted) = &self.kernels else {
            return Ok(());
        };
        let found = read_all(folder)?;
        match found == *wanted {
            true => Ok(()),
            false => Err(format!("other kernels: {}", difference(wanted, &found))),
        }
    }

    fn check_files(&self, folder: &Path, done: bool, killed: bool) -> Result<(), String> {
        let now = visible(folder);
        if done {
            return match now == self.after {
                true => Ok(()),
                false => Err(format!(
                    "exit code 0, but not all is done: {}",
                    difference(&self.after, &now)
                )),
            };
        }
        let (mut old, mut new) = (Vec::new(), Vec::new());
        for path in self
            .before
            .keys()
            .chain(self.after.keys())
            .chain(now.keys())
        {
            let (before, after) = (self.before.get(path), self.after.get(path));
            match now.get(path) {
                content if before == after && content == before => {}
                content if content == after => new.push(path),
                content if content == before => old.push(path),
                // It is removed before its BTF is replaced.
                None if path.ends_with(".build-id") => {}
                _ => return Err(format!("{path} is neither old nor new")),
            }
        }
        self.check_build_ids(&now)?;
        if self.pair && !killed && !new.is_empty() {
            return Err(format!(
                "it failed, but {new:?} are new and {old:?} are old"
            ));
        }
        Ok(())
    }
}

impl Scenario {
    /// No build id is beside the BTF of another build.
    fn check_build_ids(&self, now: &State) -> Result<(), String> {
        for (path, id) in now {
            let Some(kernel) = path.strip_suffix(".build-id") else {
                continue;
            };
            let btf = format!("{kernel}.btf.tar.xz");
            let goes_with =
                |state: &State| state.get(path) == Some(id) && state.get(&btf) == now.get(&btf);
            if !goes_with(&self.before) && !goes_with(&self.after) {
                return Err(format!("{path} is not the id of the BTF beside it"));
            }
        }
        Ok(())
    }
}

/// The kernels of a hub, of which none is left out, and their BTFs.
fn read_all(folder: &Path) -> Result<State, String> {
    let ask = |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        let output = command(folder, &[], &arguments).output().unwrap();
        match output.status.success() && output.stderr.is_empty() {
            true => Ok(output.stdout),
            false => Err(format!(
                "{arguments:?}: {}",
                String::from_utf8_lossy(&output.stderr)
            )),
        }
    };
    let listed = String::from_utf8(ask(&["list", "--hub", "hub"])?).unwrap();
    let kernels = listed.lines().map(|kernel| {
        let btf = ask(&["hub", "cat", kernel, "--hub", "hub"])?;
        Ok((kernel.to_owned(), btf))
    });
    kernels.collect()
}

/// A run that fails says so, and why.
fn check_message(output: &Output, stderr: &str, told: &[&str]) -> Result<(), String> {
    if output.status.success() {
        return Ok(());
    }
    // The dynamic loader, which ends with 127, and Rust's runtime end a process by themselves.
    let is_runtimes = [
        "fatal runtime error: initialization",
        "memory allocation of",
    ];
    let is_runtimes = is_runtimes.iter().any(|text| stderr.contains(text));
    if output.status.code() == Some(127) || is_runtimes {
        return Ok(());
    }
    if stderr.contains("panicked at") {
        return Err("a panic".to_owned());
    }
    if output.status.signal().is_some() {
        return Ok(());
    }
    if stderr.matches("error: ").count() != 1 {
        return Err("not one error is told".to_owned());
    }
    // libgit2 does not pass on why it could not read: it tells of an object that is not there.
    let is_libgit2s = stderr.contains("/repository: ");
    if !told.is_empty() && !is_libgit2s && !told.iter().any(|text| stderr.contains(text)) {
        return Err(format!("none of {told:?} is told"));
    }
    Ok(())
}

fn difference(wanted: &State, found: &State) -> String {
    let paths = wanted.keys().chain(found.keys());
    let mut different: Vec<&String> = paths.filter(|p| wanted.get(*p) != found.get(*p)).collect();
    different.dedup();
    format!("{different:?}")
}

/// The BTF of a module of a kernel: one pointer.
fn module(kernel: &[u8]) -> Vec<u8> {
    assert!(btfgen::Btf::parse(kernel).is_ok());
    btfgen_testkit::made_up_btf(&[&[0, 2 << 24, 1]], b"")
}

fn repository(folder: &Path, kernels: &[Vec<u8>]) {
    let repository = Repository::new(folder.join("repository"));
    for (n, content) in kernels.iter().enumerate() {
        repository.put(&format!("f/1/x86_64/{n}.btf"), content);
    }
    repository.commit();
}

/// The path of a program, where there is one.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut folders = std::env::split_paths(&path);
    folders.find_map(|folder| Some(folder.join(program)).filter(|p| p.is_file()))
}
