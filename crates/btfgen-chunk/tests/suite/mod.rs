mod damage;
mod made_up;
mod round_trip;
mod spec;

use std::fs;

use btfgen_chunk::{Chunk, Encoder, Result, testing};

/// More than any BTF here has.
const MAX_BTF_BYTES: u64 = 64 << 20;

/// A kernel: its release and its BTF.
type Kernel = (String, Vec<u8>);

fn fill(mut encoder: Encoder, kernels: &[Kernel]) -> Vec<u8> {
    for (release, btf) in kernels {
        encoder.add(release, btf).unwrap();
    }
    encoder.finish().unwrap()
}

fn encode(kernels: &[Kernel]) -> Vec<u8> {
    fill(Encoder::new(), kernels)
}

fn encode_uncompressed(kernels: &[Kernel]) -> Vec<u8> {
    fill(testing::uncompressed(), kernels)
}

/// The kernels of a chunk, if all of them can be read.
fn decode(chunk: &[u8]) -> Result<Vec<Kernel>> {
    let chunk = Chunk::from_bytes(chunk)?;
    let entries = chunk.entries().iter().enumerate();
    let read = |(index, entry): (usize, &btfgen_chunk::Entry)| {
        let btf = chunk.read(index, MAX_BTF_BYTES)?;
        Ok((entry.release.clone(), btf))
    };
    entries.map(read).collect()
}

/// The tests' made-up kernels, of both byte orders, sorted by their names.
fn small_kernels() -> Vec<Kernel> {
    let mut kernels = Vec::new();
    for name in btfgen_testkit::target_names() {
        let path = btfgen_testkit::target_btf(&name);
        let twin = path.with_extension("eb.btf");
        kernels.push((name.clone(), fs::read(path).unwrap()));
        // Not every kernel has a big-endian twin.
        if twin.exists() {
            kernels.push((format!("{name}.eb"), fs::read(twin).unwrap()));
        }
    }
    kernels.sort();
    kernels
}

/// The real kernels of the sample hub.
fn sample_kernels() -> Vec<Kernel> {
    let kernels = btfgen_testkit::sample_kernels();
    let read = |kernel: &String| {
        let btf = fs::read(btfgen_testkit::sample_btf(kernel)).unwrap();
        (kernel.replace('/', "-"), btf)
    };
    kernels.iter().map(read).collect()
}
