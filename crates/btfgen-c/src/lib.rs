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

use btfgen_runtime::{Error, ErrorKind, Lookup};
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
/// `BTFGEN_OS_RELEASE` an os-release file, and `BTFGEN_REQUIRE_CUSTOM` has the kernel's own BTF passed over.
///
/// Returns 0, or
/// - `-ENOENT`: the archive has no BTF for this kernel;
/// - `-EOPNOTSUPP`: the kernel has no BTF, and no archive is linked;
/// - `-EBADMSG`: the archive is damaged;
/// - `-EINVAL`: `opts` is NULL or from a libbpf without `btf_custom_path`, or what the environment names is no BTF;
/// - another `-errno`: a file that the environment names cannot be read, or there is nowhere to put the BTF.
///
/// `core_btf_trace` tells more. All calls may be made from any thread, with different `opts` at the same time.
///
/// # Safety
/// `opts` is NULL or points to options that nobody else uses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ensure_core_btf(opts: *mut bpf_object_open_opts) -> c_int {
    let lookup = || {
        let lookup = Lookup::new();
        Ok(match embedded::archive() {
            Some(archive) => lookup.archive_bytes(archive),
            None => lookup,
        })
    };
    // SAFETY: the caller vouches for `opts`.
    unsafe { ensure(opts, lookup) }
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
    let lookup = || {
        let len =
            usize::try_from(tar_len).map_err(|_| Refused("the archive's size is negative"))?;
        // SAFETY: the caller vouches for the bytes, which outlive the lookup.
        let archive = unsafe { bytes(tar_bin.cast(), len) }?;
        Ok(Lookup::new().archive_bytes(archive))
    };
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
        Ok(Lookup::new().archive_bytes(archive))
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
        Ok(Lookup::new().archive_file(OsStr::from_bytes(path.to_bytes())))
    };
    // SAFETY: the caller vouches for `opts`.
    unsafe { ensure(opts, lookup) }
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

/// Arguments that make no sense: `-EINVAL`.
struct Refused(&'static str);

/// Runs a lookup, with all that C is promised.
///
/// # Safety
/// `opts` is NULL or points to options that nobody else uses meanwhile.
unsafe fn ensure<'a>(
    opts: *mut bpf_object_open_opts,
    lookup: impl FnOnce() -> Result<Lookup<'a>, Refused>,
) -> c_int {
    let work = AssertUnwindSafe(|| {
        // SAFETY: the caller vouches for `opts`.
        let Some(path) = (unsafe { bpf_object_open_opts::custom_path(opts) }) else {
            return Err(Refused(
                "opts is NULL, or of a libbpf that knows no btf_custom_path",
            ));
        };
        if !path.is_null() {
            trace::set("btf_custom_path: set already");
            return Ok(0);
        }
        Ok(match lookup()?.find() {
            Ok(found) => {
                trace::set_steps(found.steps());
                *path = owned::keep(found);
                0
            }
            Err(e) => {
                trace::set(&chain(&e));
                -errno(&e)
            }
        })
    });
    match catch_unwind(work) {
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
