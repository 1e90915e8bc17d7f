//! The beginning of libbpf's `struct bpf_object_open_opts`.

use std::ffi::c_char;

/// `struct bpf_object_open_opts` up to `btf_custom_path`; libbpf only ever adds fields at its end. A test compares the layout
/// with libbpf's header.
#[repr(C)]
#[derive(Debug)]
#[allow(non_camel_case_types, reason = "it has the name that C programs know")]
pub struct bpf_object_open_opts {
    /// Size in bytes of the struct that the program was compiled with.
    pub(crate) sz: usize,
    object_name: *const c_char,
    relaxed_maps: bool,
    pin_root_path: *const c_char,
    attach_prog_fd: u32,
    kconfig: *const c_char,
    pub(crate) btf_custom_path: *const c_char,
}

impl bpf_object_open_opts {
    /// The field `btf_custom_path`, or `None` if `opts` is NULL or from an older libbpf without the field.
    ///
    /// # Safety
    /// `opts` is NULL or points to options that nobody else uses for `'a`.
    pub(crate) unsafe fn custom_path<'a>(opts: *mut Self) -> Option<&'a mut *const c_char> {
        if opts.is_null() {
            return None;
        }
        // SAFETY: `opts` is not NULL, so it points to options, which begin with their size.
        let size = unsafe { (&raw const (*opts).sz).read() };
        // SAFETY: the size says that the field is there, and the caller that it is ours for now. What was not the caller's
        // is not referred to: the pointer is to this field alone.
        (size >= size_of::<Self>()).then(|| unsafe { &mut (*opts).btf_custom_path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    /// Check that the fields have libbpf's offsets.
    ///
    /// libbpf-sys has the padding of 64 bits on all architectures. On others, the C programs of the tests compare: `bcc.c` reads
    /// the field where libbpf's header has it.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn layout() {
        type Libbpf = libbpf_sys::bpf_object_open_opts;
        assert_eq!(offset_of!(bpf_object_open_opts, sz), offset_of!(Libbpf, sz));
        let (ours, libbpf) = (
            offset_of!(bpf_object_open_opts, btf_custom_path),
            offset_of!(Libbpf, btf_custom_path),
        );
        assert_eq!(ours, libbpf);
        assert_eq!(
            size_of::<bpf_object_open_opts>(),
            ours + size_of::<*const c_char>()
        );
    }

    /// Check that options of a libbpf from before the field are not written to.
    #[test]
    fn older_libbpf() {
        let mut size = offset_of!(bpf_object_open_opts, btf_custom_path);
        // SAFETY: only the size is read, and it exists.
        let field = unsafe { bpf_object_open_opts::custom_path((&raw mut size).cast()) };
        assert!(field.is_none());
    }
}
