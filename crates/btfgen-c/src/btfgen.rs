//! The functions of `btfgen.h`, for every loader.

use std::ffi::{c_char, c_int, c_void};
use std::mem::offset_of;

use btfgen_runtime::{Lookup, Origin};
use rustix::io::Errno;

use crate::lookup::{self, Refused};
use crate::result::{btfgen_btf, guarded};

const INVALID: c_int = -Errno::INVAL.raw_os_error();

/// The largest `sz` that can be that of a later version. A larger one is not initialized.
const MAX_SIZE: usize = 4096;

/// What to look for, and where. All fields but `sz` may be 0 or NULL.
///
/// Set `sz` to `sizeof(struct btfgen_find_opts)`. Later versions of the library only add fields at the end, and 0 means that a
/// field is not set. So the library accepts options of an older header, and of a newer one if its new fields are 0.
#[repr(C)]
#[derive(Debug)]
#[allow(non_camel_case_types, reason = "it has the name that C programs know")]
pub struct btfgen_find_opts {
    /// The size of this struct in bytes.
    pub sz: usize,
    /// The archive in memory, of `archive_size` bytes. If neither `archive` nor `archive_file` is set, the library uses the archive
    /// that is linked into the program, if there is one: see `ensure_core_btf` in `btf_helpers.h`.
    pub archive: *const c_void,
    /// The size of `archive` in bytes.
    pub archive_size: usize,
    /// The path of an archive's file, instead of `archive`.
    pub archive_file: *const c_char,
    /// The path of a BTF, or of an ELF file with BTF, to use instead of any other.
    pub btf_file: *const c_char,
    /// The path of the os-release file, instead of the host's.
    pub os_release: *const c_char,
    /// Another kernel than the running one: the output of `uname -r`. The lookup then skips this kernel's own BTF.
    pub release: *const c_char,
    /// Another architecture than this machine's: the output of `uname -m`. The lookup then skips this kernel's own BTF.
    pub arch: *const c_char,
    /// The loader that must be able to read the kernel's own BTF, with its version: `libbpf:1.2`, `cilium:0.11` (cilium/ebpf) or
    /// `aya:0.13`. If it cannot, the lookup goes on to the archive. Without a name, the kernel's own BTF is taken if all
    /// versions of these loaders since 2022 can read it, or if the archive has no BTF for this kernel. Versions before libbpf 1.0,
    /// cilium/ebpf 0.10 and aya 0.12 refuse the BTF of Linux 6.0 and later.
    pub loader: *const c_char,
    /// Whether to skip the kernel's own BTF, also of a vmlinux on disk: for tests, and for kernels with broken BTF.
    pub require_custom: bool,
    /// Whether to ignore the environment, as after `core_btf_environment(false)`: the variables `BTFGEN_BTF`,
    /// `BTFGEN_OS_RELEASE`, `BTFGEN_REQUIRE_CUSTOM` and `TMPDIR`. Without it, the library reads the environment, unless the program
    /// has more privileges than its caller (set-user-ID, set-group-ID, file capabilities).
    pub no_environment: bool,
    /// Whether to read the archive's facts, too, for `btfgen_fact`. The library then also reads the archive if it takes another BTF.
    pub facts: bool,
    /// Must be 0.
    pub reserved: [u8; 5],
    /// Another build of the kernel than the running one: the build id in its `/sys/kernel/notes`, as hexadecimal digits. The lookup
    /// then skips this kernel's own BTF. Without it, the build of another `release` or `arch` is unknown.
    pub build_id: *const c_char,
}

/// A kernel's answer to a fact that `btfgen pack --fact` put into the archive.
///
/// Set `sz` to `sizeof(struct btfgen_fact)` before `btfgen_fact`. Later versions of the library only add fields at the end. The library
/// sets the fields that it knows, and the others to 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[allow(non_camel_case_types, reason = "it has the name that C programs know")]
pub struct btfgen_fact {
    /// The size of this struct in bytes.
    pub sz: usize,
    /// The offset of a member in bytes, a size in bytes, the value of a name of an enum, or the number of a function's parameters.
    pub value: i64,
    /// The size of a member in bytes; 0 for a flexible array, and for other facts.
    pub size: u32,
    /// Of a bitfield: its first bit, counted from the byte at the offset as BTF does. That is the least significant bit of the
    /// byte on little-endian kernels, and the most significant one on big-endian kernels.
    pub bit: u32,
    /// The width of a bitfield in bits; 0 for other members and facts.
    pub bits: u32,
    /// Which question of the fact this is the answer to: 0 for the first one, 1 for the first fallback.
    pub question: u32,
}

/// Where a BTF is from.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(non_camel_case_types, reason = "it has the name that C programs know")]
pub enum btfgen_origin {
    /// The lookup failed.
    None = 0,
    /// The kernel has its own BTF.
    Kernel = 1,
    /// A file that the options or the environment name, or a vmlinux on disk.
    File = 2,
    /// An entry of the archive.
    Archive = 3,
}

/// Finds the BTF for the running kernel. `opts` may be NULL.
///
/// Sets `*out`, also after a failure: then `btfgen_error` and `btfgen_steps` say why. Free it with `btfgen_free`. The options
/// and what they point to are not needed after the call.
///
/// Returns 0, or
/// - `-ENOENT`: the archive has no BTF for this kernel or only that of another build, and the kernel has none that the loader
///   can read;
/// - `-EOPNOTSUPP`: the kernel has no BTF, and there is no archive;
/// - `-EBADMSG`: the archive is damaged;
/// - `-EINVAL`: `out` is NULL (then nothing is set), or the options make no sense, or a named file is not BTF;
/// - another `-errno`: a named file, or the kernel's own BTF, cannot be read.
///
/// All functions may be called from any thread, but a `struct btfgen_btf` only from one thread at a time.
///
/// # Safety
/// `opts` is NULL or points to `opts->sz` bytes, its pointers are NULL or point to strings and to `archive_size` bytes. `out` is
/// NULL or points to a pointer that nobody else uses meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn btfgen_find(
    opts: *const btfgen_find_opts,
    out: *mut *mut btfgen_btf,
) -> c_int {
    if out.is_null() {
        return INVALID;
    }
    let btf = btfgen_btf::find(|| {
        // SAFETY: the caller vouches for the options.
        let opts = unsafe { btfgen_find_opts::read(opts) }?;
        // SAFETY: the caller vouches for what they point to, which outlives the lookup.
        unsafe { opts.lookup() }
    });
    let code = btf.code;
    // SAFETY: it is not NULL, so the caller vouches for it. It is only written, so it need not be initialized.
    unsafe { out.write(Box::into_raw(Box::new(btf))) };
    code
}

/// Sets `*path` to a path of the BTF, for a loader that takes a path; to NULL for the kernel's own BTF, which loaders find by
/// themselves.
///
/// For an entry of the archive, the path is `/proc/self/fd/N`, a file in memory that is valid in this process. For a file, it is the
/// path of that file, which may be an ELF file. The string and the file in memory are valid until `btfgen_free`.
///
/// Returns 0; `-EINVAL` if an argument is NULL; the result of `btfgen_find` if that failed; or another `-errno` if there is no
/// place to put the BTF. After a failure `*path` is as it was.
///
/// # Safety
/// `btf` is NULL or from `btfgen_find`, and `path` is NULL or points to a pointer. Nobody else uses either meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn btfgen_path(btf: *mut btfgen_btf, path: *mut *const c_char) -> c_int {
    guarded(|| {
        // SAFETY: the caller vouches for `btf`.
        let (Some(btf), false) = (unsafe { btf.as_mut() }, path.is_null()) else {
            return INVALID;
        };
        match btf.path() {
            Ok(found) => {
                // SAFETY: it is not NULL, so the caller vouches for it.
                unsafe { path.write(found) };
                0
            }
            Err(code) => code,
        }
    })
}

/// Sets `*data` and `*size` to the BTF, for a loader that takes bytes: an entry of the archive, the content of a file (of an ELF file
/// its section `.BTF`), or the kernel's own BTF. The bytes are valid until `btfgen_free`.
///
/// Returns 0; `-EINVAL` if an argument is NULL; the result of `btfgen_find` if that failed; or another `-errno` if the file cannot
/// be read. After a failure `*data` and `*size` are as they were.
///
/// # Safety
/// `btf` is NULL or from `btfgen_find`, and `data` and `size` are NULL or point to values. Nobody else uses them meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn btfgen_bytes(
    btf: *mut btfgen_btf,
    data: *mut *const c_void,
    size: *mut usize,
) -> c_int {
    guarded(|| {
        // SAFETY: the caller vouches for `btf`.
        let Some(btf) = (unsafe { btf.as_mut() }) else {
            return INVALID;
        };
        if data.is_null() || size.is_null() {
            return INVALID;
        }
        match btf.bytes() {
            Ok(bytes) => {
                // SAFETY: both are not NULL, so the caller vouches for them.
                unsafe {
                    data.write(bytes.as_ptr().cast());
                    size.write(bytes.len());
                }
                0
            }
            Err(code) => code,
        }
    })
}

/// Sets `*names` to the names of the programs that a loader cannot load on this kernel, because they need the kernel's own BTF,
/// whatever path the loader gets: fentry, fexit, `fmod_ret`, `tp_btf`, LSM, iterators, `struct_ops`. Switch them off before you load
/// the object, because libbpf otherwise loads nothing of it:
///
///     for (; *names; names++)
///             bpf_program__set_autoload(bpf_object__find_program_by_name(obj, *names), false);
///
/// `object` is the object's ELF file in memory, of `object_size` bytes; of a skeleton, `NAME__elf_bytes` gives it. It is not
/// needed after the call. `*names` ends with NULL, and is empty if the loader can use the kernel's own BTF. The array and its
/// strings are valid until the next call of this function with `btf`, or `btfgen_free`.
///
/// If the lookup was for another host or had to skip the kernel's own BTF, the kernel counts as one without it.
///
/// Returns 0, or
/// - `-EOPNOTSUPP`: libbpf cannot load the object on this kernel, whichever programs are switched off: it has a kfunc or another
///   typed `__ksym`, or a table in `.struct_ops`. `btfgen_error` says which, and `*names` is set;
/// - `-EINVAL`: an argument is NULL, or the bytes are not a BPF object;
/// - the result of `btfgen_find` if that failed;
/// - another `-errno`: the kernel's own BTF cannot be read.
///
/// After all failures but the first, `*names` is as it was.
///
/// # Safety
/// `btf` is NULL or from `btfgen_find`, `object` is NULL or points to `object_size` bytes, and `names` is NULL or points to a
/// pointer. Nobody else uses `btf` and `names` meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn btfgen_unloadable(
    btf: *mut btfgen_btf,
    object: *const c_void,
    object_size: usize,
    names: *mut *const *const c_char,
) -> c_int {
    guarded(|| {
        // SAFETY: the caller vouches for `btf`.
        let Some(btf) = (unsafe { btf.as_mut() }) else {
            return INVALID;
        };
        if object.is_null() || names.is_null() || isize::try_from(object_size).is_err() {
            return INVALID;
        }
        // SAFETY: the caller vouches for the bytes, and a slice may have this length.
        let object = unsafe { std::slice::from_raw_parts(object.cast(), object_size) };
        match btf.unloadable(object) {
            Ok((found, code)) => {
                // SAFETY: it is not NULL, so the caller vouches for it.
                unsafe { names.write(found) };
                code
            }
            Err(code) => code,
        }
    })
}

/// Sets `*fact` to the kernel's answer to a fact that `btfgen pack --fact` put into the archive. `name` is the fact's name:
/// `task_struct_pid` for `task_struct.pid`. `btfgen_find` must have had `facts` in its options.
///
///     struct btfgen_fact pid = { .sz = sizeof(pid) };
///
///     if (!btfgen_fact(btf, "task_struct_pid", &pid))
///             printf("task_struct.pid is at byte %lld\n", (long long)pid.value);
///
/// If the BTF is the archive's entry, the answer is the archive's. Otherwise the BTF itself is asked: the kernel's own, or the file. The
/// first call reads it.
///
/// Returns 0, or
/// - `-ENOENT`: the kernel does not have it; `btfgen_error` says what is missing;
/// - `-ENOTUNIQ`: the kernel has several types or functions of this name, and they answer differently;
/// - `-ENODATA`: it asks for a function, and the kernel's BTF has no functions at all;
/// - `-ESRCH`: the archive has no fact of this name, or `btfgen_find` was not asked for facts;
/// - `-EINVAL`: an argument is NULL, `name` is not UTF-8, `sz` makes no sense, or the file is no BTF;
/// - the result of `btfgen_find` if that failed;
/// - another `-errno`: the BTF cannot be read.
///
/// After a failure `*fact` is as it was.
///
/// # Safety
/// `btf` is NULL or from `btfgen_find`, `name` is NULL or a string, and `fact` is NULL or points to `fact->sz` bytes. Nobody else
/// uses `btf` and `fact` meanwhile.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn btfgen_fact(
    btf: *mut btfgen_btf,
    name: *const c_char,
    fact: *mut btfgen_fact,
) -> c_int {
    guarded(|| {
        // SAFETY: the caller vouches for `btf`.
        let (Some(btf), false) = (unsafe { btf.as_mut() }, fact.is_null()) else {
            return INVALID;
        };
        // SAFETY: the caller vouches for the string.
        let Some(name) = (unsafe { lookup::os_str(name) }).and_then(|name| name.to_str()) else {
            return INVALID;
        };
        // SAFETY: an answer begins with its size.
        let size = unsafe { (&raw const (*fact).sz).read() };
        if !(size_of::<btfgen_fact>()..=MAX_SIZE).contains(&size) {
            return INVALID;
        }
        match btf.fact(name) {
            Ok((number, question)) => {
                let answer = btfgen_fact {
                    sz: size,
                    value: number.value,
                    size: number.size,
                    bit: number.bit,
                    bits: number.bits,
                    question,
                };
                // SAFETY: the caller vouches for `size` bytes, which are at least those of the answer.
                unsafe {
                    fact.cast::<u8>().write_bytes(0, size);
                    fact.write(answer);
                }
                0
            }
            Err(code) => code,
        }
    })
}

/// Returns where the BTF is from.
///
/// # Safety
/// `btf` is NULL or from `btfgen_find`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn btfgen_origin(btf: *const btfgen_btf) -> btfgen_origin {
    // SAFETY: the caller vouches for `btf`.
    match unsafe { btf.as_ref() }.and_then(btfgen_btf::origin) {
        None => btfgen_origin::None,
        Some(Origin::Kernel) => btfgen_origin::Kernel,
        Some(Origin::Archive(_)) => btfgen_origin::Archive,
        Some(_) => btfgen_origin::File,
    }
}

/// Returns the name of the archive's entry, `ID/VERSION/ARCH/RELEASE`, or NULL if the BTF is not from an archive. The string is
/// valid until `btfgen_free`.
///
/// # Safety
/// `btf` is NULL or from `btfgen_find`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn btfgen_kernel(btf: *const btfgen_btf) -> *const c_char {
    // SAFETY: the caller vouches for `btf`.
    let kernel = unsafe { btf.as_ref() }.and_then(|btf| btf.kernel.as_deref());
    kernel.map_or(std::ptr::null(), |kernel| kernel.as_ptr())
}

/// Returns the steps of the lookup and their outcomes, one step for each line. It is empty if no step was tried, and never NULL.
/// The string is valid until `btfgen_free`.
///
/// # Safety
/// `btf` is NULL or from `btfgen_find`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn btfgen_steps(btf: *const btfgen_btf) -> *const c_char {
    // SAFETY: the caller vouches for `btf`.
    let btf = unsafe { btf.as_ref() };
    btf.map_or(c"".as_ptr(), |btf| btf.steps.as_ptr())
}

/// Returns in one line why the last call with `btf` failed. It is empty if no call failed, and never NULL. The string is valid
/// until the next call with `btf` that fails, or `btfgen_free`.
///
/// # Safety
/// `btf` is NULL or from `btfgen_find`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn btfgen_error(btf: *const btfgen_btf) -> *const c_char {
    // SAFETY: the caller vouches for `btf`.
    let btf = unsafe { btf.as_ref() };
    btf.map_or(c"".as_ptr(), |btf| btf.error.as_ptr())
}

/// Frees the result of `btfgen_find`, with its path, its bytes and its strings. Does nothing for NULL.
///
/// # Safety
/// `btf` is NULL or from `btfgen_find`, and not yet freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn btfgen_free(btf: *mut btfgen_btf) {
    if btf.is_null() {
        return;
    }
    // A panic cannot be reported.
    let _ = guarded(|| {
        // SAFETY: the caller vouches that it is from `btfgen_find`, which made it from a box.
        drop(unsafe { Box::from_raw(btf) });
        0
    });
}

impl btfgen_find_opts {
    const NONE: Self = Self {
        sz: size_of::<Self>(),
        archive: std::ptr::null(),
        archive_size: 0,
        archive_file: std::ptr::null(),
        btf_file: std::ptr::null(),
        os_release: std::ptr::null(),
        release: std::ptr::null(),
        arch: std::ptr::null(),
        loader: std::ptr::null(),
        require_custom: false,
        no_environment: false,
        facts: false,
        reserved: [0; 5],
        build_id: std::ptr::null(),
    };

    /// Copies the options, whichever version of the header they are from.
    ///
    /// # Safety
    /// `opts` is NULL or points to as many bytes as its first field says.
    unsafe fn read(opts: *const Self) -> Result<Self, Refused> {
        let mut known = Self::NONE;
        if opts.is_null() {
            return Ok(known);
        }
        // SAFETY: options begin with their size.
        let size = unsafe { (&raw const (*opts).sz).read() };
        if !(offset_of!(Self, archive)..=MAX_SIZE).contains(&size) {
            return Err(Refused("opts->sz is not sizeof(struct btfgen_find_opts)"));
        }
        // SAFETY: the caller vouches for the bytes, and bytes have no alignment.
        let bytes = unsafe { std::slice::from_raw_parts(opts.cast::<u8>(), size) };
        let (ours, newer) = bytes.split_at(size.min(size_of::<Self>()));
        if newer.iter().any(|byte| *byte != 0) {
            return Err(Refused(
                "opts has fields of a newer btfgen.h than this library is from",
            ));
        }
        let bools = [
            offset_of!(Self, require_custom),
            offset_of!(Self, no_environment),
            offset_of!(Self, facts),
        ];
        if bools
            .iter()
            .any(|at| ours.get(*at).is_some_and(|byte| *byte > 1))
        {
            return Err(Refused("a bool of opts is neither true nor false"));
        }
        // SAFETY: `known` has as many bytes. All bytes are values of the pointers and numbers, and those of the bools were checked.
        unsafe {
            (&raw mut known)
                .cast::<u8>()
                .copy_from_nonoverlapping(ours.as_ptr(), ours.len());
        }
        if known.reserved != Self::NONE.reserved {
            return Err(Refused("opts->reserved is not 0"));
        }
        Ok(known)
    }

    /// # Safety
    /// The pointers are NULL or point to strings, and to `archive_size` bytes, that stay for `'a`.
    unsafe fn lookup<'a>(&self) -> Result<Lookup<'a>, Refused> {
        // SAFETY: the caller vouches for the strings.
        let string = |field| unsafe { lookup::os_str(field) };
        let mut lookup = match (self.archive.is_null(), self.archive_file.is_null()) {
            (false, false) => {
                return Err(Refused("opts has both archive and archive_file"));
            }
            (true, true) if self.archive_size == 0 => lookup::in_linked(),
            // SAFETY: the caller vouches for the string.
            (_, false) => unsafe { lookup::in_file(self.archive_file) }?,
            // SAFETY: the caller vouches for the bytes.
            (_, true) => unsafe { lookup::in_bytes(self.archive.cast(), self.archive_size) }?,
        };
        if let Some(path) = string(self.btf_file) {
            lookup = lookup.btf_file(path);
        }
        if let Some(path) = string(self.os_release) {
            lookup = lookup.os_release(path);
        }
        if let Some(release) = string(self.release) {
            let text = release.to_str();
            lookup = lookup.release(text.ok_or(Refused("opts->release is not UTF-8"))?);
        }
        if let Some(arch) = string(self.arch) {
            let text = arch.to_str();
            lookup = lookup.arch(text.ok_or(Refused("opts->arch is not UTF-8"))?);
        }
        if let Some(loader) = string(self.loader) {
            let loader = loader.to_str().and_then(|text| text.parse().ok());
            lookup = lookup.loader(loader.ok_or(Refused(
                "opts->loader is not libbpf:MAJOR.MINOR, cilium:MAJOR.MINOR or aya:MAJOR.MINOR",
            ))?);
        }
        if let Some(id) = string(self.build_id) {
            let id = id.to_str().and_then(|text| text.parse().ok());
            lookup = lookup
                .build_id(id.ok_or(Refused("opts->build_id is not 16 to 40 hexadecimal digits"))?);
        }
        Ok(lookup
            .require_custom(self.require_custom)
            .facts(self.facts)
            .environment(lookup::environment() && !self.no_environment))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that the fields have no bytes between them, which a program could not set to 0.
    #[test]
    fn no_padding() {
        let pointers = 9 * size_of::<usize>();
        assert_eq!(offset_of!(btfgen_find_opts, require_custom), pointers);
        let build_id = offset_of!(btfgen_find_opts, build_id);
        assert_eq!(build_id, pointers + 3 + 5);
        let size = size_of::<btfgen_find_opts>();
        assert_eq!(size, build_id + size_of::<usize>());
    }
}
