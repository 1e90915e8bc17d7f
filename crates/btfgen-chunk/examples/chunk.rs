//! Makes and reads chunks, to measure them: `chunk CHUNK BTF...` puts these BTFs into a chunk, and `chunk CHUNK` reads all
//! kernels of it.

use std::fs::{self, File};
use std::path::Path;
use std::time::Instant;

use btfgen_chunk::{Chunk, Encoder};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let chunk = args.next().ok_or("usage: chunk CHUNK [BTF...]")?;
    let btfs: Vec<String> = args.collect();
    let start = Instant::now();
    if !btfs.is_empty() {
        let mut encoder = Encoder::new();
        for path in &btfs {
            let name = Path::new(path).file_stem().and_then(|stem| stem.to_str());
            encoder.add(name.ok_or("a BTF without a name")?, &fs::read(path)?)?;
        }
        fs::write(&chunk, encoder.finish()?)?;
    }
    let file = File::open(chunk)?;
    let len = file.metadata()?.len();
    let chunk = Chunk::open(file)?;
    let mut bytes = 0;
    if btfs.is_empty() {
        for index in 0..chunk.entries().len() {
            bytes += chunk.read(index, 1 << 30)?.len();
        }
    }
    let (kernels, seconds) = (chunk.entries().len(), start.elapsed().as_secs_f64());
    println!("{kernels} kernels, {len} bytes; read {bytes} bytes; {seconds:.2} s");
    Ok(())
}
