mod build_ids;
mod corruption;
mod facts;
mod foreign;
mod forge;
mod lying;
mod objects;
mod peers;
mod round_trip;

use std::collections::BTreeMap;

use btfgen_archive::{Builder, KernelId};

/// The contents of an archive to be.
type Kernels = BTreeMap<KernelId, Vec<u8>>;

/// `count` kernels that share `distinct` contents, which are like each other as those of neighbouring kernels are.
fn kernels(count: usize, distinct: usize, len: usize) -> Kernels {
    (0..count)
        .map(|n| {
            let arch = ["x86_64", "arm64"][n % 2];
            let release = format!("5.{}.0-{n}-generic", n / 100);
            let version = format!("{}.04", 18 + n / 200);
            let id = KernelId::new("ubuntu", &version, arch, &release).unwrap();
            (id, content(n * distinct / count, len))
        })
        .collect()
}

/// A content of some length that differs from the one of the seed before in a tenth of its words.
fn content(seed: usize, len: usize) -> Vec<u8> {
    (0..len.div_ceil(4))
        .flat_map(|word| {
            let version = (seed + word % 10) / 10;
            let mixed = (word * 10 + version + 1).wrapping_mul(0x9e37_79b9);
            (mixed as u32).to_le_bytes()
        })
        .take(len)
        .collect()
}

fn builder(kernels: &Kernels) -> Builder {
    kernels.iter().fold(Builder::new(), |builder, (id, btf)| {
        builder.add(id.clone(), btf.as_slice()).unwrap()
    })
}

fn write(builder: Builder) -> Vec<u8> {
    let mut bytes = Vec::new();
    let summary = builder.write(&mut bytes).unwrap();
    assert_eq!(summary.archive_bytes, bytes.len() as u64);
    bytes
}
