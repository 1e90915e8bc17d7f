//! What C programs get from each call.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use btfgen_testkit::tool;
use rustix::io::Errno;

use crate::util::{
    BTF, Link, archive_of_another_kernel, archive_of_this_kernel, archive_of_this_kernel_below,
    archive_with_facts, emitted, installed, is_there, linkable, on, pkg_config, program,
    program_in_order, root, run, rustc, without_variables,
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

/// Check that C and C++, of either compiler, take the headers without a warning.
#[test]
fn header_compiles() {
    let folder = tempfile::tempdir().unwrap();
    for compiler in [&*tool("cc"), &tool("c++"), "clang", "clang++"] {
        if !is_there(compiler) {
            btfgen_testkit::skipped(format!("{compiler} is not installed"));
            continue;
        }
        let language = if compiler.ends_with("++") { "c++" } else { "c" };
        for program in ["plain.c", "find.c"] {
            run(Command::new(compiler)
                .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-c"])
                .args(["-x", language, "-I"])
                .arg(root().join("include"))
                .arg(root().join("tests/programs").join(program))
                .arg("-o")
                .arg(folder.path().join("program.o")));
        }
    }
}

/// Check that a program without libbpf finds the BTF as path and as bytes, gets the reason of each failure, and may be from another
/// version of the header. valgrind sees no error and no leak.
#[test]
fn without_libbpf() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, os_release) = archive_of_this_kernel(folder.path());
    let object = linkable(&archive);
    for link in Link::ALL {
        let find = program(folder.path(), "find", link, &[&object]);
        let btf = format!("btf {}\n", hexadecimal(&BTF));
        let ask = |command: &mut Command| {
            let objects = ["twins", "programs"].map(btfgen_testkit::object);
            let printed = run(command.arg(&archive).arg(&os_release).args(objects));
            assert_eq!(printed, btf.repeat(5), "{link:?}");
        };
        ask(&mut without_variables(&find));
        if !is_there("valgrind") {
            btfgen_testkit::skipped("valgrind is not installed");
        } else if link != Link::Static {
            // It does not see the allocations of a static program.
            ask(without_variables(Path::new("valgrind"))
                .args(["--quiet", "--error-exitcode=9", "--leak-check=full"])
                .arg(&find));
        }
    }
}

/// Check that the kernel's own BTF is offered as no path and as its bytes, if the loader can read it.
#[test]
fn own_btf_without_libbpf() {
    let Ok(own) = std::fs::read("/sys/kernel/btf/vmlinux") else {
        btfgen_testkit::skipped("this kernel has no BTF of its own");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let own_bytes = program(folder.path(), "own_bytes", Link::Archive, &[]);
    let printed = run(&mut without_variables(&own_bytes));
    assert_eq!(printed, format!("{} bytes\n", own.len()));
}

/// Check that the calls for libbpf ask which libbpf the program has, and that it decides about the kernel's own BTF.
#[test]
fn version_of_libbpf() {
    let folder = tempfile::tempdir().unwrap();
    let asked = |version: [&str; 2]| {
        let source = folder.path().join("version.c");
        let [major, minor] = version.map(|number| format!("(void) {{ return {number}; }}"));
        let functions =
            format!("int libbpf_major_version{major}\nint libbpf_minor_version{minor}\n");
        std::fs::write(&source, functions).unwrap();
        let lookup = program(folder.path(), "lookup", Link::Archive, &[&source]);
        run(without_variables(&lookup).arg("linked"))
    };
    let old = asked(["0", "8"]);
    if !old.contains("cannot read") {
        btfgen_testkit::skipped("libbpf 0.8 can read this kernel's BTF, or it has none");
        return;
    }
    assert!(old.starts_with("result -95\n"), "{old}");
    assert!(old.contains("which libbpf before "), "{old}");
    assert!(asked(["1", "7"]).starts_with("result 0\n"));
}

/// Check that every call finds the same BTF, however the library and the archive are linked.
#[test]
fn every_call_finds_it() {
    for link in Link::ALL {
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
    for link in Link::ALL {
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
    let own = "/sys/kernel/btf/vmlinux: the kernel has its own BTF";
    assert_eq!(lines, ["result 0", "BTFGEN_BTF: not set", own]);
    let own_btf = program(folder.path(), "own_btf", Link::Archive, &[]);
    run(&mut without_variables(&own_btf));
}

/// Check that a program for bpf-compatible finds the BTF of an archive in memory, and below that project's folder.
#[test]
fn drop_in_with_an_archive_in_memory() {
    for prefix in ["", "btfhub-archive"] {
        let folder = tempfile::tempdir().unwrap();
        let (archive, os_release) = archive_of_this_kernel_below(prefix, folder.path());
        let built = program(folder.path(), "bpf_compatible", Link::Archive, &[]);
        let printed = run(on(&built, &os_release).arg("tar").arg(&archive));
        assert_eq!(printed, found(), "{prefix}");
    }
}

/// Check that programs in the shape of BCC's tools and of bpf-compatible's find the BTF: with their own headers, with the archive
/// before and after the library, embedded by ld and by btfgen, and with the library linked in every way.
#[test]
fn drop_in_for_every_build() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, os_release) = archive_of_this_kernel(folder.path());
    for (object, link) in [linkable(&archive), emitted(&archive)]
        .iter()
        .flat_map(|object| Link::ALL.map(|link| (&**object, link)))
    {
        for (before, after) in [(&[object][..], &[][..]), (&[], &[object])] {
            for (name, arguments) in [("bcc", &[][..]), ("bpf_compatible", &["linked"])] {
                let built = program_in_order(folder.path(), name, link, before, after);
                let printed = run(on(&built, &os_release).args(arguments));
                assert_eq!(
                    printed,
                    found(),
                    "{name}, {link:?}, {before:?} library {after:?}"
                );
            }
        }
    }
}

/// Check what programs in these shapes get if they cannot have a BTF: no archive, a damaged one, and one without this kernel.
#[test]
fn drop_in_fails() {
    let folder = tempfile::tempdir().unwrap();
    let (missing, os_release) = archive_of_another_kernel(folder.path());
    let missing = linkable(&missing);
    let of_another = folder.path().join("of_another.o");
    std::fs::rename(missing, &of_another).unwrap();
    let damaged = folder.path().join("min_core_btfs.tar.gz");
    std::fs::write(&damaged, "this is neither gzip nor tar").unwrap();
    let damaged = linkable(&damaged);
    for link in Link::ALL {
        for (inputs, errno) in [
            (&[][..], Errno::OPNOTSUPP),
            (&[&*damaged], Errno::BADMSG),
            (&[&*of_another], Errno::NOENT),
        ] {
            for (name, arguments) in [("bcc", &[][..]), ("bpf_compatible", &["linked"])] {
                let built = program(folder.path(), name, link, inputs);
                let printed = run(on(&built, &os_release).args(arguments));
                let expected = format!("result -{}\n", errno.raw_os_error());
                assert_eq!(printed, expected, "{name}, {link:?}, {inputs:?}");
            }
        }
    }
}

/// Check that pkg-config links libbtfgen.a, with and without `--static`, and with the libraries that Rust's standard library
/// needs.
#[test]
fn pkg_config_links_statically() {
    let folder = tempfile::tempdir().unwrap();
    let plain = program(folder.path(), "plain", Link::Archive, &[]);
    let needed = run(Command::new("readelf").arg("-d").arg(plain));
    assert!(needed.contains("(NEEDED)"), "{needed}");
    assert!(!needed.contains("btfgen"), "{needed}");
    let libs = pkg_config(&["--libs", "libbtfgen"]);
    assert_eq!(pkg_config(&["--libs", "--static", "libbtfgen"]), libs);

    let source = folder.path().join("nothing.rs");
    std::fs::write(&source, "").unwrap();
    let done = rustc()
        .args(["--crate-type=staticlib", "--print=native-static-libs", "-o"])
        .arg(folder.path().join("libnothing.a"))
        .arg(source)
        .output()
        .unwrap();
    let printed = String::from_utf8(done.stderr).unwrap();
    let (_, needed) = printed.split_once("native-static-libs: ").unwrap();
    for library in needed.split_whitespace() {
        // cc links these two by itself, and a static program has no -lgcc_s.
        let is_by_cc = ["-lc", "-lgcc_s"].contains(&library);
        assert!(
            is_by_cc || libs.iter().any(|l| l == library),
            "{library} is not in {libs:?}"
        );
    }
}

/// Check that a program links and runs with libbtfgen.a and another static library in Rust, in either order.
#[test]
fn beside_another_rust_library() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, os_release) = archive_of_this_kernel(folder.path());
    let linked = linkable(&archive);
    // With LTO, the other library also has copies of what both take from the standard library.
    for lto in ["off", "fat"] {
        let other = folder.path().join("libother.a");
        run(rustc()
            .args(["--edition=2024", "--crate-type=staticlib", "-O"])
            .args(["-Cpanic=unwind", &format!("-Clto={lto}"), "-o"])
            .arg(&other)
            .arg(root().join("tests/programs/other.rs")));
        for link in [Link::Archive, Link::Static] {
            for (before, after) in [
                (&[&*linked, &*other][..], &[][..]),
                (&[&*linked], &[&*other]),
            ] {
                let both = program_in_order(folder.path(), "both", link, before, after);
                let printed = run(&mut on(&both, &os_release));
                assert_eq!(printed, found(), "{lto}, {link:?}, {after:?} last");
            }
        }
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

/// Check that each kind of answer and each failure of a fact is told, of the archive's entry, and that of a kernel with its own BTF the
/// BTF itself answers.
#[test]
fn facts() {
    let folder = tempfile::tempdir().unwrap();
    let archived = [
        ("a.b", "0:member:68:4:3"),
        ("x.y | a.c", "1:member:64:8"),
        ("a::B", "0:value:-1"),
        ("func:f", "0:function:2"),
        ("size:list_head", "0:missing:type"),
        ("a.d", "0:missing:part:d"),
        ("a.e", "0:ambiguous/member:0:4/member:32:4"),
        ("func:g", "0:unknown"),
    ];
    let (archive, os_release) = archive_with_facts(folder.path(), &archived);
    let facts = program(folder.path(), "facts", Link::Archive, &[]);
    let names = [
        "a_b",
        "x_y",
        "a_B",
        "func_f",
        "size_list_head",
        "a_d",
        "a_e",
    ];
    let printed = run(on(&facts, &os_release)
        .arg(&archive)
        .args(names)
        .args(["func_g", "a"]));
    let expected = "\
a_b: 8, size 4, bit 4, bits 3, question 0
x_y: 8, size 8, bit 0, bits 0, question 1
a_B: -1, size 0, bit 0, bits 0, question 0
func_f: 2, size 0, bit 0, bits 0, question 0
size_list_head: No such file or directory: size_list_head: missing: no such type
a_d: No such file or directory: a_d: missing: no d
a_e: Name not unique on network: a_e: ambiguous: offset 0, 4 bytes; or offset 4, 4 bytes
func_g: No data available: func_g: unknown: the BTF has no functions
a: No such process: the archive has no fact a; it has a_b, x_y, a_B, func_f, size_list_head, a_d, a_e, func_g
";
    assert_eq!(printed, expected);
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        btfgen_testkit::skipped("this kernel has no BTF of its own");
        return;
    }
    let printed = run(without_variables(&facts)
        .arg(&archive)
        .args(["size_list_head", "a_b"]));
    let bytes = if cfg!(target_arch = "x86") {
        16
    } else {
        2 * size_of::<usize>()
    };
    let expected = format!(
        "size_list_head: {bytes}, size 0, bit 0, bits 0, question 0\na_b: No such file or directory: a_b: missing: no such type\n"
    );
    assert_eq!(printed, expected);
}

/// Check that many threads at once each get their own, and that nothing stays open.
#[test]
fn threads() {
    let folder = tempfile::tempdir().unwrap();
    let (archive, os_release) = archive_of_this_kernel(folder.path());
    let threads = program(folder.path(), "threads", Link::Archive, &[]);
    run(on(&threads, &os_release).arg(archive));
}

/// Check that both libraries export the functions of the headers and nothing else, and that the shared one has the name that
/// programs will ask for.
#[test]
fn exports() {
    let symbols = |kind: &str, library: &str| {
        let listed = run(Command::new("nm")
            .args([kind, "--defined-only", "--format=just-symbols"])
            .arg(installed().join("lib").join(library)));
        let symbols = listed
            .lines()
            .filter(|l| !l.is_empty() && !l.ends_with(':'));
        symbols.map(Into::into).collect::<Vec<String>>()
    };
    let calls = [
        "btfgen_bytes",
        "btfgen_error",
        "btfgen_fact",
        "btfgen_find",
        "btfgen_free",
        "btfgen_kernel",
        "btfgen_origin",
        "btfgen_path",
        "btfgen_steps",
        "btfgen_unloadable",
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
    assert_eq!(symbols("--dynamic", "libbtfgen.so"), calls);
    assert_eq!(symbols("--extern-only", "libbtfgen.a"), calls);
    let dynamic = run(Command::new("readelf")
        .arg("-d")
        .arg(installed().join("lib/libbtfgen.so")));
    assert!(dynamic.contains("[libbtfgen.so.0]"), "{dynamic}");
}
