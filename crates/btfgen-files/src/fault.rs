//! Classifies errors: is the machine or the one file the cause?

use std::error::Error;
use std::io;

use rustix::io::Errno;

/// Error numbers that are about one path or file. Another file may still be readable.
const ABOUT_A_FILE: [Errno; 12] = [
    Errno::ACCESS,
    Errno::PERM,
    Errno::NOENT,
    Errno::NOTDIR,
    Errno::ISDIR,
    Errno::LOOP,
    Errno::NAMETOOLONG,
    Errno::INVAL,
    // Sockets, and devices without a driver, cannot be opened.
    Errno::NXIO,
    Errno::NODEV,
    Errno::OPNOTSUPP,
    // Files like trace_pipe: stat(2) says that they are regular, but readers wait.
    Errno::AGAIN,
];

/// Whether an error or one of its causes is a failure of the machine: a failing or full disk, no memory, or no descriptors.
///
/// After a failure of the machine the file may be sound, so the work must end with a failure. All other errors are about one
/// file: it is missing, it must not be read, or its bytes are damaged.
///
/// An unknown error number counts as a failure of the machine.
///
/// ```
/// use std::io;
/// use btfgen_files::is_machine_fault;
///
/// const EIO: i32 = 5;
/// assert!(is_machine_fault(&io::Error::from_raw_os_error(EIO)));
/// assert!(!is_machine_fault(&io::Error::from(io::ErrorKind::UnexpectedEof)));
/// ```
pub fn is_machine_fault(error: &(dyn Error + 'static)) -> bool {
    causes(error)
        .filter_map(|e| e.downcast_ref::<io::Error>())
        .any(|e| match Errno::from_io_error(e) {
            Some(errno) => !ABOUT_A_FILE.contains(&errno),
            None => e.kind() == io::ErrorKind::OutOfMemory,
        })
}

/// An error with all its causes.
///
/// `source()` of an [`io::Error`] skips the error that it wraps; this function does not.
pub fn causes<'e>(
    error: &'e (dyn Error + 'static),
) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&e| match e.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as _),
        None => e.source(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that failures of the machine are distinguished from errors of a file, also if they are wrapped.
    #[test]
    fn errors_are_told_apart() {
        let os = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        for errno in [
            Errno::IO,
            Errno::NOMEM,
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::FBIG,
            Errno::STALE,
            Errno::ROFS,
        ] {
            assert!(is_machine_fault(&os(errno)), "{errno}");
            let wrapped = io::Error::other(io::Error::other(os(errno)));
            assert!(is_machine_fault(&wrapped), "{errno} in another error");
        }
        for errno in ABOUT_A_FILE {
            assert!(!is_machine_fault(&os(errno)), "{errno}");
        }
        assert!(is_machine_fault(&io::Error::from(
            io::ErrorKind::OutOfMemory
        )));
        assert!(!is_machine_fault(&io::Error::other("lzma data error")));
    }
}
