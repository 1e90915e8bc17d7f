//! How much memory a lookup takes: a test binary of its own, since it replaces the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use btfgen_archive::{Archive, Builder, KernelId};

/// Counts every byte that is asked for, whether or not it is given back.
struct Counting;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

// SAFETY: Each call is handed on to the system's allocator as it is; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: The caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: The caller's promise is the one that is asked for, and `alloc` took it from there.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The largest total allocation for opening an archive and getting one kernel.
const LIMIT: usize = 4 << 20;

/// Similar to BTF: one of four words differs between the contents.
fn content(seed: u32) -> Vec<u8> {
    let word = |n: u32| {
        if n.is_multiple_of(4) {
            n ^ seed << 16
        } else {
            n
        }
    };
    (0..4096).flat_map(|n| word(n).to_le_bytes()).collect()
}

fn archive(kernels: u32, distinct: u32) -> (Vec<u8>, Vec<KernelId>) {
    let id = |n| KernelId::new("ubuntu", "20.04", "x86_64", &format!("5.4.0-{n}-generic"));
    let ids: Vec<_> = (0..kernels).map(|n| id(n).unwrap()).collect();
    let mut builder = Builder::new();
    for (id, n) in ids.iter().zip(0..) {
        builder = builder.add(id.clone(), content(n % distinct)).unwrap();
    }
    let mut bytes = Vec::new();
    builder.write(&mut bytes).unwrap();
    (bytes, ids)
}

/// Check that getting a kernel allocates little, linked or not, and so does a missing one. One test for all, since the count
/// is one for the process.
#[test]
fn lookup() {
    for (kernels, distinct) in [(1000, 1000), (5000, 300)] {
        let (bytes, ids) = archive(kernels, distinct);
        let missing = KernelId::new("ubuntu", "20.04", "x86_64", "5.4.0-x").unwrap();
        for id in ids.iter().step_by(97).chain([&missing]) {
            let before = ALLOCATED.load(Ordering::Relaxed);
            let archive = Archive::from_bytes(&bytes).unwrap();
            let found = archive.get(id).unwrap();
            let allocated = ALLOCATED.load(Ordering::Relaxed) - before;
            assert!(archive.has_index());
            assert_eq!(found.is_some(), id != &missing);
            assert!(allocated < LIMIT, "{id}: {allocated} bytes");
        }

        // Without the index everything is inflated, though never held.
        let mut plain = bytes.clone();
        plain[12] ^= 1;
        let archive = Archive::from_bytes(&plain).unwrap();
        assert!(!archive.has_index());
        let before = ALLOCATED.load(Ordering::Relaxed);
        let found = archive.get(&ids[ids.len() / 2]).unwrap();
        let allocated = ALLOCATED.load(Ordering::Relaxed) - before;
        assert!(found.is_some());
        assert!(allocated < LIMIT, "{allocated} bytes");
    }
}
