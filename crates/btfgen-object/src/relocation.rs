//! One CO-RE relocation of an object.

use btfgen_btf::{Kind, TypeId};

use crate::btf_ext::RelocationRecord;
use crate::error::{Error, Result};
use crate::relo_kind::ReloKind;
use crate::walk::Walk;

/// The most accessors that an access string may have (libbpf's `BPF_CORE_SPEC_MAX_LEN`).
pub const MAX_ACCESSORS: usize = 64;

/// The largest accessor. libbpf reads any 32-bit number and multiplies it by a size in signed 64 bits. This bound prevents
/// an overflow, and no kernel type has so many elements.
const MAX_ACCESSOR: u32 = 1 << 24;

/// A relocation record whose root type exists, and whose access string has the right form.
#[derive(Debug, Clone)]
pub struct Relocation {
    pub(crate) kind: ReloKind,
    pub(crate) root: TypeId,
    pub(crate) accessors: Vec<u32>,
}

impl Relocation {
    /// Looks up a record's type and access string in the object's BTF.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged) if the type, the string or the kind of relocation does not exist.
    pub fn read(walk: &mut Walk<'_>, record: &RelocationRecord) -> Result<Self> {
        let kind = ReloKind::from_raw(record.kind)
            .ok_or_else(|| Error::damaged(format!("unknown kind {}", record.kind)))?;
        let root = walk.type_by_id(record.type_id)?;
        if root.kind() == Kind::Void {
            return Err(Error::damaged("its type is void"));
        }
        let access = walk.access_string(record.access_str_off)?;
        let accessors = parse_access_string(access).ok_or_else(|| {
            Error::damaged(format!(
                "its access string \"{}\" is not a list of up to {MAX_ACCESSORS} numbers from 0 to {MAX_ACCESSOR}",
                String::from_utf8_lossy(&access[..access.len().min(80)])
            ))
        })?;
        Ok(Self {
            kind,
            root: record.type_id,
            accessors,
        })
    }

    /// The kind of its question.
    pub fn kind(&self) -> ReloKind {
        self.kind
    }

    /// The id of the root type, which is not `void`.
    pub fn root(&self) -> TypeId {
        self.root
    }

    /// The access string, parsed: `0:1:2` is `[0, 1, 2]`.
    pub fn accessors(&self) -> &[u32] {
        &self.accessors
    }
}

/// The accessors of an access string: `0:1:2` is `[0, 1, 2]`. `None` if the string has another form, or exceeds
/// [`MAX_ACCESSORS`] or [`MAX_ACCESSOR`].
// libbpf's own parser accepts negative numbers, and then walks out of the type.
fn parse_access_string(s: &[u8]) -> Option<Vec<u32>> {
    let s = std::str::from_utf8(s).ok()?;
    let mut out = Vec::new();
    for part in s.split(':') {
        // `parse` would accept a plus sign.
        if !part.bytes().all(|b| b.is_ascii_digit()) || out.len() == MAX_ACCESSORS {
            return None;
        }
        out.push(part.parse().ok().filter(|&n| n <= MAX_ACCESSOR)?);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::section;
    use btfgen_btf::Btf;

    /// Check that access strings are lists of numbers, as long and as large as libbpf can handle.
    #[test]
    fn access_strings() {
        assert_eq!(parse_access_string(b"0:12:3"), Some(vec![0, 12, 3]));
        let longest = vec!["1"; MAX_ACCESSORS].join(":");
        assert_eq!(
            parse_access_string(longest.as_bytes()),
            Some(vec![1; MAX_ACCESSORS])
        );
        let too_long = format!("{longest}:1");
        for bad in [
            "",
            ":",
            "0:",
            ":0",
            "-1",
            "0:-1",
            "+1",
            " 1",
            "1x",
            "16777217",
            "99999999999",
            &too_long,
        ] {
            assert_eq!(parse_access_string(bad.as_bytes()), None, "{bad:?}");
        }
    }

    /// Check that an invalid record is refused, and that the error names the reason.
    #[test]
    fn records() {
        let bytes = section(&[&[0, 1 << 24, 4, 32]], b"\x000\0-1\0");
        let btf = Btf::parse(&bytes).expect("good");
        let read = |type_id, access_str_off, kind| {
            let record = RelocationRecord {
                insn_off: 24,
                type_id: TypeId(type_id),
                access_str_off,
                kind,
            };
            Relocation::read(&mut Walk::new(&btf), &record).map_err(|e| e.to_string())
        };
        assert_eq!(read(1, 1, 8).map(|r| r.accessors), Ok(vec![0]));
        for (record, message) in [
            ((1, 1, 13), "unknown kind 13"),
            ((0, 1, 8), "its type is void"),
            ((2, 1, 8), "there is no type [2]"),
            ((1, 99, 8), "access string's offset 99 is beyond"),
            ((1, 3, 8), "access string \"-1\" is not a list"),
        ] {
            let error = read(record.0, record.1, record.2).expect_err(message);
            assert!(error.contains(message), "{error}");
        }
    }
}
