//! What the tests have in common: the command, and hubs made for them.

mod add;
mod add_modules;
mod architectures;
mod build_id;
mod check;
mod check_html;
mod claims;
mod compact;
mod diff;
mod dump;
mod emit_obj;
mod extract;
mod fetch;
mod hub;
mod inputs;
mod interrupt;
mod json;
mod list;
mod lookup;
mod machine;
mod modules;
mod needs;
mod offsets;
mod outputs;
mod pack;
mod special;
mod store;
mod usage;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use liblzma::write::XzEncoder;

/// Two kernels of the sample hub.
const NEW: &str = "debian/12/x86_64/6.1.0-47-cloud-amd64";
const OLD: &str = "debian/11/x86_64/5.10.0-30-cloud-amd64";

/// The environment that changes what the command does.
const VARIABLES: [&str; 9] = [
    "BTFGEN_HUB",
    "BTFHUB_CACHE_DIR",
    "BTFHUB_CACHE",
    "XDG_CACHE_HOME",
    "HOME",
    "NO_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "TERM",
];

/// The command in an environment that has no say.
fn btfgen() -> Command {
    let mut command = Command::new(binary());
    for name in VARIABLES {
        command.env_remove(name);
    }
    command
}

fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_btfgen")
}

fn object() -> PathBuf {
    btfgen_testkit::object("execsnoop")
}

fn hub() -> PathBuf {
    btfgen_testkit::sample_hub()
}

/// `btfgen pack` of one object and a hub.
fn pack(hub: &Path, output: &Path) -> Command {
    let mut command = btfgen();
    command.arg("pack").arg(object()).arg("--hub").arg(hub);
    command.arg("-o").arg(output);
    command
}

/// `btfgen pack` of the sample hub for objects of both byte orders, so that all its kernels are packed.
fn pack_all(output: &Path) -> Command {
    let mut command = pack(&hub(), output);
    command.arg(btfgen_testkit::object("execsnoop.eb"));
    command
}

/// Runs a command, and checks its exit code and that stderr has all pieces.
#[track_caller]
fn run(command: &mut Command, code: i32, pieces: &[&str]) -> Output {
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{command:?}: {stderr}");
    for piece in pieces {
        assert!(stderr.contains(piece), "no {piece:?} in: {stderr}");
    }
    if code == 1 {
        let errors = stderr.lines().filter(|l| l.starts_with("error: "));
        assert_eq!(errors.count(), 1, "{stderr}");
    }
    output
}

/// What a command that succeeds prints.
#[track_caller]
fn stdout(command: &mut Command) -> String {
    String::from_utf8(run(command, 0, &[]).stdout).unwrap()
}

/// Puts a file into a hub.
fn place(hub: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = hub.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, content).unwrap();
    path
}

/// Puts a kernel of the sample hub into another hub, under another name.
fn place_kernel(hub: &Path, name: &str) {
    let content = fs::read(btfgen_testkit::sample_btf(NEW)).unwrap();
    place(hub, &format!("{name}.btf"), &content);
}

fn xz(content: &[u8]) -> Vec<u8> {
    let mut encoder = XzEncoder::new(Vec::new(), 0);
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A tar with any names.
fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

/// The names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
