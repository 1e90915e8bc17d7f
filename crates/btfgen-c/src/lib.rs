//! `libbtfgen`: the functions of BCC's and bpf-compatible's `btf_helpers.h`, implemented with btfgen-runtime.
//!
//! `include/btf_helpers.h` is generated from this file (see `tests/suite/header.rs`), so the documentation is for C
//! programmers. No function panics into C or keeps a pointer from C.

mod embedded;
mod open_opts;
mod owned;
mod trace;

use std::error::Error as _;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use btfgen_runtime::{Error, ErrorKind, Lookup, Origin};
use rustix::io::Errno;

pub use crate::open_opts::bpf_object_open_opts;

/// Finds the BTF for the running kernel in the archive that is linked into the program, and sets
/// `opts->btf_custom_path` to its path. Changes nothing if the kernel has its own BTF, or if `btf_custom_path` is already
/// set.
///
/// The symbols `_binary_min_core_btfs_tar_gz_start` and `_end` enclose the archive: link the output of
/// `btfgen pack --emit-obj FILE.o`, or of `ld -r -b binary -o FILE.o min_core_btfs.tar.gz`.
///
/// The path is `/proc/self/fd/N`, a file in memory that is valid in this process until `cleanup_core_btf`. Call
/// `cleanup_core_btf` after the object is loaded. The function reads the environment: `BTFGEN_BTF` names a BTF file to use
/// instead, `BTFGEN_OS_RELEASE` names an os-release file, and `BTFGEN_REQUIRE_CUSTOM` skips the kernel's own BTF. It ignores
/// the environment if the program has more privileges than its caller, and after `core_btf_environment(false)`.
///
/// Returns 0, or
/// - `-ENOENT`: the archive has no BTF for this kernel;
/// - `-EOPNOTSUPP`: the kernel has no BTF, and no archive is linked;
/// - `-EBADMSG`: the archive is damaged;
/// - `-EINVAL`: `opts` is NULL, or the file that the environment names is not BTF, or the kernel has no BTF of its own and
///   `opts` is from a libbpf without `btf_custom_path`;
/// - another `-errno`: a file that the environment names, or the kernel's own BTF, cannot be read, or there is no place to
///   put the BTF.
///
/// `core_btf_trace` returns details. All functions may be called from any thread, at the same time with different `opts`.
///
/// # Safety
/// `opts` is NULL or points to options that nobody else uses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ensure_core_btf(opts: *mut bpf_object_open_opts) -> c_int {
    // SAFETY: the caller vouches for `opts`.
    unsafe { ensure(opts, in_linked) }
}

/// As `ensure_core_btf`, with an archive of `tar_len` bytes in memory. The archive is not needed after the call.
///
/// # Safety
/// As for `ensure_core_btf`; and `tar_bin` is NULL or points to `tar_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ensure_core_btf_tar(
    opts: *mut bpf_object_open_opts,
    tar_bin: *const c_char,
    tar_len: c_int,
) -> c_int {
    // SAFETY: the caller vouches for the bytes, which outlive the lookup.
    let lookup = || unsafe { in_tar(tar_bin, tar_len) };
    // SAFETY: the caller vouches for `opts`.
    unsafe { ensure(opts, lookup) }
}

/// As `ensure_core_btf`, with an archive of `size` bytes in memory. The archive is not needed after the call.
///
/// # Safety
/// As for `ensure_core_btf`; and `data` is NULL or points to `size` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ensure_core_btf_bytes(
    opts: *mut bpf_object_open_opts,
    data: *const c_void,
    size: usize,
) -> c_int {
    let lookup = || {
        // SAFETY: the caller vouches for the bytes, which outlive the lookup.
        let archive = unsafe { bytes(data.cast(), size) }?;
        Ok(new_lookup().archive_bytes(archive))
    };
    // SAFETY: the caller vouches for `opts`.
    unsafe { ensure(opts, lookup) }
}

/// As `ensure_core_btf`, with the archive in a file. The file is read only if the kernel has no BTF of its own.
///
/// # Safety
/// As for `ensure_core_btf`; and `path` is NULL or a string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ensure_core_btf_file(
    opts: *mut bpf_object_open_opts,
    path: *const c_char,
) -> c_int {
    let lookup = || {
        if path.is_null() {
            return Err(Refused("the archive's path is NULL"));
        }
        // SAFETY: it is not NULL, so the caller vouches for a string.
        let path = unsafe { CStr::from_ptr(path) };
        Ok(new_lookup().archive_file(OsStr::from_bytes(path.to_bytes())))
    };
    // SAFETY: the caller vouches for `opts`.
    unsafe { ensure(opts, lookup) }
}

/// Sets whether later `ensure_…` calls of all threads read the environment; they do by default. After
/// `core_btf_environment(false)` they ignore `BTFGEN_BTF`, `BTFGEN_OS_RELEASE`, `BTFGEN_REQUIRE_CUSTOM` and `TMPDIR`. Call it
/// at the start of a program if the user who sets its environment must not choose what the program makes the kernel read.
///
/// A program with more privileges than its caller (set-user-ID, set-group-ID, file capabilities) always ignores the
/// environment.
#[unsafe(no_mangle)]
pub extern "C" fn core_btf_environment(on: bool) {
    // No other data depends on the flag, so it needs no ordering.
    ENVIRONMENT.store(on, Ordering::Relaxed);
}

/// Returns the steps of this thread's last `ensure_…` call and their outcomes, one step for each line. After a failure, the
/// first line says why. The text is empty before the first call, and never NULL.
///
/// The text belongs to the library. It is valid until the thread ends or makes its next `ensure_…` call.
#[unsafe(no_mangle)]
pub extern "C" fn core_btf_trace() -> *const c_char {
    trace::last()
}

/// Frees the path that an `ensure_…` call set in `opts->btf_custom_path`, and sets the field to NULL. Does nothing if the
/// path is not from an `ensure_…` call, or if the path or `opts` is NULL. So it may be called twice, and after a failure.
///
/// # Safety
/// `opts` is NULL or points to options that nobody else uses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cleanup_core_btf(opts: *mut bpf_object_open_opts) {
    let cleanup = AssertUnwindSafe(|| {
        // SAFETY: the caller vouches for `opts`.
        if let Some(path) = unsafe { bpf_object_open_opts::custom_path(opts) }
            && owned::free(*path)
        {
            *path = std::ptr::null();
        }
    });
    // A panic cannot be reported, and C could not handle it.
    let _ = catch_unwind(cleanup);
}

/// Another name of `cleanup_core_btf`.
///
/// # Safety
/// As for `cleanup_core_btf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clean_core_btf(opts: *mut bpf_object_open_opts) {
    // SAFETY: the caller makes the same promise.
    unsafe { cleanup_core_btf(opts) }
}

/// Finds the BTF for the running kernel in the archive that is linked into the program, and sets `*path` to its path. The
/// functions of bpf-compatible's header call this function with `&opts->btf_custom_path`.
///
/// It does not read `*path`, and does not change it after a failure or if the kernel has its own BTF. Otherwise it does the
/// same as `ensure_core_btf`, and returns the same values.
///
/// # Safety
/// `path` is NULL or points to a pointer that nobody else uses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ensure_core_btf_with_linked_tar(path: *mut *const c_char) -> c_int {
    // SAFETY: the caller vouches for `path`.
    unsafe { ensure_path(path, in_linked) }
}

/// As `ensure_core_btf_with_linked_tar`, with an archive of `tar_len` bytes in memory. The archive is not needed after the
/// call.
///
/// # Safety
/// As for `ensure_core_btf_with_linked_tar`; and `tar_bin` is NULL or points to `tar_len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ensure_core_btf_with_tar_binary(
    path: *mut *const c_char,
    tar_bin: *const c_char,
    tar_len: c_int,
) -> c_int {
    // SAFETY: the caller vouches for the bytes, which outlive the lookup.
    let lookup = || unsafe { in_tar(tar_bin, tar_len) };
    // SAFETY: the caller vouches for `path`.
    unsafe { ensure_path(path, lookup) }
}

/// Frees a path that `ensure_core_btf_with_linked_tar` or `ensure_core_btf_with_tar_binary` set, and its file. Does nothing
/// for NULL, for other paths, and for a path that is already freed.
#[unsafe(no_mangle)]
pub extern "C" fn clean_core_btf_rs(path: *const c_char) {
    // A panic cannot be reported, and C could not handle it.
    let _ = catch_unwind(|| owned::free(path));
}

/// The last value from `core_btf_environment`.
static ENVIRONMENT: AtomicBool = AtomicBool::new(true);

/// A lookup without an archive, from which all calls start.
fn new_lookup() -> Lookup<'static> {
    Lookup::new().environment(ENVIRONMENT.load(Ordering::Relaxed))
}

/// A lookup in the linked archive, if there is one.
fn in_linked() -> Result<Lookup<'static>, Refused> {
    Ok(match embedded::archive() {
        Some(archive) => new_lookup().archive_bytes(archive),
        None => new_lookup(),
    })
}

/// A lookup in an archive whose size is an `int` in C.
///
/// # Safety
/// `tar_bin` is NULL or points to `tar_len` bytes that stay for `'a`.
unsafe fn in_tar<'a>(tar_bin: *const c_char, tar_len: c_int) -> Result<Lookup<'a>, Refused> {
    let len = usize::try_from(tar_len).map_err(|_| Refused("the archive's size is negative"))?;
    // SAFETY: the caller vouches for the bytes.
    let archive = unsafe { bytes(tar_bin.cast(), len) }?;
    Ok(new_lookup().archive_bytes(archive))
}

/// Invalid arguments: `-EINVAL`.
struct Refused(&'static str);

/// Sets the options' path to the result of a lookup, as documented for C.
///
/// # Safety
/// `opts` is NULL or points to options that nobody else uses meanwhile.
unsafe fn ensure<'a>(
    opts: *mut bpf_object_open_opts,
    lookup: impl FnOnce() -> Result<Lookup<'a>, Refused>,
) -> c_int {
    guarded(|| {
        if opts.is_null() {
            return Err(Refused("opts is NULL"));
        }
        // SAFETY: the caller vouches for `opts`.
        match unsafe { bpf_object_open_opts::custom_path(opts) } {
            None => without_custom_path(),
            Some(path) if path.is_null() => find(lookup, |found| *path = found),
            Some(_) => {
                trace::set("btf_custom_path: already set");
                Ok(0)
            }
        }
    })
}

/// Sets a path to the result of a lookup, as documented for C.
///
/// # Safety
/// `path` is NULL or points to a pointer that nobody else uses meanwhile.
unsafe fn ensure_path<'a>(
    path: *mut *const c_char,
    lookup: impl FnOnce() -> Result<Lookup<'a>, Refused>,
) -> c_int {
    guarded(|| {
        if path.is_null() {
            return Err(Refused("path is NULL"));
        }
        // SAFETY: it is not NULL, so the caller vouches for it. It is only written, so it need not be initialized.
        find(lookup, |found| unsafe { path.write(found) })
    })
}

/// Handles options without a field for the path: they are fine if the kernel has its own BTF.
fn without_custom_path() -> Result<c_int, Refused> {
    match new_lookup().find() {
        Ok(found) if *found.origin() == Origin::Kernel => {
            trace::set_steps(found.steps());
            Ok(0)
        }
        _ => Err(Refused(
            "opts is from a libbpf without btf_custom_path, and the kernel has no BTF of its own that can be used",
        )),
    }
}

/// Runs a lookup, and sets the path if the result has one.
fn find<'a>(
    lookup: impl FnOnce() -> Result<Lookup<'a>, Refused>,
    set: impl FnOnce(*const c_char),
) -> Result<c_int, Refused> {
    let path = lookup()?.find().and_then(|found| {
        trace::set_steps(found.steps());
        owned::keep(found)
    });
    match path {
        Ok(path) => {
            if !path.is_null() {
                set(path);
            }
            Ok(0)
        }
        Err(e) => {
            trace::set(&chain(&e));
            Ok(-errno(&e))
        }
    }
}

/// Runs the work of a call. Converts refused arguments and panics to error codes, and adds them to the trace.
fn guarded(work: impl FnOnce() -> Result<c_int, Refused>) -> c_int {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(code)) => code,
        Ok(Err(Refused(why))) => {
            trace::set(why);
            -Errno::INVAL.raw_os_error()
        }
        Err(_) => {
            trace::set("an internal error of btfgen");
            -Errno::NOTRECOVERABLE.raw_os_error()
        }
    }
}

/// # Safety
/// `data` is NULL or points to `size` bytes that stay for `'a`.
unsafe fn bytes<'a>(data: *const u8, size: usize) -> Result<&'a [u8], Refused> {
    if data.is_null() || isize::try_from(size).is_err() {
        return Err(Refused("the archive is NULL, or its size is impossible"));
    }
    // SAFETY: the caller vouches for the bytes, and a slice may have this length.
    Ok(unsafe { std::slice::from_raw_parts(data, size) })
}

fn errno(error: &Error) -> c_int {
    let io = || {
        error
            .source()?
            .downcast_ref::<std::io::Error>()?
            .raw_os_error()
    };
    match error.kind() {
        ErrorKind::NotFound => Errno::NOENT.raw_os_error(),
        ErrorKind::NoArchive => Errno::OPNOTSUPP.raw_os_error(),
        ErrorKind::InvalidBtf => Errno::INVAL.raw_os_error(),
        ErrorKind::Archive => io().unwrap_or(Errno::BADMSG.raw_os_error()),
        _ => io().unwrap_or(Errno::IO.raw_os_error()),
    }
}

/// An error with its causes.
fn chain(error: &Error) -> String {
    let causes = std::iter::successors(error.source(), |&e| e.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
