//! Building the library and C programs on it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use btfgen::{Answered, Fact};
use btfgen_archive::{Builder, KernelId};
use btfgen_testkit::tool;

/// This crate's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// How a program is linked with the library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// libbtfgen.a, in an otherwise ordinary program.
    Archive,
    /// libbtfgen.a, in a program without any shared library.
    Static,
    /// libbtfgen.so.
    Shared,
}

impl Link {
    pub(crate) const ALL: [Self; 3] = [Self::Archive, Self::Static, Self::Shared];

    fn arguments(self) -> Vec<String> {
        match self {
            Self::Archive => [
                pkg_config(&["--libs", "libbtfgen"]),
                vec!["-Wl,--fatal-warnings".into()],
            ]
            .concat(),
            Self::Static => [
                pkg_config(&["--libs", "--static", "libbtfgen"]),
                vec!["-static".into()],
            ]
            .concat(),
            Self::Shared => {
                let folder = installed().join("lib");
                let folder = folder.display();
                vec![
                    format!("-L{folder}"),
                    "-lbtfgen".into(),
                    format!("-Wl,-rpath,{folder}"),
                ]
            }
        }
    }
}

/// The folder in which the library is installed, as `make install PREFIX=…` does it. Cargo builds no static library for a test,
/// so the test asks cargo for one.
pub(crate) fn installed() -> &'static Path {
    static INSTALLED: LazyLock<PathBuf> = LazyLock::new(|| {
        let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let built = scratch.parent().unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--locked", "--quiet", "--package", "btfgen-c"]);
        // Cargo has a folder in its target folder for each target that it is told.
        let target = match btfgen_testkit::OTHER_TARGET.filter(|target| built.ends_with(target)) {
            Some(other) => {
                cargo.args(["--target", other]);
                built.parent().unwrap()
            }
            None => built,
        };
        run(cargo.arg("--target-dir").arg(target).current_dir(root()));
        let prefix = scratch.join("libbtfgen");
        run(Command::new(root().join("../../scripts/install-c"))
            .env("CROSS_COMPILE", tool(""))
            .arg(built.join("debug"))
            .arg(&prefix)
            .arg(prefix.join("lib")));
        prefix
    });
    &INSTALLED
}

/// What pkg-config prints about the installed library.
pub(crate) fn pkg_config(arguments: &[&str]) -> Vec<String> {
    let printed = run(Command::new("pkg-config")
        .env("PKG_CONFIG_PATH", installed().join("lib/pkgconfig"))
        .args(arguments));
    printed.split_whitespace().map(Into::into).collect()
}

/// Compiles a program of tests/programs, with these other inputs before the library.
pub(crate) fn program(folder: &Path, name: &str, link: Link, inputs: &[&Path]) -> PathBuf {
    program_in_order(folder, name, link, inputs, &[])
}

/// Compiles a program of tests/programs, with these other inputs before and after the library.
pub(crate) fn program_in_order(
    folder: &Path,
    name: &str,
    link: Link,
    before: &[&Path],
    after: &[&Path],
) -> PathBuf {
    let program = folder.join(name);
    let mut cc = Command::new(tool("cc"));
    cc.args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread"])
        .args(pkg_config(&["--cflags", "libbtfgen", "libbpf"]))
        .arg(root().join("tests/programs").join(name).with_extension("c"))
        .args(before)
        .args(link.arguments())
        .args(after)
        .arg("-o")
        .arg(&program);
    run(&mut cc);
    program
}

/// Runs to a good end, and returns what was printed.
pub(crate) fn run(command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?} does not start: {e}"));
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{command:?}: {status}\n{stderr}");
    String::from_utf8(stdout).unwrap()
}

/// A program that shall look into the archive, on a host of this distribution.
pub(crate) fn on(program: &Path, os_release: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env("BTFGEN_REQUIRE_CUSTOM", "1")
        .env("BTFGEN_OS_RELEASE", os_release)
        .env_remove("BTFGEN_BTF");
    command
}

/// A program for which the environment names nothing.
pub(crate) fn without_variables(program: &Path) -> Command {
    let mut command = Command::new(program);
    for variable in ["BTFGEN_BTF", "BTFGEN_REQUIRE_CUSTOM", "BTFGEN_OS_RELEASE"] {
        command.env_remove(variable);
    }
    command
}

/// The smallest BTF there is: a header, and the empty string.
pub(crate) const BTF: [u8; 25] = [
    0x9f, 0xeb, 1, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0,
];

/// An archive with one kernel: the release and architecture of this one, under `example/1`. Returns it with the os-release
/// file that goes with it.
pub(crate) fn archive_of_this_kernel(folder: &Path) -> (PathBuf, PathBuf) {
    archive_of_this_kernel_below("", folder)
}

/// The same, with its entries below a prefix.
pub(crate) fn archive_of_this_kernel_below(prefix: &str, folder: &Path) -> (PathBuf, PathBuf) {
    let kernel = this_kernel();
    (archive_of(folder, prefix, kernel), os_release(folder))
}

fn this_kernel() -> KernelId {
    let uname = |flag| run(Command::new("uname").arg(flag)).trim_end().to_owned();
    KernelId::new("example", "1", &uname("-m"), &uname("-r")).unwrap()
}

/// The same, with facts and this kernel's answers.
pub(crate) fn archive_with_facts(folder: &Path, facts: &[(&str, &str)]) -> (PathBuf, PathBuf) {
    let path = folder.join("facts.tar.gz");
    let asked = facts.iter().map(|(fact, _)| fact.parse::<Fact>().unwrap());
    let answers = facts.iter().map(|(_, word)| Answered::from_word(word));
    let builder = Builder::new().add(this_kernel(), BTF).unwrap();
    let builder = builder.facts(asked.collect()).unwrap();
    let mut bytes = Vec::new();
    builder
        .answers(this_kernel(), answers.map(Option::unwrap).collect())
        .write(&mut bytes)
        .unwrap();
    std::fs::write(&path, bytes).unwrap();
    (path, os_release(folder))
}

/// An archive with one kernel that is nobody's.
pub(crate) fn archive_of_another_kernel(folder: &Path) -> (PathBuf, PathBuf) {
    let kernel = KernelId::new("example", "1", "x86_64", "0.0.1").unwrap();
    (archive_of(folder, "", kernel), os_release(folder))
}

fn archive_of(folder: &Path, prefix: &str, kernel: KernelId) -> PathBuf {
    let path = folder.join("min_core_btfs.tar.gz");
    let mut bytes = Vec::new();
    Builder::new()
        .prefix(prefix)
        .unwrap()
        .add(kernel, BTF)
        .unwrap()
        .write(&mut bytes)
        .unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

fn os_release(folder: &Path) -> PathBuf {
    let path = folder.join("os-release");
    std::fs::write(&path, "ID=example\nVERSION_ID=1\n").unwrap();
    path
}

/// rustc, for the architecture of this test.
pub(crate) fn rustc() -> Command {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    if let Some(other) = btfgen_testkit::OTHER_TARGET {
        rustc.args(["--target", other]);
    }
    rustc
}

/// The archive as `ld -r -b binary` makes it linkable.
pub(crate) fn linkable(archive: &Path) -> PathBuf {
    let folder = archive.parent().unwrap();
    // The symbols' names come from the path as it is given.
    run(Command::new(tool("ld"))
        .args(["-r", "-b", "binary", "-z", "noexecstack", "-o", "btfs.o"])
        .arg(archive.file_name().unwrap())
        .current_dir(folder));
    folder.join("btfs.o")
}

/// The archive as `btfgen pack --emit-obj` makes it linkable.
pub(crate) fn emitted(archive: &Path) -> PathBuf {
    let object = archive.with_file_name("emitted.o");
    let arch = btfgen::TargetArch::native().unwrap();
    let bytes = btfgen::linkable_object(&std::fs::read(archive).unwrap(), arch).unwrap();
    std::fs::write(&object, bytes).unwrap();
    object
}

/// Whether there is such a command.
pub(crate) fn is_there(command: impl AsRef<OsStr>) -> bool {
    Command::new(command).arg("--version").output().is_ok()
}
