//! Build ids: from a kernel's file into a hub, from there into an archive, and what a lookup makes of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as System;

use assert_cmd::Command;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::suite::{NEW, OLD, btfgen, pack, place, run, stdout};

const ONE: &str = "0123456789abcdef0123456789abcdef01234567";
const OTHER: &str = "fedcba9876543210fedcba9876543210fedcba98";
const RELEASE: &str = "6.1.0-47-cloud-amd64";

fn btf(kernel: &str) -> Vec<u8> {
    fs::read(btfgen_testkit::sample_btf(kernel)).unwrap()
}

/// A vmlinux with a BTF, and with this build id if there is one.
fn vmlinux(folder: &Path, btf: &[u8], id: Option<&str>) -> PathBuf {
    let source = format!(
        "const char banner[] = \"Linux version {RELEASE} (builder)\"; int _start(void) {{ return banner[0]; }}"
    );
    let source = place(folder, "kernel.c", source.as_bytes());
    let section = place(folder, "section.btf", btf);
    let out = folder.join("vmlinux");
    let id = id.map_or("none".to_owned(), |id| format!("0x{id}"));
    let built = System::new("cc")
        .args([
            "-nostdlib",
            "-static",
            &format!("-Wl,--build-id={id}"),
            "-o",
        ])
        .args([&out, &source])
        .status();
    let mut objcopy = System::new("objcopy");
    objcopy
        .arg("--add-section")
        .arg(format!(".BTF={}", section.display()));
    assert!(built.unwrap().success() && objcopy.arg(&out).status().unwrap().success());
    out
}

fn add(file: &Path, hub: &Path) -> Command {
    let mut command = btfgen();
    command
        .arg("add")
        .arg(file)
        .args(["--id", NEW, "--hub"])
        .arg(hub);
    command
}

/// The file with the build id of a kernel.
fn id_file(hub: &Path, kernel: &str) -> PathBuf {
    hub.join(format!("{kernel}.build-id"))
}

fn recorded(hub: &Path) -> Option<String> {
    fs::read_to_string(id_file(hub, NEW)).ok()
}

/// The ids of a hub's or an archive's kernels, by `list --json`.
fn listed(command: &mut Command) -> Vec<(String, Option<String>)> {
    let report: Value = serde_json::from_str(&stdout(command.arg("--json"))).unwrap();
    let kernels = report["kernels"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    kernels
        .map(|k| (text(&k["kernel"]).unwrap(), text(&k["build_id"])))
        .collect()
}

fn list_hub(hub: &Path) -> Command {
    let mut command = btfgen();
    command.args(["list", "--hub"]).arg(hub);
    command
}

fn hub_command(name: &str, hub: &Path) -> Command {
    let mut command = btfgen();
    command.args(["hub", name, "--hub"]).arg(hub);
    command
}

/// Check that an id goes with its BTF: it is written and replaced with it, removed for a BTF without one, and another id for the
/// same BTF needs `--force`.
#[test]
fn goes_with_its_btf() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let line = |id: &str| Some(format!("{id}\n"));
    let add_with = |kernel: &str, id| add(&vmlinux(dir.path(), &btf(kernel), id), &hub);
    // As after a kernel that somebody has deleted.
    place(&hub, &format!("{NEW}.build-id"), b"0123456789abcdef\n");
    run(&mut add_with(NEW, None), 0, &["added"]);
    assert_eq!(recorded(&hub), None);
    run(&mut add_with(NEW, Some(ONE)), 0, &["unchanged"]);
    assert_eq!(recorded(&hub), line(ONE));
    run(&mut add_with(NEW, None), 0, &["unchanged"]);
    assert_eq!(recorded(&hub), line(ONE));
    run(
        &mut add_with(NEW, Some(OTHER)),
        1,
        &["another build", ONE, OTHER, "--force"],
    );
    assert_eq!(recorded(&hub), line(ONE));
    run(add_with(NEW, Some(OTHER)).arg("--force"), 0, &["replaced"]);
    assert_eq!(recorded(&hub), line(OTHER));
    run(&mut add_with(OLD, Some(ONE)), 1, &["different BTF"]);
    assert_eq!(recorded(&hub), line(OTHER));
    run(add_with(OLD, Some(ONE)).arg("--force"), 0, &["replaced"]);
    assert_eq!(recorded(&hub), line(ONE));
    run(add_with(NEW, None).arg("--force"), 0, &["replaced"]);
    assert_eq!(recorded(&hub), None);
}

/// Check that a kernel keeps its id in a chunk and as a file again, that an id can be added to it there, and that `status` counts it.
#[test]
fn in_chunks() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let file = vmlinux(dir.path(), &btf(NEW), Some(ONE));
    run(&mut add(&file, &hub), 0, &[]);
    let expected = [(NEW.to_owned(), Some(ONE.to_owned()))];
    run(hub_command("compact", &hub).arg("--replace"), 0, &[]);
    assert!(!hub.join(format!("{NEW}.btf.tar.xz")).exists());
    assert_eq!(listed(&mut list_hub(&hub)), expected);
    assert!(stdout(&mut hub_command("status", &hub)).contains("build ids of 1 kernel"));
    fs::remove_dir_all(id_file(&hub, NEW).parent().unwrap()).unwrap();
    run(&mut add(&file, &hub), 0, &["unchanged"]);
    assert_eq!(listed(&mut list_hub(&hub)), expected);
    run(hub_command("expand", &hub).arg("--replace"), 0, &[]);
    assert_eq!(listed(&mut list_hub(&hub)), expected);
    run(&mut hub_command("verify", &hub), 0, &[]);
}

/// Check that `verify` names a file that is no id, and one without its kernel, and that it removes the id of a kernel that it deletes.
#[test]
fn verify() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let kernel = place(&hub, &format!("{NEW}.btf"), &btf(NEW));
    place(
        &hub,
        &format!("{OLD}.build-id"),
        format!("{ONE}\n").as_bytes(),
    );
    for content in ["", "0123", "0123456789ABCDEF\n", "0123456789abcdef\n\n0\n"] {
        place(&hub, &format!("{NEW}.build-id"), content.as_bytes());
        let pieces = [
            &*format!("{NEW}.build-id"),
            "is not a build id",
            &format!("{OLD}.build-id"),
            "does not have",
        ];
        let output = run(&mut hub_command("verify", &hub), 1, &pieces);
        assert!(String::from_utf8_lossy(&output.stdout).is_empty());
        run(
            &mut pack(&hub, &dir.path().join("a.tar.gz")),
            1,
            &["is not a build id"],
        );
    }
    fs::remove_file(id_file(&hub, OLD)).unwrap();
    place(
        &hub,
        &format!("{NEW}.build-id"),
        format!("{ONE}\n").as_bytes(),
    );
    run(&mut hub_command("verify", &hub), 0, &[]);
    fs::write(kernel, b"no BTF").unwrap();
    place(&hub, &format!("{OLD}.btf"), &btf(OLD));
    run(hub_command("verify", &hub).arg("--delete"), 0, &["deleted"]);
    assert_eq!(recorded(&hub), None);
}

/// An archive of a hub, and an os-release file of a distribution that no hub has.
struct Packed(TempDir);

impl Packed {
    fn of(hub: &Path) -> Self {
        let dir = tempdir().unwrap();
        run(&mut pack(hub, &dir.path().join("a.tar.gz")), 0, &[]);
        place(dir.path(), "unknown", b"ID=unknown\n");
        place(dir.path(), "debian", b"ID=debian\nVERSION_ID=12\n");
        Self(dir)
    }

    fn lookup(&self, os_release: &str) -> Command {
        let mut command = btfgen();
        command.arg("lookup").arg(self.0.path().join("a.tar.gz"));
        command
            .arg("--os-release")
            .arg(self.0.path().join(os_release));
        command
    }

    fn elsewhere(&self, os_release: &str, id: &str) -> Command {
        let mut command = self.lookup(os_release);
        command.args(["--release", RELEASE, "--arch", "x86_64", "--build-id", id]);
        command
    }
}

/// The rung of the last step, and the entry that was found.
fn found(command: &mut Command, code: i32) -> (String, Option<String>) {
    let output = run(command.arg("--json"), code, &[]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let last = report["steps"].as_array().unwrap().last().unwrap();
    let name = report["name"].as_str().map(str::to_owned);
    (last["rung"].as_str().unwrap().to_owned(), name)
}

/// Check that of two kernels with one release the one with the host's id is found on any distribution, that another id is refused
/// with the remedy, and that without an id the lookup is as before.
#[test]
fn two_builds() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let second = format!("ubuntu/22.04/x86_64/{RELEASE}");
    run(
        &mut add(&vmlinux(dir.path(), &btf(NEW), Some(ONE)), &hub),
        0,
        &[],
    );
    let mut command = btfgen();
    command
        .arg("add")
        .arg(vmlinux(dir.path(), &btf(OLD), Some(OTHER)));
    run(
        command.args(["--id", "ubuntu/22.04", "--hub"]).arg(&hub),
        0,
        &[],
    );
    let packed = Packed::of(&hub);
    let mut list = btfgen();
    list.arg("list").arg(packed.0.path().join("a.tar.gz"));
    let short = |kernel: &str, id: &str| (kernel.to_owned(), Some(id[..16].to_owned()));
    assert_eq!(listed(&mut list), [short(NEW, ONE), short(&second, OTHER)]);

    for os_release in ["unknown", "debian"] {
        for (id, kernel) in [(ONE, NEW), (OTHER, &*second), (&ONE[..16], NEW)] {
            let found = found(&mut packed.elsewhere(os_release, id), 0);
            assert_eq!(found, ("build-id".to_owned(), Some(kernel.to_owned())));
        }
        let refused = [
            "another build",
            "0123456789abcdef",
            "aaaaaaaaaaaaaaaa",
            "add the host's kernel",
        ];
        let third = "a".repeat(40);
        run(
            &mut packed.elsewhere(os_release, &third),
            1,
            if os_release == "debian" {
                &refused
            } else {
                &refused[..1]
            },
        );
    }
    let mut without = packed.lookup("debian");
    without.args(["--release", RELEASE, "--arch", "x86_64"]);
    assert_eq!(
        found(&mut without, 0),
        ("exact".to_owned(), Some(NEW.to_owned()))
    );
    let mut without = packed.lookup("unknown");
    run(
        without.args(["--release", RELEASE, "--arch", "x86_64"]),
        1,
        &["several different BTFs"],
    );
}

/// Check that an entry without an id is taken by its name, also if another entry has an id.
#[test]
fn only_some_ids() {
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    place(&hub, &format!("{NEW}.btf"), &btf(NEW));
    place(
        &hub,
        &format!("ubuntu/22.04/x86_64/{RELEASE}.btf"),
        &btf(OLD),
    );
    let before = Packed::of(&hub);
    place(
        &hub,
        &format!("ubuntu/22.04/x86_64/{RELEASE}.build-id"),
        format!("{OTHER}\n").as_bytes(),
    );
    let after = Packed::of(&hub);
    for packed in [&before, &after] {
        let found = found(&mut packed.elsewhere("debian", ONE), 0);
        assert_eq!(found, ("exact".to_owned(), Some(NEW.to_owned())));
    }
    let archive = |packed: &Packed| fs::read(packed.0.path().join("a.tar.gz")).unwrap();
    assert_ne!(archive(&before), archive(&after));
    fs::remove_file(id_file(&hub, &format!("ubuntu/22.04/x86_64/{RELEASE}"))).unwrap();
    assert_eq!(archive(&before), archive(&Packed::of(&hub)));
}

/// Check that the running kernel is added with its id, and found by it on any distribution; that this host with another id is
/// refused its entry.
#[test]
fn running_kernel() {
    let own = Path::new("/sys/kernel/btf/vmlinux");
    let notes = fs::read("/sys/kernel/notes").unwrap_or_default();
    // The note of the id: the lengths 4 and 20, the type 3, and the owner.
    let owner = notes.windows(4).position(|w| w == b"GNU\0");
    let (Some(owner), true) = (owner, own.exists()) else {
        btfgen_testkit::skipped("this kernel shows no BTF or no build id");
        return;
    };
    let id: String = notes[owner + 4..][..20]
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let dir = tempdir().unwrap();
    let hub = dir.path().join("hub");
    let mut add = btfgen();
    add.arg("add")
        .arg(own)
        .args(["--from-host", "--json", "--hub"])
        .arg(&hub);
    add.env(
        "BTFGEN_OS_RELEASE",
        place(dir.path(), "os-release", b"ID=mine\nVERSION_ID=1\n"),
    );
    let report: Value = serde_json::from_str(&stdout(&mut add)).unwrap();
    assert_eq!(report["added"][0]["build_id"], *id);
    let kernel = report["added"][0]["kernel"].as_str().unwrap().to_owned();
    assert_eq!(
        fs::read_to_string(id_file(&hub, &kernel)).unwrap(),
        format!("{id}\n")
    );
    let right = Packed::of(&hub);
    let found_here = found(right.lookup("unknown").arg("--require-custom"), 0);
    assert_eq!(found_here, ("build-id".to_owned(), Some(kernel.clone())));
    run(
        right.lookup("unknown").args(["--build-id", OTHER]),
        1,
        &["another build"],
    );
    fs::write(id_file(&hub, &kernel), format!("{OTHER}\n")).unwrap();
    let wrong = Packed::of(&hub);
    let mut lookup = wrong.lookup("unknown");
    run(
        lookup.arg("--require-custom"),
        1,
        &["another build", &OTHER[..16], &id[..16]],
    );
}
