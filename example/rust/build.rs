//! Compiles the BPF program, makes its skeleton, and packs the kernels' BTFs.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use btfgen::{Hub, KernelFilter, Pack};
use libbpf_cargo::SkeletonBuilder;

const SOURCES: &str = "src/bpf";
const SOURCE: &str = "src/bpf/execsnoop.bpf.c";

/// btfgen's sample hub, if it exists.
const SAMPLE_HUB: &str = "../../btfhub-sample";

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed={SOURCES}");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let object = out.join("execsnoop.bpf.o");
    let hub = hub()?;
    // Kernels of other architectures cannot run this program.
    let kernels = KernelFilter::new().arch(&env::var("CARGO_CFG_TARGET_ARCH")?);

    make_vmlinux_h(&hub, &kernels, &out)?;
    // The loader refuses a BPF program with another byte order than the kernel's. libbpf-cargo compiles for this machine's.
    let byte_order = match env::var("CARGO_CFG_TARGET_ENDIAN")?.as_str() {
        "big" => "-mbig-endian",
        _ => "-mlittle-endian",
    };
    SkeletonBuilder::new()
        .source(SOURCE)
        .obj(&object)
        .clang_args([
            byte_order,
            "-I",
            out.to_str().context("OUT_DIR is not UTF-8")?,
            // Kernels since 6.18 are built with this option, and their vmlinux.h needs it, too.
            "-fms-extensions",
            "-Wno-microsoft-anon-tag",
        ])
        .build_and_generate(out.join("execsnoop.skel.rs"))?;

    let pack = Pack::new().object(&object).hub(&hub).filter(kernels);
    for path in pack.rerun_if_changed() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    let packed = pack.write(out.join("btfs.tar.gz"))?;
    for left_out in packed.left_out {
        println!("cargo::warning={left_out}");
    }
    Ok(())
}

/// The hub: `BTFGEN_HUB`, `BTFHUB_CACHE_DIR` or `BTFHUB_CACHE`, else btfgen's sample, else btfgen's default.
fn hub() -> Result<PathBuf> {
    for variable in btfgen::HUB_VARIABLES {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let named = btfgen::HUB_VARIABLES
        .iter()
        .any(|variable| env::var_os(variable).is_some());
    if !named && Path::new(SAMPLE_HUB).is_dir() {
        return Ok(PathBuf::from(SAMPLE_HUB));
    }
    btfgen::default_hub().context("there is no hub: set BTFGEN_HUB")
}

/// Makes vmlinux.h from any kernel since Linux 5.5; CO-RE adapts the program to the others. The kernel is the one that
/// `VMLINUX_BTF` names, else the running one, else the last of the hub.
fn make_vmlinux_h(hub: &Path, kernels: &KernelFilter, out: &Path) -> Result<()> {
    println!("cargo::rerun-if-env-changed=VMLINUX_BTF");
    println!("cargo::rerun-if-env-changed=BPFTOOL");
    let running = PathBuf::from("/sys/kernel/btf/vmlinux");
    let btf = match env::var_os("VMLINUX_BTF") {
        Some(named) => PathBuf::from(named),
        None if running.exists() => running,
        None => {
            let hub = Hub::open(&[hub])?.filtered(kernels)?;
            let kernel = hub.kernels().last().context("the hub is empty")?;
            let btf = out.join("vmlinux.btf");
            fs::write(&btf, kernel.read(btfgen::DEFAULT_MAX_BTF_BYTES)?)?;
            btf
        }
    };

    // Debian has bpftool in /usr/sbin, which an ordinary user's PATH lacks.
    let path = env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let bpftool = env::var_os("BPFTOOL").unwrap_or_else(|| "bpftool".into());
    let status = Command::new(&bpftool)
        .env("PATH", path)
        .args(["btf", "dump", "file"])
        .arg(&btf)
        .args(["format", "c"])
        .stdout(File::create(out.join("vmlinux.h"))?)
        .status()
        .with_context(|| format!("{} does not start", bpftool.display()))?;
    ensure!(status.success(), "bpftool cannot read {}", btf.display());
    Ok(())
}
