//! What C programs get from each call.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use crate::util::{
    BTF, Link, archive_of_another_kernel, archive_of_this_kernel, archive_of_this_kernel_below,
    is_there, libraries, linkable, on, program, root, run, without_variables,
};

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn found() -> String {
    format!("result 0\nbtf {}\n", hexadecimal(&BTF))
}

/// Check that C and C++, of either compiler, take the header without a warning.
#[test]
fn header_compiles() {
    let folder = tempfile::tempdir().unwrap();
    for compiler in ["cc", "c++", "clang", "clang++"] {
        if !is_there(compiler) {
            btfgen_testkit::skipped(format!("{compiler} is not installed"));
            continue;
        }
        let language = if compiler.ends_with("++") { "c++" } else { "c" };
        run(Command::new(compiler)
            .args([
                "-Wall",
                "-Wextra",
                "-Wpedantic",
                "-Werror",
                "-c",
                "-x",
                language,
                "-I",
            ])
            .arg(root().join("include"))
            .arg(root().join("tests/programs/plain.c"))
            .arg("-o")
            .arg(folder.path().join("plain.o")));
    }
}

/// Check that every call finds the same BTF, however the library and the archive are linked.
#[test]
fn every_call_finds_it() {
    for link in [Link::Archive, Link::Static, Link::Shared] {
        let folder = tempfile::tempdir().unwrap();
        let (archive, os_release) = archive_of_this_kernel(folder.path());
        let object = linkable(&archive);
        let lookup = program(folder.path(), "lookup", link, &[&object]);
        for call in ["linked", "tar", "bytes", "file"] {
            let printed = run(on(&lookup, &os_release).arg(call).arg(&archive));
            assert_eq!(printed, found(), "{link:?}, {call}");
        }
    }
}

/// Check that a program without an archive gets an error that says so, and still runs.
#[test]
fn no_archive_linked() {
    for link in [Link::Archive, Link::Static, Link::Shared] {
        let folder = tempfile::tempdir().unwrap();
        let (_, os_release) = archive_of_this_kernel(folder.path());
        let lookup = program(folder.path(), "lookup", link, &[]);
        let printed = run(on(&lookup, &os_release).arg("linked"));
        let (result, trace) = printed.split_once('\n').unwrap();
        assert_eq!(result, "result -95", "{link:?}: EOPNOTSUPP");
        assert!(trace.starts_with(
            "there is no BTF for this kernel, and no archive was given; steps tried:"
        ));
    }
}

/// Check that an archive without this kernel gives ENOENT, and that the trace has every step.
#[test]
fn another_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, os_release) = archive_of_another_kernel(folder.path());
    let lookup = program(folder.path(), "lookup", Link::Archive, &[]);
    let printed = run(on(&lookup, &os_release).arg("file").arg(archive));
    assert!(printed.starts_with("result -2\n"), "{printed}");
    for step in [
        "/sys/kernel/btf/vmlinux: ",
        "example/1/",
        "any distribution's ",
    ] {
        assert!(printed.contains(step), "{printed}");
    }
}

/// Check that where the kernel has BTF of its own, nothing is set and nothing fails.
#[test]
fn kernel_has_its_own() {
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        btfgen_testkit::skipped("this kernel has no BTF of its own");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let lookup = program(folder.path(), "lookup", Link::Archive, &[]);
    let printed = run(without_variables(&lookup).arg("linked"));
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines[..2], ["result 0", "BTFGEN_BTF: not set"]);
    // If older loaders cannot read it, the steps of other files are between.
    let own = "/sys/kernel/btf/vmlinux: ";
    assert!(lines[2].starts_with(own), "{printed}");
    assert!(lines[lines.len() - 1].starts_with(own), "{printed}");
    let own_btf = program(folder.path(), "own_btf", Link::Archive, &[]);
    run(&mut without_variables(&own_btf));
}

/// Check that a program written for bpf-compatible's header finds what its own functions would, wherever in the archive.
#[test]
fn drop_in_for_bpf_compatible() {
    for link in [Link::Archive, Link::Static, Link::Shared] {
        for prefix in ["", "btfhub-archive"] {
            let folder = tempfile::tempdir().unwrap();
            let (archive, os_release) = archive_of_this_kernel_below(prefix, folder.path());
            let object = linkable(&archive);
            let drop_in = program(folder.path(), "drop_in", link, &[&object]);
            for call in ["linked", "tar"] {
                let printed = run(on(&drop_in, &os_release).arg(call).arg(&archive));
                assert_eq!(printed, found(), "{link:?}, {prefix}, {call}");
            }
        }
    }
}

/// Check that the weak variables of bpf-compatible's header are not taken for an archive.
#[test]
fn drop_in_without_archive() {
    for link in [Link::Archive, Link::Static, Link::Shared] {
        let folder = tempfile::tempdir().unwrap();
        let (_, os_release) = archive_of_this_kernel(folder.path());
        let drop_in = program(folder.path(), "drop_in", link, &[]);
        let printed = run(on(&drop_in, &os_release).arg("linked"));
        assert_eq!(printed, "result -95\n", "{link:?}: EOPNOTSUPP");
    }
}

/// Check that a program can forbid its environment, for all its calls.
#[test]
fn forbidden_environment() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, _) = archive_of_this_kernel(folder.path());
    let told = program(folder.path(), "told", Link::Archive, &[]);
    let asked = |argument: &[&str]| {
        let mut command = Command::new(&told);
        for variable in ["BTFGEN_BTF", "BTFGEN_OS_RELEASE", "BTFGEN_REQUIRE_CUSTOM"] {
            command.env(variable, "/nonexistent");
        }
        run(command.arg(&archive).args(argument))
    };
    let printed = asked(&[]);
    assert!(printed.starts_with("result -2\n"), "{printed}");
    assert!(
        printed.contains("BTFGEN_BTF=/nonexistent: not there"),
        "{printed}"
    );
    let printed = asked(&["off"]);
    assert!(printed.starts_with("result 0\n"), "{printed}");
    let forbidden = "BTFGEN_BTF: ignored (the program forbids it)\n";
    assert!(printed.contains(forbidden), "{printed}");
    assert!(!printed.contains("/nonexistent"), "{printed}");
}

/// Check that arguments which make no sense are refused, and what is not the library's is left alone.
#[test]
fn misuse() {
    let folder = tempfile::tempdir().unwrap();
    let (_, os_release) = archive_of_this_kernel(folder.path());
    let misuse = program(folder.path(), "misuse", Link::Archive, &[]);
    run(&mut on(&misuse, &os_release));
}

/// Check that many threads at once each get their own, and that nothing stays open.
#[test]
fn threads() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, os_release) = archive_of_this_kernel(folder.path());
    let threads = program(folder.path(), "threads", Link::Archive, &[]);
    run(on(&threads, &os_release).arg(archive));
}

/// Check that the library exports its calls and nothing else, under the name that programs will ask for.
#[test]
fn exports() {
    let listed = run(Command::new("nm")
        .args(["--dynamic", "--defined-only", "--format=just-symbols"])
        .arg(libraries().join("libbtfgen.so")));
    let calls = [
        "clean_core_btf",
        "clean_core_btf_rs",
        "cleanup_core_btf",
        "core_btf_environment",
        "core_btf_trace",
        "ensure_core_btf",
        "ensure_core_btf_bytes",
        "ensure_core_btf_file",
        "ensure_core_btf_tar",
        "ensure_core_btf_with_linked_tar",
        "ensure_core_btf_with_tar_binary",
    ];
    assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), calls);
    let dynamic = run(Command::new("readelf")
        .arg("-d")
        .arg(libraries().join("libbtfgen.so")));
    assert!(dynamic.contains("[libbtfgen.so.0]"), "{dynamic}");
}
