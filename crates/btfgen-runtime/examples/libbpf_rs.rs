//! Loads a BPF object with libbpf-rs, with the BTF that an archive has for this kernel.
//!
//! `cargo run -p btfgen-runtime --example libbpf_rs -- btfs.tar.gz app.bpf.o`, as root. A program that ships embeds both
//! files with `include_bytes!`.

use btfgen_runtime::{Loader, Lookup};
use libbpf_rs::ObjectBuilder;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(archive), Some(object)) = (arguments.next(), arguments.next()) else {
        return Err("usage: libbpf_rs ARCHIVE OBJECT".into());
    };

    let lookup = Lookup::new().archive_file(&archive);
    let btf = lookup.loader(Loader::libbpf(1, 7)).find()?;
    for step in btf.steps() {
        eprintln!("{step}");
    }
    let mut builder = ObjectBuilder::default();
    if let Some(path) = btf.path()? {
        builder.btf_custom_path(path)?;
    }
    let mut open = builder.open_file(&object)?;
    // libbpf needs the kernel's own BTF for fentry and some other types of programs, and loads nothing if there is one of them.
    let unloadable = btf.unloadable(&std::fs::read(&object)?)?;
    for mut program in open.progs_mut() {
        if unloadable.contains(program.name().as_encoded_bytes()) {
            eprintln!("switched off: {}", program.name().to_string_lossy());
            program.set_autoload(false);
        }
    }
    let object = open.load()?;
    // Relocated: from here on nobody reads the BTF any more.
    drop(btf);

    for program in object.progs() {
        println!("{}", program.name().to_string_lossy());
    }
    Ok(())
}
