//! Makes a lookup from the arguments of a C function.

use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use btfgen_runtime::Lookup;

use crate::embedded;

/// The last value from `core_btf_environment`.
static ENVIRONMENT: AtomicBool = AtomicBool::new(true);

/// Arguments that make no sense: `-EINVAL`.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) &'static str);

pub(crate) fn set_environment(on: bool) {
    // No other data depends on the flag, so it needs no ordering.
    ENVIRONMENT.store(on, Ordering::Relaxed);
}

pub(crate) fn environment() -> bool {
    ENVIRONMENT.load(Ordering::Relaxed)
}

/// A lookup without an archive.
pub(crate) fn plain() -> Lookup<'static> {
    Lookup::new().environment(environment())
}

/// A lookup in the linked archive, if there is one.
pub(crate) fn in_linked() -> Lookup<'static> {
    match embedded::archive() {
        Some(archive) => plain().archive_bytes(archive),
        None => plain(),
    }
}

/// A lookup in an archive in memory.
///
/// # Safety
/// `data` is NULL or points to `size` bytes that stay for `'a`.
pub(crate) unsafe fn in_bytes<'a>(data: *const u8, size: usize) -> Result<Lookup<'a>, Refused> {
    if data.is_null() || isize::try_from(size).is_err() {
        return Err(Refused("the archive is NULL, or its size is impossible"));
    }
    // SAFETY: the caller vouches for the bytes, and a slice may have this length.
    let archive = unsafe { std::slice::from_raw_parts(data, size) };
    Ok(plain().archive_bytes(archive))
}

/// A lookup in an archive whose size is an `int` in C.
///
/// # Safety
/// As for `in_bytes`.
pub(crate) unsafe fn in_tar<'a>(
    tar_bin: *const c_char,
    tar_len: i32,
) -> Result<Lookup<'a>, Refused> {
    let len = usize::try_from(tar_len).map_err(|_| Refused("the archive's size is negative"))?;
    // SAFETY: the caller vouches for the bytes.
    unsafe { in_bytes(tar_bin.cast(), len) }
}

/// A lookup in an archive's file.
///
/// # Safety
/// `path` is NULL or a string.
pub(crate) unsafe fn in_file(path: *const c_char) -> Result<Lookup<'static>, Refused> {
    // SAFETY: the caller vouches for the string.
    let path = unsafe { os_str(path) }.ok_or(Refused("the archive's path is NULL"))?;
    Ok(plain().archive_file(path))
}

/// A string as the system has it, or `None` for NULL.
///
/// # Safety
/// `string` is NULL or a string that stays for `'a`.
pub(crate) unsafe fn os_str<'a>(string: *const c_char) -> Option<&'a OsStr> {
    if string.is_null() {
        return None;
    }
    // SAFETY: it is not NULL, so the caller vouches for a string.
    let string = unsafe { CStr::from_ptr(string) };
    Some(OsStr::from_bytes(string.to_bytes()))
}
