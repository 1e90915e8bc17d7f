//! `btfgen dump`

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::suite::{NEW, OLD, btfgen, hub, place, place_kernel, run, stdout};

/// `btfgen dump` with the sample hub.
fn dump(arguments: &[&str]) -> assert_cmd::Command {
    let mut command = btfgen();
    command.arg("dump").args(arguments).arg("--hub").arg(hub());
    command
}

/// What bpftool writes of a kernel.
fn bpftool(kernel: &str) -> String {
    let run = |form: &[&str]| {
        let mut command = Command::new("bpftool");
        command.args(["btf", "dump", "file"]);
        command.arg(btfgen_testkit::sample_btf(kernel));
        let output = command.args(form).output();
        output.expect("bpftool is installed, see scripts/setup")
    };
    // Since 7.5, it sorts the types if it is not told otherwise.
    let mut output = run(&["format", "c", "unsorted"]);
    if !output.status.success() {
        output = run(&["format", "c"]);
    }
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The types of a header, without the lines before and after them, of which newer versions of bpftool have more.
fn types(header: &str) -> &str {
    let begin = ["typedef ", "struct ", "enum ", "union "].map(|word| format!("\n{word}"));
    let begin = begin.iter().filter_map(|word| header.find(word)).min();
    let types = &header[begin.expect("there is a type")..];
    let end = ["/* BPF kfuncs */", "#ifndef BPF_NO_PRESERVE"].map(|line| types.find(line));
    types[..end.into_iter().flatten().min().unwrap_or(types.len())].trim()
}

/// Compiles a program that includes a header.
#[track_caller]
fn compile(folder: &Path, header: &str, program: &str) {
    fs::write(folder.join("vmlinux.h"), header).unwrap();
    fs::write(
        folder.join("program.bpf.c"),
        format!("#include \"vmlinux.h\"\n{program}\n"),
    )
    .unwrap();
    let mut clang = Command::new("clang");
    clang
        .current_dir(folder)
        .args(["-g", "-O2", "-Wall", "-Werror", "-target", "bpf"]);
    clang.args(["-c", "program.bpf.c", "-o", "program.bpf.o"]);
    // These are in kernels' types, too.
    let off = [
        "-Wno-missing-declarations",
        "-Wno-visibility",
        "-Wno-address-of-packed-member",
    ];
    let output = clang
        .args(off)
        .output()
        .expect("clang is installed, see scripts/setup");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Check that the types in the header of each kernel are bpftool's, byte for byte, except for the modes of enums that bpftool's libbpf may be
/// too old for, and that clang compiles it.
#[test]
fn whole_kernels() {
    let folder = tempfile::tempdir().unwrap();
    let without_modes = |text: &str| {
        let text = text.replace(" __attribute__((mode(word)))", "");
        text.replace(" __attribute__((mode(byte)))", "")
    };
    for kernel in btfgen_testkit::sample_kernels() {
        let ours = stdout(&mut dump(&[&kernel]));
        assert!(
            without_modes(types(&ours)) == without_modes(types(&bpftool(&kernel))),
            "{kernel}"
        );
        compile(
            folder.path(),
            &ours,
            "int pid(struct task_struct *task) { return task->pid; }",
        );
    }
}

/// Check that a header of named types has what they need, no others, and compiles.
#[test]
fn named_types() {
    let folder = tempfile::tempdir().unwrap();
    let text = stdout(&mut dump(&[
        NEW,
        "struct list_head",
        "pid_type",
        "atomic_t",
    ]));
    assert!(text.starts_with("#ifndef __VMLINUX_H__\n"), "{text}");
    assert!(
        text.contains("\nstruct list_head {\n\tstruct list_head *next;\n"),
        "{text}"
    );
    assert!(
        text.contains("\nenum pid_type {\n\tPIDTYPE_PID = 0,\n"),
        "{text}"
    );
    assert!(
        text.contains("\ntypedef struct {\n\tint counter;\n} atomic_t;\n"),
        "{text}"
    );
    assert!(text.lines().count() < 60, "{text}");
    compile(
        folder.path(),
        &text,
        "int get(atomic_t *a) { return a->counter; }",
    );
    let task = stdout(&mut dump(&[OLD, "task_struct"]));
    assert!(task.contains("\nstruct sched_entity {\n") && task.contains("\nstruct css_set;\n"));
    assert!(!task.contains("\nstruct css_set {\n"));
    compile(
        folder.path(),
        &task,
        "long state(struct task_struct *t) { return t->state; }",
    );
}

/// Check that a header is written to a file, and told in text and JSON.
#[test]
fn to_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vmlinux.h");
    let mut command = dump(&[NEW, "list_head", "--json"]);
    let output = run(
        command.arg("-o").arg(&path),
        0,
        &["vmlinux.h: ", &format!(" of {NEW}")],
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["kernel"], NEW);
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(report["bytes"], text.len());
    assert_eq!(stdout(&mut dump(&[NEW, "list_head"])), text);
    run(
        &mut dump(&[NEW, "list_head", "--json"]),
        2,
        &["stdout cannot take both"],
    );
}

/// Check that an unknown type, a field, and a kernel whose types make no C are errors, and that no input is overwritten.
#[test]
fn errors() {
    let folder = tempfile::tempdir().unwrap();
    run(
        &mut dump(&[NEW, "task_strct"]),
        1,
        &["there is no type task_strct", "did you mean task_struct?"],
    );
    run(
        &mut dump(&[NEW, "task_struct.pid"]),
        2,
        &["dump writes whole types"],
    );
    let pointer_to_itself = btfgen_testkit::made_up_btf(&[&[0, 2 << 24, 1]], b"\0");
    let path = place(folder.path(), "bad.btf", &pointer_to_itself);
    let path = path.to_str().unwrap();
    let pieces = ["bad.btf: its types cannot be written as C: type [1]: contains itself"];
    run(&mut dump(&[path]), 1, &pieces);
    run(&mut dump(&[path, "-o", path]), 1, &["bad.btf"]);
    assert_eq!(fs::read(path).unwrap(), pointer_to_itself);
}

/// A program that reads the state of a task on all kernels.
const STATE: &str = "
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
long out;
SEC(\"raw_tp/sched_switch\")
int state(void *ctx)
{
    struct task_struct *task = (void *)bpf_get_current_task();
    if (bpf_core_field_exists(task->__state))
        out = BPF_CORE_READ(task, __state);
    else
        out = BPF_CORE_READ(task, state);
    out += bpf_core_enum_value(enum pid_type, PIDTYPE_TGID);
    return 0;
}
char LICENSE[] SEC(\"license\") = \"GPL\";";

/// Check that a program compiles with a header for all kernels of its types, reads old and new fields, and is packed.
#[test]
fn all_kernels() {
    let folder = tempfile::tempdir().unwrap();
    let text = stdout(&mut dump(&["--all-kernels", "task_struct", "pid_type"]));
    compile(folder.path(), &text, STATE);
    let task = text.split_once("\nstruct task_struct {\n").unwrap().1;
    let state = format!(
        "\tvolatile long int state; /* only {} */\n",
        OLD.replace("/5.10", " 5.10")
    );
    let new_state = format!(
        "\tunsigned int __state; /* not {} */\n",
        OLD.replace("/5.10", " 5.10")
    );
    assert!(task.contains(&state) && task.contains(&new_state), "{task}");
    assert!(task.contains("\tpid_t tgid;\n") && task.contains("\tchar comm[16];\n"));
    let flavour = task.split_once("\nstruct task_struct___7_2 {\n").unwrap().1;
    assert!(
        flavour.starts_with("\tu8 on_cpu; /* only debian/sid/x86_64 7.2.13+deb14-cloud-amd64 */\n")
    );
    let archive = folder.path().join("btfs.tar.gz");
    let mut pack = btfgen();
    pack.arg("pack")
        .arg(folder.path().join("program.bpf.o"))
        .arg("--hub")
        .arg(hub());
    run(pack.arg("-o").arg(&archive), 0, &["6 kernels"]);
    for (kernel, found) in [(OLD, [false, true]), (NEW, [true, false])] {
        let kernel = btfgen_testkit::sample_btf(kernel);
        let mut needs = btfgen();
        needs
            .args(["needs", "--json"])
            .arg(folder.path().join("program.bpf.o"));
        let report = run(needs.arg("--kernel").arg(kernel), 0, &[]);
        let report: Value = serde_json::from_slice(&report.stdout).unwrap();
        let is_found = |path: &str| {
            let needs = report["needs"].as_array().unwrap();
            let need = needs.iter().find(|need| need["path"] == path).unwrap();
            need["on_kernel"]["found"].as_bool().unwrap()
        };
        assert_eq!(["__state", "state"].map(is_found), found);
        assert!(is_found("PIDTYPE_TGID"));
    }
}

/// Check that a header for all kernels with all their types compiles without a warning, and has constants and helpers' types.
#[test]
fn all_types_of_all_kernels() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("all.h");
    let mut command = dump(&["--all-kernels", "--json"]);
    let output = run(
        command.arg("-o").arg(&path),
        0,
        &["note: kernels differ in these fields and values:"],
    );
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["kernels"], 8);
    assert_eq!(report["left_out"], serde_json::json!([]));
    let conflicts = report["conflicts"].as_array().unwrap();
    assert!(conflicts.contains(&"struct task_struct: on_cpu has 2 types".into()));
    let text = fs::read_to_string(&path).unwrap();
    compile(folder.path(), &text, STATE);
    for program in [
        "long any(void) { return BPF_ANY + BPF_F_CURRENT_CPU; }",
        // A type of the kernel's API keeps its layout: nested unions too.
        "_Static_assert(sizeof(struct bpf_perf_event_value) == 24, \"\");",
        "_Static_assert(__builtin_offsetof(struct iphdr, saddr) == 12, \"\");",
        "_Static_assert(sizeof(struct bpf_sock_tuple) == 36, \"\");",
    ] {
        compile(folder.path(), &text, program);
    }
}

/// Check the layouts of a type that all kernels have alike, and the fields of types that no kernel has together.
#[test]
fn of_two_kernels() {
    let text = stdout(
        dump(&["--all-kernels", "sk_buff", "restart_block", "file"]).args(["--arch", "amd64"]),
    );
    let folder = tempfile::tempdir().unwrap();
    compile(
        folder.path(),
        &text,
        "void *next(struct sk_buff *skb) { return skb->next; }",
    );
    assert!(
        text.starts_with("/*\n * The types of debian/11/x86_64 5.10.0-30-cloud-amd64, "),
        "{text}"
    );
    assert!(text.contains("\nstruct list_head {\n\tstruct list_head *next;\n"));
}

/// Check that a broken kernel is left out and named, that a type that no kernel has is an error, and so is a hub without kernels.
#[test]
fn errors_of_all_kernels() {
    let hub = tempfile::tempdir().unwrap();
    let dump = |arguments: &[&str]| {
        let mut command = btfgen();
        command
            .args(["dump", "--all-kernels", "--hub"])
            .arg(hub.path())
            .args(arguments);
        command
    };
    run(
        &mut dump(&["list_head"]),
        1,
        &["has no kernel that can be read"],
    );
    place(hub.path(), "debian/12/x86_64/6.1.0-2-amd64.btf", b"no BTF");
    run(
        &mut dump(&["list_head"]),
        1,
        &["has no kernel that can be read"],
    );
    place_kernel(hub.path(), "debian/12/x86_64/6.1.0-1-amd64");
    let text = stdout(&mut dump(&["list_head"]));
    assert!(
        text.starts_with("/*\n * The types of debian/12/x86_64 6.1.0-1-amd64.\n"),
        "{text}"
    );
    run(
        &mut dump(&["list_head"]),
        0,
        &["warning: 1 file left out:", "6.1.0-2-amd64"],
    );
    run(
        &mut dump(&["list_hed"]),
        1,
        &["there is no type list_hed", "did you mean list_head?"],
    );
    run(&mut dump(&["list_head", "--arch", "arm64"]), 1, &["arm64"]);
    run(btfgen().arg("dump"), 2, &["the kernel is missing"]);
}

/// Puts a kernel with these types into a hub. Types are those of the globals.
fn place_types(hub: &Path, name: &str, types: &str) {
    let folder = tempfile::tempdir().unwrap();
    compile(folder.path(), "", types);
    let object = btfgen::Object::open(folder.path().join("program.bpf.o")).unwrap();
    place(hub, &format!("{name}.btf"), object.btf().bytes());
}

/// Check what becomes of types that kernels define differently: each other type of a field is in a flavour, a typedef and a tag
/// with two meanings have two names, other values are told, and no struct contains itself. The program compiles.
#[test]
fn conflicts() {
    let hub = tempfile::tempdir().unwrap();
    let old = "
        struct inner { int a; };
        union tag { int t; };
        typedef int num_t;
        enum e { ONE = 1, TWO = 2 };
        struct small { int i; };
        struct big { struct small small; };
        struct s { int x; num_t n; struct inner in; char name[16]; union { int u1; long u2; };
            struct { int p; } pos[2]; enum e e; union tag *tag; int last; } s;
        struct big big;";
    let new = "
        struct inner { int a; long b; };
        struct tag { long t; };
        typedef long num_t;
        enum e { ONE = 1, TWO = 3, THREE = 4 };
        struct big { int j; };
        struct small { struct big big; };
        struct s { long x; num_t n; struct inner in; char name[32]; int u1; struct { int p; int q; } pos[2]; enum e e;
            struct tag *tag; unsigned int flag: 1; } s;
        struct small small;";
    place_types(hub.path(), "debian/11/x86_64/5.10.0-1-amd64", old);
    place_types(hub.path(), "debian/12/x86_64/6.1.0-1-amd64", new);
    let text = |arguments: &[&str]| {
        let mut command = btfgen();
        command
            .args(["dump", "--all-kernels", "--hub"])
            .arg(hub.path())
            .args(arguments);
        stdout(&mut command)
    };
    let all = text(&[]);
    let old = "/* only debian/11/x86_64 5.10.0-1-amd64 */";
    let new = "/* only debian/12/x86_64 6.1.0-1-amd64 */";
    for expected in [
        format!(
            "\nstruct s {{\n\tint x; {old}\n\tnum_t n; {old}\n\tstruct inner in;\n\tchar name[16]; {old}\n\tint u1;\n\tlong u2; {old}\n"
        ),
        format!(
            "\tstruct {{\n\t\tint p;\n\t\tint q; {new}\n\t}} pos[2];\n\tenum e e;\n\tunion tag *tag; {old}\n\tint last; {old}\n\tunsigned int flag: 1; {new}\n}};\n"
        ),
        format!(
            "\nstruct s___6_1 {{\n\tlong x; {new}\n\tnum_t___2 n; {new}\n\tchar name[32]; {new}\n\tstruct tag___struct *tag; {new}\n}};\n"
        ),
        "\ntypedef int num_t;\n".to_owned(),
        "\ntypedef long num_t___2; /* debian/12/x86_64 6.1.0-1-amd64 */\n".to_owned(),
        "\tTWO = 2, /* 3 on debian/12/x86_64 6.1.0-1-amd64 */\n\tTHREE = 4,\n".to_owned(),
        format!("\nstruct inner {{\n\tint a;\n\tlong b; {new}\n}};\n"),
        "is left out: on ".to_owned(),
    ] {
        assert!(all.contains(&expected), "no {expected} in {all}");
    }
    let folder = tempfile::tempdir().unwrap();
    let program = "
        typedef unsigned char __u8;
        typedef unsigned short __u16, __be16;
        typedef unsigned int __u32, __be32, __wsum;
        typedef int __s32;
        typedef unsigned long long __u64;
        typedef long long __s64;
        #include <bpf/bpf_helpers.h>
        #include <bpf/bpf_core_read.h>
        long out;
        SEC(\"raw_tp/sched_switch\")
        int read(struct s *s)
        {
            struct s___6_1 *newer = (void *)s;
            if (bpf_core_field_exists(s->last))
                out = BPF_CORE_READ(s, x) + BPF_CORE_READ(s, last);
            else
                out = BPF_CORE_READ(newer, x) + BPF_CORE_READ(s, pos[1].q) + BPF_CORE_READ_BITFIELD_PROBED(s, flag);
            return BPF_CORE_READ(s, in.b);
        }";
    compile(folder.path(), &text(&["s", "num_t"]), program);
    for (kernel, found) in [
        (
            "debian/11/x86_64/5.10.0-1-amd64",
            &["last", "x", "last", "x"][..],
        ),
        (
            "debian/12/x86_64/6.1.0-1-amd64",
            &["x", "x", "pos[1].q", "flag", "in.b"],
        ),
    ] {
        let mut needs = btfgen();
        needs
            .args(["needs", "--json"])
            .arg(folder.path().join("program.bpf.o"));
        needs
            .arg("--kernel")
            .arg(hub.path().join(format!("{kernel}.btf")));
        let report: Value = serde_json::from_str(&stdout(&mut needs)).unwrap();
        let needs = report["needs"].as_array().unwrap().iter();
        let is_field = |need: &&Value| need["kind"] == "byte_off" || need["kind"] == "field_exists";
        let is_found = |need: &&Value| need["on_kernel"]["found"] == true;
        let paths = needs.filter(is_field).filter(is_found);
        let paths: Vec<&str> = paths.map(|need| need["path"].as_str().unwrap()).collect();
        assert_eq!(paths, found, "{kernel}");
    }
}
