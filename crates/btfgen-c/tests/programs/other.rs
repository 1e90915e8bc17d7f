//! Another static library in Rust, which uses the standard library, threads and panics.

use std::collections::HashSet;

/// How many different remainders by 7 the numbers below `count` have.
#[unsafe(no_mangle)]
pub extern "C" fn other_distinct(count: u32) -> u32 {
    let counted = std::thread::spawn(move || (0..count).map(|n| n % 7).collect::<HashSet<_>>());
    counted.join().map_or(0, |set| set.len() as u32)
}

/// Panics, and returns whether the panic was caught.
#[unsafe(no_mangle)]
pub extern "C" fn other_panics() -> bool {
    std::panic::catch_unwind(|| panic!("on purpose")).is_err()
}
