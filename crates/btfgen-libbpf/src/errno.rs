//! libbpf's own error numbers, which the system's strerror(3) does not know.

use std::io;

/// The first of libbpf's numbers, `__LIBBPF_ERRNO__START` in libbpf.h.
const FIRST: usize = 4000;

/// The names and meanings of `enum libbpf_errno` in libbpf.h, in their order.
const ERRORS: [(&str, &str); 14] = [
    ("LIBELF", "something is wrong in libelf"),
    ("FORMAT", "the format of the BPF object is invalid"),
    ("KVERSION", "the section `version` is incorrect or missing"),
    (
        "ENDIAN",
        "the object has another byte order than this machine",
    ),
    ("INTERNAL", "an internal error in libbpf"),
    ("RELOC", "a relocation failed"),
    (
        "LOAD",
        "the program could not be loaded, for an unknown reason",
    ),
    ("VERIFY", "the kernel's verifier refuses the program"),
    ("PROG2BIG", "the program is too big"),
    ("KVER", "the kernel's version is incorrect"),
    (
        "PROGTYPE",
        "the kernel does not support this type of program",
    ),
    ("WRNGPID", "a netlink message has a wrong pid"),
    ("INVSEQ", "a netlink message has an invalid sequence number"),
    ("NLPARSE", "a netlink message cannot be parsed"),
];

/// An error that libbpf left in errno, as text for people. libbpf's own numbers are spelled out:
///
/// ```
/// let error = std::io::Error::from_raw_os_error(4003);
/// let text = btfgen_libbpf::error_text(&error);
/// assert_eq!(text, "the object has another byte order than this machine (LIBBPF_ERRNO__ENDIAN, 4003)");
/// ```
pub fn error_text(error: &io::Error) -> String {
    let number = error.raw_os_error().and_then(|n| usize::try_from(n).ok());
    let own = number.and_then(|n| Some((n, ERRORS.get(n.checked_sub(FIRST)?)?)));
    match own {
        Some((number, (name, text))) => format!("{text} (LIBBPF_ERRNO__{name}, {number})"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::{CStr, c_char, c_int};

    use super::*;

    fn libbpfs_text(number: c_int) -> String {
        let mut text = [0_u8; 128];
        let buffer = text.as_mut_ptr().cast::<c_char>();
        // SAFETY: libbpf writes a terminated string of at most this size.
        unsafe { libbpf_sys::libbpf_strerror(number, buffer, text.len() as libbpf_sys::size_t) };
        let text = CStr::from_bytes_until_nul(&text).expect("it is terminated");
        text.to_string_lossy().into_owned()
    }

    /// Check that libbpf means the same by each number, and that other numbers have the system's text.
    #[test]
    fn as_libbpf() {
        for (number, name, libbpfs) in [
            (4000, "LIBELF", "Something wrong in libelf"),
            (4003, "ENDIAN", "Endian mismatch"),
            (4005, "RELOC", "Relocation failed"),
            (4007, "VERIFY", "Kernel verifier blocks program loading"),
            (4010, "PROGTYPE", "Kernel doesn't support this program type"),
            (4013, "NLPARSE", "Incorrect netlink message parsing"),
        ] {
            assert_eq!(libbpfs_text(number), libbpfs);
            let text = error_text(&io::Error::from_raw_os_error(number));
            assert!(
                text.ends_with(&format!("(LIBBPF_ERRNO__{name}, {number})")),
                "{text}"
            );
        }
        assert!(libbpfs_text(4014).starts_with("Unknown libbpf error"));
        for number in [22, 3999, 4014] {
            let error = io::Error::from_raw_os_error(number);
            assert_eq!(error_text(&error), error.to_string());
        }
    }
}
