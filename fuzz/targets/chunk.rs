//! Chunks of BTFs. The first byte tells what the rest is: a chunk, a chunk whose checksums are made right, or two kernels that
//! are put into a chunk, which is then changed with right checksums.
#![no_main]

use btfgen_chunk::{Chunk, Digest, Encoder, testing};
use libfuzzer_sys::fuzz_target;

/// The largest BTF that is read.
const MAX_BTF_BYTES: u64 = 1 << 20;

fuzz_target!(|input: &[u8]| {
    let Some((&way, rest)) = input.split_first() else {
        return;
    };
    match way % 4 {
        0 => read(rest.to_vec()),
        1 => {
            let mut chunk = rest.to_vec();
            testing::seal(&mut chunk);
            read(chunk);
        }
        2 => put(Encoder::new(), rest),
        _ => put(testing::uncompressed(), rest),
    }
});

/// Read every kernel of what may be a chunk.
fn read(chunk: Vec<u8>) {
    match Chunk::from_bytes(chunk) {
        Ok(chunk) => {
            for (index, entry) in chunk.entries().iter().enumerate() {
                match chunk.read(index, MAX_BTF_BYTES) {
                    Ok(btf) => {
                        assert_eq!(btf.len() as u64, entry.btf_bytes);
                        assert_eq!(Digest::of(&btf), entry.digest);
                    }
                    Err(error) => assert!(!error.to_string().is_empty()),
                }
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Put kernels into a chunk, read them again, and read what some changes make of it. First come the number of changes, the place
/// in 16 bits and the new byte of each, and the length of the first BTF in 16 bits.
fn put(mut encoder: Encoder, input: &[u8]) {
    let Some((&count, rest)) = input.split_first() else {
        return;
    };
    let Some((changes, rest)) = rest.split_at_checked(3 * usize::from(count % 32)) else {
        return;
    };
    let Some((len, btfs)) = rest.split_first_chunk::<2>() else {
        return;
    };
    let (first, second) = btfs.split_at(usize::from(u16::from_le_bytes(*len)).min(btfs.len()));
    // A third kernel that resembles the first one has a base.
    let kernels = [("a", first), ("b", second), ("c", first)];
    for (release, btf) in kernels {
        encoder.add(release, btf).expect("each release comes once");
    }
    let mut bytes = encoder.finish().expect("what is added comes back");
    let chunk = Chunk::from_bytes(bytes.clone()).expect("what we write is a chunk");
    for (index, (_, btf)) in kernels.into_iter().enumerate() {
        let back = chunk.read(index, u64::MAX);
        assert!(back.expect("what is added comes back") == btf);
    }
    let (changes, _) = changes.as_chunks::<3>();
    for &[low, high, byte] in changes {
        let at = usize::from(u16::from_le_bytes([low, high])) % bytes.len();
        bytes[at] = byte;
    }
    testing::seal(&mut bytes);
    read(bytes);
}
