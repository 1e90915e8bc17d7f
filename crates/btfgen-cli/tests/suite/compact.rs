//! `btfgen hub compact`, `expand` and `cat`, and every command that reads a hub with chunks.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::suite::{NEW, OLD, btfgen, hub, names, pack, place, run, stdout};

/// The kernels of the tests' hub: three in one place, one in another.
const KERNELS: [(&str, &str); 4] = [
    ("a/1/x86_64/5.10.0", OLD),
    ("a/1/x86_64/6.1.0", NEW),
    ("a/1/x86_64/7.2.0", SID),
    ("a/2/x86_64/6.1.0", NEW),
];
const SID: &str = "debian/sid/x86_64/7.2.13+deb14-cloud-amd64";

/// A folder with a hub of files.
struct Ground(TempDir);

impl Ground {
    fn new() -> Self {
        let ground = Self(tempdir().unwrap());
        for (id, of) in KERNELS {
            ground.place(id, of);
        }
        ground
    }

    fn compacted() -> Self {
        let ground = Self::new();
        ground.run(&["compact", "--replace"], 0, &[]);
        ground
    }

    fn hub(&self) -> PathBuf {
        self.0.path().join("hub")
    }

    fn at(&self, name: &str) -> PathBuf {
        self.hub().join(name)
    }

    /// Puts a kernel of the sample hub under another name into the hub.
    fn place(&self, id: &str, of: &str) -> PathBuf {
        place(&self.hub(), &format!("{id}.btf"), &btf(of))
    }

    /// `btfgen hub`
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = btfgen();
        command
            .arg("hub")
            .args(arguments)
            .arg("--hub")
            .arg(self.hub());
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32, pieces: &[&str]) -> String {
        let output = run(&mut self.command(arguments), code, pieces);
        String::from_utf8(output.stderr).unwrap()
    }

    #[track_caller]
    fn json(&self, arguments: &[&str], code: i32) -> Value {
        let output = run(self.command(arguments).arg("--json"), code, &[]);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    #[track_caller]
    fn list(&self) -> String {
        stdout(btfgen().arg("list").arg("--hub").arg(self.hub()))
    }

    #[track_caller]
    fn cat(&self, kernel: &str) -> Vec<u8> {
        run(&mut self.command(&["cat", kernel]), 0, &[]).stdout
    }

    /// The archive of all kernels.
    #[track_caller]
    fn archive(&self) -> Vec<u8> {
        let out = self.0.path().join("a.tar.gz");
        run(&mut pack(&self.hub(), &out), 0, &[]);
        fs::read(out).unwrap()
    }

    #[track_caller]
    fn has_all(&self) {
        for (id, of) in KERNELS {
            assert!(self.cat(id) == btf(of), "{id}");
        }
    }

    /// The files of the hub, without those of btfgen.
    fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        collect(&self.hub(), "", &mut files);
        files.sort();
        files
    }
}

fn collect(root: &Path, inside: &str, files: &mut Vec<String>) {
    for name in names(&root.join(inside)) {
        let path = Path::new(inside).join(&name).display().to_string();
        if name == ".btfgen" {
            continue;
        }
        if root.join(&path).is_dir() {
            collect(root, &path, files);
        } else {
            files.push(path);
        }
    }
}

fn btf(kernel: &str) -> Vec<u8> {
    fs::read(btfgen_testkit::sample_btf(kernel)).unwrap()
}

/// Check that a hub's kernels, their BTFs and the archive are the same before, beside, instead of and after the chunks.
#[test]
fn same_kernels() {
    let ground = Ground::new();
    let (listed, archive) = (ground.list(), ground.archive());
    let same = || {
        assert_eq!(ground.list(), listed);
        assert!(ground.archive() == archive, "another archive");
        ground.has_all();
        ground.run(&["verify"], 0, &["4 kernels sound"]);
    };
    ground.run(
        &["compact"],
        0,
        &["x86_64.btfs: 3 kernels (new)", "3 files with", "kept"],
    );
    assert_eq!(ground.files().len(), 6);
    same();
    ground.run(
        &["compact", "--replace"],
        0,
        &["a/1/x86_64.btfs: 3 kernels (unchanged)", "removed"],
    );
    assert_eq!(ground.files(), ["a/1/x86_64.btfs", "a/2/x86_64.btfs"]);
    assert_eq!(names(&ground.at("a/1")), ["x86_64.btfs"]);
    same();
    ground.run(&["expand"], 0, &["3 kernels, 3 files of"]);
    assert_eq!(ground.files().len(), 6);
    same();
    ground.run(&["expand", "--replace"], 0, &["removed"]);
    let files = KERNELS.map(|(id, _)| format!("{id}.btf.tar.xz"));
    assert_eq!(ground.files(), files);
    same();
    let left = names(&ground.hub());
    assert!(left.iter().all(|name| !name.starts_with(".btfgen-tmp")));
}

/// Check that the files of a real hub become smaller, in their own form.
#[test]
fn small() {
    let own = tempdir().unwrap();
    let file = format!("{NEW}.btf.tar.xz");
    let content = fs::read(hub().join(&file)).unwrap();
    for n in 0..8 {
        // The name in the tar is of no matter here.
        place(own.path(), &format!("a/1/x86_64/{n}.btf"), &btf(NEW));
    }
    place(own.path(), &file, &content);
    let mut compact = btfgen();
    compact.args(["hub", "compact", "--replace", "--json", "--hub"]);
    let output = run(compact.arg(own.path()), 0, &[]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let chunks = report["chunks"].as_array().unwrap();
    let of = |n: usize, key: &str| chunks[n][key].as_u64().unwrap();
    assert_eq!((of(0, "kernels"), of(0, "removed")), (8, 8));
    assert!(of(0, "bytes") < 2 * content.len() as u64, "{report}");
    assert_eq!(of(1, "file_bytes"), content.len() as u64);
    assert_eq!(report["left_out"].as_array().unwrap().len(), 0);
}

/// Check that new and changed kernels are put into the chunk that is there, and that a complete chunk is not written.
#[test]
fn additions() {
    let ground = Ground::compacted();
    let seen = |name| ground.at(name).metadata().unwrap().ino();
    let (one, two) = (seen("a/1/x86_64.btfs"), seen("a/2/x86_64.btfs"));
    ground.place("a/1/x86_64/8.0.0", SID);
    ground.place("a/1/x86_64/6.1.0", SID);
    ground.place("a/2/x86_64/6.1.0", NEW);
    let report = ground.json(&["compact", "--replace", "--dry-run"], 0);
    let chunk = &report["chunks"][0];
    assert_eq!((&chunk["added"], &chunk["updated"]), (&1.into(), &1.into()));
    assert!(chunk["bytes"].is_null());
    assert_eq!(ground.files().len(), 5);
    assert_eq!(
        (seen("a/1/x86_64.btfs"), seen("a/2/x86_64.btfs")),
        (one, two)
    );
    let report = ground.json(&["compact", "--replace"], 0);
    let chunks = report["chunks"].as_array().unwrap();
    let changes = chunks.iter().map(|c| c["change"].as_str().unwrap());
    assert_eq!(changes.collect::<Vec<_>>(), ["updated", "unchanged"]);
    assert_eq!(chunks[0]["kernels"], 4);
    assert_eq!(ground.files(), ["a/1/x86_64.btfs", "a/2/x86_64.btfs"]);
    assert!(seen("a/1/x86_64.btfs") != one && seen("a/2/x86_64.btfs") == two);
    assert!(ground.cat("a/1/x86_64/8.0.0") == btf(SID));
    assert!(ground.cat("a/1/x86_64/6.1.0") == btf(SID));
    assert!(ground.cat("a/1/x86_64/5.10.0") == btf(OLD));
    ground.run(&["compact"], 0, &["there are no files to put into a chunk"]);
}

/// Check that a kernel that is a file and in a chunk is one kernel, that the file wins, and that it is no complaint.
#[test]
fn the_file_wins() {
    let ground = Ground::compacted();
    let listed = ground.list();
    ground.place("a/1/x86_64/6.1.0", SID);
    assert_eq!(ground.list(), listed);
    assert!(ground.cat("a/1/x86_64/6.1.0") == btf(SID));
    let output = ground.run(&["verify"], 0, &["4 kernels sound"]);
    assert!(!output.contains("same kernel"), "{output}");
    let status = ground.json(&["status"], 0);
    let counts = &status["counts"][0];
    assert_eq!(counts["kernels"], 3);
    assert_eq!(
        (&status["chunks"]["chunks"], &status["chunks"]["kernels"]),
        (&2.into(), &4.into())
    );
    // Between hubs it is the same complaint as for files.
    let other = Ground::compacted();
    let mut list = btfgen();
    list.arg("list").arg("--hub").arg(ground.hub());
    let output = run(list.arg("--hub").arg(other.hub()), 0, &["4 files left out"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), listed);
}

/// Check that the sizes of a chunk's kernels add up to the chunk.
#[test]
fn shares() {
    let ground = Ground::compacted();
    let file = |name| ground.at(name).metadata().unwrap().len();
    let json = stdout(btfgen().args(["list", "--json", "--hub"]).arg(ground.hub()));
    let report: Value = serde_json::from_str(&json).unwrap();
    let kernels = report["kernels"].as_array().unwrap();
    let bytes = kernels.iter().map(|k| k["bytes"].as_u64().unwrap());
    let all = file("a/1/x86_64.btfs") + file("a/2/x86_64.btfs");
    assert_eq!(bytes.sum::<u64>(), all);
    let path = kernels[0]["path"].as_str().unwrap();
    assert!(path.ends_with("hub/a/1/x86_64.btfs"), "{path}");
    let status = ground.json(&["status"], 0);
    assert_eq!(status["chunks"]["bytes"], all);
    let told = stdout(&mut ground.command(&["status"]));
    assert!(told.contains(" in 2 chunks with 4 kernels"), "{told}");
}

/// Check that what is broken stays and is named, also a second file of a kernel, which readers would take then.
#[test]
fn broken_files_stay() {
    let ground = Ground::new();
    place(&ground.hub(), "a/1/x86_64/bad.btf", b"no BTF");
    place(&ground.hub(), "a/1/s390x/order.btf", &btf(NEW));
    let second = crate::suite::xz(&btf(SID));
    place(&ground.hub(), "a/2/x86_64/6.1.0.btf.xz", &second);
    ground.run(
        &["compact", "--replace", "-v"],
        0,
        &[
            "bad.btf: not a usable BTF",
            "does not have the byte order of s390x",
            "a/2/x86_64/6.1.0.btf.xz: the same kernel is in",
            "a/2/x86_64/6.1.0.btf: stays, because the kernel has another file",
        ],
    );
    let files = [
        "a/1/s390x/order.btf",
        "a/1/x86_64.btfs",
        "a/1/x86_64/bad.btf",
        "a/2/x86_64.btfs",
        "a/2/x86_64/6.1.0.btf",
        "a/2/x86_64/6.1.0.btf.xz",
    ];
    assert_eq!(ground.files(), files);
    ground.has_all();
}

/// Check that only the selected kernels are put into chunks and taken out of them, and that a chunk stays until all are out.
#[test]
fn filters() {
    let ground = Ground::new();
    ground.run(
        &["compact", "--replace", "--only", "*/7.2.0"],
        0,
        &["1 kernel (new)"],
    );
    assert_eq!(ground.files().len(), 4);
    ground.run(&["compact", "--replace"], 0, &["2 new, 0 updated"]);
    ground.run(
        &["expand", "--replace", "--only", "a/1/x86_64/5*"],
        0,
        &[
            "1 file of",
            "stays, because it has kernels without a sound file: 6.1.0 and 1 more",
        ],
    );
    assert_eq!(ground.files().len(), 3);
    ground.has_all();
    ground.run(&["compact", "--distro", "b"], 1, &["none of the 4 kernels"]);
    ground.run(
        &["expand", "--arch", "arm64"],
        1,
        &["none of the 4 kernels"],
    );
}

/// Check that a damaged chunk gives other bytes never, is named by every command, and is deleted only if no kernel in it is
/// sound.
#[test]
fn damage() {
    let ground = Ground::compacted();
    let chunk = ground.at("a/1/x86_64.btfs");
    let sound = fs::read(&chunk).unwrap();
    let mut deleted = 0;
    let (len, steps) = (sound.len(), 7);
    for n in 0..2 * steps {
        let mut bytes = sound.clone();
        match n < steps {
            true => bytes.truncate(len * n / steps),
            false => bytes[(len - 1) * (n - steps) / (steps - 1)] ^= 0x41,
        }
        fs::write(&chunk, &bytes).unwrap();
        let mut readable = 0;
        for (id, of) in KERNELS.iter().take(3) {
            let output = ground.command(&["cat", id]).output().unwrap();
            if output.status.success() {
                assert!(output.stdout == btf(of), "{n}: {id}");
                readable += 1;
            } else {
                let stderr = String::from_utf8(output.stderr).unwrap();
                assert!(stderr.contains("x86_64.btfs: "), "{n}: {stderr}");
                assert!(stderr.contains("help: "), "{n}: {stderr}");
            }
        }
        assert!(readable < 3, "{n}: no damage");
        assert!(ground.cat("a/2/x86_64/6.1.0") == btf(NEW));
        ground.run(&["verify"], 1, &["a/1/x86_64.btfs: ", "1 file broken"]);
        let is_deleted = readable == 0;
        let report = ground.json(&["verify", "--delete"], i32::from(!is_deleted));
        assert_eq!(report["broken"][0]["deleted"], is_deleted, "{n}: {report}");
        assert_eq!(chunk.exists(), !is_deleted);
        deleted += usize::from(is_deleted);
    }
    assert!(deleted > steps, "{deleted}");
}

/// Check that a pack names a damaged chunk as it names a damaged file, and fails if nothing else is there.
#[test]
fn damaged_only_copy() {
    let ground = Ground::compacted();
    fs::write(ground.at("a/1/x86_64.btfs"), "text").unwrap();
    let out = ground.0.path().join("a.tar.gz");
    let left = "1 kernel left out";
    let why = "a/1/x86_64.btfs: is not a chunk of kernels";
    let help = "help: restore it from a copy or fetch it again";
    run(&mut pack(&ground.hub(), &out), 0, &[left, why, help]);
    run(pack(&ground.hub(), &out).arg("--strict"), 1, &[why, help]);
    fs::remove_file(ground.at("a/2/x86_64.btfs")).unwrap();
    run(
        &mut pack(&ground.hub(), &out),
        1,
        &["the hub has no usable kernels", why],
    );
    // compact does not replace it.
    ground.place("a/1/x86_64/6.1.0", NEW);
    ground.run(
        &["compact", "--replace"],
        0,
        &[why, "is in the place of a chunk and cannot be used"],
    );
    assert_eq!(fs::read(ground.at("a/1/x86_64.btfs")).unwrap(), b"text");
    assert!(ground.cat("a/1/x86_64/6.1.0") == btf(NEW));
}

/// Check that a chunk in no chunk's place, one that a link out of the hub leads to, and what is no file are named and not read.
#[test]
fn odd_places() {
    let ground = Ground::compacted();
    let chunk = fs::read(ground.at("a/1/x86_64.btfs")).unwrap();
    place(&ground.hub(), "a/x86_64.btfs", &chunk);
    let outside = place(ground.0.path(), "outside", &chunk);
    symlink(outside, ground.at("a/1/arm64.btfs")).unwrap();
    fs::create_dir(ground.at("a/2/arm64.btfs")).unwrap();
    let fifo = std::process::Command::new("mkfifo")
        .arg(ground.at("a/2/s390x.btfs"))
        .status();
    assert!(fifo.unwrap().success());
    ground.run(
        &["verify", "--delete", "-v"],
        1,
        &[
            "4 kernels sound",
            "a/x86_64.btfs: its path is not ID/VERSION/ARCH.btfs (kept)",
            "arm64.btfs: symbolic links out of the hub are not followed (kept)",
            "s390x.btfs: cannot be read: not a regular file (kept)",
        ],
    );
    // It stands where a chunk would be.
    ground.place("a/2/arm64/6.1.0", NEW);
    ground.run(&["compact"], 0, &["is in the place of a chunk"]);
}

/// Check that a user who may only read a hub reads its chunks, that one which may not be read is named, and that compact and
/// expand then change nothing.
#[test]
fn other_users_hub() {
    use std::os::unix::fs::PermissionsExt as _;
    let ground = Ground::compacted();
    let chunk = ground.at("a/1/x86_64.btfs");
    let mode = |mode| fs::Permissions::from_mode(mode);
    fs::set_permissions(ground.0.path(), mode(0o755)).unwrap();
    fs::set_permissions(&chunk, mode(0o600)).unwrap();
    let copy = ground.0.path().join("btfgen");
    fs::copy(crate::suite::binary(), &copy).unwrap();
    let as_nobody = |arguments: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.args(["--inh-caps=-all", "--bounding-set=-all"]);
        command.arg(&copy).args(arguments);
        command.arg("--hub").arg(ground.hub());
        command
    };
    if !as_nobody(&["hub", "path"])
        .output()
        .is_ok_and(|o| o.status.success())
    {
        return btfgen_testkit::skipped("no other user can be had");
    }
    let denied = "a/1/x86_64.btfs: cannot be read: Permission denied";
    let listed = run(&mut as_nobody(&["list"]), 0, &[denied]).stdout;
    assert_eq!(listed, b"a/2/x86_64/6.1.0\n");
    let cat = run(&mut as_nobody(&["hub", "cat", "6.1.0"]), 0, &[]).stdout;
    assert!(cat == btf(NEW));
    run(&mut as_nobody(&["hub", "verify"]), 1, &[denied]);
    let files = ground.files();
    for name in ["compact", "expand"] {
        run(
            &mut as_nobody(&["hub", name, "--replace"]),
            1,
            &["cannot be created", "help: "],
        );
    }
    assert_eq!(ground.files(), files);
}

/// Check that no output overwrites a chunk.
#[test]
fn outputs() {
    let ground = Ground::compacted();
    let chunk = ground.at("a/1/x86_64.btfs");
    let before = fs::read(&chunk).unwrap();
    let refused = ["is a kernel of the hub"];
    run(&mut pack(&ground.hub(), &chunk), 1, &refused);
    let path = chunk.to_str().unwrap();
    ground.run(&["cat", KERNELS[0].0, "-o", path], 1, &refused);
    assert!(fs::read(&chunk).unwrap() == before);
    let out = ground.0.path().join("out.btf");
    ground.run(
        &["cat", KERNELS[0].0, "-o", out.to_str().unwrap()],
        0,
        &["out.btf: "],
    );
    assert!(fs::read(out).unwrap() == btf(OLD));
}

/// Check that the path that a kernel's file would have leads to the chunk, and that the chunk is an input then.
#[test]
fn path_of_a_kernel() {
    let ground = Ground::compacted();
    let minimize = |kernel: &Path, out: &Path| {
        let mut minimize = btfgen();
        minimize.arg("minimize").arg(kernel);
        minimize.arg(crate::suite::object()).arg("-o").arg(out);
        minimize
    };
    let (id, of) = KERNELS[1];
    let stdout = Path::new("-");
    let file = btfgen_testkit::sample_btf(of);
    let wanted = run(&mut minimize(&file, stdout), 0, &[]).stdout;
    for ending in ["", ".btf", ".btf.tar.xz"] {
        let path = ground.at(&format!("{id}{ending}"));
        assert_eq!(run(&mut minimize(&path, stdout), 0, &[]).stdout, wanted);
        let chunk = ground.at("a/1/x86_64.btfs");
        run(&mut minimize(&path, &chunk), 1, &["is the kernel"]);
    }
    let none = ground.at("a/1/x86_64/9.9.9.btf");
    run(
        &mut minimize(&none, stdout),
        1,
        &["9.9.9.btf: is no file, and its chunk"],
    );
    let nowhere = ground.at("a/3/x86_64/9.9.9.btf");
    run(&mut minimize(&nowhere, stdout), 1, &["No such file"]);
}

/// Check that a kernel is found by its release, and that the nearest names are told for another one.
#[test]
fn names_of_kernels() {
    let ground = Ground::compacted();
    assert!(ground.cat("7.2.0") == btf(SID));
    // Two kernels of one BTF.
    assert!(ground.cat("6.1.0") == btf(NEW));
    ground.place("a/2/x86_64/6.1.0", SID);
    ground.run(
        &["cat", "6.1.0"],
        1,
        &["is ambiguous", "a/1/x86_64/6.1.0, a/2/x86_64/6.1.0"],
    );
    ground.run(
        &["cat", "a/1/x86_64/7.2.1"],
        1,
        &[
            "has no kernel a/1/x86_64/7.2.1",
            "the nearest kernels are a/1/x86_64/7.2.0",
        ],
    );
    ground.run(
        &["cat", "7.2.0", "--arch", "arm64"],
        1,
        &["has no kernel 7.2.0 of arm64"],
    );
    ground.run(
        &["cat", "7.2.0", "--max-btf-size", "1000"],
        1,
        &["7.2.0: has more than 1000 bytes", "--max-btf-size"],
    );
}

/// Check that a kernel in a chunk counts as there for `add`, and that another BTF of it is replaced only by force.
#[test]
fn add() {
    let ground = Ground::compacted();
    let add = |of: &str, id: &str| {
        let mut add = btfgen();
        add.arg("add").arg(btfgen_testkit::sample_btf(of));
        add.args(["--id", id, "--hub"]).arg(ground.hub());
        add
    };
    let (id, of) = KERNELS[1];
    let output = run(add(of, id).arg("--json"), 0, &["unchanged"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let path = report["added"][0]["path"].as_str().unwrap();
    assert!(path.ends_with("a/1/x86_64.btfs"), "{path}");
    run(
        &mut add(SID, id),
        1,
        &["x86_64.btfs has a different BTF of this kernel", "--force"],
    );
    assert_eq!(ground.files().len(), 2);
    run(add(SID, id).arg("--force"), 0, &["replaced"]);
    assert!(ground.cat(id) == btf(SID));
    run(&mut add(SID, id), 0, &["unchanged"]);
    // The chunk has it, but the file wins.
    run(
        &mut add(of, id),
        1,
        &["6.1.0.btf.tar.xz has a different BTF"],
    );
    run(&mut add(of, "a/1/x86_64/9.0.0"), 0, &["added"]);
    // All names of an architecture are one.
    run(&mut add(SID, "a/1/amd64/7.2.0"), 0, &["unchanged"]);
    fs::write(ground.at("a/1/x86_64.btfs"), "text").unwrap();
    run(&mut add(of, "a/1/x86_64/5.10.0"), 0, &["added"]);
}

/// Check that an interrupted chunk of another program, and files that nobody owns, do not stand in the way of the next run.
#[test]
fn left_by_a_killed_writer() {
    let ground = Ground::new();
    place(&ground.hub(), ".btfgen/.btfgen-tmp-0123456789", b"half");
    ground.run(&["compact"], 0, &[]);
    assert_eq!(
        names(&ground.at(".btfgen")),
        ["readers.lock", "writer.lock"]
    );
}

/// Check that a missing hub is not made, and that an empty one has nothing to do.
#[test]
fn no_hub() {
    let dir = tempdir().unwrap();
    let missing = dir.path().join("none");
    for name in ["compact", "expand"] {
        let mut command = btfgen();
        command.args(["hub", name, "--hub"]).arg(&missing);
        run(&mut command, 1, &["the hub does not exist"]);
        let mut command = btfgen();
        command.args(["hub", name, "--hub"]).arg(dir.path());
        run(&mut command, 0, &[]);
    }
    assert_eq!(names(dir.path()), [""; 0]);
    let mut cat = btfgen();
    cat.args(["hub", "cat", "1", "--hub"]).arg(dir.path());
    run(&mut cat, 1, &["has no kernel 1", "it is empty"]);
}

/// Check that a file in the way of an expanded kernel stays, and that the kernel's chunk does, too.
#[test]
fn expand_replaces_no_file() {
    let ground = Ground::compacted();
    // Readers of a hub do not take it for a kernel.
    let path = ground.at("a/1/x86_64/7.2.0.btf.tar.xz");
    fs::create_dir_all(&path).unwrap();
    ground.run(
        &["expand", "--replace"],
        0,
        &[
            "7.2.0.btf.tar.xz: another program changed",
            "without a sound file: 7.2.0",
        ],
    );
    assert!(path.is_dir() && ground.at("a/1/x86_64.btfs").exists());
    ground.has_all();
}
