//! Arguments, help, colours, completions and manual pages

use tempfile::tempdir;

use crate::suite::{btfgen, names, run, stdout};

const COMMANDS: [&str; 15] = [
    "fetch",
    "add",
    "hub",
    "pack",
    "check",
    "needs",
    "diff",
    "dump",
    "offsets",
    "list",
    "minimize",
    "extract",
    "lookup",
    "completions",
    "man",
];

/// Check that bad usage has its own exit code.
#[test]
fn bad_usage() {
    for arguments in [
        "",
        "nonsense",
        "--nonsense",
        "pack",
        "pack a.o",
        "pack -o a.tar.gz",
        "pack a.o -o b -j 0",
        "pack a.o -o b -j 5000",
        "pack a.o -o b --only [",
        "pack a.o -o b --prefix ../x",
        "pack a.o -o b --max-btf-size 1X",
        "pack a.o -o b --strict --keep-going",
        "list -v -q",
        "list --color sometimes",
        "minimize a.btf -o b",
        "extract a.tar.gz a//b/c",
        "completions tcsh",
        "fetch extra",
        "fetch --only [",
        "add",
        "hub",
        "hub nonsense",
        "hub verify extra",
        "hub compact extra",
        "hub cat",
        "hub cat 1 --json",
        "man --json",
        "completions bash --json",
        "extract a.tar.gz 1 -o - --json",
        "minimize a.btf a.o -o - --json",
        "pack a.o -o -",
    ] {
        let output = run(btfgen().args(arguments.split_whitespace()), 2, &[]);
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

/// Check that bpf-compatible's `-j FILE` and `--json FILE` are refused with the option that does the same.
#[test]
fn package_json_of_bpf_compatible() {
    for option in ["-j", "--json"] {
        let arguments = ["pack", "a.o", "-o", "b", option, "package.json"];
        run(btfgen().args(arguments), 2, &["--package-json FILE"]);
    }
}

/// Check that every help goes to stdout and has examples.
#[test]
fn help() {
    let help = stdout(btfgen().arg("--help"));
    assert!(
        help.contains("EXIT CODES") && help.contains("130"),
        "{help}"
    );
    for command in COMMANDS {
        let help = stdout(btfgen().args([command, "--help"]));
        assert!(help.contains("EXAMPLES\n  btfgen "), "{help}");
    }
    assert!(stdout(btfgen().args(["btfgen", "--help"])).contains("btfgen pack"));
    let version = format!("btfgen {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(stdout(btfgen().arg("--version")), version);
}

/// Check that colours are where they are asked for, and nowhere else by default.
#[test]
fn colors() {
    let colored = |arguments: &[&str], force: bool| {
        let mut command = btfgen();
        if force {
            command.env("CLICOLOR_FORCE", "1");
        }
        command
            .args(arguments)
            .output()
            .unwrap()
            .stderr
            .contains(&0x1b)
    };
    for bad in [&["needs", "none.o"][..], &["--nonsense"]] {
        let with = |color: &'static str| [&[color][..], bad].concat();
        assert!(!colored(bad, false));
        assert!(colored(bad, true));
        assert!(colored(&with("--color=always"), false));
        assert!(!colored(&with("--color=never"), true));
    }
}

/// Check that there is a completion script for every shell.
#[test]
fn completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stdout(btfgen().args(["completions", shell]));
        assert!(script.contains("minimize"), "{shell}");
    }
}

/// Check that there is a manual page for every subcommand.
#[test]
fn manual_pages() {
    assert!(stdout(btfgen().arg("man")).contains(".TH btfgen 1"));
    let dir = tempdir().unwrap();
    let folder = dir.path().join("man1");
    run(btfgen().args(["man", "--out"]).arg(&folder), 0, &[]);
    let pages = names(&folder);
    for command in COMMANDS {
        assert!(pages.contains(&format!("btfgen-{command}.1")), "{pages:?}");
    }
    // With the command's own, and those of `btfgen hub`.
    let hub = [
        "status", "index", "verify", "compact", "expand", "cat", "path",
    ];
    for command in hub {
        assert!(
            pages.contains(&format!("btfgen-hub-{command}.1")),
            "{pages:?}"
        );
    }
    assert_eq!(pages.len(), 1 + COMMANDS.len() + hub.len());
    let file = crate::suite::place(dir.path(), "file", b"");
    run(btfgen().args(["man", "--out"]).arg(file), 1, &["file: "]);
}
