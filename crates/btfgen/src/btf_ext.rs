//! `.BTF.ext`: where an object keeps its relocations and its source lines.
//!
//! The format is the kernel's Documentation/bpf/btf.rst, section "`.BTF.ext` section". libbpf parses it too, into a struct that is
//! private; hence this reader. All offsets are checked here, all strings and types later, against the BTF.

/// The three tables of a `.BTF.ext` section.
#[derive(Debug, Default)]
pub(crate) struct BtfExt {
    pub(crate) functions: Vec<Section<FunctionRecord>>,
    pub(crate) lines: Vec<Section<LineRecord>>,
    pub(crate) relocations: Vec<Section<RelocationRecord>>,
}

/// Records of one ELF section.
#[derive(Debug)]
pub(crate) struct Section<R> {
    /// Offset of the ELF section's name in the BTF's strings.
    pub(crate) name_off: u32,
    pub(crate) records: Vec<R>,
}

/// A record begins with the byte offset of its instruction within the ELF section.
pub(crate) trait Record: Sized {
    /// What the table is called in messages.
    const TABLE: &'static str;
    /// Bytes of a record that this reader knows; longer records are of a newer format and read as far as known.
    const LEN: usize;
    fn read(words: &[u32]) -> Self;
}

#[derive(Debug)]
pub(crate) struct FunctionRecord {
    pub(crate) insn_off: u32,
    pub(crate) type_id: u32,
}

#[derive(Debug)]
pub(crate) struct LineRecord {
    pub(crate) insn_off: u32,
    pub(crate) file_name_off: u32,
    /// Line in the upper 22 bits, column in the lower 10.
    pub(crate) line_col: u32,
}

/// `struct bpf_core_relo`.
#[derive(Debug)]
pub(crate) struct RelocationRecord {
    pub(crate) insn_off: u32,
    pub(crate) type_id: u32,
    pub(crate) access_str_off: u32,
    pub(crate) kind: u32,
}

impl Record for FunctionRecord {
    const TABLE: &'static str = "function";
    const LEN: usize = 8;
    fn read(w: &[u32]) -> Self {
        Self {
            insn_off: w[0],
            type_id: w[1],
        }
    }
}

impl Record for LineRecord {
    const TABLE: &'static str = "line";
    const LEN: usize = 16;
    fn read(w: &[u32]) -> Self {
        Self {
            insn_off: w[0],
            file_name_off: w[1],
            line_col: w[3],
        }
    }
}

impl Record for RelocationRecord {
    const TABLE: &'static str = "relocation";
    const LEN: usize = 16;
    fn read(w: &[u32]) -> Self {
        Self {
            insn_off: w[0],
            type_id: w[1],
            access_str_off: w[2],
            kind: w[3],
        }
    }
}

const MAGIC: u32 = 0xeb9f;
/// Header up to and including the line table; the relocation table came later (Linux 5.4).
const HEADER_LEN: u32 = 24;
const HEADER_LEN_WITH_RELOCATIONS: u32 = 32;

impl BtfExt {
    /// Reads a section's content. The message of the error is a fragment that follows ".BTF.ext: ".
    pub(crate) fn parse(bytes: Bytes<'_>) -> Result<Self, String> {
        let magic = bytes.u16(0).ok_or("too short for a header")?;
        if u32::from(magic) != MAGIC {
            return Err(format!("wrong magic {magic:#06x}"));
        }
        let version = bytes.u8(2).ok_or("too short for a header")?;
        if version != 1 {
            return Err(format!("version {version} (only version 1 is known)"));
        }
        let word = |at| bytes.u32(at).ok_or("too short for its header");
        let header_len = word(4)?;
        if header_len < HEADER_LEN {
            return Err(format!("a header of {header_len} bytes is too short"));
        }
        let table = |at: usize| -> Result<Bytes<'_>, String> {
            let (off, len) = (word(at)?, word(at + 4)?);
            let start = u64::from(header_len) + u64::from(off);
            bytes
                .range(start, start + u64::from(len))
                .ok_or_else(|| format!("a table at {start} of {len} bytes lies beyond the end"))
        };
        Ok(Self {
            functions: sections(table(8)?)?,
            lines: sections(table(16)?)?,
            relocations: if header_len >= HEADER_LEN_WITH_RELOCATIONS {
                sections(table(24)?)?
            } else {
                Vec::new()
            },
        })
    }
}

/// A table is a record size, then for each ELF section its name, a count, and the records.
fn sections<R: Record>(bytes: Bytes<'_>) -> Result<Vec<Section<R>>, String> {
    let mut out = Vec::new();
    if bytes.is_empty() {
        return Ok(out);
    }
    let truncated = || format!("the {} table is truncated", R::TABLE);
    let record_len = bytes.u32(0).ok_or_else(truncated)? as usize;
    // The upper bound only keeps `count * record_len` in range; records have 8 to 16 bytes.
    if record_len < R::LEN || !record_len.is_multiple_of(4) || record_len > 4096 {
        return Err(format!(
            "bad size {record_len} of a {} record (at least {} and a multiple of 4 is right)",
            R::TABLE,
            R::LEN
        ));
    }
    let mut at = 4;
    while at < bytes.len() {
        let name_off = bytes.u32(at).ok_or_else(truncated)?;
        let count = bytes.u32(at + 4).ok_or_else(truncated)? as usize;
        if count == 0 {
            return Err(format!("a section of the {} table is empty", R::TABLE));
        }
        at += 8;
        if count > bytes.len() / record_len {
            return Err(truncated());
        }
        let mut records = Vec::with_capacity(count);
        for _ in 0..count {
            let mut words = [0; 4];
            for (i, w) in words.iter_mut().take(R::LEN / 4).enumerate() {
                *w = bytes.u32(at + 4 * i).ok_or_else(truncated)?;
            }
            records.push(R::read(&words));
            at += record_len;
        }
        out.push(Section { name_off, records });
    }
    Ok(out)
}

impl<R> Section<R> {
    /// The last record at or before an instruction, for tables that are sorted by it.
    pub(crate) fn covering(&self, insn_off: u32, of: impl Fn(&R) -> u32) -> Option<&R> {
        let after = self.records.partition_point(|r| of(r) <= insn_off);
        self.records[..after].last()
    }
}

/// Bounds-checked reading of integers in the object's byte order.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes<'d> {
    pub(crate) data: &'d [u8],
    pub(crate) big_endian: bool,
}

impl<'d> Bytes<'d> {
    pub(crate) fn len(&self) -> usize {
        self.data.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.data.get(at..at.checked_add(N)?)?.try_into().ok()
    }

    pub(crate) fn u8(&self, at: usize) -> Option<u8> {
        self.data.get(at).copied()
    }

    pub(crate) fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(if self.big_endian {
            u16::from_be_bytes
        } else {
            u16::from_le_bytes
        })
    }

    pub(crate) fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(if self.big_endian {
            u32::from_be_bytes
        } else {
            u32::from_le_bytes
        })
    }

    pub(crate) fn range(&self, start: u64, end: u64) -> Option<Self> {
        let (start, end) = (usize::try_from(start).ok()?, usize::try_from(end).ok()?);
        Some(Bytes {
            data: self.data.get(start..end)?,
            big_endian: self.big_endian,
        })
    }
}
