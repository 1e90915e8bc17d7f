//! What the paths in C's hands stand for.

use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use btfgen_runtime::Found;

/// By the address of the string that C has.
static OWNED: LazyLock<Mutex<HashMap<usize, (CString, Found)>>> = LazyLock::new(Mutex::default);

fn owned() -> MutexGuard<'static, HashMap<usize, (CString, Found)>> {
    // Each change is one call of the map, so it is whole whatever happened.
    OWNED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a BTF until C frees its path; returns that, or NULL where the kernel's own BTF will do.
pub(crate) fn keep(found: Found) -> *const c_char {
    let path = found.path().map(|p| CString::new(p.as_os_str().as_bytes()));
    // Whatever could be opened has no NUL in its path.
    let Some(Ok(path)) = path else {
        return std::ptr::null();
    };
    let address = path.as_ptr();
    owned().insert(address.addr(), (path, found));
    address
}

/// Frees a path and its BTF; false where it is not one of ours.
pub(crate) fn free(path: *const c_char) -> bool {
    // Closed after the lock is given back.
    let freed = owned().remove(&path.addr());
    freed.is_some()
}
