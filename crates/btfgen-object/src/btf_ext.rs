//! Reads `.BTF.ext`, the section with an object's relocations and source lines.
//!
//! The format is in the kernel's Documentation/bpf/btf.rst, section "`.BTF.ext` section". libbpf also parses it, but into a
//! private struct, so this crate has its own reader. All offsets are checked here, and all strings and types later, against
//! the BTF.

use btfgen_btf::{ByteOrder, TypeId, Words};

use crate::error::{Error, Result};

/// The content of a `.BTF.ext` section: three tables.
#[derive(Debug, Clone, Copy)]
pub struct BtfExt<'d> {
    functions: Words<'d>,
    lines: Words<'d>,
    relocations: Words<'d>,
}

/// Records of one ELF section.
#[derive(Debug)]
pub struct Section<R> {
    /// The offset of the ELF section's name in the BTF's strings.
    pub name_off: u32,
    /// The records, in the table's order.
    pub records: Vec<R>,
}

/// A record. It begins with the byte offset of its instruction within the ELF section.
trait Record: Sized {
    /// The table's name in messages.
    const TABLE: &'static str;
    /// The bytes of a record that this reader knows. Longer records have a newer format; their known part is read.
    const LEN: usize;
    fn read(words: &[u32; 4]) -> Self;
}

/// The start of a function.
#[derive(Debug)]
pub struct FunctionRecord {
    /// Offset in bytes of its first instruction.
    pub insn_off: u32,
    /// Id of its type.
    pub type_id: TypeId,
}

/// The start of the instructions of a source line.
#[derive(Debug)]
pub struct LineRecord {
    /// Offset in bytes of the first instruction.
    pub insn_off: u32,
    /// Offset of the source file's name in the BTF's strings.
    pub file_name_off: u32,
    /// Offset of the line's text in the BTF's strings.
    pub line_off: u32,
    /// Line in the upper 22 bits, column in the lower 10.
    pub line_col: u32,
}

impl LineRecord {
    /// The line, from 1. It is 0 for instructions that the compiler made of several statements, or of none.
    pub fn line(&self) -> u32 {
        self.line_col >> 10
    }
}

/// `struct bpf_core_relo`.
#[derive(Debug)]
pub struct RelocationRecord {
    /// Offset in bytes of the instruction to patch.
    pub insn_off: u32,
    /// Id of the root type.
    pub type_id: TypeId,
    /// Offset of the access string in the BTF's strings.
    pub access_str_off: u32,
    /// `enum bpf_core_relo_kind`, as a number.
    pub kind: u32,
}

impl RelocationRecord {
    /// The record without its place: records with the same question are the same relocation.
    pub fn question(&self) -> (u32, TypeId, u32) {
        (self.kind, self.type_id, self.access_str_off)
    }
}

impl Record for FunctionRecord {
    const TABLE: &'static str = "function";
    const LEN: usize = 8;
    fn read(w: &[u32; 4]) -> Self {
        Self {
            insn_off: w[0],
            type_id: TypeId(w[1]),
        }
    }
}

impl Record for LineRecord {
    const TABLE: &'static str = "line";
    const LEN: usize = 16;
    fn read(w: &[u32; 4]) -> Self {
        Self {
            insn_off: w[0],
            file_name_off: w[1],
            line_off: w[2],
            line_col: w[3],
        }
    }
}

impl Record for RelocationRecord {
    const TABLE: &'static str = "relocation";
    const LEN: usize = 16;
    fn read(w: &[u32; 4]) -> Self {
        Self {
            insn_off: w[0],
            type_id: TypeId(w[1]),
            access_str_off: w[2],
            kind: w[3],
        }
    }
}

const MAGIC: u16 = 0xeb9f;
/// The header up to the line table. The relocation table came later (Linux 5.4).
const HEADER_LEN: u32 = 24;
const HEADER_LEN_WITH_RELOCATIONS: u32 = 32;

impl<'d> BtfExt<'d> {
    /// Finds the tables in the content of a section, which has the byte order of the object's BTF. The tables of empty
    /// content are empty.
    ///
    /// # Errors
    /// [`ErrorKind::Damaged`](crate::ErrorKind::Damaged); the message names the section.
    pub fn parse(section: &'d [u8], order: ByteOrder) -> Result<Self> {
        let bytes = Words::new(section, order);
        if bytes.is_empty() {
            return Ok(Self {
                functions: bytes,
                lines: bytes,
                relocations: bytes,
            });
        }
        let too_short = || damaged("too short for its header");
        let magic = bytes.u16(0).ok_or_else(too_short)?;
        if magic != MAGIC {
            return Err(damaged(format!("wrong magic {magic:#06x}")));
        }
        let version = *section.get(2).ok_or_else(too_short)?;
        if version != 1 {
            return Err(damaged(format!(
                "version {version} (only version 1 is known)"
            )));
        }
        let word = |at| bytes.u32(at).ok_or_else(too_short);
        let header_len = word(4)?;
        if header_len < HEADER_LEN {
            return Err(damaged(format!(
                "a header of {header_len} bytes is too short"
            )));
        }
        let table = |at: usize| -> Result<Words<'d>> {
            let (off, len) = (word(at)?, word(at + 4)?);
            let start = u64::from(header_len) + u64::from(off);
            bytes.part(start, u64::from(len)).ok_or_else(|| {
                damaged(format!(
                    "a table at {start} of {len} bytes lies beyond the end"
                ))
            })
        };
        Ok(Self {
            functions: table(8)?,
            lines: table(16)?,
            relocations: if header_len >= HEADER_LEN_WITH_RELOCATIONS {
                table(24)?
            } else {
                Words::new(&[], order)
            },
        })
    }

    /// The starts of the functions.
    ///
    /// # Errors
    /// Those of [`BtfExt::parse`].
    pub fn functions(&self) -> Result<Vec<Section<FunctionRecord>>> {
        sections(self.functions)
    }

    /// The starts of the source lines.
    ///
    /// # Errors
    /// Those of [`BtfExt::parse`].
    pub fn lines(&self) -> Result<Vec<Section<LineRecord>>> {
        sections(self.lines)
    }

    /// All relocation records, one for each place.
    ///
    /// # Errors
    /// Those of [`BtfExt::parse`].
    pub fn relocations(&self) -> Result<Vec<Section<RelocationRecord>>> {
        sections(self.relocations)
    }
}

fn damaged(message: impl std::fmt::Display) -> Error {
    Error::damaged(format!(".BTF.ext: {message}"))
}

/// A table is a record size and then, for each ELF section, its name, a count, and the records.
fn sections<R: Record>(bytes: Words<'_>) -> Result<Vec<Section<R>>> {
    let mut out = Vec::new();
    if bytes.is_empty() {
        return Ok(out);
    }
    let truncated = || damaged(format!("the {} table is truncated", R::TABLE));
    let record_len = bytes.u32(0).ok_or_else(truncated)? as usize;
    // The upper bound only keeps `count * record_len` in range: records have 8 to 16 bytes.
    if record_len < R::LEN || !record_len.is_multiple_of(4) || record_len > 4096 {
        return Err(damaged(format!(
            "bad size {record_len} of a {} record: it must be at least {} and a multiple of 4",
            R::TABLE,
            R::LEN
        )));
    }
    let mut at = 4;
    while at < bytes.len() {
        let name_off = bytes.u32(at).ok_or_else(truncated)?;
        let count = bytes.u32(at + 4).ok_or_else(truncated)? as usize;
        if count == 0 {
            return Err(damaged(format!(
                "a section of the {} table is empty",
                R::TABLE
            )));
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
    /// The records up to an instruction. `of` gives the instruction of a record. The table must be sorted by it.
    pub fn up_to(&self, insn_off: u32, of: impl Fn(&R) -> u32) -> &[R] {
        let after = self.records.partition_point(|r| of(r) <= insn_off);
        &self.records[..after]
    }
}
