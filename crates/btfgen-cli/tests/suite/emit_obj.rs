//! `btfgen pack --emit-obj`: the object as linkers and the readers of binutils and LLVM see it.

use std::fs;
use std::path::PathBuf;

use assert_cmd::Command;
use tempfile::{TempDir, tempdir};

use crate::suite::{NEW, btfgen, hub, names, pack, place, place_kernel, run, stdout};

/// The architectures, with what `readelf -h` says of them: machine, class, byte order and flags.
const ARCHITECTURES: [(&str, &str, &str, &str, u32); 13] = [
    ("x86_64", "X86-64", "ELF64", "little", 0),
    ("arm64", "AArch64", "ELF64", "little", 0),
    ("i386", "80386", "ELF32", "little", 0),
    ("arm", "ARM", "ELF32", "little", 0x0500_0000),
    ("armel", "ARM", "ELF32", "little", 0x0500_0000),
    ("ppc64le", "PowerPC64", "ELF64", "little", 2),
    ("ppc64", "PowerPC64", "ELF64", "big", 0),
    ("ppc", "PowerPC", "ELF32", "big", 0),
    ("s390x", "S/390", "ELF64", "big", 0),
    ("riscv64", "RISC-V", "ELF64", "little", 4),
    ("riscv32", "RISC-V", "ELF32", "little", 4),
    ("loongarch64", "LoongArch", "ELF64", "little", 0x43),
    ("mips64el", "MIPS", "ELF64", "little", 0x8000_0006),
];

/// A program that writes the archive it is linked with to stdout.
const PROGRAM: &str = r#"
#include <stdio.h>
extern const char _binary_min_core_btfs_tar_gz_start[], _binary_min_core_btfs_tar_gz_end[];
int main(void)
{
    size_t size = _binary_min_core_btfs_tar_gz_end - _binary_min_core_btfs_tar_gz_start;
    return fwrite(_binary_min_core_btfs_tar_gz_start, 1, size, stdout) != size || fflush(stdout);
}
"#;

/// A folder with an archive, and an object of it.
struct Emitted {
    dir: TempDir,
    archive: PathBuf,
    object: PathBuf,
}

impl Emitted {
    fn new(arguments: &[&str]) -> Self {
        let dir = tempdir().unwrap();
        let archive = dir.path().join("min_core_btfs.tar.gz");
        let object = dir.path().join("btfs.o");
        let mut command = pack(&hub(), &archive);
        command.args(["--only", NEW, "--emit-obj"]).arg(&object);
        run(command.args(arguments), 0, &[]);
        Self {
            dir,
            archive,
            object,
        }
    }

    fn archive(&self) -> Vec<u8> {
        fs::read(&self.archive).unwrap()
    }

    /// What a tool prints about the object.
    fn seen_by(&self, tool: &str, arguments: &[&str]) -> String {
        stdout(tool_of_c(tool).args(arguments).arg(&self.object))
    }
}

fn tool_of_c(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("LC_ALL", "C");
    command
}

/// Whether a tool is here; it is said where it is not.
fn is_there(tool: &str) -> bool {
    let there = Command::new(tool).arg("--version").output().is_ok();
    if !there {
        btfgen_testkit::skipped(format_args!("{tool} is not installed"));
    }
    there
}

/// The names that `nm` lists, sorted, without the values.
fn symbols(nm: &str) -> Vec<&str> {
    let mut names: Vec<&str> = nm
        .lines()
        .filter_map(|l| l.split(' ').next_back())
        .collect();
    names.sort_unstable();
    names
}

/// Check that a C program has the archive's bytes, whichever way it is linked, and that the linker warns of nothing.
#[test]
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "x86")))]
fn linked() {
    let emitted = Emitted::new(&[]);
    let source = place(emitted.dir.path(), "main.c", PROGRAM.as_bytes());
    let program = emitted.dir.path().join("main");
    let link = |flags: &[&str]| {
        let mut cc = tool_of_c(&btfgen_testkit::tool("cc"));
        cc.args(["-Wall", "-Werror", "-Wl,--fatal-warnings"]);
        cc.args(flags).arg("-o").arg(&program);
        cc.arg(&source).arg(&emitted.object).output().unwrap()
    };
    for flags in [
        &["-pie", "-fPIE"][..],
        &["-no-pie", "-fno-pie"],
        &["-static"],
        &["-O2", "-flto", "-Wl,--gc-sections", "-Wl,-z,noexecstack"],
    ] {
        let done = link(flags);
        let stderr = String::from_utf8_lossy(&done.stderr);
        if flags.contains(&"-static") && stderr.contains("cannot find -lc") {
            btfgen_testkit::skipped("there is no static C library");
            continue;
        }
        assert!(done.status.success(), "{flags:?}: {stderr}");
        let output = run(&mut Command::new(&program), 0, &[]);
        assert_eq!(output.stdout, emitted.archive(), "{flags:?}");

        let segments = stdout(tool_of_c("readelf").arg("-lW").arg(&program));
        let stack = segments.lines().find(|l| l.contains("GNU_STACK")).unwrap();
        assert!(stack.contains(" RW "), "{flags:?}: {stack}");
    }
}

/// Check that the object has the symbols that `ld -r -b binary` gives, and that they say where the archive is.
#[test]
fn symbols_of_ld() {
    let emitted = Emitted::new(&[]);
    let theirs = emitted.dir.path().join("theirs.o");
    let mut ld = tool_of_c("ld");
    ld.args(["-r", "-b", "binary", "min_core_btfs.tar.gz", "-o"]);
    run(ld.arg(&theirs).current_dir(emitted.dir.path()), 0, &[]);
    let theirs = stdout(tool_of_c("nm").arg(&theirs));
    let ours = emitted.seen_by("nm", &[]);
    assert_eq!(symbols(&ours), symbols(&theirs));
    assert_eq!(symbols(&ours).len(), 3);

    let size = emitted.archive().len();
    let value = |name: &str| {
        let line = ours.lines().find(|l| l.ends_with(name)).unwrap();
        let mut words = line.split(' ');
        let value = usize::from_str_radix(words.next().unwrap(), 16).unwrap();
        (value, words.next().unwrap())
    };
    assert_eq!(value("_start"), (0, "R"));
    assert_eq!(value("_end"), (size, "R"));
    assert_eq!(value("_size"), (size, "A"));
    let table = emitted.seen_by("readelf", &["-sW"]);
    let start = table.lines().find(|l| l.ends_with("_start")).unwrap();
    let words: Vec<&str> = start.split_whitespace().collect();
    let expected = [&*size.to_string(), "OBJECT", "GLOBAL", "DEFAULT"];
    assert_eq!(words[2..6], expected, "{start}");
}

/// Check the ELF header for each architecture, that both readelfs agree, and that the data is the archive's.
#[test]
fn architectures() {
    for (arch, machine, class, order, flags) in ARCHITECTURES {
        let emitted = Emitted::new(&["--target-arch", arch]);
        for reader in ["readelf", "llvm-readelf"] {
            let header = emitted.seen_by(reader, &["-h"]);
            let field = |name: &str| {
                let line = header.lines().find(|l| l.trim_start().starts_with(name));
                let value = line.and_then(|l| l.split_once(':')).map(|(_, v)| v.trim());
                value.unwrap_or_else(|| panic!("no {name} in: {header}"))
            };
            let context = format!("{reader} of {arch}: {header}");
            // Older ones print the number of LoongArch only.
            let says = field("Machine");
            assert!(says.contains(machine) || says.contains("102"), "{context}");
            assert_eq!(field("Class"), class, "{context}");
            assert!(
                field("Data").contains(&format!("{order} endian")),
                "{context}"
            );
            assert!(field("Type").starts_with("REL "), "{context}");
            let has = field("Flags").split([',', ' ']).next().unwrap();
            let has = u32::from_str_radix(has.trim_start_matches("0x"), 16).unwrap();
            assert_eq!(has, flags, "{context}");

            let sections = emitted.seen_by(reader, &["-SW"]);
            // [Nr] Name Type Address Off Size ES Flg Lk Inf Al
            let section = |name: &str| {
                let line = sections.lines().find(|l| l.contains(name)).unwrap();
                let words = line.split_once(']').unwrap().1.split_whitespace();
                words.skip(1).map(str::to_owned).collect::<Vec<_>>()
            };
            let data = section(" .rodata");
            assert_eq!(data[0], "PROGBITS", "{sections}");
            assert_eq!(data[5..], ["A", "0", "0", "16"], "{sections}");
            let stack = section(" .note.GNU-stack");
            assert_eq!(stack[0], "PROGBITS", "{sections}");
            // No flags at all.
            assert_eq!(stack[5..], ["0", "0", "1"], "{sections}");
        }
        let content = emitted.dir.path().join("content");
        let mut objcopy = tool_of_c("llvm-objcopy");
        objcopy.args(["-O", "binary", "--only-section=.rodata"]);
        run(objcopy.arg(&emitted.object).arg(&content), 0, &[]);
        assert_eq!(fs::read(content).unwrap(), emitted.archive(), "{arch}");
    }
}

/// Check that LLVM's linker takes the object together with what clang compiles, for each architecture: they must agree
/// on what the header says.
#[test]
fn linked_for_others() {
    if !is_there("ld.lld") || !is_there("clang") {
        return;
    }
    for (arch, target) in [
        ("x86_64", "x86_64-linux-gnu"),
        ("arm64", "aarch64-linux-gnu"),
        ("i386", "i386-linux-gnu"),
        ("arm", "armv7-linux-gnueabihf"),
        ("ppc64le", "powerpc64le-linux-gnu"),
        ("armel", "armv5te-linux-gnueabi"),
        ("ppc64", "powerpc64-linux-gnu"),
        ("ppc", "powerpc-linux-gnu"),
        ("riscv32", "riscv32-linux-gnu"),
        ("s390x", "s390x-linux-gnu"),
        ("riscv64", "riscv64-linux-gnu"),
        ("loongarch64", "loongarch64-linux-gnu"),
        ("mips64el", "mips64el-linux-gnuabi64"),
    ] {
        let emitted = Emitted::new(&["--target-arch", arch]);
        let source = "extern const char _binary_min_core_btfs_tar_gz_start[];
            const char *start(void) { return _binary_min_core_btfs_tar_gz_start; }";
        let source = place(emitted.dir.path(), "user.c", source.as_bytes());
        let user = emitted.dir.path().join("user.o");
        let mut clang = tool_of_c("clang");
        clang.arg(format!("--target={target}"));
        clang.args(["-c", "-fPIC", "-ffreestanding", "-o"]);
        let compiled = clang.arg(&user).arg(&source).output().unwrap();
        if !compiled.status.success() {
            let stderr = String::from_utf8_lossy(&compiled.stderr);
            btfgen_testkit::skipped(format_args!("clang cannot compile for {arch}: {stderr}"));
            continue;
        }
        let library = emitted.dir.path().join("library.so");
        // Whichever is first makes the header of the result.
        for pair in [[&user, &emitted.object], [&emitted.object, &user]] {
            let mut lld = tool_of_c("ld.lld");
            lld.args(["-shared", "--fatal-warnings", "-o"])
                .arg(&library);
            let linked = lld.args(pair).output().unwrap();
            let stderr = String::from_utf8_lossy(&linked.stderr);
            if stderr.contains("unknown emulation") || stderr.contains("unsupported e_machine") {
                btfgen_testkit::skipped(format_args!("ld.lld cannot link for {arch}: {stderr}"));
                continue;
            }
            assert!(linked.status.success(), "{arch}: {stderr}");
        }
    }
}

/// Check that an architecture has the names of `uname -m` and of Debian too, and that the default is the one here.
#[test]
fn spellings() {
    let bytes = |arguments: &[&str]| fs::read(Emitted::new(arguments).object).unwrap();
    let of = |arch| bytes(&["--target-arch", arch]);
    for (arch, others) in [
        ("x86_64", &["amd64"][..]),
        ("arm64", &["aarch64"]),
        ("i386", &["i686"]),
        ("arm", &["armv7l", "armhf"]),
        ("ppc64le", &["ppc64el", "powerpc64le"]),
        ("mips64el", &["mips64le"]),
    ] {
        for other in others {
            assert_eq!(of(arch), of(other), "{other}");
        }
    }
    assert_eq!(bytes(&[]), of(std::env::consts::ARCH));
}

/// Check that it is said what was written, and with `-q` nothing, and that stdout stays empty.
#[test]
fn summary() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("a.tar.gz");
    for (arguments, piece) in [
        (
            &["--target-arch", "armhf"][..],
            "b.o: the archive as an object for arm\n",
        ),
        (&["-q"], ""),
    ] {
        let mut command = pack(&hub(), &out);
        command.args(["--only", NEW]).args(arguments);
        command.arg("--emit-obj").arg(dir.path().join("b.o"));
        let output = run(&mut command, 0, &[piece]);
        assert!(output.stdout.is_empty());
        assert_eq!(output.stderr.is_empty(), piece.is_empty());
    }
    assert_eq!(names(dir.path()), ["a.tar.gz", "b.o"]);
}

/// Check that the same work gives the same bytes, and that the archive is the one that is made without an object.
#[test]
fn deterministic() {
    let (one, two) = (Emitted::new(&["-j", "1"]), Emitted::new(&["-j", "2"]));
    assert_eq!(
        fs::read(&one.object).unwrap(),
        fs::read(&two.object).unwrap()
    );
    let alone = one.dir.path().join("alone.tar.gz");
    run(pack(&hub(), &alone).args(["--only", NEW]), 0, &[]);
    assert_eq!(fs::read(alone).unwrap(), one.archive());
}

/// Check that wrong usage is refused, and that the error for an unknown architecture lists the known ones.
#[test]
fn bad_usage() {
    for (arguments, pieces) in [
        (
            "--emit-obj b.o --target-arch sparc",
            [
                "sparc",
                "x86_64, arm64, i386, arm, armel, ppc64le, ppc64, ppc, s390x, riscv64, ",
            ],
        ),
        ("--target-arch arm64", ["--emit-obj <FILE.o>", "required"]),
        ("--emit-obj", ["--emit-obj <FILE.o>", "a value is required"]),
    ] {
        let mut command = btfgen();
        command.args(["pack", "none.o", "-o", "a.tar.gz"]);
        run(command.args(arguments.split(' ')), 2, &pieces);
    }
}

/// Check that an object that cannot be written is an error before the objects are read, and that nothing is written.
#[test]
fn before_the_work() {
    let dir = tempdir().unwrap();
    let archive = dir.path().join("a.tar.gz");
    let file = place(dir.path(), "file", b"x");
    for (output, piece, code) in [
        (dir.path().join("none/b.o"), "its folder does not exist", 1),
        (file.join("b.o"), "its folder does not exist", 1),
        (dir.path().to_owned(), "is a folder", 1),
        ("/proc/b.o".into(), "its folder is not writable", 1),
        ("-".into(), "cannot be written to stdout", 2),
    ] {
        let mut command = btfgen();
        command.args(["pack", "none.o"]).arg("--hub").arg(hub());
        command.arg("-o").arg(&archive).arg("--emit-obj");
        run(command.arg(&output), code, &[piece]);
    }
    assert_eq!(names(dir.path()), ["file"]);
}

/// Check that a pack that fails leaves no object, and an older one as it was.
#[test]
fn nothing_of_a_pack_that_fails() {
    let (dir, own) = (tempdir().unwrap(), tempdir().unwrap());
    place_kernel(own.path(), "a/1/x86_64/1.0");
    place(own.path(), "a/1/x86_64/1.1.btf", b"broken");
    let emit = dir.path().join("b.o");
    let mut command = pack(own.path(), &dir.path().join("a.tar.gz"));
    command.args(["--strict", "--emit-obj"]).arg(&emit);
    run(&mut command, 1, &["1.1.btf: "]);
    assert!(names(dir.path()).is_empty());
    fs::write(&emit, "older").unwrap();
    run(&mut command, 1, &["1.1.btf: "]);
    assert_eq!(fs::read(&emit).unwrap(), b"older");
    assert_eq!(names(dir.path()), ["b.o"]);
}

/// Check that there is no new archive if the object cannot be written because the disk is full.
#[test]
fn both_or_none() {
    let dir = tempdir().unwrap();
    let archive = place(dir.path(), "a.tar.gz", b"older");
    let mut command = pack(&hub(), &archive);
    command.args(["--only", NEW, "--emit-obj", "/dev/full"]);
    run(
        &mut command,
        1,
        &["/dev/full: cannot be written: No space left"],
    );
    assert_eq!(fs::read(archive).unwrap(), b"older");
    assert_eq!(names(dir.path()), ["a.tar.gz"]);
}
