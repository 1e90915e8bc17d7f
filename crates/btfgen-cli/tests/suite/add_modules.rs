//! Modules of kernels: `btfgen add`, and the commands that read a hub.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use btfgen::Btf;
use btfgen_testkit::made_up_btf;
use serde_json::Value;
use tempfile::tempdir;

use crate::suite::{NEW, OLD, btfgen, names, place, run, tar};

const RELEASE: &str = "6.1.0-47-cloud-amd64";
const MODULES: &str = "6.1.0-47-cloud-amd64.modules.tar.zst";

fn kernel_btf(kernel: &str) -> Vec<u8> {
    fs::read(btfgen_testkit::sample_btf(kernel)).unwrap()
}

/// A module of a kernel of the sample hub: a struct with the module's name, and a pointer to it.
fn module(kernel: &str, name: &str) -> Vec<u8> {
    let base = kernel_btf(kernel);
    let base = Btf::parse(&base).unwrap();
    let (own_type, own_string) = (base.type_count(), base.string_count() as u32);
    let pointer = [0, 2 << 24, own_type];
    let structure = [own_string, 4 << 24 | 1, 8, own_string, own_type + 1, 0];
    made_up_btf(&[&structure, &pointer], format!("{name}\0").as_bytes())
}

/// A package of the NEW kernel's architecture, with any files.
fn deb(files: &[(&str, &[u8])]) -> Vec<u8> {
    let control = tar(&[("./control", b"Architecture: amd64\n")]);
    let members = [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar", control),
        ("data.tar", tar(files)),
    ];
    let mut deb = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let len = content.len();
        deb.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{len:<10}`\n", 0, 0, 0, 644).bytes());
        deb.extend(content);
        deb.extend((len % 2 == 1).then_some(b'\n'));
    }
    deb
}

fn ko(name: &str) -> String {
    format!("./lib/modules/{RELEASE}/kernel/{name}.ko")
}

/// The package of the NEW kernel, with modules.
fn package(modules: &[(&str, &[u8])]) -> Vec<u8> {
    let (image, btf) = (format!("./boot/vmlinuz-{RELEASE}"), kernel_btf(NEW));
    let mut files = vec![(&*image, &*btf)];
    files.extend_from_slice(modules);
    deb(&files)
}

fn add(hub: &Path, files: &[&Path]) -> Command {
    let mut command = btfgen();
    command.arg("add").args(files).arg("--hub").arg(hub);
    command.args(["--id", "debian/12"]);
    command
}

fn cat(hub: &Path, module: &str) -> Command {
    let mut command = btfgen();
    command.args(["hub", "cat", NEW, "--module", module, "--hub"]);
    command.arg(hub);
    command
}

fn json(command: &mut Command) -> Value {
    let output = command.arg("--json").output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Check that a kernel's modules come with it, that they can be read again byte for byte, also by tar, and that the hub's
/// commands tell of them.
#[test]
fn with_their_kernel() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let (a, b) = (module(NEW, "nf_a"), module(NEW, "b"));
    let (ko_a, ko_b) = (ko("nf-a"), ko("b"));
    let file = place(
        dir.path(),
        "linux.deb",
        &package(&[(&ko_a, &a), (&ko_b, &b)]),
    );
    run(
        &mut add(&hub, &[&file]),
        0,
        &[NEW, "added", "and 2 modules"],
    );
    run(
        &mut add(&hub, &[&file]),
        0,
        &["unchanged", "and 2 modules (unchanged)"],
    );
    let folder = hub.join("debian/12/x86_64");
    assert_eq!(names(&folder), [&format!("{RELEASE}.btf.tar.xz"), MODULES]);
    for (name, btf) in [("nf_a", &a), ("nf-a", &a), ("b", &b)] {
        assert_eq!(&run(&mut cat(&hub, name), 0, &[]).stdout, btf);
    }
    run(
        &mut cat(&hub, "nf_b"),
        1,
        &["does not have its module nf_b", "perhaps you mean nf_a"],
    );

    let unpack = std::process::Command::new("tar")
        .args(["--zstd", "-xOf"])
        .arg(folder.join(MODULES))
        .arg("b.btf")
        .output()
        .unwrap();
    assert_eq!(unpack.stdout, b, "{unpack:?}");

    let listed = json(btfgen().args(["list", "--hub"]).arg(&hub));
    let path = listed["kernels"][0]["modules"]["path"].as_str().unwrap();
    assert!(path.ends_with(MODULES));
    let status = json(btfgen().args(["hub", "status", "--hub"]).arg(&hub));
    assert_eq!(status["modules"]["kernels"], 1);
    run(
        btfgen().args(["hub", "verify", "--hub"]).arg(&hub),
        0,
        &["1 kernel sound"],
    );
}

/// Check that `--no-modules` leaves the modules out, and leaves those of the hub alone.
#[test]
fn without_modules() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let file = place(
        dir.path(),
        "linux.deb",
        &package(&[(&ko("a"), &module(NEW, "a"))]),
    );
    run(add(&hub, &[&file]).arg("--no-modules"), 0, &["added"]);
    assert_eq!(names(&hub.join("debian/12/x86_64")).len(), 1);
    run(&mut add(&hub, &[&file]), 0, &["unchanged", "and 1 module"]);
    run(add(&hub, &[&file]).arg("--no-modules"), 0, &["unchanged"]);
    assert_eq!(names(&hub.join("debian/12/x86_64")).len(), 2);
}

/// Check that modules in packages of their own come to their kernel: named before it, after it, or later, and beside those that
/// the hub has.
#[test]
fn packages_of_their_own() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let (a, b, c) = (module(NEW, "a"), module(NEW, "b"), module(NEW, "c"));
    let kernel = place(dir.path(), "linux-image.deb", &package(&[]));
    let of = |name: &str, btf: &[u8]| {
        place(
            dir.path(),
            &format!("{name}.deb"),
            &deb(&[(&ko(name), btf)]),
        )
    };
    let (a, b, c) = (of("a", &a), of("b", &b), of("c", &c));
    run(
        &mut add(&hub, &[&a]),
        1,
        &[
            "of the kernel 6.1.0-47-cloud-amd64, which the hub does not have",
            "help: name the kernel's own package",
        ],
    );
    assert!(!hub.exists());
    run(
        &mut add(&hub, &[&a, &kernel, &b]),
        0,
        &["and 1 module", "and 2 modules (changed)"],
    );
    run(&mut add(&hub, &[&c]), 0, &["and 3 modules (changed)"]);
    for name in ["a", "b", "c"] {
        assert_eq!(run(&mut cat(&hub, name), 0, &[]).stdout, module(NEW, name));
    }
}

/// Check that a module of another build is refused, that the others are added, and that a package of another build changes
/// nothing.
#[test]
fn other_build() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let (good, bad) = (module(NEW, "good"), module(OLD, "bad"));
    let (ko_good, ko_bad) = (ko("good"), ko("bad"));
    let file = place(
        dir.path(),
        "linux.deb",
        &package(&[(&ko_good, &good), (&ko_bad, &bad)]),
    );
    run(
        &mut add(&hub, &[&file]),
        1,
        &[
            "and 1 module",
            "error: 1 module not added",
            "bad.ko",
            "another build",
        ],
    );
    let left_out = json(&mut add(&hub, &[&file]));
    assert!(
        left_out["left_out"][0]["path"]
            .as_str()
            .unwrap()
            .ends_with("bad.ko")
    );
    let before = fs::read(hub.join("debian/12/x86_64").join(MODULES)).unwrap();
    let other = place(dir.path(), "other.deb", &deb(&[(&ko_bad, &bad)]));
    run(
        &mut add(&hub, &[&other]),
        1,
        &[
            "do not continue the BTF of debian/12",
            "another build",
            "help: name the modules' package of the same version",
        ],
    );
    assert_eq!(
        fs::read(hub.join("debian/12/x86_64").join(MODULES)).unwrap(),
        before
    );
}

/// Check that another BTF of a module, and another BTF of the kernel, replace what the hub has only with `--force`, and that
/// modules of the other BTF go then.
#[test]
fn replacing() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let at = |name: &str| ko(name);
    let first = place(
        dir.path(),
        "1.deb",
        &package(&[(&at("a"), &module(NEW, "a"))]),
    );
    run(&mut add(&hub, &[&first]), 0, &[]);
    let second = place(
        dir.path(),
        "2.deb",
        &package(&[(&at("a"), &module(NEW, "other"))]),
    );
    run(
        &mut add(&hub, &[&second]),
        1,
        &["another BTF of the module a", "--force replaces it"],
    );
    assert_eq!(run(&mut cat(&hub, "a"), 0, &[]).stdout, module(NEW, "a"));
    run(
        add(&hub, &[&second]).arg("--force"),
        0,
        &["1 module (changed)"],
    );
    assert_eq!(
        run(&mut cat(&hub, "a"), 0, &[]).stdout,
        module(NEW, "other")
    );

    // Another kernel under the same name.
    let image = format!("./boot/vmlinuz-{RELEASE}");
    let third = place(dir.path(), "3.deb", &deb(&[(&image, &kernel_btf(OLD))]));
    run(
        &mut add(&hub, &[&third]),
        1,
        &["has a different BTF of this kernel"],
    );
    run(
        add(&hub, &[&third]).arg("--force"),
        0,
        &[
            "replaced",
            "its modules belonged to the other BTF and are removed",
        ],
    );
    assert_eq!(names(&hub.join("debian/12/x86_64")).len(), 1);
}

/// Check that folders are taken, of modules' files and of bare BTFs with the kernel beside them.
#[test]
fn folders() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let sys = dir.path().join("sys");
    place(&sys, "vmlinux", &kernel_btf(NEW));
    place(&sys, "a", &module(NEW, "a"));
    let mut command = btfgen();
    command.arg("add").arg(&sys).arg("--hub").arg(&hub);
    run(command.args(["--id", NEW]), 0, &["added", "and 1 module"]);
    let modules = dir.path().join(format!("lib/modules/{RELEASE}"));
    place(&modules, "kernel/b.ko", &module(NEW, "b"));
    run(&mut add(&hub, &[&modules]), 0, &["and 2 modules (changed)"]);
    // A module's BTF does not say its kernel.
    let alone = place(dir.path(), "c", &module(NEW, "c"));
    run(
        &mut add(&hub, &[&alone]),
        1,
        &["does not say of which kernel"],
    );
    let mut command = btfgen();
    command.arg("add").arg(&alone).arg("--hub").arg(&hub);
    run(command.args(["--id", NEW]), 0, &["and 3 modules (changed)"]);
}

/// Check that modules that somebody has merged into the kernel's BTF become one module, if the hub has the kernel's own BTF.
#[test]
fn merged() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let plain = place(dir.path(), "plain", &kernel_btf(NEW));
    let name = |command: &mut Command| {
        command.args(["--id", NEW, "--hub"]).arg(&hub);
    };
    let mut command = btfgen();
    command.arg("add").arg(&plain);
    name(&mut command);
    run(&mut command, 0, &[]);
    let (kernel, split) = (kernel_btf(NEW), module(NEW, "a"));
    let word = |bytes: &[u8], at: usize| {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    };
    // struct btf_header: type_len, str_off and str_len at 12, 16 and 20.
    let parts = |bytes: &[u8]| {
        let (types, strings) = (word(bytes, 12), word(bytes, 16));
        (
            bytes[24..24 + types].to_vec(),
            bytes[24 + strings..].to_vec(),
        )
    };
    let ((types, strings), (more_types, more_strings)) = (parts(&kernel), parts(&split));
    let (types, strings) = (
        [types, more_types].concat(),
        [strings, more_strings].concat(),
    );
    let mut flat = kernel[..24].to_vec();
    for (at, value) in [(12, types.len()), (16, types.len()), (20, strings.len())] {
        flat[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
    }
    flat.extend([types, strings].concat());
    assert!(Btf::parse(&flat).is_ok());
    let flat = place(dir.path(), "flat", &flat);
    let mut command = btfgen();
    command.arg("add").arg(&flat);
    name(&mut command);
    run(&mut command, 0, &["unchanged", "and 1 module"]);
    assert_eq!(run(&mut cat(&hub, "merged"), 0, &[]).stdout, split);
}

/// Check that compact and expand keep the modules with their kernel, and that modules can come to a kernel in a chunk.
#[test]
fn compact_hub() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let file = place(
        dir.path(),
        "1.deb",
        &package(&[(&ko("a"), &module(NEW, "a"))]),
    );
    run(&mut add(&hub, &[&file]), 0, &[]);
    run(
        btfgen()
            .args(["hub", "compact", "--replace", "--hub"])
            .arg(&hub),
        0,
        &[],
    );
    assert_eq!(names(&hub.join("debian/12/x86_64")), [MODULES]);
    assert_eq!(run(&mut cat(&hub, "a"), 0, &[]).stdout, module(NEW, "a"));
    let more = place(dir.path(), "2.deb", &deb(&[(&ko("b"), &module(NEW, "b"))]));
    run(&mut add(&hub, &[&more]), 0, &["2 modules (changed)"]);
    fs::remove_dir_all(hub.join("debian/12/x86_64")).unwrap();
    run(&mut add(&hub, &[&more]), 0, &["and 1 module"]);
    run(
        btfgen().args(["hub", "verify", "--hub"]).arg(&hub),
        0,
        &["1 kernel sound"],
    );
    run(
        btfgen()
            .args(["hub", "expand", "--replace", "--hub"])
            .arg(&hub),
        0,
        &[],
    );
    assert_eq!(run(&mut cat(&hub, "b"), 0, &[]).stdout, module(NEW, "b"));
}

/// Check that verify names modules that are damaged, of another BTF, or without their kernel, and deletes only damaged ones.
#[test]
fn verified() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let file = place(
        dir.path(),
        "1.deb",
        &package(&[(&ko("a"), &module(NEW, "a"))]),
    );
    run(&mut add(&hub, &[&file]), 0, &[]);
    let folder = hub.join("debian/12/x86_64");
    let path = folder.join(MODULES);
    let good = fs::read(&path).unwrap();
    let verify = || {
        let mut command = btfgen();
        command.args(["hub", "verify", "--hub"]).arg(&hub);
        command
    };
    let kernel = folder.join(format!("{RELEASE}.btf.tar.xz"));
    fs::rename(&kernel, dir.path().join("kept")).unwrap();
    run(
        verify().arg("--delete"),
        1,
        &["0 kernels sound", MODULES, "modules without their kernel"],
    );
    place(&folder, &format!("{RELEASE}.btf"), &kernel_btf(OLD));
    run(
        verify().arg("--delete"),
        1,
        &["1 kernel sound", MODULES, "do not belong to the BTF in"],
    );
    fs::rename(dir.path().join("kept"), &kernel).unwrap();
    fs::remove_file(folder.join(format!("{RELEASE}.btf"))).unwrap();
    run(&mut verify(), 0, &["1 kernel sound"]);
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    run(
        &mut verify(),
        1,
        &["1 kernel sound", MODULES, "damaged or truncated"],
    );
    run(verify().arg("--delete"), 0, &["(deleted)"]);
    assert!(!path.exists() && kernel.exists());
}
