//! One kernel out of 5,000: by the index, by reading the tar, and as simple readers do, by inflating everything first.
//! And how long it takes to write them.

use std::hint::black_box;
use std::io::Read;

use btfgen_archive::{Archive, Builder, KernelId};
use criterion::{Criterion, criterion_group, criterion_main};
use flate2::read::GzDecoder;

const KERNELS: u32 = 5000;

/// 16 KiB of words, where each content differs from the one before in some.
fn content(seed: u32) -> Vec<u8> {
    let word = |n: u32| {
        let version = (seed + n % 64) / 64;
        (n * 64 + version).wrapping_mul(0x9e37_79b9) >> 12
    };
    (0..4096).flat_map(|n| word(n).to_le_bytes()).collect()
}

fn id(n: u32) -> KernelId {
    let release = format!("5.{}.0-{n}-generic", n / 100);
    KernelId::new("ubuntu", "20.04", "x86_64", &release).expect("a valid name")
}

fn builder(distinct: u32) -> Builder {
    (0..KERNELS).fold(Builder::new(), |builder, n| {
        let btf = content(n * distinct / KERNELS);
        builder.add(id(n), btf).expect("each has its own name")
    })
}

/// Inflate everything, then go from header to header and compare names.
fn inflate_all(archive: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut tar = Vec::new();
    GzDecoder::new(archive).read_to_end(&mut tar).ok()?;
    let mut rest = &tar[..];
    while rest.len() >= 512 && rest[0] != 0 {
        let (header, data) = rest.split_at(512);
        let digits = std::str::from_utf8(&header[124..135]).ok()?;
        let size = usize::from_str_radix(digits, 8).ok()?;
        if header[..100].split(|&b| b == 0).next()? == name.as_bytes() {
            return Some(data[..size].to_vec());
        }
        rest = &data[size.next_multiple_of(512)..];
    }
    None
}

fn lookup(criterion: &mut Criterion) {
    for (name, distinct) in [("all distinct", KERNELS), ("300 distinct", 300)] {
        let mut group = criterion.benchmark_group(name);
        let mut bytes = Vec::new();
        let summary = builder(distinct)
            .write(&mut bytes)
            .expect("memory is a sink that does not fail");
        println!("{name}: {summary:?}");
        let mut plain = Vec::new();
        builder(distinct)
            .index(false)
            .write(&mut plain)
            .expect("memory is a sink that does not fail");

        // Kernels from all over the archive in turn.
        let mut n = 0;
        let mut next = || {
            n = (n + 1237) % KERNELS;
            id(n)
        };
        group.bench_function("index", |bencher| {
            bencher.iter(|| {
                let archive = Archive::from_bytes(black_box(&bytes)).expect("it was just written");
                archive.get(&next()).expect("it was just written")
            });
        });
        group.sample_size(10);
        group.bench_function("scan", |bencher| {
            bencher.iter(|| {
                let archive = Archive::from_bytes(black_box(&plain)).expect("it was just written");
                archive.get(&next()).expect("it was just written")
            });
        });
        group.bench_function("inflate all", |bencher| {
            bencher.iter(|| inflate_all(black_box(&plain), &next().entry_name()));
        });
        group.bench_function("write", |bencher| {
            bencher.iter_batched(
                || builder(distinct),
                |builder| builder.write(std::io::sink()),
                criterion::BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, lookup);
criterion_main!(benches);
