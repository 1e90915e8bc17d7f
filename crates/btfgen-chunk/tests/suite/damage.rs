//! Chunks that are cut off, changed, or lie: an error, and never another BTF.

use btfgen_chunk::{Chunk, ErrorKind, testing};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::{Kernel, decode, encode, encode_uncompressed, small_kernels};

/// Kernels that records express, one that they do not, and one that is no BTF.
fn few_kernels() -> Vec<Kernel> {
    let mut kernels = small_kernels();
    kernels.truncate(4);
    let mut inexpressible = kernels[0].1.clone();
    inexpressible[24] += 1;
    kernels.push(("x".to_owned(), inexpressible));
    kernels.push(("y".to_owned(), b"not a BTF".to_vec()));
    kernels
}

/// Check that all kernels that can be read are those that were added.
fn check(chunk: &[u8], kernels: &[Kernel]) {
    let Ok(chunk) = Chunk::from_bytes(chunk) else {
        return;
    };
    for (index, entry) in chunk.entries().iter().enumerate() {
        // Nothing here is larger, so that a length that lies is an error.
        if let Ok(btf) = chunk.read(index, 4096) {
            assert_eq!(btf.len() as u64, entry.btf_bytes);
            let known = kernels.iter().find(|(_, known)| *known == btf);
            assert!(known.is_some(), "{} has another BTF", entry.release);
        }
    }
}

/// Check that a chunk that is cut off at any place is an error that says so.
#[test]
fn cut_off() {
    let bytes = encode(&few_kernels());
    for len in 0..bytes.len() {
        let error = Chunk::from_bytes(&bytes[..len]).unwrap_err();
        let expected = if len < 4 {
            ErrorKind::NotChunk
        } else {
            ErrorKind::Damaged
        };
        assert_eq!(error.kind(), expected, "{len}");
        assert!(!error.to_string().is_empty());
    }
    let longer = [&bytes[..], b"\0"].concat();
    let error = Chunk::from_bytes(longer).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

/// Check that a chunk that is cut off after it was opened is damaged, not a failure of the disk.
#[test]
fn cut_off_while_open() {
    let bytes = encode(&few_kernels());
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &bytes).unwrap();
    let chunk = Chunk::open(file.try_clone().unwrap()).unwrap();
    file.set_len(bytes.len() as u64 / 2).unwrap();
    let last = chunk.entries().len() - 1;
    let error = chunk.read(last, 4096).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
}

/// Check that every changed bit of a chunk is found by a checksum.
#[test]
fn changed_bits() {
    let kernels = few_kernels();
    let mut bytes = encode(&kernels);
    assert!(decode(&bytes).unwrap() == kernels);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            assert!(decode(&bytes).is_err(), "bit {bit} of byte {at}");
            check(&bytes, &kernels);
            bytes[at] ^= 1 << bit;
        }
    }
}

/// Check that a chunk of another version is an error that tells the version, even if nothing else in it is known.
#[test]
fn another_version() {
    let mut bytes = encode(&few_kernels());
    bytes[4] = 2;
    let error = Chunk::from_bytes(&bytes[..8]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Version);
    assert!(error.to_string().contains("version 2"), "{error}");
}

/// Check that other files are not chunks.
#[test]
fn other_files() {
    for bytes in [
        &b""[..],
        b"b",
        b"BTFS\x01\0\0\0",
        b"\x9f\xeb\x01\0",
        b"\xfd7zXZ\0",
    ] {
        let error = Chunk::from_bytes(bytes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotChunk);
    }
}

/// Check that with right checksums, any changed byte leads to an error or to the same BTF.
#[test]
fn lies_with_right_checksums() {
    let kernels = few_kernels();
    for original in [encode_uncompressed(&kernels), encode(&kernels)] {
        for at in testing::FRONT..original.len() {
            for change in [1, 0x80, 0xff] {
                let mut bytes = original.clone();
                bytes[at] ^= change;
                testing::seal(&mut bytes);
                check(&bytes, &kernels);
            }
        }
    }
}

/// Check that numbers as large as can be are errors, wherever they are.
#[test]
fn large_numbers() {
    let kernels = few_kernels();
    let original = encode_uncompressed(&kernels);
    for at in 8..original.len() - 8 {
        for number in [
            u64::MAX,
            u64::from(u32::MAX),
            1 << 31,
            0x7fff_ffff,
            0xf_ffff_ffff,
        ] {
            let mut bytes = original.clone();
            bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
            testing::seal(&mut bytes);
            check(&bytes, &kernels);
            bytes[at..].copy_from_slice(&original[at..]);
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes()[..4]);
            testing::seal(&mut bytes);
            check(&bytes, &kernels);
        }
    }
}

/// Check that a column may not claim to be many times as large as its bytes, however well they are compressed.
#[test]
fn bombs_are_refused() {
    let mut bytes = encode(&few_kernels());
    // The length of the first column.
    let at = testing::FRONT;
    bytes[at..at + 4].copy_from_slice(&(1u32 << 20).to_le_bytes());
    testing::seal(&mut bytes);
    let error = Chunk::from_bytes(bytes).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Damaged);
    assert!(error.to_string().contains("larger"), "{error}");
}

/// Check that columns that zstd would shrink a thousandfold can be read, although a reader refuses such columns: they are not
/// compressed.
#[test]
fn honest_columns_are_no_bombs() {
    for members in [100, 300, 1000, 2000, 4000, 60_000] {
        // A struct and an enum of many members that are alike.
        let mut words = vec![0, 4 << 24 | members, 4 * members];
        for member in 0..members {
            words.extend([1, 0, 32 * member]);
        }
        words.extend([0, 6 << 24 | members, 4]);
        for member in 0..members {
            words.extend([1, member]);
        }
        let types = 4 * words.len() as u32;
        let header = [24, 0, types, types, 3];
        let words = header.into_iter().chain(words);
        let mut btf = vec![0x9f, 0xeb, 1, 0];
        btf.extend(words.flat_map(u32::to_le_bytes));
        btf.extend(b"\0a\0");
        let kernels = [("5.4.0".to_owned(), btf)];
        let bytes = encode(&kernels);
        assert!(members < 60_000 || bytes.len() > members as usize);
        assert!(decode(&bytes).unwrap() == kernels, "{members}");
    }
}

proptest! {
    /// Check that with right checksums, many changes lead to errors or to the same BTFs.
    #[test]
    fn many_lies(changes in vec((any::<Index>(), any::<u8>()), 1..20)) {
        let kernels = few_kernels();
        let mut bytes = encode_uncompressed(&kernels);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        testing::seal(&mut bytes);
        check(&bytes, &kernels);
    }

    /// Check that any bytes behind a right header are no panic.
    #[test]
    fn any_bytes(rest in vec(any::<u8>(), 0..600)) {
        let mut bytes = encode(&[]);
        bytes.truncate(testing::FRONT);
        bytes[8..16].copy_from_slice(&((testing::FRONT + rest.len()) as u64).to_le_bytes());
        bytes[16..24].copy_from_slice(&(rest.len() as u64).to_le_bytes());
        bytes.extend(rest);
        testing::seal(&mut bytes);
        check(&bytes, &[]);
    }
}
