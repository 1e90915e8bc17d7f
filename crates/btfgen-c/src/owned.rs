//! The BTFs of the paths that C has.

use std::collections::HashMap;
use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use btfgen_runtime::{Found, Result};

/// The BTFs, by the address of the path's string.
static OWNED: LazyLock<Mutex<HashMap<usize, (CString, Found)>>> = LazyLock::new(Mutex::default);

fn owned() -> MutexGuard<'static, HashMap<usize, (CString, Found)>> {
    // Each change is one call of the map, so the map is valid even after a panic.
    OWNED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a BTF until C frees its path. Returns the path, or NULL for the kernel's own BTF.
pub(crate) fn keep(found: Found) -> Result<*const c_char> {
    let path = found
        .path()?
        .map(|p| CString::new(p.as_os_str().as_bytes()));
    // A path that was opened has no NUL.
    let Some(Ok(path)) = path else {
        return Ok(std::ptr::null());
    };
    let address = path.as_ptr();
    owned().insert(address.addr(), (path, found));
    Ok(address)
}

/// Frees a path and its BTF. Returns false if the path is not from this module.
pub(crate) fn free(path: *const c_char) -> bool {
    // Drop the BTF after the lock is released.
    let freed = owned().remove(&path.addr());
    freed.is_some()
}
