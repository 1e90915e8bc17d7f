//! The values that the kernel passes to each program at its start, getauxval(3).
//!
//! /proc/self/auxv has the same values, but a process with file capabilities is not dumpable and may not read it.

#![allow(
    unsafe_code,
    reason = "getauxval(3) has no safe equivalent: rustix keeps AT_SECURE to itself"
)]

use std::ffi::{c_int, c_ulong};

// SAFETY: both are functions of the C library with these types, on all of Linux. Both may be called from any thread, and
// with any argument.
unsafe extern "C" {
    safe fn getauxval(kind: c_ulong) -> c_ulong;
    #[cfg_attr(target_os = "android", link_name = "__errno")]
    safe fn __errno_location() -> *mut c_int;
}

/// The size of a page, which every kernel passes.
const AT_PAGESZ: c_ulong = 6;
/// Not 0 if the program has privileges that its caller lacks.
const AT_SECURE: c_ulong = 23;

/// Whether the kernel says that this process has privileges that its caller lacks, because of set-user-ID, set-group-ID, file
/// capabilities, or a security module. `None` if the kernel did not pass the value.
pub(crate) fn is_secure() -> Option<bool> {
    get(AT_PAGESZ).filter(|size| *size != 0)?;
    get(AT_SECURE).map(|secure| secure != 0)
}

/// An entry, or `None` if the kernel did not pass this kind.
fn get(kind: c_ulong) -> Option<c_ulong> {
    // 0 may be the value or mean that there is no entry. Only errno distinguishes the two, and success does not change it.
    set_errno(0);
    match getauxval(kind) {
        0 if std::io::Error::last_os_error().raw_os_error() != Some(0) => None,
        value => Some(value),
    }
}

fn set_errno(value: c_int) {
    // SAFETY: it points to this thread's errno, which lives as long as the thread.
    unsafe { *__errno_location() = value }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that an entry of value 0 is distinguished from a missing one, whatever errno was before.
    #[test]
    fn missing_entries() {
        const NO_KIND: c_ulong = 0x7fff_fff0;
        const ENOENT: c_int = 2;
        for errno in [0, ENOENT] {
            set_errno(errno);
            assert_eq!(get(NO_KIND), None);
            set_errno(errno);
            assert_eq!(get(AT_SECURE), Some(0));
        }
        assert_eq!(is_secure(), Some(false));
    }

    /// Check that the C library returns the kernel's values.
    #[test]
    fn same_as_proc() {
        const WORD: usize = size_of::<c_ulong>();
        let word = |bytes: &[u8]| c_ulong::from_ne_bytes(bytes.try_into().unwrap());
        let auxv = std::fs::read("/proc/self/auxv").unwrap();
        for kind in [AT_PAGESZ, AT_SECURE] {
            let mut pairs = auxv.chunks_exact(2 * WORD);
            let pair = pairs.find(|pair| word(&pair[..WORD]) == kind).unwrap();
            assert_eq!(get(kind), Some(word(&pair[WORD..])));
        }
    }
}
