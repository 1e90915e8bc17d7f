//! Names of architectures: all names of one are the same, and a hub has each kernel under one name.

use std::fs;
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::tempdir;

use crate::suite::{
    NEW, OLD, btfgen, hub, names, pack, pack_all, place, place_kernel, run, stdout,
};

fn command(arguments: &[&str], hub: &Path) -> Command {
    let mut command = btfgen();
    command.args(arguments).arg("--hub").arg(hub);
    command
}

/// Check that a folder with another name of an architecture is read under the hub's name by every command.
#[test]
fn one_name() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    place_kernel(&hub, "a/1/armhf/6.1.0-armmp");
    place_kernel(&hub, "a/1/i686/6.1.0-686");
    let ids = "a/1/arm/6.1.0-armmp\na/1/i386/6.1.0-686\n";
    assert_eq!(stdout(&mut command(&["list"], &hub)), ids);
    for arch in ["arm", "armv7l", "armhf"] {
        let listed = stdout(&mut command(&["list", "--arch", arch], &hub));
        assert_eq!(listed, "a/1/arm/6.1.0-armmp\n", "{arch}");
        let kernel = format!("a/1/{arch}/6.1.0-armmp");
        let listed = stdout(&mut command(&["list", "--only", &kernel], &hub));
        assert_eq!(listed, "a/1/arm/6.1.0-armmp\n", "{arch}");
        let btf = run(&mut command(&["hub", "cat", &kernel], &hub), 0, &[]).stdout;
        assert!(btf == fs::read(btfgen_testkit::sample_btf(NEW)).unwrap());
    }
    let archive = dir.path().join("a.tar.gz");
    run(&mut pack(&hub, &archive), 0, &["2 kernels"]);
    assert_eq!(stdout(btfgen().arg("list").arg(&archive)), ids);
    for arch in ["armhf", "arm", "armv7"] {
        let mut extract = btfgen();
        extract.arg("extract").arg(&archive);
        extract.arg(format!("a/1/{arch}/6.1.0-armmp"));
        run(extract.args(["-o", "-"]), 0, &[]);
    }
}

/// Check that a kernel under two names of its architecture is one kernel, that the hub's name goes before, and that the other
/// file is named.
#[test]
fn twice() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let other = fs::read(btfgen_testkit::sample_btf(OLD)).unwrap();
    for (hubs, others) in [("arm64", "aarch64"), ("i386", "i686"), ("arm", "armhf")] {
        place_kernel(&hub, &format!("a/1/{hubs}/6.1.0"));
        place(&hub, &format!("a/1/{others}/6.1.0.btf"), &other);
    }
    let ids = "a/1/arm/6.1.0\na/1/arm64/6.1.0\na/1/i386/6.1.0\n";
    let output = run(
        &mut command(&["list"], &hub),
        0,
        &[
            "a/1/aarch64/6.1.0.btf: the same kernel is in ",
            "a/1/i686/6.1.0.btf: the same kernel is in ",
            "a/1/arm/6.1.0.btf\n",
        ],
    );
    assert_eq!(String::from_utf8(output.stdout).unwrap(), ids);
    for kernel in ids.lines() {
        let btf = run(&mut command(&["hub", "cat", kernel], &hub), 0, &[]).stdout;
        assert!(btf == fs::read(btfgen_testkit::sample_btf(NEW)).unwrap());
    }
    let archive = dir.path().join("a.tar.gz");
    let pieces = ["the same kernel is in"];
    run(pack(&hub, &archive).arg("--strict"), 1, &pieces);
}

/// Check that a compact hub has one chunk of an architecture, whatever the folder was called, and that a chunk with another name
/// stays in use.
#[test]
fn chunks() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    place_kernel(&hub, "a/1/aarch64/6.1.0");
    run(&mut command(&["hub", "compact", "--replace"], &hub), 0, &[]);
    assert_eq!(names(&hub.join("a/1")), ["arm64.btfs"]);
    fs::rename(hub.join("a/1/arm64.btfs"), hub.join("a/1/aarch64.btfs")).unwrap();
    place_kernel(&hub, "a/1/arm64/6.1.1");
    let ids = "a/1/arm64/6.1.0\na/1/arm64/6.1.1\n";
    assert_eq!(stdout(&mut command(&["list"], &hub)), ids);
    run(&mut command(&["hub", "compact", "--replace"], &hub), 0, &[]);
    assert_eq!(names(&hub.join("a/1")), ["aarch64.btfs"]);
    assert_eq!(stdout(&mut command(&["list"], &hub)), ids);
    run(&mut command(&["hub", "expand", "--replace"], &hub), 0, &[]);
    assert_eq!(names(&hub.join("a/1")), ["arm64"]);
    assert_eq!(stdout(&mut command(&["list"], &hub)), ids);
}

/// Check that `add` writes the hub's name, whichever name is given, and that a 32-bit ARM image can be of each kind of ARM.
#[test]
fn add() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let btf = btfgen_testkit::sample_btf(NEW);
    let elf = dir.path().join("vmlinux");
    let mut objcopy = Command::new("llvm-objcopy");
    objcopy.args(["-I", "binary", "-O", "elf32-littlearm"]);
    objcopy.args(["--rename-section", ".data=.BTF"]);
    run(objcopy.arg(&btf).arg(&elf), 0, &[]);
    let mut content = fs::read(&elf).unwrap();
    // ET_EXEC, as a vmlinux.
    content[16] = 2;
    fs::write(&elf, content).unwrap();
    let add = |arch: &str| {
        let id = format!("a/1/{arch}/6.1.0");
        command(&["add", elf.to_str().unwrap(), "--id", &id], &hub)
    };
    for (arch, hubs, change) in [
        ("armhf", "arm", "added"),
        ("arm", "arm", "unchanged"),
        ("armv7l", "arm", "unchanged"),
        ("armel", "armel", "added"),
        ("armv6l", "armel", "unchanged"),
    ] {
        let id = format!("a/1/{hubs}/6.1.0");
        run(&mut add(arch), 0, &[&id, change]);
    }
    run(&mut add("i386"), 1, &["its architecture is arm, not i386"]);
    assert_eq!(names(&hub.join("a/1")), ["arm", "armel"]);
}

/// Check that a lookup in a process with the personality `PER_LINUX32` finds the real kernel's entry, and not that of a 32-bit
/// kernel of the same release.
#[test]
#[cfg(target_arch = "x86_64")]
fn personality() {
    let dir = tempdir().unwrap();
    let own = dir.path().join("hub");
    place_kernel(&own, "a/1/x86_64/0.0.1");
    let other = fs::read(btfgen_testkit::sample_btf(OLD)).unwrap();
    place(&own, "a/1/i386/0.0.1.btf", &other);
    let archive = dir.path().join("a.tar.gz");
    run(&mut pack(&own, &archive), 0, &["2 kernels"]);
    let os_release = place(dir.path(), "os-release", b"ID=a\nVERSION_ID=1\n");
    for personality in ["linux32", "linux64"] {
        let mut lookup = Command::new("setarch");
        lookup.args([personality, env!("CARGO_BIN_EXE_btfgen"), "lookup"]);
        lookup.arg(&archive).arg("--os-release").arg(&os_release);
        let report = stdout(lookup.args(["--release", "0.0.1", "--json"]));
        let report: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(report["name"], "a/1/x86_64/0.0.1", "{report}");
        let steps = report["steps"].as_array().unwrap();
        let doubted = steps.iter().any(|step| step["subject"] == "uname, i686");
        assert_eq!(doubted, personality == "linux32", "{report}");
    }
}

/// Check that a filter that matches nothing says which architectures there are, for a hub and for an archive, in text and JSON.
#[test]
fn filters_that_match_nothing() {
    let dir = tempdir().unwrap();
    let archive = dir.path().join("a.tar.gz");
    run(&mut pack_all(&archive), 0, &[]);
    for mut list in [command(&["list"], &hub()), {
        let mut list = btfgen();
        list.arg("list").arg(&archive);
        list
    }] {
        list.args(["--arch", "riscv64", "--json"]);
        let output = run(&mut list, 1, &["has the architecture riscv64"]);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let help = report["help"].as_str().unwrap();
        for piece in ["it has ", "debian/12/arm64", "debian/12/x86_64"] {
            assert!(help.contains(piece), "{help}");
        }
    }
    let mut none = command(&["list", "--only", "*-azure"], &hub());
    run(&mut none, 1, &["it has debian/11/x86_64, "]);
}
