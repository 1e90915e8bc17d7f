//! The GNU build id of a kernel, which tells two builds of one release apart.

use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// The type of the note, `NT_GNU_BUILD_ID` of elf.h.
const NOTE_TYPE: u32 = 3;

/// The owner of the note.
const NOTE_OWNER: &[u8] = b"GNU\0";

/// A note begins with three words: the length of its owner's name, the length of its value, its type.
const NOTE_HEADER: usize = 12;

/// The build id of a kernel, as the linker wrote it into the note `NT_GNU_BUILD_ID`, or its first eight bytes.
///
/// Another build has another id, also if it has the same release: the linker makes the id from the kernel's bytes.
///
/// ```
/// use btfgen_archive::BuildId;
///
/// let id: BuildId = "4a5a9b0affb66c437abcd455d2738af879985fa9".parse()?;
/// assert_eq!(id.short().to_string(), "4a5a9b0affb66c43");
/// assert!(id.is_same_build(&id.short()));
/// # Ok::<(), btfgen_archive::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BuildId {
    len: u8,
    bytes: [u8; Self::MAX_BYTES],
}

impl BuildId {
    /// The length of a [short](BuildId::short) id in bytes. Two of a million kernels have the same one with a probability of
    /// one to forty million.
    pub const SHORT_BYTES: usize = 8;

    /// The largest length in bytes: that of a SHA-1, and the kernel's own limit (`BUILD_ID_SIZE_MAX` of linux/buildid.h).
    pub const MAX_BYTES: usize = 20;

    /// Make an id from its bytes. `None` if they are too few to tell kernels apart, or too many.
    pub fn new(id: &[u8]) -> Option<Self> {
        if !(Self::SHORT_BYTES..=Self::MAX_BYTES).contains(&id.len()) {
            return None;
        }
        let mut bytes = [0; Self::MAX_BYTES];
        bytes[..id.len()].copy_from_slice(id);
        let len = id.len() as u8;
        Some(Self { len, bytes })
    }

    /// The id in a sequence of ELF notes: the content of a vmlinux's section `.notes`, or of `/sys/kernel/notes`. `None` if they
    /// have no id, or several that differ.
    pub fn from_notes(mut notes: &[u8], is_little_endian: bool) -> Option<Self> {
        let mut found = None;
        while let Some((value, rest)) = first_note(notes, is_little_endian) {
            if let Some(id) = value.and_then(Self::new)
                && found.replace(id).is_some_and(|other| other != id)
            {
                return None;
            }
            notes = rest;
        }
        found
    }

    /// The id with these hexadecimal digits.
    pub(crate) fn from_hex(text: &[u8]) -> Option<Self> {
        let digit = |b: u8| char::from(b).to_digit(16).map(|digit| digit as u8);
        let mut bytes = [0; Self::MAX_BYTES];
        let (pairs, odd) = text.as_chunks::<2>();
        for (n, &[high, low]) in pairs.iter().enumerate() {
            *bytes.get_mut(n)? = digit(high)? << 4 | digit(low)?;
        }
        Self::new(&bytes[..pairs.len()]).filter(|_| odd.is_empty())
    }

    /// The bytes of the id.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The first eight bytes of the id, which an archive keeps.
    pub fn short(&self) -> Self {
        let mut bytes = [0; Self::MAX_BYTES];
        bytes[..Self::SHORT_BYTES].copy_from_slice(&self.bytes[..Self::SHORT_BYTES]);
        let len = Self::SHORT_BYTES as u8;
        Self { len, bytes }
    }

    /// Whether both are of the same build. Of ids of different lengths, only the first bytes are compared.
    pub fn is_same_build(&self, other: &Self) -> bool {
        let len = usize::from(self.len.min(other.len));
        self.bytes[..len] == other.bytes[..len]
    }
}

/// The value of the first note if it is a build id, and the notes after it.
fn first_note(notes: &[u8], is_little_endian: bool) -> Option<(Option<&[u8]>, &[u8])> {
    let word = |at: usize| {
        let word = *notes.get(at..)?.first_chunk()?;
        Some(match is_little_endian {
            true => u32::from_le_bytes(word),
            false => u32::from_be_bytes(word),
        })
    };
    let (name_len, value_len) = (word(0)? as usize, word(4)? as usize);
    let (name, rest) = notes.get(NOTE_HEADER..)?.split_at_checked(name_len)?;
    let rest = after_padding(rest, name_len);
    let (value, rest) = rest.split_at_checked(value_len)?;
    let is_id = word(8) == Some(NOTE_TYPE) && name == NOTE_OWNER;
    Some((is_id.then_some(value), after_padding(rest, value_len)))
}

/// What follows a name or a value of this length, which is padded to four bytes.
fn after_padding(rest: &[u8], len: usize) -> &[u8] {
    rest.get(len.wrapping_neg() % 4..).unwrap_or_default()
}

/// In lower case hexadecimal digits.
impl fmt::Display for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildId({self})")
    }
}

impl FromStr for BuildId {
    type Err = Error;

    /// Parse hexadecimal digits: 16 to 40, two for each byte.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidBuildId`] for another text.
    fn from_str(text: &str) -> Result<Self> {
        Self::from_hex(text.as_bytes()).ok_or_else(|| {
            let message = "a build id has 16 to 40 hexadecimal digits, two for each byte";
            Error::new(ErrorKind::InvalidBuildId, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, proptest};

    /// A note in little-endian form.
    fn note(owner: &[u8], kind: u32, value: &[u8]) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [owner.len() as u32, value.len() as u32, kind] {
            note.extend(word.to_le_bytes());
        }
        for part in [owner, value] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    /// The first notes of a running kernel, as `xxd -p /sys/kernel/notes` printed them.
    const NOTES: &str = "040000001400000003000000474e55004a5a9b0affb66c437abcd455d2738af879985fa906000000040000000101\
                         00004c696e757800000000000000060000001e000000000100004c696e7578000000";

    /// Check that the id is found among a kernel's notes, before and after others, and in either byte order.
    #[test]
    fn among_notes() {
        let id: BuildId = "4a5a9b0affb66c437abcd455d2738af879985fa9".parse().unwrap();
        let digit = |at| u8::from_str_radix(&NOTES[at..at + 2], 16).unwrap();
        let notes: Vec<u8> = (0..NOTES.len()).step_by(2).map(digit).collect();
        assert_eq!(BuildId::from_notes(&notes, true), Some(id));
        let after = [note(b"Xen\0", 3, b"odd"), note(b"GNU\0", 3, id.bytes())].concat();
        assert_eq!(BuildId::from_notes(&after, true), Some(id));
        let mut big = after;
        for at in [0, 4, 8, 20, 24, 28] {
            big[at..at + 4].reverse();
        }
        assert_eq!(BuildId::from_notes(&big, false), Some(id));
        assert_eq!(BuildId::from_notes(&big, true), None);
    }

    /// Check that there is no id without a note, with two different ones, and with one of another length.
    #[test]
    fn without_an_id() {
        let one = note(b"GNU\0", 3, b"12345678");
        let other = note(b"GNU\0", 3, b"87654321");
        assert!(BuildId::from_notes(&[&*one, &one].concat(), true).is_some());
        for notes in [
            Vec::new(),
            note(b"GNU\0", 1, b"12345678"),
            note(b"GNX\0", 3, b"12345678"),
            note(b"GNU\0", 3, b"1234567"),
            note(b"GNU\0", 3, &[1; 21]),
            [one, other].concat(),
        ] {
            assert_eq!(BuildId::from_notes(&notes, true), None, "{notes:?}");
        }
    }

    /// Check that texts that are no ids are refused.
    #[test]
    fn texts() {
        for text in [
            "",
            "4a5a9b0affb66c4",
            "4a5a9b0affb66c",
            "4a5a9b0affb66c4g",
            "+a5a9b0affb66c43",
            "4a5a9b0affb66c437abcd455d2738af879985fa9aa",
            "4a5a9b0affb66c43\n",
        ] {
            let error = text.parse::<BuildId>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidBuildId, "{text}");
        }
    }

    proptest! {
        /// Check that an id is parsed back, and that only ids with the same first bytes are of the same build.
        #[test]
        fn round_trip(bytes in prop::collection::vec(any::<u8>(), 8..=20), other in any::<[u8; 8]>()) {
            let id = BuildId::new(&bytes).unwrap();
            assert_eq!(id.to_string().parse::<BuildId>().unwrap(), id);
            assert_eq!(id.to_string().to_uppercase().parse::<BuildId>().unwrap(), id);
            let other = BuildId::new(&other).unwrap();
            assert_eq!(other.is_same_build(&id), bytes.starts_with(other.bytes()));
        }

        /// Check that any bytes are read as notes without a panic.
        #[test]
        fn any_notes(notes in prop::collection::vec(any::<u8>(), 0..80), is_little in any::<bool>()) {
            let _ = BuildId::from_notes(&notes, is_little);
        }
    }
}
