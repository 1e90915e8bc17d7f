//! What is linked into the program: the archive, and libbpf.

use btfgen_runtime::Loader;

unsafe extern "C" {
    /// In embedded.c. Returns the start of the archive and sets its size in bytes, or returns NULL.
    fn btfgen_embedded_archive(size: *mut usize) -> *const u8;
    /// In embedded.c. Sets the version of libbpf, or returns false.
    fn btfgen_libbpf_version(major: *mut u32, minor: *mut u32) -> bool;
}

/// The archive between the symbols, or `None` if no archive is linked.
pub(crate) fn archive() -> Option<&'static [u8]> {
    let mut size = 0;
    // SAFETY: the function only writes one size, to the given address.
    let start = unsafe { btfgen_embedded_archive(&raw mut size) };
    if start.is_null() || isize::try_from(size).is_err() {
        return None;
    }
    // SAFETY: the linker put these bytes between two symbols of one section, which lives as long as the program.
    Some(unsafe { std::slice::from_raw_parts(start, size) })
}

/// The libbpf of the program, or `None` if the program has none or one before 0.6.
pub(crate) fn libbpf() -> Option<Loader> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: the function only writes two numbers, to the given addresses.
    unsafe { btfgen_libbpf_version(&raw mut major, &raw mut minor) }.then_some(())?;
    Some(Loader::libbpf(
        major.try_into().ok()?,
        minor.try_into().ok()?,
    ))
}
