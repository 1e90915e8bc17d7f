//! The results whose paths C has.

use std::collections::HashMap;
use std::ffi::c_char;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::result::btfgen_btf;

/// The results, by the address of the path's string.
static OWNED: LazyLock<Mutex<HashMap<usize, btfgen_btf>>> = LazyLock::new(Mutex::default);

fn owned() -> MutexGuard<'static, HashMap<usize, btfgen_btf>> {
    // Each change is one call of the map, so the map is valid even after a panic.
    OWNED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the result that `path` is from until C frees the path.
pub(crate) fn keep(path: *const c_char, btf: btfgen_btf) {
    owned().insert(path.addr(), btf);
}

/// Frees a path and its BTF. Returns false if the path is not from this module.
pub(crate) fn free(path: *const c_char) -> bool {
    // Drop the BTF after the lock is released.
    let freed = owned().remove(&path.addr());
    freed.is_some()
}
