//! Measures the lookup of one kernel of 5,000: with the index, by reading the tar, and by inflating everything first.
//! Also measures the time to write them.

mod many;

use std::hint::black_box;
use std::io::Read;

use btfgen_archive::{Archive, Builder};
use criterion::{Criterion, criterion_group, criterion_main};
use flate2::read::GzDecoder;

const KERNELS: u32 = 5000;

fn builder(distinct: u32) -> Builder {
    many::builder(KERNELS, distinct)
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

        // Alternate between kernels from all parts of the archive.
        let mut n = 0;
        let mut next = || {
            n = (n + 1237) % KERNELS;
            many::id(n)
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
