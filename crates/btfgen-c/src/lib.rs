//! `libbtfgen`: the calls of BCC's and bpf-compatible's `btf_helpers.h`, on btfgen-runtime.
//!
//! `include/btf_helpers.h` is generated from this file (see `tests/suite/header.rs`): the documentation here is for C
//! programmers. Nothing here panics into C, and no pointer that C gives is kept.

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
/// `opts->btf_custom_path` to it. Where the kernel has BTF of its own, and where `btf_custom_path` is set already, nothing
/// is changed.
///
/// The archive is what the symbols `_binary_min_core_btfs_tar_gz_start` and `_end` enclose: link what
/// `btfgen pack --emit-obj FILE.o` writes, or `ld -r -b binary -o FILE.o min_core_btfs.tar.gz`.
///
/// The file is in memory, `/proc/self/fd/N`, good within this process until `cleanup_core_btf`; call that after
/// the object is loaded. The environment has a say: `BTFGEN_BTF` names a BTF file to take instead,
/// `BTFGEN_OS_RELEASE` an os-release file, and `BTFGEN_REQUIRE_CUSTOM` has the kernel's own BTF passed over. It is not asked
/// where the program has more privileges than its caller, nor after `core_btf_environment(false)`.
///
/// Returns 0, or
/// - `-ENOENT`: the archive has no BTF for this kernel;
/// - `-EOPNOTSUPP`: the kernel has no BTF, and no archive is linked;
/// - `-EBADMSG`: the archive is damaged;
/// - `-EINVAL`: `opts` is NULL, or what the environment names is no BTF; or the kernel has no BTF of its own, and `opts` is
///   from a libbpf without `btf_custom_path`;
/// - another `-errno`: a file that the environment names, or the kernel's own BTF, cannot be read, or there is nowhere to put
///   the BTF.
///
/// `core_btf_trace` tells more. All calls may be made from any thread, with different `opts` at the same time.
///
/// # Safety
/// `opts` is NULL or points to options that nobody else uses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ensure_core_btf(opts: *mut bpf_object_open_opts) -> c_int {
    // SAFETY: the caller vouches for `opts`.
    unsafe { ensure(opts, in_linked) }
}

/// As `ensure_core_btf`, with an archive of `tar_len` bytes in memory. It is not needed after the call.
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

/// As `ensure_core_btf`, with an archive of `size` bytes in memory. It is not needed after the call.
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

/// As `ensure_core_btf`, with the archive in a file, which is only read if the kernel has no BTF of its own.
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

/// Whether the environment has a say in the `ensure_…` calls that follow, in all threads; it has by default. After
/// `core_btf_environment(false)` they ask no variable: neither `BTFGEN_BTF`, `BTFGEN_OS_RELEASE` and
/// `BTFGEN_REQUIRE_CUSTOM` nor `TMPDIR`. Call it at the start of a program in which the one who sets the environment must not
/// choose what the kernel is told to read.
///
/// A program with more privileges than its caller (set-user-ID, set-group-ID, file capabilities) never asks the environment,
/// whatever is said here.
#[unsafe(no_mangle)]
pub extern "C" fn core_btf_environment(on: bool) {
    // Nothing else is told by it, so it need not be in order with anything else.
    ENVIRONMENT.store(on, Ordering::Relaxed);
}

/// What the last `ensure_…` call of this thread tried and what came of it, one step a line; after a failure, the first
/// line says why. Empty before the first call, never NULL.
///
/// The text belongs to the library; it is good until the thread ends or makes its next `ensure_…` call.
#[unsafe(no_mangle)]
pub extern "C" fn core_btf_trace() -> *const c_char {
    trace::last()
}

/// Frees what an `ensure_…` call set in `opts->btf_custom_path`, and sets that to NULL. A path that is not from such a call,
/// NULL, and `opts` being NULL are all left alone: it may be called twice, and after a failure.
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
    // There is no way to tell, and nothing that C could do about it.
    let _ = catch_unwind(cleanup);
}

/// The other name of `cleanup_core_btf`.
///
/// # Safety
/// That of `cleanup_core_btf`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clean_core_btf(opts: *mut bpf_object_open_opts) {
    // SAFETY: it is the same promise.
    unsafe { cleanup_core_btf(opts) }
}

/// Finds the BTF for the running kernel in the archive that is linked into the program, and sets `*path` to its path. The
/// functions of bpf-compatible's header call it, with `&opts->btf_custom_path`.
///
/// Where the kernel has BTF of its own, and after a failure, `*path` is left as it is; it is never read. Otherwise this is
/// `ensure_core_btf`. Returns what that returns.
///
/// # Safety
/// `path` is NULL or points to a pointer that nobody else uses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ensure_core_btf_with_linked_tar(path: *mut *const c_char) -> c_int {
    // SAFETY: the caller vouches for `path`.
    unsafe { ensure_path(path, in_linked) }
}

/// As `ensure_core_btf_with_linked_tar`, with an archive of `tar_len` bytes in memory. It is not needed after the call.
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

/// Frees a path that one of the two calls above set, and what it leads to. NULL, and a path that is from no such call or
/// freed already, are left alone.
#[unsafe(no_mangle)]
pub extern "C" fn clean_core_btf_rs(path: *const c_char) {
    // There is no way to tell, and nothing that C could do about it.
    let _ = catch_unwind(|| owned::free(path));
}

/// What `core_btf_environment` said last.
static ENVIRONMENT: AtomicBool = AtomicBool::new(true);

/// A lookup without an archive, as all calls begin theirs.
fn new_lookup() -> Lookup<'static> {
    Lookup::new().environment(ENVIRONMENT.load(Ordering::Relaxed))
}

/// A lookup in the archive that is linked, if one is.
fn in_linked() -> Result<Lookup<'static>, Refused> {
    Ok(match embedded::archive() {
        Some(archive) => new_lookup().archive_bytes(archive),
        None => new_lookup(),
    })
}

/// A lookup in an archive of which C says the size as an `int`.
///
/// # Safety
/// `tar_bin` is NULL or points to `tar_len` bytes that stay for `'a`.
unsafe fn in_tar<'a>(tar_bin: *const c_char, tar_len: c_int) -> Result<Lookup<'a>, Refused> {
    let len = usize::try_from(tar_len).map_err(|_| Refused("the archive's size is negative"))?;
    // SAFETY: the caller vouches for the bytes.
    let archive = unsafe { bytes(tar_bin.cast(), len) }?;
    Ok(new_lookup().archive_bytes(archive))
}

/// Arguments that make no sense: `-EINVAL`.
struct Refused(&'static str);

/// Sets the options' path to what a lookup finds, with all that C is promised.
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
                trace::set("btf_custom_path: set already");
                Ok(0)
            }
        }
    })
}

/// Sets a path to what a lookup finds, with all that C is promised.
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
        // SAFETY: it is not NULL, so the caller vouches for it. It need not hold a value yet: it is written and not read.
        find(lookup, |found| unsafe { path.write(found) })
    })
}

/// Where the options have no room for a path, all is well if none is needed.
fn without_custom_path() -> Result<c_int, Refused> {
    match new_lookup().find() {
        Ok(found) if *found.origin() == Origin::Kernel => {
            trace::set_steps(found.steps());
            Ok(0)
        }
        _ => Err(Refused(
            "opts is of a libbpf that knows no btf_custom_path, and the kernel's own BTF cannot be taken",
        )),
    }
}

/// Runs a lookup, and has the path set where there is one.
fn find<'a>(
    lookup: impl FnOnce() -> Result<Lookup<'a>, Refused>,
    set: impl FnOnce(*const c_char),
) -> Result<c_int, Refused> {
    match lookup()?.find() {
        Ok(found) => {
            trace::set_steps(found.steps());
            let path = owned::keep(found);
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

/// Runs the work of a call. Refused arguments and panics become codes, and are told.
fn guarded(work: impl FnOnce() -> Result<c_int, Refused>) -> c_int {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(code)) => code,
        Ok(Err(Refused(why))) => {
            trace::set(why);
            -Errno::INVAL.raw_os_error()
        }
        Err(_) => {
            trace::set("an error in btfgen itself");
            -Errno::NOTRECOVERABLE.raw_os_error()
        }
    }
}

/// # Safety
/// `data` is NULL or points to `size` bytes that stay for `'a`.
unsafe fn bytes<'a>(data: *const u8, size: usize) -> Result<&'a [u8], Refused> {
    if data.is_null() || isize::try_from(size).is_err() {
        return Err(Refused("the archive is NULL, or larger than memory can be"));
    }
    // SAFETY: the caller vouches for the bytes, and the length is one that a slice may have.
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
