//! Loads a BPF object with aya, with the BTF that an archive has for this kernel.
//!
//! `cargo run -p btfgen-runtime --example aya -- btfs.tar.gz app.bpf.o`, as root. A program that ships embeds both files with
//! `include_bytes!`.

#[cfg(target_pointer_width = "64")]
use aya::{Btf, EbpfLoader, Endianness};
#[cfg(target_pointer_width = "64")]
use btfgen_runtime::{Loader, Lookup};

#[cfg(not(target_pointer_width = "64"))]
fn main() {
    eprintln!("aya does not compile for 32 bits");
}

#[cfg(target_pointer_width = "64")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(archive), Some(object)) = (arguments.next(), arguments.next()) else {
        return Err("usage: aya ARCHIVE OBJECT".into());
    };

    let lookup = Lookup::new().archive_file(&archive);
    let found = lookup.loader(Loader::aya(0, 14)).find()?;
    for step in found.steps() {
        eprintln!("{step}");
    }
    let btf = Btf::parse(&found.bytes()?, Endianness::default())?;
    let ebpf = EbpfLoader::new().btf(Some(&btf)).load_file(object)?;

    for (name, _) in ebpf.programs() {
        println!("{name}");
    }
    Ok(())
}
