//! Kernels with debug information only, which pahole makes the BTF of.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use btfgen_vmlinux::{ErrorKind, Reader};

use super::packages::{File, ZSTD, deb};
use super::util::*;

/// The least that looks like a kernel with debug information, from a C compiler.
pub(crate) fn vmlinux_with_dwarf(folder: &Folder, source: &str) -> PathBuf {
    let source = folder.write("kernel.c", source.as_bytes());
    let out = folder.path().join("vmlinux");
    let built = Command::new("cc")
        .args([
            "-g",
            "-O0",
            "-nostdlib",
            "-static",
            "-no-pie",
            "-fno-pie",
            "-Wl,-e,start",
            "-Wl,--build-id=sha1",
            "-o",
        ])
        .args([&out, &source])
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    out
}

pub(crate) const KERNEL: &str = r#"
struct task_struct { int pid; char comm[16]; double load; };
struct task_struct init_task;
const char linux_banner[] = "Linux version 6.1.0-dwarf (builder@host) #1 SMP\n";
int start(struct task_struct *task) { return task->pid + init_task.pid + linux_banner[0]; }
"#;

/// A script in place of pahole.
pub(crate) fn fake_pahole(folder: &Folder, script: &str) -> PathBuf {
    let path = folder.write("bin/pahole", format!("#!/bin/sh\n{script}\n").as_bytes());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// Check that a vmlinux with debug information gives BTF by pahole, named and in a package, and always the same.
#[test]
fn made_by_pahole() {
    let folder = Folder::new();
    let path = vmlinux_with_dwarf(&folder, KERNEL);
    let named = Reader::new().read(&path).unwrap();
    assert_eq!(named.release(), Some("6.1.0-dwarf"));
    assert!(named.origin().starts_with("made by pahole "), "{named:?}");
    assert!(memchr::memmem::find(named.btf(), b"\0task_struct\0").is_some());

    let bytes = fs::read(&path).unwrap();
    let packed = read(&deb(
        "all",
        &[File::Plain("./usr/lib/debug/boot/vmlinux-6.1.0", &bytes)],
        ZSTD,
    ))
    .unwrap();
    assert!(packed.btf() == named.btf());
    assert!(
        packed
            .origin()
            .starts_with("usr/lib/debug/boot/vmlinux-6.1.0 in the package, made by pahole ")
    );
}

/// Check that pahole makes the BTFs of the modules that are asked for, which continue the kernel's BTF, and no others.
#[test]
fn modules_by_pahole() {
    const MODULE: &str = r#"
struct task_struct { int pid; char comm[16]; double load; };
struct own { struct task_struct *task; int x; };
__attribute__((section(".modinfo"))) const char info[] = "name=nf_own\0vermagic=6.1.0-dwarf SMP ";
int start(struct own *own) { return own->x + own->task->pid; }
"#;
    let folder = Folder::new();
    let kernel = fs::read(vmlinux_with_dwarf(&folder, KERNEL)).unwrap();
    let source = folder.write("module.c", MODULE.as_bytes());
    let out = folder.path().join("module.o");
    let built = Command::new("cc")
        .args(["-g", "-O0", "-c", "-o"])
        .args([&out, &source])
        .status();
    assert!(built.unwrap().success());
    let module = fs::read(&out).unwrap();
    let files = [
        File::Plain(
            "./usr/lib/debug/lib/modules/6.1.0-dwarf/kernel/nf-own.ko",
            &module,
        ),
        File::Plain("./usr/lib/debug/boot/vmlinux-6.1.0-dwarf", &kernel),
        File::Plain(
            "./usr/lib/debug/lib/modules/6.1.0-dwarf/kernel/broken.ko.debug",
            b"broken",
        ),
    ];
    let package = folder.write("dbg.deb", &deb("all", &files, ZSTD));
    let with = |names: &[&str]| {
        let reader = Reader::new().dwarf_modules(names.iter().map(ToString::to_string));
        reader.read_all(&package).unwrap()
    };
    assert!(with(&[]).modules.is_empty());
    let contents = with(&["nf-own"]);
    let [own] = &*contents.modules else {
        panic!("{contents:?}");
    };
    assert_eq!(
        (&*own.name, own.release.as_deref()),
        ("nf_own", Some("6.1.0-dwarf"))
    );
    let base = btfgen_btf::Btf::parse(contents.kernel.as_ref().unwrap().btf()).unwrap();
    let split = btfgen_btf::Btf::parse_split(&own.btf, &base).unwrap();
    assert_eq!(split.check_base(), Ok(()));
    let own = split.types().skip(base.type_count() as usize - 1);
    let names: Vec<&[u8]> = own.map(|ty| ty.name()).collect();
    assert!(names.contains(&&b"own"[..]) && !names.contains(&&b"task_struct"[..]));

    let left_out = with(&["nf_own", "missing"]).left_out;
    assert!(
        left_out[0].message().contains("of a module missing"),
        "{left_out:?}"
    );
    let contents = with(&["all"]);
    assert_eq!(contents.modules.len(), 1);
    assert!(contents.left_out[0].subject().ends_with("broken.ko.debug"));
}

/// Check that pahole does not run if another file of the package has BTF.
#[test]
fn ready_btf_first() {
    let folder = Folder::new();
    let dwarf = fs::read(vmlinux_with_dwarf(&folder, KERNEL)).unwrap();
    let btf = sample_btf(AMD64);
    let ready = vmlinux(&btf);
    let package = deb(
        "amd64",
        &[
            File::Plain("./boot/vmlinux-6.1.0", &dwarf),
            File::Plain("./boot/vmlinuz-6.1.0", &ready),
        ],
        ZSTD,
    );
    let path = folder.write("linux.deb", &package);
    let reader = Reader::new().pahole(folder.path().join("none"));
    assert!(reader.read(&path).unwrap().btf() == btf);
}

/// Check that temporary files are gone afterwards, and that a vmlinux whose name looks like an option is read.
#[test]
fn nothing_is_left() {
    let folder = Folder::new();
    let dwarf = fs::read(vmlinux_with_dwarf(&folder, KERNEL)).unwrap();
    let temp = folder.path().join("temp");
    fs::create_dir(&temp).unwrap();
    let reader = Reader::new().temp_dir(&temp);
    reader.read(&folder.write("-C", &dwarf)).unwrap();
    let packed = through(&["gzip", "-1"], &dwarf);
    reader.read(&folder.write("packed", &packed)).unwrap();
    let failing = fake_pahole(&folder, "[ $1 = --version ] && echo v1.30 || exit 1");
    reader
        .pahole(failing)
        .read(&folder.write("packed", &packed))
        .unwrap_err();
    assert_eq!(fs::read_dir(&temp).unwrap().count(), 0);
}

/// Check that what a killed process left is gone after the next run, and that nothing else is touched.
#[test]
fn left_by_a_killed_process() {
    let folder = Folder::new();
    let path = vmlinux_with_dwarf(&folder, KERNEL);
    folder.write("temp/.btfgen-tmp-0123456789/vmlinux", b"left");
    folder.write("temp/.btfgen-tmp-mine/vmlinux", b"somebody's");
    let temp = folder.path().join("temp");
    Reader::new().temp_dir(&temp).read(&path).unwrap();
    let mut names = fs::read_dir(&temp).unwrap().map(|e| e.unwrap().file_name());
    assert_eq!(names.next().unwrap(), ".btfgen-tmp-mine");
    assert!(names.next().is_none());
}

/// Check the errors for a pahole that is missing, too old, silent or failing, with its last message.
#[test]
fn unusable_pahole() {
    let folder = Folder::new();
    let path = vmlinux_with_dwarf(&folder, KERNEL);
    for (script, expected) in [
        (
            "echo v1.17",
            "has version 1.17, but 1.22 or later is needed",
        ),
        ("echo v1.9", "has version 1.9, but 1.22 or later is needed"),
        ("exit 3", "did not print its version"),
        (
            "[ $1 = --version ] && { echo v1.30; exit; }; echo first >&2; printf 'last \\033[31mwords\\n\\n' >&2; exit 1",
            "pahole 1.30 failed: last [31mwords",
        ),
        (
            "[ $1 = --version ] && { echo v1.30; exit; }; exit 7",
            "pahole 1.30 failed: exit code 7",
        ),
        ("echo v1.30", "made no BTF"),
    ] {
        let pahole = fake_pahole(&folder, script);
        let error = Reader::new().pahole(pahole).read(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Pahole);
        assert!(error.message().contains(expected), "{error}");
        assert!(error.help().is_some());
    }
    let missing = Reader::new()
        .pahole(folder.path().join("none"))
        .read(&path)
        .unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Pahole);
    assert!(missing.message().contains("was not found"), "{missing}");
    assert!(missing.help().unwrap().contains("dwarves"), "{missing}");
}

/// Check that what pahole makes of a program, or of debug information that it cannot follow, is not taken.
#[test]
fn no_task_struct() {
    let folder = Folder::new();
    let path = vmlinux_with_dwarf(
        &folder,
        "struct a { int b; } c; int start(void) { return c.b; }",
    );
    let error = Reader::new().read(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Pahole);
    assert!(error.message().contains("task_struct"), "{error}");
}
