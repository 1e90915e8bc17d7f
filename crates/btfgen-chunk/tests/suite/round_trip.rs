//! Whatever is added comes back.

use std::fs;

use btfgen_chunk::{Chunk, Digest, Encoder, ErrorKind};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::made_up;
use super::{
    Kernel, MAX_BTF_BYTES, decode, encode, encode_uncompressed, sample_kernels, small_kernels,
};

/// Check that real kernels come back byte for byte, from a file that several threads read, and that they are at least a
/// quarter smaller than their `.btf.tar.xz` files although few of them resemble each other.
#[test]
fn real_kernels_come_back() {
    let kernels = sample_kernels();
    let bytes = encode(&kernels);
    let packed = btfgen_testkit::sample_kernels();
    let packed = packed.iter().map(|kernel| {
        let path = btfgen_testkit::sample_hub().join(format!("{kernel}.btf.tar.xz"));
        fs::metadata(path).unwrap().len()
    });
    let packed: u64 = packed.sum();
    assert!(
        4 * bytes.len() as u64 <= 3 * packed,
        "{} of {packed}",
        bytes.len()
    );

    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &bytes).unwrap();
    let chunk = Chunk::open(file).unwrap();
    let entries = chunk.entries();
    assert_eq!(entries.len(), kernels.len());
    std::thread::scope(|scope| {
        for (index, (release, btf)) in kernels.iter().enumerate() {
            let chunk = &chunk;
            scope.spawn(move || {
                assert_eq!(entries[index].release, *release);
                assert_eq!(entries[index].btf_bytes, btf.len() as u64);
                assert_eq!(entries[index].digest, Digest::of(btf));
                assert!(
                    chunk.read(index, MAX_BTF_BYTES).unwrap() == *btf,
                    "{release}"
                );
            });
        }
    });
}

/// Check that two releases of one series cost little more than one.
#[test]
fn similar_kernels_cost_little() {
    let (_, btf) = sample_kernels().swap_remove(0);
    let one = [("5.10.0-30".to_owned(), btf.clone())];
    // Another name that types have: the same length, at the same place.
    let mut other = btf;
    let at = other.windows(10).position(|name| name == b"\0task_stru");
    other[at.unwrap() + 1] = b'T';
    let two = [one[0].clone(), ("5.10.0-31".to_owned(), other)];
    let (one, bytes) = (encode(&one).len(), encode(&two));
    assert!(bytes.len() - one < one / 20, "{one}, {}", bytes.len());
    assert!(decode(&bytes).unwrap() == two);
}

/// Check that the bytes of a chunk do not depend on the order in which kernels are added.
#[test]
fn order_of_adding_does_not_matter() {
    let mut kernels = small_kernels();
    let bytes = encode(&kernels);
    assert!(decode(&bytes).unwrap() == kernels);
    kernels.reverse();
    assert!(encode(&kernels) == bytes);
    let middle = kernels.len() / 3;
    kernels.rotate_left(middle);
    assert!(encode(&kernels) == bytes);
}

/// Check that an encoder to which something inexpressible was added writes the rest as if it had not met its types and names.
#[test]
fn what_is_not_needed_is_not_written() {
    let kernels = small_kernels();
    let (release, btf) = &kernels[0];
    let mut twice = btf.clone();
    // The name of the last type is in the middle of a string.
    let types = u32::from_le_bytes(twice[12..16].try_into().unwrap()) as usize;
    twice.truncate(24 + types);
    twice.extend(&btf[24 + types..]);
    twice.extend(b"not expected");
    twice[24] += 1;
    let mut encoder = Encoder::new();
    encoder.add("a", &twice).unwrap();
    encoder.add(release, btf).unwrap();
    let both = encoder.finish().unwrap();
    let mut other_order = Encoder::new();
    other_order.add(release, btf).unwrap();
    other_order.add("a", &twice).unwrap();
    assert!(other_order.finish().unwrap() == both);
    assert!(decode(&both).unwrap() == [("a".to_owned(), twice), kernels[0].clone()]);
}

/// Check that a chunk without kernels, and one with an empty BTF, are chunks.
#[test]
fn empty_chunks() {
    assert!(decode(&encode(&[])).unwrap().is_empty());
    let empty = [("5.4.0".to_owned(), Vec::new())];
    assert!(decode(&encode(&empty)).unwrap() == empty);
}

/// Check that a release that is no component of a path, or that comes twice, is refused, and that the others stay.
#[test]
fn wrong_releases_are_refused() {
    let mut encoder = Encoder::new();
    encoder.add("5.4.0", b"a BTF").unwrap();
    let long = "5".repeat(1 << 16);
    for release in ["", ".", "..", "a/b", "a b", "a\n", "ä", "a\0", &long] {
        let error = encoder.add(release, b"a BTF").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRelease, "{release:?}");
    }
    let error = encoder.add("5.4.0", b"another").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DuplicateRelease);
    let chunk = encoder.finish().unwrap();
    assert!(decode(&chunk).unwrap() == [("5.4.0".to_owned(), b"a BTF".to_vec())]);
}

/// Check that a BTF that is larger than the caller allows is an error before anything is decoded.
#[test]
fn limit_of_a_btf() {
    let chunk = Chunk::from_bytes(encode(&[("5.4.0".to_owned(), b"a BTF".to_vec())])).unwrap();
    assert_eq!(chunk.read(0, 4).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(chunk.read(0, 5).unwrap(), b"a BTF");
}

fn named(btfs: Vec<Vec<u8>>) -> Vec<Kernel> {
    let kernels = btfs.into_iter().enumerate();
    kernels.map(|(n, btf)| (format!("5.{n}"), btf)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Check that made-up BTFs of both byte orders come back, whether or not records can express them.
    #[test]
    fn made_up_btfs_come_back(btfs in vec(made_up::btf(), 0..6)) {
        let kernels = named(btfs);
        prop_assert!(decode(&encode(&kernels)).unwrap() == kernels);
        prop_assert!(decode(&encode_uncompressed(&kernels)).unwrap() == kernels);
    }

    /// Check that any bytes come back.
    #[test]
    fn any_bytes_come_back(btfs in vec(vec(any::<u8>(), 0..200), 0..6)) {
        let kernels = named(btfs);
        prop_assert!(decode(&encode(&kernels)).unwrap() == kernels);
    }

    /// Check that kernels with changed bytes come back, whatever their types mean then.
    #[test]
    fn changed_btfs_come_back(
        changes in vec((any::<Index>(), any::<Index>(), any::<u8>()), 0..40),
    ) {
        let mut kernels = small_kernels();
        for (kernel, at, byte) in changes {
            let btf = &mut kernels[kernel.index(usize::MAX) % 12].1;
            let at = at.index(btf.len());
            btf[at] = byte;
        }
        prop_assert!(decode(&encode_uncompressed(&kernels)).unwrap() == kernels);
    }
}
