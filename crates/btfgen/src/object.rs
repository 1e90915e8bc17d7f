//! BPF objects, the input of the whole work.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use btfgen_btf::{Btf, TypeId};
use btfgen_files::read_regular;
use btfgen_hub::{Error, ErrorKind, Result};
use btfgen_libbpf::{Checker, LoadedBtf, Relocation};
use btfgen_object::{
    BtfExt, Code, FunctionRecord, LineRecord, Programs, RelocationRecord, Section, Sections,
    Signature, Walk, accessor_path, signature,
};

use crate::consumer::consumer;

/// A BPF object file with its types and its CO-RE relocations.
///
/// An object may have either byte order. It may also have no `.BTF.ext`, no relocations, or only maps: it then asks for
/// nothing.
#[derive(Debug)]
pub struct Object {
    name: String,
    btf: Arc<LoadedBtf<'static>>,
    relocations: Vec<Relocation>,
    questions: Vec<Question>,
    uses: Vec<RelocationUse>,
    functions: Vec<Section<FunctionRecord>>,
    lines: Vec<Section<LineRecord>>,
    code: Code,
    programs: Result<Programs, btfgen_object::Error>,
}

/// The question of one relocation record, without the parts that depend on the object's spelling.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) signature: Signature,
    pub(crate) path: String,
}

/// One place in an object that a relocation patches.
#[derive(Debug, Clone, Copy)]
pub struct RelocationUse {
    /// Index into [`Object::relocations`].
    pub relocation: usize,
    section_name_off: u32,
    /// Offset in bytes of the instruction within its ELF section.
    pub insn_off: u32,
    /// The number of bytes that the instruction loads or stores; `None` if it does neither, or the object has no such
    /// instruction. Only of loads and stores does libbpf change the size.
    pub access_bytes: Option<u8>,
}

/// An instruction: the name of its section as an offset in the strings, and its own offset in bytes.
#[derive(Debug, Clone, Copy)]
struct At {
    section: u32,
    insn_off: u32,
}

impl RelocationUse {
    fn at(&self) -> At {
        At {
            section: self.section_name_off,
            insn_off: self.insn_off,
        }
    }
}

/// The source line of an instruction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct SourceLine {
    /// The file's name as the compiler wrote it.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1; 0 if unknown.
    pub column: u32,
    /// The line as the compiler wrote it, with the blanks at its beginning; empty if unknown.
    pub text: String,
}

impl fmt::Display for SourceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// The largest object that is read: twenty times the largest known object.
const MAX_OBJECT_BYTES: u64 = 256 << 20;

const COMPILE_HELP: &str =
    "compile the program with `clang -target bpf -g -O2 -c`; -g generates the BTF";

impl Object {
    /// Reads and parses an object file.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], also if the file is not a regular file or is larger than 256 MiB; [`ErrorKind::Machine`]; those of
    /// [`Object::parse`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = read_regular(path, MAX_OBJECT_BYTES)
            .map_err(|e| Error::io(path, "cannot read the object", e))?;
        let name = path.file_name().map_or_else(
            || path.display().to_string(),
            |n| n.to_string_lossy().into_owned(),
        );
        Self::parse_as(&path.display().to_string(), name, &bytes)
    }

    /// Parses the bytes of an object file. Messages use `name` for it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidObject`]: the bytes are not ELF or not for BPF, or their BTF is missing or damaged;
    /// [`ErrorKind::Machine`].
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self> {
        Self::parse_as(name, name.to_owned(), bytes)
    }

    fn parse_as(subject: &str, name: String, bytes: &[u8]) -> Result<Self> {
        let invalid = |message: &str| Error::new(ErrorKind::InvalidObject, subject, message);
        let refused = |e: btfgen_object::Error| {
            let error = invalid(&e.to_string());
            match help(e.kind()) {
                Some(help) => error.with_help(help),
                None => error,
            }
        };
        let sections = Sections::of(bytes).map_err(refused)?;
        let btf = Btf::parse(sections.btf.to_vec())
            .map_err(|e| invalid("unusable .BTF section").with_source(e))?;
        let btf = LoadedBtf::of_object(btf).map_err(|e| match e.kind() {
            btfgen_libbpf::ErrorKind::OutOfMemory => {
                Error::new(ErrorKind::Machine, subject, "cannot be parsed").with_source(e)
            }
            _ => invalid("unusable .BTF section").with_source(e),
        })?;
        let btf = Arc::new(btf);
        let ext = BtfExt::parse(sections.btf_ext, btf.byte_order()).map_err(refused)?;
        let programs = Sections::programs(bytes).map_err(refused)?;
        let mut records = Records::new(&btf, programs);
        for section in ext.relocations().map_err(refused)? {
            records
                .add(&section)
                .map_err(|e| invalid("bad CO-RE relocation").with_source(e))?;
        }
        let Records {
            relocations,
            questions,
            uses,
            ..
        } = records;
        Ok(Self {
            name,
            relocations,
            questions,
            uses,
            functions: ext.functions().map_err(refused)?,
            lines: ext.lines().map_err(refused)?,
            code: Code::read(bytes).map_err(refused)?,
            programs: Programs::read(bytes),
            btf,
        })
    }

    /// File name, without folders.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The object's types.
    pub fn btf(&self) -> &Btf<'static> {
        &self.btf
    }

    /// The distinct relocation records, in the order of their first use.
    pub fn relocations(&self) -> &[Relocation] {
        &self.relocations
    }

    /// The question of each of [`Object::relocations`].
    pub(crate) fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// The functions with their instructions.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// What the object asks of a kernel besides its types.
    ///
    /// # Errors
    /// The reason why libbpf cannot open the object. Its relocations are known all the same.
    pub fn programs(&self) -> Result<&Programs, &btfgen_object::Error> {
        self.programs.as_ref()
    }

    /// Every place that a relocation patches.
    pub fn uses(&self) -> &[RelocationUse] {
        &self.uses
    }

    /// The ELF section of a use: the program's `SEC()`.
    pub fn section(&self, place: &RelocationUse) -> String {
        self.string(place.section_name_off)
    }

    /// The function of a use.
    pub fn function(&self, place: &RelocationUse) -> Option<String> {
        let record = self.function_record(place.at())?;
        let function = self.btf.type_by_id(record.type_id)?;
        Some(String::from_utf8_lossy(function.name()).into_owned())
    }

    /// The source line of a use, if the object has one. The compiler gives no line to an instruction that loads a relocated
    /// constant: it has the line of the instruction that takes the constant. The compiler may also make an instruction of
    /// several statements and give it no line. The result is then the line before it in the same function.
    pub fn source_line(&self, place: &RelocationUse) -> Option<SourceLine> {
        self.line_of(place.at())
    }

    /// The source line of an instruction, by the name of its ELF section and its offset in bytes there, as
    /// [`Object::source_line`] finds it.
    pub fn line_at(&self, section: &str, insn_off: u32) -> Option<SourceLine> {
        let mut sections = self.lines.iter().map(|s| s.name_off);
        let section = sections.find(|&name| self.btf.string(name) == Some(section.as_bytes()))?;
        self.line_of(At { section, insn_off })
    }

    fn line_of(&self, at: At) -> Option<SourceLine> {
        let start = self.function_record(at).map_or(0, |r| r.insn_off);
        let up_to = |insn_off: u32| {
            let sections = self.lines.iter();
            let of_section = sections.filter(|s| s.name_off == at.section);
            let before =
                of_section.flat_map(move |s| s.up_to(insn_off, |r| r.insn_off).iter().rev());
            before.take_while(move |r| r.insn_off >= start)
        };
        let own = up_to(at.insn_off).find(|r| r.insn_off == at.insn_off && r.line() != 0);
        let taken = self.taken_at(at).unwrap_or(at.insn_off);
        let record = own.or_else(|| up_to(taken).find(|r| r.line() != 0))?;
        Some(SourceLine {
            file: self.string(record.file_name_off),
            line: record.line(),
            column: record.line_col & 0x3ff,
            text: self.string(record.line_off),
        })
    }

    fn function_record(&self, at: At) -> Option<&FunctionRecord> {
        let sections = self.functions.iter();
        sections
            .filter(|s| s.name_off == at.section)
            .find_map(|s| s.up_to(at.insn_off, |r| r.insn_off).last())
    }

    /// Where the value of an instruction is taken: the offset in bytes of that instruction within the section.
    fn taken_at(&self, at: At) -> Option<u32> {
        let section = self.btf.string(at.section)?;
        let index = at.insn_off / 8;
        let mut functions = self.code.functions.iter();
        let function = functions.find(|function| {
            let len = function.instructions.len() as u32;
            let end = function.start.saturating_add(len);
            function.section.as_bytes() == section && (function.start..end).contains(&index)
        })?;
        let taken = consumer(function, index - function.start);
        Some((function.start + taken) * 8)
    }

    fn string(&self, offset: u32) -> String {
        String::from_utf8_lossy(self.btf.string(offset).unwrap_or_default()).into_owned()
    }
}

/// The help for a file that is not a BPF object with BTF.
fn help(kind: btfgen_object::ErrorKind) -> Option<&'static str> {
    match kind {
        btfgen_object::ErrorKind::NotElf | btfgen_object::ErrorKind::NoBtf => Some(COMPILE_HELP),
        btfgen_object::ErrorKind::Bitcode => Some(
            "compile the program without -flto, because clang -flto writes bitcode instead of a BPF object",
        ),
        btfgen_object::ErrorKind::NotBpf => {
            Some("give the .bpf.o file, not the program that loads it")
        }
        _ => None,
    }
}

/// Finds the distinct relocation records: an object of Tracee has 34,753 records, but only some hundred distinct ones.
struct Records<'b> {
    btf: &'b Arc<LoadedBtf<'static>>,
    checker: Checker<'b>,
    walk: Walk<'b>,
    /// The instructions of each section.
    programs: HashMap<&'b [u8], &'b [u8]>,
    known: HashMap<(u32, TypeId, u32), usize>,
    relocations: Vec<Relocation>,
    questions: Vec<Question>,
    uses: Vec<RelocationUse>,
}

impl<'b> Records<'b> {
    fn new(btf: &'b Arc<LoadedBtf<'static>>, programs: HashMap<&'b [u8], &'b [u8]>) -> Self {
        Self {
            btf,
            checker: Checker::new(btf),
            walk: Walk::new(btf),
            programs,
            known: HashMap::new(),
            relocations: Vec::new(),
            questions: Vec::new(),
            uses: Vec::new(),
        }
    }

    fn add(&mut self, section: &Section<RelocationRecord>) -> Result<(), BoxError> {
        let Some(name) = self.btf.string(section.name_off) else {
            return Err("the name of a section is beyond the strings".into());
        };
        let code = self.programs.get(name).copied().unwrap_or_default();
        for record in &section.records {
            let relocation = match self.known.get(&record.question()) {
                Some(known) => *known,
                None => {
                    self.add_distinct(record)?;
                    let last = self.relocations.len() - 1;
                    self.known.insert(record.question(), last);
                    last
                }
            };
            self.uses.push(RelocationUse {
                relocation,
                section_name_off: section.name_off,
                insn_off: record.insn_off,
                access_bytes: code
                    .get(record.insn_off as usize)
                    .and_then(|&opcode| access_bytes(opcode)),
            });
        }
        Ok(())
    }

    fn add_distinct(&mut self, record: &RelocationRecord) -> Result<(), BoxError> {
        let relocation = Relocation::new(self.btf, &mut self.walk, &mut self.checker, record)
            .map_err(|e| format!("at instruction {}: {e}", record.insn_off / 8))?;
        self.questions.push(Question {
            signature: signature(&mut self.walk, relocation.asked())?,
            path: accessor_path(&mut self.walk, relocation.asked())?,
        });
        self.relocations.push(relocation);
        Ok(())
    }
}

/// The number of bytes that an instruction loads or stores, by its first byte (kernel Documentation/bpf/standardization).
fn access_bytes(opcode: u8) -> Option<u8> {
    const LDX: u8 = 1;
    const ST: u8 = 2;
    const STX: u8 = 3;
    matches!(opcode & 0x07, LDX | ST | STX).then(|| match opcode & 0x18 {
        0x00 => 4,
        0x08 => 2,
        0x10 => 1,
        _ => 8,
    })
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
