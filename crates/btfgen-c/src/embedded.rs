//! The archive that is linked into the program.

unsafe extern "C" {
    /// In embedded.c. Returns the start of the archive and sets its size in bytes, or returns NULL.
    fn btfgen_embedded_archive(size: *mut usize) -> *const u8;
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
