//! The code of an object: its functions, their instructions, and which functions refer to which.

use std::collections::BTreeMap;

use object::Endianness;
use object::elf::{SHF_EXECINSTR, SHT_REL, SHT_SYMTAB, STT_FUNC, Sym64};
use object::read::elf::{Rel as _, SectionHeader as _, Sym as _};

use crate::elf::{Elf, damaged, string};
use crate::error::Result;

/// The functions of an object: programs, and the functions that they call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Code {
    /// In the order of sections and of instructions.
    pub functions: Vec<Function>,
}

/// A function.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Function {
    /// Its symbol.
    pub name: String,
    /// The ELF section: a program's `SEC()`, or `.text` for a function that programs call.
    pub section: String,
    /// The index of its first instruction within the section. An instruction of 16 bytes counts twice.
    pub start: u32,
    /// Its instructions. The second half of one of 16 bytes has the opcode 0.
    pub instructions: Vec<Instruction>,
    /// What instructions refer to by symbols, by their indices within the function: functions by their index in
    /// [`Code::functions`]; `None` for all else, such as maps and functions of the kernel.
    pub references: BTreeMap<u32, Option<usize>>,
}

/// An instruction, by the kernel's Documentation/bpf/standardization/instruction-set.rst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instruction {
    /// Class and operation.
    pub opcode: u8,
    /// The register that is written.
    pub dst: u8,
    /// The register that is read, or the meaning of `imm`.
    pub src: u8,
    /// An offset in bytes, or a jump in instructions.
    pub offset: i16,
    /// A constant.
    pub imm: i32,
}

/// Classes of instructions: the lowest three bits of the opcode.
pub mod class {
    /// Loads that only some instructions have, such as [`LOAD_IMM64`](crate::LOAD_IMM64).
    pub const LD: u8 = 0;
    /// Loads into a register.
    pub const LDX: u8 = 1;
    /// Stores of a constant.
    pub const ST: u8 = 2;
    /// Stores of a register, and atomic operations.
    pub const STX: u8 = 3;
    /// Arithmetic on 32 bits.
    pub const ALU: u8 = 4;
    /// Jumps that compare 64 bits, calls and exits.
    pub const JMP: u8 = 5;
    /// Jumps that compare 32 bits.
    pub const JMP32: u8 = 6;
    /// Arithmetic on 64 bits.
    pub const ALU64: u8 = 7;
}

impl Instruction {
    /// One of the classes in [`class`].
    pub fn class(self) -> u8 {
        self.opcode & 7
    }

    /// Whether the second operand of arithmetic or of a comparison is a register. Otherwise it is a constant.
    pub fn takes_register(self) -> bool {
        self.opcode & 8 != 0
    }
}

/// `BPF_JMP | BPF_CALL`.
pub const CALL: u8 = 0x85;
/// `BPF_LD | BPF_IMM | BPF_DW`, the only instruction of 16 bytes.
pub const LOAD_IMM64: u8 = 0x18;
/// In `src` of [`CALL`]: `BPF_PSEUDO_CALL`, a function of the object.
pub const PSEUDO_CALL: u8 = 1;
/// `struct bpf_insn`, in bytes.
const INSTRUCTION: u64 = 8;

impl Code {
    /// Reads the functions of an ELF file that [`Sections::of`](crate::Sections::of) accepts. Symbols that overlap the
    /// function before are left out, and so are functions in sections whose names are too long.
    ///
    /// # Errors
    /// Those of [`Sections::of`](crate::Sections::of).
    pub fn read(file: &[u8]) -> Result<Self> {
        let elf = Elf::parse(file)?;
        let symbols = Symbols::of(&elf)?;
        let (addresses, functions): (Vec<Address>, Vec<Function>) =
            functions(&elf, &symbols)?.into_iter().unzip();
        let at: BTreeMap<Address, usize> = addresses.iter().copied().zip(0..).collect();
        let mut code = Self { functions };
        code.read_references(&elf, &symbols, &at)?;
        code.read_calls(&addresses, &at);
        Ok(code)
    }

    /// Reads what instructions refer to by ELF relocations.
    fn read_references(
        &mut self,
        elf: &Elf<'_>,
        symbols: &Symbols<'_>,
        at: &BTreeMap<Address, usize>,
    ) -> Result<()> {
        for header in elf.headers {
            if header.sh_type(elf.endian) != SHT_REL {
                continue;
            }
            let section = header.sh_info(elf.endian);
            let records = header.rel(elf.endian, elf.file).map_err(damaged)?;
            for record in records.map(|(records, _)| records).unwrap_or_default() {
                let place = record.r_offset(elf.endian) / INSTRUCTION;
                let before = at.range(..=(section, place)).next_back();
                let Some((&(_, start), &n)) = before.filter(|((of, _), _)| *of == section) else {
                    continue;
                };
                let index = place - start;
                let function = &mut self.functions[n];
                let Some(&instruction) = function.instructions.get(index as usize) else {
                    continue;
                };
                let symbol = symbols.all.get(record.r_sym(elf.endian) as usize);
                let target = symbol.and_then(|symbol| target(elf.endian, symbol, instruction));
                let target = target.and_then(|address| at.get(&address).copied());
                function.references.insert(index as u32, target);
            }
        }
        Ok(())
    }

    /// Reads the calls within a section, which have no ELF relocation.
    fn read_calls(&mut self, addresses: &[Address], at: &BTreeMap<Address, usize>) {
        for (function, &(section, start)) in self.functions.iter_mut().zip(addresses) {
            for (index, instruction) in (0..).zip(&function.instructions) {
                if instruction.opcode == CALL && instruction.src == PSEUDO_CALL {
                    let next = start.checked_add(u64::from(index) + 1);
                    let target =
                        next.and_then(|next| next.checked_add_signed(instruction.imm.into()));
                    let target = target.and_then(|place| at.get(&(section, place)).copied());
                    function.references.entry(index).or_insert(target);
                }
            }
        }
    }
}

/// The index of a section, and of an instruction in it.
type Address = (u32, u64);

/// The symbols of an ELF file.
#[derive(Default)]
struct Symbols<'d> {
    all: &'d [Sym64<Endianness>],
    names: &'d [u8],
}

impl<'d> Symbols<'d> {
    fn of(elf: &Elf<'d>) -> Result<Self> {
        let mut headers = elf.headers.iter();
        let Some(header) = headers.find(|h| h.sh_type(elf.endian) == SHT_SYMTAB) else {
            return Ok(Self::default());
        };
        let names = elf.headers.get(header.sh_link(elf.endian) as usize);
        let names = names.map(|names| names.data(elf.endian, elf.file));
        Ok(Self {
            all: header
                .data_as_array(elf.endian, elf.file)
                .map_err(damaged)?,
            names: names.transpose().map_err(damaged)?.unwrap_or_default(),
        })
    }
}

/// The functions with their addresses, in order.
fn functions(elf: &Elf<'_>, symbols: &Symbols<'_>) -> Result<Vec<(Address, Function)>> {
    let symbols_of_functions = symbols.all.iter().filter(|s| s.st_type() == STT_FUNC);
    let mut found: Vec<(Address, &Sym64<Endianness>)> = symbols_of_functions
        .map(|symbol| (address(elf.endian, symbol), symbol))
        .collect();
    found.sort_by_key(|(address, _)| *address);
    let mut functions = Vec::new();
    let mut end = (0, 0);
    for (address, symbol) in found {
        let (section, start) = address;
        let header = elf.headers.get(section as usize);
        let header = header.filter(|header| header.sh_flags(elf.endian).contains(SHF_EXECINSTR));
        let section_name = header.and_then(|header| elf.name(header));
        let (Some(header), Some(section_name)) = (header, section_name) else {
            continue;
        };
        let code = header.data(elf.endian, elf.file).map_err(damaged)?;
        let len = symbol.st_size(elf.endian) / INSTRUCTION;
        let Some(body) = part(code, start, len).filter(|body| !body.is_empty() && address >= end)
        else {
            continue;
        };
        end = (section, start + len);
        let name = string(symbols.names, symbol.st_name(elf.endian)).unwrap_or_default();
        let function = Function {
            name: String::from_utf8_lossy(name).into_owned(),
            section: String::from_utf8_lossy(section_name).into_owned(),
            // A section is smaller than 2^32 instructions, because it is in memory as a part of an object.
            start: u32::try_from(start).unwrap_or(u32::MAX),
            instructions: body
                .chunks_exact(8)
                .map(|bytes| instruction(bytes, elf.endian))
                .collect(),
            references: BTreeMap::new(),
        };
        functions.push((address, function));
    }
    Ok(functions)
}

/// Some instructions of a section.
fn part(code: &[u8], start: u64, len: u64) -> Option<&[u8]> {
    let start = start.checked_mul(INSTRUCTION)?;
    let end = start.checked_add(len.checked_mul(INSTRUCTION)?)?;
    code.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
}

fn instruction(bytes: &[u8], endian: Endianness) -> Instruction {
    let offset = [bytes[2], bytes[3]];
    let imm = [bytes[4], bytes[5], bytes[6], bytes[7]];
    let (low, high) = (bytes[1] & 0xf, bytes[1] >> 4);
    match endian {
        Endianness::Little => Instruction {
            opcode: bytes[0],
            dst: low,
            src: high,
            offset: i16::from_le_bytes(offset),
            imm: i32::from_le_bytes(imm),
        },
        Endianness::Big => Instruction {
            opcode: bytes[0],
            dst: high,
            src: low,
            offset: i16::from_be_bytes(offset),
            imm: i32::from_be_bytes(imm),
        },
    }
}

fn address(endian: Endianness, symbol: &Sym64<Endianness>) -> Address {
    let section = u32::from(symbol.st_shndx(endian).0);
    (section, symbol.st_value(endian) / INSTRUCTION)
}

/// The function that an instruction refers to by a symbol: the addend is in the instruction. A call counts instructions from
/// the next one, so it has -1 for the symbol itself; an address counts bytes (BPF relocations in the documentation of the
/// kernel).
fn target(
    endian: Endianness,
    symbol: &Sym64<Endianness>,
    instruction: Instruction,
) -> Option<Address> {
    let addend = i64::from(instruction.imm);
    let addend = match instruction.opcode {
        CALL if instruction.src == PSEUDO_CALL => addend + 1,
        LOAD_IMM64 => addend / INSTRUCTION as i64,
        _ => return None,
    };
    let (section, start) = address(endian, symbol);
    Some((section, start.checked_add_signed(addend)?))
}
