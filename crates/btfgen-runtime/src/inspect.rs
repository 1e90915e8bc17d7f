//! Checks whether libbpf can use a file or an archive's entry as BTF.
//!
//! The rules are those of [`Header`], which are libbpf's: if they refuse a BTF, libbpf cannot load a program with it. The
//! check reads only the header and two bytes of a kernel's BTF, which has megabytes; it does not read the types.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use btfgen_btf::{Header, HeaderFault};

use crate::error::{Error, ErrorKind};
use crate::host;

/// Why a content cannot be used. The `Display` form is the outcome of a step.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is not valid BTF.
    Invalid(&'static str),
    /// Its header or its strings contradict the format, and how.
    Damaged(&'static str),
    /// It is shorter than its header promises.
    CutOff {
        /// The number of bytes that the header promises, up to the end of the strings.
        promised: u64,
    },
}

impl Unusable {
    /// The error for a file that the program or the environment named.
    pub(crate) fn of_file(self, path: &Path) -> Error {
        let failed = |kind, what: &str| Error::new(kind, format!("{}: {what}", path.display()));
        match self {
            Self::Unreadable(e) => failed(ErrorKind::Io, "the BTF cannot be read").with_source(e),
            Self::Invalid(_) | Self::Damaged(_) | Self::CutOff { .. } => {
                failed(ErrorKind::InvalidBtf, &self.to_string())
            }
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(e) => f.write_str(&host::describe_error(e)),
            Self::Invalid(why) => f.write_str(why),
            Self::Damaged(why) => write!(f, "is damaged: {why}"),
            Self::CutOff { promised } => {
                write!(f, "is cut off: its header promises {promised} bytes")
            }
        }
    }
}

impl From<io::Error> for Unusable {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

impl From<HeaderFault> for Unusable {
    fn from(fault: HeaderFault) -> Self {
        match fault {
            HeaderFault::Empty => Self::Invalid("is empty"),
            HeaderFault::Short(_) => Self::Invalid("is cut off within its header"),
            HeaderFault::Version(_) => Self::Invalid("is BTF of an unknown version"),
            HeaderFault::Sections(why) => Self::Damaged(why),
            _ => Self::Invalid("is neither a BTF nor an ELF file"),
        }
    }
}

/// Random access for reading, as with pread(2).
pub(crate) trait ReadAt {
    /// Reads some bytes from an offset; reads nothing after the end.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        // No file is so long. For the system this is a negative offset, and an error.
        let end = at.saturating_add(buffer.len() as u64);
        if i64::try_from(end).is_err() {
            return Ok(0);
        }
        FileExt::read_at(self, buffer, at)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let rest = usize::try_from(at).ok().and_then(|at| self.get(at..));
        let rest = rest.unwrap_or_default();
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }
}

/// Inspects a BTF that must have all bytes that its header promises. It does not use a file's size, because sysfs may report a
/// wrong one.
///
/// A minimal BTF has no types if no type of the kernel matches the program's relocations.
pub(crate) fn inspect(source: &dyn ReadAt) -> Result<Header, Unusable> {
    let mut start = [0; Header::LEN_WITH_LAYOUT];
    let len = read(source, &mut start, 0)?;
    let start = &start[..len];
    if start.starts_with(b"\x7fELF") {
        return Err(Unusable::Invalid("is an ELF file, not BTF"));
    }
    let header = Header::parse(start)?;
    let strings = header.strings();
    for (at, why) in [
        (strings.end - 1, "its strings do not end with NUL"),
        (strings.start, "its strings do not begin with NUL"),
    ] {
        let mut byte = [0];
        if read(source, &mut byte, at)? == 0 {
            let promised = strings.end;
            return Err(Unusable::CutOff { promised });
        }
        if byte != [0] {
            return Err(Unusable::Damaged(why));
        }
    }
    Ok(header)
}

/// Fills the buffer as far as there are bytes. Returns their number.
pub(crate) fn read(source: &dyn ReadAt, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut len = 0;
    while len < buffer.len() {
        match source.read_at(&mut buffer[len..], at + len as u64) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// The fields of a header: its length, then offset and length of types and strings.
    type Fields = [u32; 5];

    /// One type, 12 bytes, and the empty string.
    const SOUND: Fields = [24, 0, 12, 12, 1];

    fn header(fields: Fields, big_endian: bool) -> Vec<u8> {
        let (magic, to_bytes): (_, fn(u32) -> [u8; 4]) = if big_endian {
            ([0xeb, 0x9f], u32::to_be_bytes)
        } else {
            ([0x9f, 0xeb], u32::to_le_bytes)
        };
        let fields = fields.map(to_bytes).concat();
        [&magic[..], &[1, 0], &fields].concat()
    }

    /// A BTF with zeros after its header.
    fn btf(fields: Fields, len: usize) -> Vec<u8> {
        let mut bytes = header(fields, false);
        bytes.resize(len, 0);
        bytes
    }

    /// The error for these bytes, in memory and in a file.
    fn refused(bytes: &[u8]) -> String {
        let why = inspect(&bytes.to_vec()).unwrap_err().to_string();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        assert_eq!(inspect(&file).unwrap_err().to_string(), why);
        why
    }

    /// Check that a sound BTF of either byte order is accepted, also with a longer header and with bytes after its strings.
    #[test]
    fn sound() {
        let types = |bytes: &Vec<u8>| inspect(bytes).unwrap().types();
        for big_endian in [false, true] {
            let mut bytes = header(SOUND, big_endian);
            bytes.resize(37, 0);
            assert_eq!(types(&bytes), 24..36);
            bytes.extend(b"more");
            assert_eq!(types(&bytes), 24..36);
        }
        let longer = btf([32, 4, 12, 16, 3], 51);
        assert_eq!(types(&longer), 36..48);
        let none = btf([24, 0, 0, 0, 1], 25);
        assert!(types(&none).is_empty());
    }

    /// Check that a BTF that is cut off anywhere is refused, and that the error says its promised size.
    #[test]
    fn cut_off() {
        let bytes = btf([24, 0, 12, 12, 5], 41);
        assert_eq!(refused(b""), "is empty");
        for len in 2..24 {
            let why = refused(&bytes[..len]);
            assert_eq!(why, "is cut off within its header", "{len} bytes");
        }
        for len in 24..41 {
            let why = refused(&bytes[..len]);
            assert_eq!(why, "is cut off: its header promises 41 bytes");
        }
        assert!(inspect(&bytes).is_ok());
    }

    /// Check that other files and BTF of an unknown version are refused.
    #[test]
    fn other_files() {
        let neither = "is neither a BTF nor an ELF file";
        for bytes in [&b"\x9f"[..], b"#!/bin/sh", b"\x1f\x8b\x08", &[0; 64]] {
            assert_eq!(refused(bytes), neither, "{bytes:?}");
        }
        assert_eq!(refused(b"\x7fELF"), "is an ELF file, not BTF");
        let mut bytes = btf(SOUND, 37);
        bytes[2] = 2;
        assert_eq!(refused(&bytes), "is BTF of an unknown version");
    }

    /// Check that each contradiction in a header is refused, and named.
    #[test]
    fn damaged_header() {
        let short = "its header is too short";
        let unaligned = "its types are not aligned to 4 bytes";
        let overlap = "its types overlap its strings";
        let nothing = "it has no strings, not even the empty string";
        let large = "its strings are larger than 2 GiB";
        for (fields, why) in [
            ([23, 0, 12, 12, 1], short),
            ([0, 0, 12, 12, 1], short),
            ([24, 2, 8, 12, 1], unaligned),
            ([24, 0, 13, 12, 1], overlap),
            ([24, 4, 12, 12, 1], overlap),
            ([24, 4, u32::MAX, 3, 1], overlap),
            ([24, 12, 12, 0, 1], overlap),
            ([24, 0, 12, 12, 0], nothing),
            ([24, 0, 0, 0, 0], nothing),
            ([24, 0, 12, 12, 0x8000_0001], large),
        ] {
            let why = format!("is damaged: {why}");
            assert_eq!(refused(&btf(fields, 64)), why, "{fields:?}");
        }
        // A header and nothing else.
        let why = refused(&btf([24, 0, 0, 0, 0], 24));
        assert_eq!(why, format!("is damaged: {nothing}"));
        for fields in [
            [u32::MAX, 0, 12, 12, 1],
            [24, 0, 12, u32::MAX, 1],
            [24, 0, 12, 12, 0x8000_0000],
            [u32::MAX, 0, 0, u32::MAX, 0x8000_0000],
        ] {
            let why = refused(&btf(fields, 64));
            assert!(why.starts_with("is cut off: "), "{fields:?}: {why}");
        }
    }

    /// Check that an offset that the system would call negative is after the end of a file.
    #[test]
    fn far_offsets() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&btf(SOUND, 37)).unwrap();
        for at in [37, i64::MAX as u64, 1 << 63, u64::MAX] {
            let mut byte = [0];
            assert_eq!(ReadAt::read_at(&file, &mut byte, at).unwrap(), 0, "{at}");
        }
    }

    /// Check that strings which do not begin or end with NUL are refused.
    #[test]
    fn damaged_strings() {
        for (at, place) in [(36, "begin"), (40, "end")] {
            let mut bytes = btf([24, 0, 12, 12, 5], 41);
            bytes[at] = b'x';
            let why = format!("is damaged: its strings do not {place} with NUL");
            assert_eq!(refused(&bytes), why);
        }
    }

    /// Check that the kernel's own BTF is accepted.
    #[test]
    fn kernels_own() {
        match std::fs::File::open("/sys/kernel/btf/vmlinux") {
            Ok(file) => {
                let header = inspect(&file).unwrap();
                assert!(!header.types().is_empty());
            }
            Err(e) => println!("skipped: this kernel has no BTF of its own: {e}"),
        }
    }
}
