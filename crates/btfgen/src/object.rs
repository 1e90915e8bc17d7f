//! BPF objects: what the way of the data begins with.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use btfgen_libbpf::{Btf, ByteOrder, Checker, ReloKind, Relocation, TypeId};
use object::{Architecture, Object as _, ObjectSection as _};

use crate::btf_ext::{BtfExt, Bytes};
use crate::error::{Error, ErrorKind, Result};

/// A BPF object file with its types and its CO-RE relocations.
///
/// Objects of either byte order are read, objects without `.BTF.ext`, without relocations or with maps only, too:
/// they ask for nothing.
#[derive(Debug)]
pub struct Object {
    name: String,
    btf: Arc<Btf>,
    relocations: Vec<Relocation>,
    uses: Vec<RelocationUse>,
    ext: BtfExt,
}

/// One place in an object that a relocation patches.
#[derive(Debug, Clone, Copy)]
pub struct RelocationUse {
    /// Index into [`Object::relocations`].
    pub relocation: usize,
    section_name_off: u32,
    /// Offset in bytes of the instruction within its ELF section.
    pub insn_off: u32,
}

/// Where in the source an instruction came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceLine {
    /// File as the compiler named it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub column: u32,
}

impl fmt::Display for SourceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

const COMPILE_HELP: &str =
    "compile the program with `clang -target bpf -g -O2 -c`; -g makes the BTF";

impl Object {
    /// Reads and parses an object file.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], or those of [`Object::parse`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes =
            std::fs::read(path).map_err(|e| Error::io(path, "cannot read the object", e))?;
        let name = path.file_name().map_or_else(
            || path.display().to_string(),
            |n| n.to_string_lossy().into_owned(),
        );
        Self::parse_as(&path.display().to_string(), name, &bytes)
    }

    /// Parses an object file's bytes; `name` names it in messages and in the archive's manifest.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidObject`]: not ELF, not for BPF, no BTF, or a damaged one.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        Self::parse_as(name, name.to_owned(), bytes)
    }

    fn parse_as(subject: &str, name: String, bytes: &[u8]) -> Result<Self> {
        let invalid = |message: String| Error::new(ErrorKind::InvalidObject, subject, message);
        if bytes.is_empty() {
            return Err(invalid("the file is empty".into()).with_help(COMPILE_HELP));
        }
        if !bytes.starts_with(b"\x7fELF") {
            return Err(invalid("not an ELF file".into()).with_help(COMPILE_HELP));
        }
        let elf = object::File::parse(bytes)
            .map_err(|e| invalid("damaged ELF file".into()).with_source(e))?;
        if elf.architecture() != Architecture::Bpf {
            return Err(invalid(format!(
                "an ELF file for {:?}, not for BPF",
                elf.architecture()
            ))
            .with_help("give the .bpf.o file, not the program that loads it"));
        }
        let section = |name: &str| -> Result<Option<&[u8]>> {
            elf.section_by_name(name)
                .map(|s| s.data())
                .transpose()
                .map_err(|e| invalid(format!("damaged section {name}")).with_source(e))
        };
        let types = section(".BTF")?
            .filter(|b| !b.is_empty())
            .ok_or_else(|| invalid("it has no .BTF section".into()).with_help(COMPILE_HELP))?;
        let mut btf = Btf::parse(types)
            .map_err(|e| invalid("unusable .BTF section".into()).with_source(e))?;
        btf.set_pointer_size_of_bpf();
        let btf = Arc::new(btf);
        let big_endian = btf.byte_order() == ByteOrder::Big;
        let ext = section(".BTF.ext")?
            .filter(|b| !b.is_empty())
            .map_or_else(
                || Ok(BtfExt::default()),
                |data| BtfExt::parse(Bytes { data, big_endian }),
            )
            .map_err(|e| invalid(format!(".BTF.ext: {e}")))?;
        let (relocations, uses) = relocations(&btf, &ext)
            .map_err(|e| invalid("bad CO-RE relocation".into()).with_source(e))?;
        Ok(Self {
            name,
            btf,
            relocations,
            uses,
            ext,
        })
    }

    /// File name, without folders.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The object's types.
    pub fn btf(&self) -> &Arc<Btf> {
        &self.btf
    }

    /// The distinct relocation records, in the order of their first use.
    pub fn relocations(&self) -> &[Relocation] {
        &self.relocations
    }

    /// Every place that is relocated.
    pub fn uses(&self) -> &[RelocationUse] {
        &self.uses
    }

    /// The ELF section that a use lies in: the program's `SEC()`.
    pub fn section(&self, place: &RelocationUse) -> String {
        self.string(place.section_name_off)
    }

    /// The function that a use lies in.
    pub fn function(&self, place: &RelocationUse) -> Option<String> {
        let record = self
            .ext
            .functions
            .iter()
            .filter(|s| s.name_off == place.section_name_off)
            .find_map(|s| s.covering(place.insn_off, |r| r.insn_off))?;
        let function = self.btf.type_by_id(TypeId(record.type_id))?;
        Some(String::from_utf8_lossy(function.name()).into_owned())
    }

    /// The source line that a use came from, if the object says so.
    pub fn source_line(&self, place: &RelocationUse) -> Option<SourceLine> {
        let record = self
            .ext
            .lines
            .iter()
            .filter(|s| s.name_off == place.section_name_off)
            .find_map(|s| s.covering(place.insn_off, |r| r.insn_off))?;
        Some(SourceLine {
            file: self.string(record.file_name_off),
            line: record.line_col >> 10,
            column: record.line_col & 0x3ff,
        })
    }

    fn string(&self, offset: u32) -> String {
        String::from_utf8_lossy(self.btf.string(offset).unwrap_or_default()).into_owned()
    }
}

/// An object of Tracee's has 34,753 relocations, but only some hundred different records.
fn relocations(
    btf: &Arc<Btf>,
    ext: &BtfExt,
) -> Result<(Vec<Relocation>, Vec<RelocationUse>), Box<dyn std::error::Error + Send + Sync>> {
    let mut checker = Checker::new(btf);
    let mut distinct = Vec::new();
    let mut known = HashMap::new();
    let mut uses = Vec::with_capacity(ext.relocations.iter().map(|s| s.records.len()).sum());
    for section in &ext.relocations {
        if btf.string(section.name_off).is_none() {
            return Err("the name of a section is beyond the strings".into());
        }
        for r in &section.records {
            let relocation = match known.entry((r.kind, r.type_id, r.access_str_off)) {
                std::collections::hash_map::Entry::Occupied(e) => *e.get(),
                std::collections::hash_map::Entry::Vacant(e) => {
                    let kind = ReloKind::from_raw(r.kind)
                        .ok_or_else(|| format!("kind {} is not known to this libbpf", r.kind))?;
                    distinct.push(
                        Relocation::new(
                            btf,
                            &mut checker,
                            kind,
                            TypeId(r.type_id),
                            r.access_str_off,
                        )
                        .map_err(|e| format!("at instruction {}: {e}", r.insn_off / 8))?,
                    );
                    *e.insert(distinct.len() - 1)
                }
            };
            uses.push(RelocationUse {
                relocation,
                section_name_off: section.name_off,
                insn_off: r.insn_off,
            });
        }
    }
    Ok((distinct, uses))
}
