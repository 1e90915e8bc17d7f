//! Detects whether stdout was closed when the process started.
//!
//! Rust's runtime opens /dev/null for each closed standard stream, so that no other file gets its number. Output to it is
//! lost without an error. This module therefore checks stdout before the runtime starts.
#![allow(
    unsafe_code,
    reason = "a function in .init_array is the only one that runs before Rust's runtime"
)]

use std::sync::atomic::{AtomicBool, Ordering};

static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

// SAFETY: the C runtime calls every function pointer in this section once, before `main` (System V ABI, "Initialization and
// Termination Functions"). This function makes a system call and sets an atomic: it needs nothing of Rust's runtime, and
// does not unwind.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    let closed = rustix::io::fcntl_getfd(rustix::stdio::stdout()) == Err(rustix::io::Errno::BADF);
    WAS_CLOSED.store(closed, Ordering::Relaxed);
}

/// Whether this process was started without a stdout.
pub(crate) fn was_closed() -> bool {
    WAS_CLOSED.load(Ordering::Relaxed)
}
