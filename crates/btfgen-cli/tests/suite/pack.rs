//! `btfgen pack`

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::tempdir;

use crate::suite::{NEW, OLD, btfgen, hub, names, object, pack, place, place_kernel, run, stdout};

/// What GNU tar lists, as a user would look.
fn tar_list(flags: &str, archive: &std::path::Path) -> String {
    let mut tar = assert_cmd::Command::new("tar");
    stdout(tar.arg(flags).arg(archive).env("LC_ALL", "C"))
}

/// Check that two kernels are packed, that tar lists them, and that the bytes are the same for any number of
/// threads.
#[test]
fn packs() {
    let dir = tempdir().unwrap();
    let (one, two) = (dir.path().join("one.tar.gz"), dir.path().join("two.tar.gz"));
    let only = ["--only", OLD, "--only", "*/12/x86_64/*"];
    let output = run(
        pack(&hub(), &one).args(only).args(["-j", "1"]),
        0,
        &["one.tar.gz: 2 kernels for ", " of 1 object\n", " packed\n"],
    );
    assert_eq!(output.stdout, b"");
    run(pack(&hub(), &two).args(only).args(["-j", "2"]), 0, &[]);
    assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
    let list = tar_list("-tzf", &one);
    for kernel in [OLD, NEW] {
        assert!(list.contains(&format!("./{kernel}.btf\n")), "{list}");
    }
    assert_eq!(names(dir.path()), ["one.tar.gz", "two.tar.gz"]);
}

/// Check that the hub is found by the environment.
#[test]
fn hub_of_the_environment() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("a.tar.gz");
    let mut command = btfgen();
    command.arg("pack").arg(object()).arg("-o").arg(&out);
    command.args(["--only", NEW]).env("BTFGEN_HUB", hub());
    run(&mut command, 0, &["1 kernel "]);
}

/// Check that filters choose by architecture and distribution.
#[test]
fn filters() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("a.tar.gz");
    let filters = ["--arch", "arm64", "--distro", "debian/12", "-q"];
    let output = run(pack(&hub(), &out).args(filters), 0, &[]);
    assert_eq!(output.stderr, b"");
    let list = stdout(btfgen().args(["list"]).arg(&out));
    assert_eq!(list, "debian/12/arm64/6.1.0-47-cloud-arm64\n");
}

/// Check that equal BTFs are linked, and stored for each kernel with `--no-hard-links`.
#[test]
fn hard_links() {
    let (dir, own) = (tempdir().unwrap(), tempdir().unwrap());
    for name in ["a/1/x86_64/1.0", "a/1/x86_64/1.1"] {
        place_kernel(own.path(), name);
    }
    let out = dir.path().join("a.tar.gz");
    run(&mut pack(own.path(), &out), 0, &["1 distinct BTF "]);
    let links = |list: String| list.lines().filter(|l| l.starts_with('h')).count();
    assert_eq!(links(tar_list("-tvzf", &out)), 1);
    let list = stdout(btfgen().args(["list", "-l"]).arg(&out));
    assert!(list.contains("-> a/1/x86_64/1."), "{list}");
    run(pack(own.path(), &out).arg("--no-hard-links"), 0, &[]);
    assert_eq!(links(tar_list("-tvzf", &out)), 0);
}

/// Check that a prefix goes in front of the kernels, and not of package.json.
#[test]
fn prefix_and_package_json() {
    let dir = tempdir().unwrap();
    let out = dir.path().join("a.tar.gz");
    let json = place(dir.path(), "p.json", br#"{"name": "x"}"#);
    let mut command = pack(&hub(), &out);
    command.args(["--only", NEW, "--prefix", "btfs"]);
    run(command.arg("--package-json").arg(&json), 0, &[]);
    let list = tar_list("-tzf", &out);
    assert!(list.contains(&format!("./btfs/{NEW}.btf\n")), "{list}");
    assert!(list.contains("package.json\n"), "{list}");
    fs::write(&json, "{").unwrap();
    run(&mut command, 1, &["p.json: is not JSON"]);
}

/// Check that the JSON has everything, and nothing else is on stdout.
#[test]
fn json() {
    let (dir, own) = (tempdir().unwrap(), tempdir().unwrap());
    place_kernel(own.path(), "a/1/x86_64/1.0");
    let broken = place(own.path(), "a/1/x86_64/1.1.btf", b"broken");
    let out = dir.path().join("a.tar.gz");
    let output = run(pack(own.path(), &out).arg("--json"), 0, &["1.1.btf"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    for (key, expected) in [
        ("kernels", 1),
        ("distinct_btfs", 1),
        ("outcome_sets", 1),
        ("archive_bytes", fs::metadata(&out).unwrap().len()),
    ] {
        assert_eq!(report["totals"][key], expected, "{key}");
    }
    let left_out = &report["left_out"][0];
    assert_eq!(left_out["kernel"], "a/1/x86_64/1.1");
    assert_eq!(
        left_out["path"],
        *broken.canonicalize().unwrap().to_str().unwrap()
    );
    assert!(!left_out["reason"].as_str().unwrap().is_empty());
    let kernel = &report["kernels"][0];
    assert_eq!(kernel["kernel"], "a/1/x86_64/1.0");
    assert_eq!(kernel["full_bytes"], report["totals"]["full_bytes"]);
    assert_eq!(kernel["full_bytes"], report["totals"]["largest_btf_bytes"]);
    assert_eq!(kernel["minimal_bytes"], report["totals"]["minimal_bytes"]);
    assert!(report["unresolved"].is_array() && kernel["missing"].is_u64());
    assert!(report["error"].is_null());
}

/// Check that a kernel that cannot be packed is left out and named, and with `--strict` fails the whole.
#[test]
fn strict_or_keep_going() {
    let (dir, own) = (tempdir().unwrap(), tempdir().unwrap());
    place_kernel(own.path(), "a/1/x86_64/1.0");
    place(own.path(), "a/1/x86_64/1.1.btf", b"broken");
    let out = dir.path().join("a.tar.gz");
    fs::write(&out, "older").unwrap();
    run(pack(own.path(), &out).arg("--strict"), 1, &["1.1.btf: "]);
    assert_eq!(fs::read(&out).unwrap(), b"older");
    assert_eq!(names(dir.path()), ["a.tar.gz"]);
    for quiet in [None, Some("-q")] {
        let pieces = ["warning: 1 kernel left out:\n", "1.1.btf: "];
        run(
            pack(own.path(), &out).arg("--keep-going").args(quiet),
            0,
            &pieces,
        );
    }
    let list = stdout(btfgen().args(["list"]).arg(&out));
    assert_eq!(list, "a/1/x86_64/1.0\n");
}

/// Check that relocations that no kernel answers are named with their source line.
#[test]
fn unresolved() {
    let dir = tempdir().unwrap();
    let mut command = btfgen();
    command.arg("pack").arg(btfgen_testkit::object("missing"));
    command.arg("--hub").arg(hub()).args(["--only", NEW, "-o"]);
    command.arg(dir.path().join("a.tar.gz"));
    run(
        &mut command,
        0,
        &["found nothing in any kernel:\n", "missing.bpf.c:"],
    );
}

/// Check that relocations for which libbpf refuses the object are named with the reason and their source line, in text and in
/// JSON; that the kernel is packed all the same, and with `--strict` is not.
#[test]
fn refused() {
    let dir = tempdir().unwrap();
    let own = dir.path().join("hub");
    let target = fs::read(btfgen_testkit::target_btf("disagreeing")).unwrap();
    place(&own, "a/1/x86_64/disagreeing.btf", &target);
    let object = btfgen_testkit::object("edge");
    let mut command = btfgen();
    command.arg("pack").arg(&object).arg("--hub").arg(&own);
    command.arg("-o").arg(dir.path().join("a.tar.gz"));
    let pieces = [
        "libbpf refuses to load objects with these relocations:\n",
        "edge.bpf.c:",
        "several types of this name, and they disagree; on 1 kernel, as a/1/x86_64/disagreeing",
        "help: first use a field that only the right type has",
    ];
    run(&mut command, 0, &pieces);
    let output = run(command.arg("--json"), 0, &[]);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let refused = summary["refused"].as_array().unwrap();
    assert!(refused.iter().all(|r| r["reason"] == "disagreement"));
    assert_eq!(refused[0]["kernels"][0], "a/1/x86_64/disagreeing");
    assert!(refused[0]["places"][0]["line"].is_u64());
    assert_eq!(summary["kernels"][0]["kernel"], "a/1/x86_64/disagreeing");
    run(
        command.arg("--strict"),
        1,
        &["a/1/x86_64/disagreeing: libbpf refuses"],
    );

    let mut minimize = btfgen();
    minimize
        .arg("minimize")
        .arg(own.join("a/1/x86_64/disagreeing.btf"));
    minimize
        .arg(&object)
        .arg("-o")
        .arg(dir.path().join("minimal.btf"));
    run(
        &mut minimize,
        0,
        &["on this kernel:\n", "and they disagree"],
    );
}

/// Check that a load whose size libbpf refuses on a 32-bit kernel is named with its source line and the way out by `pack` and
/// `minimize`, in text and in JSON, and that `--strict` packs, because the rest of the object loads.
#[test]
fn loads_of_32_bits() {
    let dir = tempdir().unwrap();
    let own = dir.path().join("hub");
    let target = fs::read(btfgen_testkit::target_btf("words32")).unwrap();
    let target = place(&own, "a/1/i386/6.1.0.btf", &target);
    let object = btfgen_testkit::object("words");
    let mut pack = btfgen();
    pack.arg("pack").arg(&object).arg("--hub").arg(&own);
    pack.args(["--strict", "--json", "-o"]);
    pack.arg(dir.path().join("a.tar.gz"));
    let mut minimize = btfgen();
    minimize.arg("minimize").arg(target).arg(&object);
    minimize.args(["--json", "-o"]);
    minimize.arg(dir.path().join("minimal.btf"));
    for (mut command, pieces) in [
        (
            pack,
            [
                "so the verifier refuses a program that can reach one:\n",
                "; on 1 kernel, as a/1/i386/6.1.0\n",
            ],
        ),
        (minimize, ["invalid on this kernel, so", "unsigned integer"]),
    ] {
        run(&mut command, 0, &pieces);
        let pieces = [
            "byte_off struct words.direct, ",
            "words.bpf.c:25: the field has another size",
            "help: read the field with BPF_CORE_READ_BITFIELD_PROBED",
        ];
        let output = run(&mut command, 0, &pieces).stdout.clone();
        let report: Value = serde_json::from_slice(&output).unwrap();
        let refused = report["refused"].as_array().unwrap();
        assert_eq!(refused.len(), 2, "{report}");
        assert_eq!(refused[0]["relocation"], "byte_off struct words.direct");
        assert_eq!(refused[0]["reason"], "size_mismatch");
        assert_eq!(refused[0]["object"], false);
        assert_eq!(refused[0]["places"][0]["line"], 25);
        let help = refused[0]["help"].as_str().unwrap();
        assert!(help.contains("BPF_CORE_READ_BITFIELD_PROBED"));
    }
}

/// Check that kernels of another byte order than all objects are left out with the reason and the way out, in text and in JSON,
/// that `--strict` makes that an error, and that objects of both byte orders serve all kernels.
#[test]
fn byte_orders() {
    const BIG: &str = "debian/12/s390x/6.1.0-47-s390x";
    let dir = tempdir().unwrap();
    let out = dir.path().join("a.tar.gz");
    let both = ["--only", NEW, "--only", BIG];
    let little = btfgen_testkit::object("execsnoop");
    let big = btfgen_testkit::object("execsnoop.eb");
    let pack = |objects: &[&PathBuf]| {
        let mut pack = btfgen();
        pack.arg("pack").args(objects).arg("--hub").arg(hub());
        pack.arg("-o").arg(&out);
        pack
    };
    for (object, packed, left, order, target) in [
        (&little, NEW, BIG, "big", "bpfeb"),
        (&big, BIG, NEW, "little", "bpfel"),
    ] {
        let why = format!("the kernel is {order}-endian and all objects are ");
        let help = format!("help: also compile the objects with `clang -target {target}`");
        let pieces = ["1 kernel left out:", &why, "LIBBPF_ERRNO__ENDIAN", &help];
        let output = run(pack(&[object]).args(both).arg("--json"), 0, &pieces);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["left_out"][0]["kernel"], left);
        assert_eq!(report["kernels"][0]["kernel"], packed);
        assert_eq!(report["totals"]["kernels"], 1);
        fs::remove_file(&out).unwrap();
        run(
            pack(&[object]).args(both).arg("--strict"),
            1,
            &[&why, &help],
        );
        let pieces = ["none of the kernels could be packed", &why];
        run(pack(&[object]).args(["--only", left]), 1, &pieces);
        assert!(!out.exists());
        let mut alone = pack(&[object]);
        run(alone.args(["--only", packed, "--strict"]), 0, &[]);
        fs::remove_file(&out).unwrap();

        let mut minimize = btfgen();
        minimize
            .arg("minimize")
            .arg(btfgen_testkit::sample_btf(left));
        minimize.arg(object).args(["--json", "-o"]);
        minimize.arg(dir.path().join("minimal.btf"));
        let pieces = ["because they have the other byte order"];
        let output = run(&mut minimize, 0, &pieces);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["other_byte_order"].as_array().unwrap().len(), 1);
    }
    let mut strict = pack(&[&little, &big]);
    run(strict.args(both).arg("--strict"), 0, &["2 kernels"]);
}

/// Check that a kernel of an architecture with both byte orders counts as what its BTF is.
#[test]
fn byte_order_of_mips() {
    let dir = tempdir().unwrap();
    let own = dir.path().join("hub");
    for (name, kernel) in [
        ("mipsel", NEW),
        ("mips64", "debian/12/s390x/6.1.0-47-s390x"),
    ] {
        let content = fs::read(btfgen_testkit::sample_btf(kernel)).unwrap();
        place(&own, &format!("a/1/{name}/6.1.0.btf"), &content);
    }
    let mut pack = crate::suite::pack(&own, &dir.path().join("a.tar.gz"));
    let output = run(pack.arg("--json"), 0, &[]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["kernels"][0]["kernel"], "a/1/mips/6.1.0");
    assert_eq!(report["left_out"][0]["kernel"], "a/1/mips64/6.1.0");
}

/// Check that a kernel's BTF without a type is packed, and that each command which reads one names it.
#[test]
fn no_types() {
    const KERNEL: &str = "a/1/x86_64/1.0";
    let (dir, own) = (tempdir().unwrap(), tempdir().unwrap());
    // A header without types, and the empty string.
    let words = [24, 0, 0, 0, 1u32].map(u32::to_le_bytes).concat();
    let btf = [&[0x9f, 0xeb, 1, 0], &*words, &[0]].concat();
    let kernel = place(own.path(), &format!("{KERNEL}.btf"), &btf);
    let out = dir.path().join("a.tar.gz");
    let pieces = ["warning: the BTFs of these kernels hold no types", KERNEL];
    let mut command = pack(own.path(), &out);
    let output = run(command.args(["--strict", "--json"]), 0, &pieces);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["kernels"][0]["types"], 0);
    let minimal = dir.path().join("minimal.btf");
    let mut minimize = btfgen();
    minimize
        .arg("minimize")
        .arg(&kernel)
        .arg(object())
        .arg("-o");
    run(minimize.arg(&minimal), 0, &["1.0.btf: holds no types"]);
    let mut extract = btfgen();
    extract.arg("extract").arg(&out).args([KERNEL, "-o"]);
    let pieces = ["warning: a/1/x86_64/1.0: its BTF holds no types"];
    run(extract.arg(dir.path().join("x.btf")), 0, &pieces);
}

/// Check that of many kernels left out the first ones are shown, and all with `--verbose`.
#[test]
fn many_left_out() {
    let (dir, own) = (tempdir().unwrap(), tempdir().unwrap());
    place_kernel(own.path(), "a/1/x86_64/1.0");
    for i in 10..30 {
        place(own.path(), &format!("b/1/x86_64/{i}.btf"), b"broken");
    }
    let out = dir.path().join("a.tar.gz");
    let output = run(
        &mut pack(own.path(), &out),
        0,
        &["20 kernels left out:", "19.btf", "and 10 more"],
    );
    assert!(!String::from_utf8(output.stderr).unwrap().contains("20.btf"));
    run(pack(own.path(), &out).arg("-v"), 0, &["10.btf", "29.btf"]);
}

/// Check that an object without relocations is packed, and that it is said.
#[test]
fn no_relocations() {
    let dir = tempdir().unwrap();
    let mut command = btfgen();
    command
        .arg("pack")
        .arg(btfgen_testkit::object("no-relocations"));
    command.arg("--hub").arg(hub()).args(["--only", NEW, "-o"]);
    command.arg(dir.path().join("a.tar.gz"));
    run(&mut command, 0, &["no CO-RE relocations"]);
}

/// Check that facts of the command line and of files are in the archive, that lookup shows a host's answers, that a fact that no kernel
/// has is told with the nearest name, and that equal names and bad files are refused before anything is written.
#[test]
fn facts() {
    let dir = tempdir().unwrap();
    let (out, file) = (dir.path().join("a.tar.gz"), dir.path().join("facts.yaml"));
    let yaml =
        "facts:\n  - name: state\n    fact: task_struct.__state\n    fallback: task_struct.state\n";
    fs::write(&file, yaml).unwrap();
    let mut command = pack(&hub(), &out);
    command
        .args(["--only", OLD, "--only", NEW, "--facts"])
        .arg(&file);
    command.args(["--fact", "task_struct.pidd", "--fact", "func:tty_write"]);
    let told = [
        "3 facts in 2 distinct rows of answers",
        "task_struct.pidd; near: pid",
    ];
    run(&mut command, 0, &told);
    let json: Value = serde_json::from_slice(&run(command.arg("--json"), 0, &[]).stdout).unwrap();
    let names = ["task_struct_pidd", "func_tty_write", "state"];
    assert_eq!(json["facts"], serde_json::json!(names));
    assert_eq!(json["unknown_facts"][0]["name"], "task_struct_pidd");

    let lookup = |kernel: &str| {
        let parts: Vec<&str> = kernel.split('/').collect();
        let os_release = dir.path().join("os-release");
        let text = format!("ID={}\nVERSION_ID={}\n", parts[0], parts[1]);
        fs::write(&os_release, text).unwrap();
        let mut command = btfgen();
        command.args(["lookup", "--facts"]).arg(&out);
        command.arg("--os-release").arg(os_release);
        command.args(["--arch", parts[2], "--release", parts[3]]);
        command
    };
    let text = stdout(&mut lookup(OLD));
    let state = "task_struct.__state | task_struct.state: offset 16, 8 bytes\n";
    assert!(text.contains(state), "{text}");
    assert!(
        text.contains("task_struct.pidd: missing: no pidd\n"),
        "{text}"
    );
    let json: Value = serde_json::from_str(&stdout(lookup(NEW).arg("--json"))).unwrap();
    let state = &json["facts"][2];
    assert_eq!(
        (&state["name"], &state["question"]),
        (&"state".into(), &0.into())
    );
    assert_eq!(
        (&state["kind"], &state["bytes"]),
        (&"member".into(), &4.into())
    );

    fs::remove_file(&out).unwrap();
    for (facts, code, told) in [
        (
            ["--fact", "a.b", "--fact", "a.b"],
            2,
            "two facts have the name a_b",
        ),
        (["--fact", "a.b", "--facts", "/dev/null"], 1, "/dev/null"),
        (["--fact", "a.b", "--fact", "a..b"], 2, "a..b"),
    ] {
        let mut command = pack(&hub(), &out);
        run(command.args(facts), code, &[told]);
        assert!(!out.exists());
    }
}
