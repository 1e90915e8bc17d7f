//! The functions of `btf_helpers.h`, for programs that load with libbpf.

use std::ffi::{c_char, c_int, c_void};

use btfgen_runtime::{Lookup, Origin};

use crate::lookup::{self, Refused};
use crate::open_opts::bpf_object_open_opts;
use crate::result::{btfgen_btf, guarded, text};
use crate::{embedded, owned, trace};

/// Finds the BTF for the running kernel in the archive that is linked into the program, and sets
/// `opts->btf_custom_path` to its path. Changes nothing if the kernel has its own BTF that the program's libbpf can read, or if
/// `btf_custom_path` is already set.
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
    unsafe { ensure(opts, || Ok(lookup::in_linked())) }
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
    let lookup = || unsafe { lookup::in_tar(tar_bin, tar_len) };
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
    // SAFETY: the caller vouches for the bytes, which outlive the lookup.
    let lookup = || unsafe { lookup::in_bytes(data.cast(), size) };
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
    // SAFETY: the caller vouches for the string.
    let lookup = || unsafe { lookup::in_file(path) };
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
    lookup::set_environment(on);
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
    // A panic cannot be reported.
    let _ = guarded(|| {
        // SAFETY: the caller vouches for `opts`.
        if let Some(path) = unsafe { bpf_object_open_opts::custom_path(opts) }
            && owned::free(*path)
        {
            *path = std::ptr::null();
        }
        0
    });
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
    unsafe { ensure_path(path, || Ok(lookup::in_linked())) }
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
    let lookup = || unsafe { lookup::in_tar(tar_bin, tar_len) };
    // SAFETY: the caller vouches for `path`.
    unsafe { ensure_path(path, lookup) }
}

/// Frees a path that `ensure_core_btf_with_linked_tar` or `ensure_core_btf_with_tar_binary` set, and its file. Does nothing
/// for NULL, for other paths, and for a path that is already freed.
#[unsafe(no_mangle)]
pub extern "C" fn clean_core_btf_rs(path: *const c_char) {
    // A panic cannot be reported.
    let _ = guarded(|| {
        owned::free(path);
        0
    });
}

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
            return find(|| Err(Refused("opts is NULL")), |_| {});
        }
        // SAFETY: the caller vouches for `opts`.
        match unsafe { bpf_object_open_opts::custom_path(opts) } {
            None => without_custom_path(),
            Some(path) if path.is_null() => find(lookup, |found| *path = found),
            Some(_) => {
                trace::set(text("btf_custom_path: already set"));
                0
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
            return find(|| Err(Refused("path is NULL")), |_| {});
        }
        // SAFETY: it is not NULL, so the caller vouches for it. It is only written, so it need not be initialized.
        find(lookup, |found| unsafe { path.write(found) })
    })
}

/// Handles options without a field for the path: they are fine if the kernel has its own BTF.
fn without_custom_path() -> c_int {
    let own = btfgen_btf::find(|| Ok(for_libbpf(lookup::plain())));
    if own.origin() == Some(&Origin::Kernel) {
        trace::set(own.trace());
        return 0;
    }
    let why = "opts is from a libbpf without btf_custom_path, and the kernel has no BTF of its own that can be used";
    find(|| Err(Refused(why)), |_| {})
}

/// Tells a lookup which libbpf will read the BTF, if that is known.
fn for_libbpf(lookup: Lookup<'_>) -> Lookup<'_> {
    match embedded::libbpf() {
        Some(libbpf) => lookup.loader(libbpf),
        None => lookup,
    }
}

/// Runs a lookup, and sets the path if the result has one.
fn find<'a>(
    lookup: impl FnOnce() -> Result<Lookup<'a>, Refused>,
    set: impl FnOnce(*const c_char),
) -> c_int {
    let mut btf = btfgen_btf::find(|| lookup().map(for_libbpf));
    let path = btf.path();
    trace::set(btf.trace());
    match path {
        Ok(path) => {
            if !path.is_null() {
                owned::keep(path, btf);
                set(path);
            }
            0
        }
        Err(code) => code,
    }
}
