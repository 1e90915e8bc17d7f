//! Helpers of several tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use btfgen::{LoadedBtf, Minimizer, Needs, Object};

/// The needs of one object.
pub(super) fn needs(object: &Path) -> Needs {
    Needs::new(vec![Object::open(object).expect("the object is good")])
}

/// A BTF from a file of any form.
pub(super) fn btf(path: &Path) -> LoadedBtf<'static> {
    let bytes = btfgen::read_kernel_file(path, btfgen::DEFAULT_MAX_BTF_BYTES)
        .expect("the kernel's file is good");
    LoadedBtf::parse(bytes).expect("the BTF is good")
}

/// The minimal BTF of one kernel for one object.
pub(super) fn minimal(needs: &Needs, kernel: &LoadedBtf<'_>) -> Vec<u8> {
    Minimizer::new(needs)
        .minimize(kernel)
        .expect("the kernel can be minimized")
        .btf
}

/// Real kernels by name: those of the sample hub, or of the hub in `$HUB`.
pub(super) fn kernels() -> BTreeMap<String, PathBuf> {
    match std::env::var_os("HUB") {
        None => btfgen_testkit::sample_kernels()
            .into_iter()
            .map(|k| {
                let path = btfgen_testkit::sample_btf(&k);
                (k, path)
            })
            .collect(),
        Some(hub) => btfgen::Hub::open(&[hub])
            .expect("$HUB is a hub")
            .kernels()
            .iter()
            .map(|k| (k.id().to_string(), k.path().to_owned()))
            .collect(),
    }
}

/// Objects with relocations: ours in both byte orders, and those in the folder `$OBJECTS`.
pub(super) fn objects() -> Vec<PathBuf> {
    let mut objects = btfgen_testkit::objects();
    let big_endian: Vec<PathBuf> = objects
        .iter()
        .map(|o| o.with_file_name(name(o).replace(".bpf.o", ".eb.bpf.o")))
        .collect();
    objects.extend(big_endian);
    if let Some(folder) = std::env::var_os("OBJECTS") {
        let mut more: Vec<PathBuf> = std::fs::read_dir(folder)
            .expect("$OBJECTS is a folder")
            .map(|e| e.expect("$OBJECTS can be read").path())
            .filter(|p| name(p).ends_with(".bpf.o"))
            .collect();
        more.sort();
        objects.extend(more);
    }
    objects
}

/// The name of a file.
pub(super) fn name(path: &Path) -> String {
    path.file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Runs a program that scripts/setup installs.
pub(super) fn run(program: &str, args: &[&std::ffi::OsStr]) -> Output {
    Command::new(program)
        .args(args)
        .output()
        .unwrap_or_else(|e| panic!("{program} does not run ({e}); scripts/setup installs it"))
}

/// bpftool's minimized BTF of a kernel (a `.btf` file) for an object, if it makes one.
pub(super) fn bpftool_minimized(kernel: &Path, object: &Path) -> Option<Vec<u8>> {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let out = dir.path().join("min.btf");
    let args = ["gen", "min_core_btf"].map(std::ffi::OsStr::new);
    let files = [kernel.as_os_str(), out.as_os_str(), object.as_os_str()];
    let result = run("bpftool", &[args.as_slice(), files.as_slice()].concat());
    result
        .status
        .success()
        .then(|| std::fs::read(out).expect("bpftool wrote its result"))
}

/// The programs in the folder `$JUDGES` whose names have this prefix, sorted.
pub(super) fn judges(prefix: &str) -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("JUDGES") else {
        return Vec::new();
    };
    let mut judges: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("$JUDGES is a folder")
        .map(|e| e.expect("$JUDGES can be read").path())
        .filter(|p| name(p).starts_with(prefix))
        .collect();
    judges.sort();
    judges
}
