//! Takes the BTF of a kernel out of its image, vmlinux or package, and prints which kernel it is:
//!
//! ```sh
//! cargo run -p btfgen-vmlinux --example vmlinux_btf -- /boot/vmlinuz-6.1.0-47-cloud-amd64 kernel.btf
//! ```

use std::error::Error as _;
use std::path::PathBuf;
use std::process::ExitCode;

use btfgen_vmlinux::{Error, Reader};

fn main() -> ExitCode {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [file, out] = &arguments[..] else {
        eprintln!("usage: vmlinux_btf FILE OUT");
        return ExitCode::from(3);
    };
    let vmlinux = match Reader::new().read(file) {
        Ok(vmlinux) => vmlinux,
        Err(error) => {
            explain(&error);
            return ExitCode::from(2);
        }
    };
    if let Err(error) = std::fs::write(out, vmlinux.btf()) {
        eprintln!("vmlinux_btf: {}: {error}", out.display());
        return ExitCode::from(2);
    }
    println!("release  {}", vmlinux.release().unwrap_or("not told"));
    println!("arch     {}", vmlinux.arch().unwrap_or("not told"));
    let build_id = vmlinux.build_id().map(|id| id.to_string());
    println!("build id {}", build_id.as_deref().unwrap_or("not told"));
    println!("origin   {}", vmlinux.origin());
    println!("btf      {} bytes", vmlinux.btf().len());
    ExitCode::SUCCESS
}

fn explain(error: &Error) {
    eprint!("vmlinux_btf: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        eprint!(": {error}");
        cause = error.source();
    }
    eprintln!();
    if let Some(help) = error.help() {
        eprintln!("  {help}");
    }
}
