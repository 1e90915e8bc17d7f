//! The archive that the program links, if it does.

unsafe extern "C" {
    /// In embedded.c. Returns the start of the archive and sets its size in bytes, or returns NULL.
    fn btfgen_embedded_archive(size: *mut usize) -> *const u8;
}

/// The archive between the symbols, or `None` where none is linked.
pub(crate) fn archive() -> Option<&'static [u8]> {
    let mut size = 0;
    // SAFETY: it writes one size to where it is told to.
    let start = unsafe { btfgen_embedded_archive(&raw mut size) };
    if start.is_null() || isize::try_from(size).is_err() {
        return None;
    }
    // SAFETY: the linker laid these bytes out between two symbols of one section, which is there as long as the program.
    Some(unsafe { std::slice::from_raw_parts(start, size) })
}
