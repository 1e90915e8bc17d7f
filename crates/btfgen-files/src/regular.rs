//! Opens and reads only regular files: a pipe would block the caller, and opening a device may have side effects.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file for reading. Follows symbolic links.
///
/// # Errors
/// The system's errors; [`io::ErrorKind::InvalidInput`] if the path is not a regular file, which is then not opened.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Opening a device may have side effects.
    require_regular(&fs::metadata(path)?)?;
    // Does not wait for a writer if another process has replaced the file by a pipe meanwhile.
    let no_wait = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(no_wait.bits().cast_signed())
        .open(path)?;
    require_regular(&file.metadata()?)?;
    Ok(file)
}

/// Reads a regular file of at most `max_bytes` bytes.
///
/// # Errors
/// The errors of [`open_regular`] and of reading; [`io::ErrorKind::FileTooLarge`] for a larger file, after at most
/// `max_bytes` + 1 bytes; [`io::ErrorKind::OutOfMemory`].
pub fn read_regular(path: &Path, max_bytes: u64) -> io::Result<Vec<u8>> {
    let too_large = || {
        let message = format!("larger than {max_bytes} bytes");
        io::Error::new(io::ErrorKind::FileTooLarge, message)
    };
    let file = open_regular(path)?;
    // Files of /proc and /sys may be larger than their reported size, so the size is only a hint.
    let told = file.metadata()?.len();
    if told > max_bytes {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(told).unwrap_or(usize::MAX))?;
    file.take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max_bytes {
        return Err(too_large());
    }
    Ok(bytes)
}

fn require_regular(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() {
        return Ok(());
    }
    let message = if metadata.is_dir() {
        "is a folder"
    } else {
        "not a regular file"
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that other files than regular ones are refused without blocking.
    #[test]
    fn only_regular_files() {
        let folder = std::env::temp_dir();
        for path in ["/dev/zero", "/dev/null", "/proc/self/fd"].map(Path::new) {
            let error = open_regular(path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path:?}");
        }
        let fifo = folder.join(format!("btfgen-files-fifo-{}", std::process::id()));
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
        let error = open_regular(&fifo).unwrap_err();
        fs::remove_file(&fifo).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(read_regular(Path::new("/proc/self/status"), 1 << 20).is_ok());
    }

    /// Check that the limit holds for files that report their size and for files that do not.
    #[test]
    fn limits() {
        let this = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        for path in [&this, Path::new("/proc/self/status")] {
            let len = read_regular(path, 1 << 20).unwrap().len() as u64;
            let error = read_regular(path, len / 2).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::FileTooLarge, "{path:?}");
        }
    }
}
