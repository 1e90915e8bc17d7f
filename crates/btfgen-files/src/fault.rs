//! Whose fault an error is: the machine's, or that of one file.

use std::error::Error;
use std::io;

use rustix::io::Errno;

/// What the kernel says about one path or one file. The next file may be read all the same.
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
    // trace_pipe and its like: regular files to stat(2), whose readers wait.
    Errno::AGAIN,
];

/// Whether an error, or what caused it, is one of the machine: a failing disk, a full one, no memory, no descriptors.
///
/// Such an error says nothing about the bytes of a file: the file may be sound. So the work must end as a failure. All other
/// errors are about one file: it is missing, must not be read, or its bytes are damaged.
///
/// Every error number that is not known to be about a file counts as the machine's.
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

/// An error, what caused it, what caused that, and so on.
///
/// `source()` of an [`io::Error`] passes over the error that it wraps; this does not.
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

    /// Check that the machine's errors are told from those of a file, however they are wrapped.
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
