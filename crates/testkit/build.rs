//! Compiles the BPF objects and unpacks the sample kernels, so that tests find both as files.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use build_helper::cargo::manifest;
use build_helper::{metadata, out_dir, rerun_if_changed};

fn main() {
    let root = manifest::dir().join("../..");
    let script = root.join("scripts/bpf-objects");
    let hub = root.join("btfhub-sample");
    let (own, checked) = (manifest::dir().join("objects"), root.join("example/check"));
    for source in [&script, &hub, &own, &checked] {
        rerun_if_changed(source);
    }
    // Not the folder, which building the example changes.
    let example = fs::read_dir(root.join("example/c")).expect("example/c cannot be read");
    for source in example.map(|entry| entry.expect("as above").path()) {
        let name = source.to_string_lossy();
        if name.ends_with(".bpf.c") || name.ends_with(".h") {
            rerun_if_changed(&source);
        }
    }
    for variable in ["CLANG", "BPFTOOL"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }

    compile_objects(&script);
    unpack_kernels(&hub, &out_dir().join("kernels"));
}

fn compile_objects(script: &Path) {
    let mut command = Command::new(script);
    command.arg(out_dir().join("objects"));
    if let Some(include) = metadata::get_raw("bpf", "include") {
        command.env("BPF_INCLUDE", include);
    }
    run(&mut command);
}

/// Unpacks every `ID/VERSION/ARCH/RELEASE.btf.tar.xz` of the hub to `ID/VERSION/ARCH/RELEASE.btf`.
fn unpack_kernels(hub: &Path, kernels: &Path) {
    for packed in packed_kernels(hub).expect("btfhub-sample cannot be read") {
        let inside = packed.strip_prefix(hub).expect("it was found in there");
        let directory = kernels.join(inside.parent().expect("it is a file in there"));
        fs::create_dir_all(&directory).expect("OUT_DIR cannot be written to");
        // The members' own mtime would be 1970.
        run(Command::new("tar")
            .arg("-xJmf")
            .arg(&packed)
            .arg("-C")
            .arg(&directory));
    }
}

fn packed_kernels(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(packed_kernels(&path)?);
        } else if path.extension() == Some(OsStr::new("xz")) {
            found.push(path);
        }
    }
    Ok(found)
}

fn run(command: &mut Command) {
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(
        status.success(),
        "{command:?}: {status}; scripts/setup installs what it needs"
    );
}
