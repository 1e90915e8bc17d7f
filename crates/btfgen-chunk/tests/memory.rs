//! How much memory chunks take: a test binary of its own, since it replaces the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use btfgen_chunk::{Chunk, Encoder, testing};

/// Counts the bytes that are held, and the most that ever were.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: Each call is handed on to the system's allocator as it is; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(held, Ordering::Relaxed);
        // SAFETY: The caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: The caller's promise is the one that is asked for, and `alloc` took it from there.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that the work holds in addition to what was held before.
fn most(work: impl FnOnce()) -> usize {
    let before = HELD.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    work();
    MOST.load(Ordering::Relaxed) - before
}

/// Check that a small chunk takes little memory, whatever lengths and numbers in it lie, and that an encoder's memory grows with
/// types and not with kernels. One test for all, since the count is one for the process.
#[test]
fn memory() {
    lies();
    similar_kernels();
}

fn lies() {
    let mut encoder = testing::uncompressed();
    for name in ["enum64", "first"] {
        let btf = fs::read(btfgen_testkit::target_btf(name)).unwrap();
        encoder.add(name, &btf).unwrap();
    }
    let original = encoder.finish().unwrap();
    for at in 8..original.len() - 4 {
        for number in [u32::MAX, 0x0fff_ffff] {
            let mut bytes = original.clone();
            bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
            testing::seal(&mut bytes);
            let most = most(|| {
                let Ok(chunk) = Chunk::from_bytes(bytes) else {
                    return;
                };
                for index in 0..chunk.entries().len() {
                    let _ = chunk.read(index, 1 << 20);
                }
            });
            // A few times the largest BTF that is allowed.
            assert!(most < 6 << 20, "{most} bytes for {number:x} at {at}");
        }
    }
}

fn similar_kernels() {
    const KERNELS: usize = 12;
    let sample = &btfgen_testkit::sample_kernels()[0];
    let mut btf = fs::read(btfgen_testkit::sample_btf(sample)).unwrap();
    let in_word = |at: &usize| btf[at - 2..at + 3].iter().all(u8::is_ascii_lowercase);
    let letters = (btf.len() * 3 / 4..).step_by(1000).filter(in_word);
    let letters: Vec<usize> = letters.take(KERNELS - 1).collect();
    let mut encoder = Encoder::new();
    encoder.add("5.0", &btf).unwrap();
    let one = HELD.load(Ordering::Relaxed);
    for (n, letter) in letters.into_iter().enumerate() {
        // Another letter in a name, so that some types differ.
        btf[letter] ^= 0x20;
        encoder.add(&format!("5.1.{n}"), &btf).unwrap();
    }
    let each = (HELD.load(Ordering::Relaxed) - one) / (KERNELS - 1);
    assert!(each < btf.len() / 20, "{each} bytes for each more kernel");
    let most = most(|| assert!(!encoder.finish().unwrap().is_empty()));
    assert!(most < 10 * btf.len(), "{most} bytes");
}
