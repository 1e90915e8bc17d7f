//! `btfgen lookup`

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::{TempDir, tempdir};

use crate::suite::{NEW, OLD, btfgen, pack_all, run, stdout};

/// A folder with an archive of the sample hub, `a.tar.gz`, and Debian 12's os-release.
fn folder() -> TempDir {
    let dir = tempdir().unwrap();
    run(&mut pack_all(&dir.path().join("a.tar.gz")), 0, &[]);
    let os_release = "ID=debian\nVERSION_ID=\"12\"\n";
    fs::write(dir.path().join("os-release"), os_release).unwrap();
    dir
}

/// `btfgen lookup` of the archive, with an environment that names nothing.
fn lookup(dir: &TempDir) -> assert_cmd::Command {
    let mut command = btfgen();
    for variable in ["BTFGEN_BTF", "BTFGEN_OS_RELEASE", "BTFGEN_REQUIRE_CUSTOM"] {
        command.env_remove(variable);
    }
    command.arg("lookup").arg(dir.path().join("a.tar.gz"));
    command
}

/// For a host of Debian 12 with this kernel.
fn on_debian(dir: &TempDir, release: &str, arch: &str) -> assert_cmd::Command {
    let mut command = lookup(dir);
    command
        .arg("--os-release")
        .arg(dir.path().join("os-release"));
    command.args(["--release", release, "--arch", arch]);
    command
}

fn json(command: &mut assert_cmd::Command, code: i32) -> serde_json::Value {
    let output = run(command.arg("--json"), code, &[]);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn release(kernel: &str) -> &str {
    kernel.rsplit('/').next().unwrap()
}

/// Check that each kernel of the archive is found by its host's own names, uname's of the architecture too, with the size
/// that `extract` gives.
#[test]
fn described_host() {
    let dir = folder();
    let archive = dir.path().join("a.tar.gz");
    for kernel in btfgen_testkit::sample_kernels() {
        let parts: Vec<&str> = kernel.split('/').collect();
        let os_release = dir.path().join("os-release");
        fs::write(
            &os_release,
            format!("ID={}\nVERSION_ID={}\n", parts[0], parts[1]),
        )
        .unwrap();
        let machine = if parts[2] == "arm64" {
            "aarch64"
        } else {
            parts[2]
        };
        let found = json(&mut on_debian(&dir, parts[3], machine), 0);
        assert_eq!(
            (&found["origin"], &found["name"]),
            (&"archive".into(), &kernel.clone().into())
        );
        let extract = ["extract", archive.to_str().unwrap(), &kernel, "-o", "-"];
        let extracted = run(btfgen().args(extract), 0, &[]).stdout;
        assert_eq!(found["bytes"], extracted.len());
        let last = found["steps"].as_array().unwrap().last().unwrap();
        let rung = if machine == parts[2] {
            "exact"
        } else {
            "normalized"
        };
        assert_eq!(
            (&last["rung"], &last["taken"]),
            (&rung.into(), &true.into()),
            "{found}"
        );
    }
}

/// Check that the steps are printed, one a line, the one that was taken last.
#[test]
fn steps() {
    let dir = folder();
    let printed = stdout(&mut on_debian(&dir, release(NEW), "x86_64"));
    let lines: Vec<&str> = printed.lines().collect();
    assert!(lines[0].starts_with("BTFGEN_BTF: "), "{printed}");
    assert!(
        lines[1].starts_with("/sys/kernel/btf/vmlinux: "),
        "{printed}"
    );
    let last = lines.last().unwrap();
    assert!(
        last.starts_with(&format!("{NEW}: taken (ID and VERSION_ID), ")),
        "{printed}"
    );
}

/// Check that `--quiet` prints only the result: the archive's kernel, or the file.
#[test]
fn quiet() {
    let dir = folder();
    let mut there = on_debian(&dir, release(NEW), "x86_64");
    let output = run(there.arg("-q"), 0, &[]);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("{NEW}\n")
    );
    assert_eq!(output.stderr, b"");
    let btf = btfgen_testkit::sample_btf(NEW);
    let output = run(lookup(&dir).arg("-q").env("BTFGEN_BTF", &btf), 0, &[]);
    assert_eq!(output.stdout, format!("{}\n", btf.display()).as_bytes());
    let output = run(
        on_debian(&dir, "0.0.1", "x86_64").arg("-q"),
        1,
        &["has no BTF"],
    );
    assert_eq!(output.stdout, b"");
}

/// Check that a kernel which is not there fails with all steps on stdout, and one error that says what to do.
#[test]
fn not_there() {
    let dir = folder();
    let pieces = ["has no BTF for the kernel x86_64 0.0.1", "help: "];
    let output = run(&mut on_debian(&dir, "0.0.1", "x86_64"), 1, &pieces);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        printed.contains("debian/12/x86_64|amd64/0.0.1: not in the archive"),
        "{printed}"
    );
    assert!(
        printed.contains("none of the archive's 8 kernels"),
        "{printed}"
    );
    let found = json(&mut on_debian(&dir, "0.0.1", "x86_64"), 1);
    assert!(
        found["origin"].is_null() && found["error"].is_string(),
        "{found}"
    );
}

/// Check that another distribution's kernel is used if it is the only one, and that the step says so.
#[test]
fn any_distribution() {
    let dir = folder();
    fs::write(dir.path().join("os-release"), "ID=example\nVERSION_ID=1\n").unwrap();
    let found = json(&mut on_debian(&dir, release(OLD), "x86_64"), 0);
    let last = found["steps"].as_array().unwrap().last().unwrap();
    assert_eq!(
        (&found["name"], &last["rung"]),
        (&OLD.into(), &"any-distribution".into())
    );
}

/// Check that the environment counts for this host, and only for this one.
#[test]
fn environment() {
    let dir = folder();
    let btf = btfgen_testkit::sample_btf(NEW);
    let mut here = lookup(&dir);
    here.env("BTFGEN_BTF", &btf);
    let found = json(&mut here, 0);
    assert_eq!(
        (&found["origin"], &found["name"]),
        (&"file".into(), &btf.to_str().into())
    );
    let mut there = on_debian(&dir, release(NEW), "x86_64");
    there.env("BTFGEN_BTF", &btf);
    assert_eq!(json(&mut there, 0)["origin"], "archive");
}

/// Check that this host's own BTF is taken, unless that is not wanted.
#[test]
fn this_host() {
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        btfgen_testkit::skipped("this kernel has no BTF of its own");
        return;
    }
    let dir = folder();
    assert_eq!(json(&mut lookup(&dir), 0)["origin"], "kernel");
    let current = json(lookup(&dir).args(["--loader", "libbpf:1.7"]), 0);
    assert_eq!(
        (&current["origin"], &current["steps"][1]["taken"]),
        (&"kernel".into(), &true.into())
    );
    let passed_over = json(lookup(&dir).arg("--require-custom"), 1);
    assert_eq!(
        passed_over["steps"][1]["outcome"],
        "skipped (require_custom is set)"
    );
    let mut command = lookup(&dir);
    command.env("BTFGEN_REQUIRE_CUSTOM", "1");
    assert!(json(&mut command, 1)["origin"].is_null());
}

/// Check that the kernel's own BTF is skipped for a loader that cannot read it, that the error says why, and that a name that
/// is no loader's is refused.
#[test]
fn loader() {
    let dir = folder();
    let refused = ["\"libbpf\" is not a loader"];
    run(lookup(&dir).args(["--loader", "libbpf"]), 2, &refused);
    let own = Path::new("/sys/kernel/btf/vmlinux");
    let has_enum64 = || {
        let btf = btfgen::Btf::parse(fs::read(own).ok()?).ok()?;
        btf.types().find(|ty| ty.kind() == btfgen::Kind::Enum64)?;
        Some(())
    };
    if has_enum64().is_none() {
        btfgen_testkit::skipped("this kernel has no BTF of its own with ENUM64");
        return;
    }
    let why = "it has types of kind 19, ENUM64, which libbpf before 1.0 cannot read";
    let old = ["--loader", "libbpf:0.8"];
    let output = run(
        lookup(&dir).args(old),
        1,
        &["has no BTF for the kernel", why],
    );
    let printed = String::from_utf8(output.stdout).unwrap();
    let skipped = format!("{}: skipped ({why})\n", own.display());
    assert!(printed.contains(&skipped), "{printed}");
}

/// Check that errors name the unreadable file: the archive, the os-release file, a file that is not BTF.
#[test]
fn unusable_files() {
    let dir = folder();
    let path = |name: &str| -> PathBuf { dir.path().join(name) };
    let mut command = btfgen();
    command
        .args(["lookup", "--require-custom"])
        .arg(path("os-release"));
    run(&mut command, 1, &["os-release", "gzip"]);
    let mut command = btfgen();
    command
        .args(["lookup", "--require-custom"])
        .arg(path("missing"));
    let output = run(&mut command, 1, &["missing", "cannot be read"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.matches("missing").count(), 1, "{told}");
    let mut command = lookup(&dir);
    command
        .args(["--require-custom", "--os-release"])
        .arg(path("a.tar.gz"));
    run(&mut command, 1, &["a.tar.gz", "not an os-release file"]);
    let mut command = lookup(&dir);
    command.env("BTFGEN_BTF", path("os-release"));
    let output = run(
        &mut command,
        1,
        &["help: BTFGEN_BTF names this file: unset it"],
    );
    // The archive is not at fault.
    let told = String::from_utf8(output.stderr).unwrap();
    let named = path("os-release").display().to_string();
    let error = format!("error: {named}: is neither a BTF nor an ELF file\n");
    assert!(told.starts_with(&error), "{told}");
}
