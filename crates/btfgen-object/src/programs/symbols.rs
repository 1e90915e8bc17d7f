//! The symbols of an object: functions, and what it leaves to the loader.

use std::collections::HashMap;

use object::Endianness;
use object::elf::{
    Rel64, SHF_EXECINSTR, SHT_PROGBITS, SHT_REL, SHT_SYMTAB, STB_GLOBAL, STB_LOCAL, STB_WEAK,
    STT_FUNC, STT_NOTYPE, SectionHeader64, Sym64,
};
use object::read::elf::{SectionHeader as _, Sym as _};

use super::budget::Budget;
use super::{HelperCall, Place, ProgramFunction};
use crate::elf::{Elf, damaged, string};
use crate::error::{Error, Result};

/// The bytes of an instruction. Some instructions are two of them.
const INSTRUCTION: u64 = 8;
/// `BPF_JMP | BPF_CALL`.
const CALL: u8 = 0x85;

/// The functions of an object, and its undefined symbols.
#[derive(Debug)]
pub(super) struct Symbols<'d> {
    /// The functions in sections other than `.text`, in libbpf's order.
    pub(super) programs: Vec<ProgramFunction>,
    /// The functions in `.text`.
    pub(super) subprograms: Vec<ProgramFunction>,
    /// The symbols that are left to the loader, in the order of the symbol table.
    pub(super) externs: Vec<Extern<'d>>,
}

/// A symbol that is left to the loader.
#[derive(Debug)]
pub(super) struct Extern<'d> {
    pub(super) name: &'d [u8],
    pub(super) is_weak: bool,
    pub(super) uses: Vec<Place>,
}

/// A section with instructions.
struct Code<'d> {
    name: &'d [u8],
    content: &'d [u8],
}

impl<'d> Symbols<'d> {
    pub(super) fn read(elf: &Elf<'d>, budget: &mut Budget) -> Result<Self> {
        let code = code_sections(elf)?;
        let mut tables = elf
            .headers
            .iter()
            .filter(|header| header.sh_type(elf.endian) == SHT_SYMTAB);
        let table = tables
            .next()
            .ok_or_else(|| Error::damaged("it has no symbol table"))?;
        let symbols: &[Sym64<Endianness>] =
            table.data_as_array(elf.endian, elf.file).map_err(damaged)?;
        let names = elf.headers.get(table.sh_link(elf.endian) as usize);
        let names = names.ok_or_else(|| Error::damaged("its symbols have no names"))?;
        let names = names.data(elf.endian, elf.file).map_err(damaged)?;
        let mut functions = Vec::new();
        let mut externs = Externs::default();
        for (index, symbol) in symbols.iter().enumerate() {
            let name = || {
                let name = string(names, symbol.st_name(elf.endian));
                name.ok_or_else(|| {
                    Error::damaged("the name of a symbol is damaged, or longer than 1024 bytes")
                })
            };
            let section = symbol.st_shndx(elf.endian).0;
            if symbol.st_type() == STT_FUNC
                && let Some(code) = code.get(&usize::from(section))
            {
                let function = function(elf, symbol, name()?, code, budget)?;
                functions.push((section, code.name == b".text", function));
            } else if section == 0 && is_extern(symbol) && !name()?.is_empty() {
                budget.charge(size_of::<Extern<'_>>() + name()?.len())?;
                externs.add(index, name()?, symbol.st_bind() == STB_WEAK);
            }
        }
        externs.find_uses(elf, &code, budget)?;
        // A stable sort: only hostile objects have two functions in one place.
        functions.sort_by_key(|(section, _, function)| (*section, function.offset));
        let (subprograms, programs): (Vec<_>, Vec<_>) =
            functions.into_iter().partition(|(_, is_text, _)| *is_text);
        let without_section = |functions: Vec<_>| {
            functions
                .into_iter()
                .map(|(_, _, function)| function)
                .collect()
        };
        Ok(Self {
            programs: without_section(programs),
            subprograms: without_section(subprograms),
            externs: externs.list,
        })
    }
}

/// The sections that libbpf takes programs from, by their index.
fn code_sections<'d>(elf: &Elf<'d>) -> Result<HashMap<usize, Code<'d>>> {
    let mut sections = HashMap::new();
    for (index, header) in elf.headers.iter().enumerate() {
        let name = elf.name(header).unwrap_or_default();
        let is_code = header.sh_type(elf.endian) == SHT_PROGBITS
            && header.sh_size(elf.endian) > 0
            && header.sh_flags(elf.endian).contains(SHF_EXECINSTR);
        let is_special = matches!(
            name,
            b"license" | b"version" | b"maps" | b".maps" | b".BTF" | b".BTF.ext"
        );
        if is_code && !is_special {
            let content = header.data(elf.endian, elf.file).map_err(damaged)?;
            sections.insert(index, Code { name, content });
        }
    }
    Ok(sections)
}

fn function(
    elf: &Elf<'_>,
    symbol: &Sym64<Endianness>,
    name: &[u8],
    code: &Code<'_>,
    budget: &mut Budget,
) -> Result<ProgramFunction> {
    let (offset, len) = (symbol.st_value(elf.endian), symbol.st_size(elf.endian));
    let (name, section) = (
        String::from_utf8_lossy(name),
        String::from_utf8_lossy(code.name),
    );
    let bad = |what: &str| Error::damaged(format!("section {section}: the function {name} {what}"));
    if len == 0 || len % INSTRUCTION != 0 || offset % INSTRUCTION != 0 {
        return Err(bad("does not consist of whole instructions"));
    }
    let end = offset
        .checked_add(len)
        .filter(|end| *end <= code.content.len() as u64);
    let end = end.ok_or_else(|| bad("crosses the end of the section"))?;
    if code.name != b".text" && symbol.st_bind() == STB_LOCAL {
        return Err(bad("is static; loaders refuse such programs"));
    }
    budget.charge(size_of::<ProgramFunction>() + 2 * (name.len() + section.len()))?;
    // It ends within the section.
    let content = &code.content[offset as usize..end as usize];
    budget.charge(content.len() / INSTRUCTION as usize)?;
    let helpers = helper_calls(elf.endian, content, offset);
    budget.charge(helpers.len() * size_of::<HelperCall>())?;
    Ok(ProgramFunction {
        name: name.into_owned(),
        section: section.into_owned(),
        offset,
        len,
        helpers,
    })
}

/// The calls of helpers in these instructions, which begin at this offset of their section. Calls of functions have another
/// source register (`BPF_PSEUDO_CALL`, `BPF_PSEUDO_KFUNC_CALL`).
fn helper_calls(endian: Endianness, code: &[u8], start: u64) -> Vec<HelperCall> {
    let instructions = code
        .chunks_exact(INSTRUCTION as usize)
        .zip((start..).step_by(INSTRUCTION as usize));
    let calls = instructions.filter_map(|(instruction, offset)| {
        let &[opcode, registers, _, _, a, b, c, d] = instruction else {
            return None;
        };
        let immediate = match endian {
            Endianness::Little => u32::from_le_bytes([a, b, c, d]),
            Endianness::Big => u32::from_be_bytes([a, b, c, d]),
        };
        // Both registers are 0.
        (opcode == CALL && registers == 0).then_some(HelperCall {
            helper: immediate,
            offset,
        })
    });
    calls.collect()
}

/// libbpf's `sym_is_extern`, for an undefined symbol.
fn is_extern(symbol: &Sym64<Endianness>) -> bool {
    matches!(symbol.st_bind(), STB_GLOBAL | STB_WEAK) && symbol.st_type() == STT_NOTYPE
}

/// The symbols that are left to the loader.
#[derive(Default)]
struct Externs<'d> {
    list: Vec<Extern<'d>>,
    /// The place in the list, by the number of the symbol.
    places: HashMap<usize, usize>,
}

impl<'d> Externs<'d> {
    fn add(&mut self, index: usize, name: &'d [u8], is_weak: bool) {
        self.places.insert(index, self.list.len());
        self.list.push(Extern {
            name,
            is_weak,
            uses: Vec::new(),
        });
    }

    /// Finds the instructions that use these symbols.
    fn find_uses(
        &mut self,
        elf: &Elf<'_>,
        code: &HashMap<usize, Code<'_>>,
        budget: &mut Budget,
    ) -> Result<()> {
        let relocations =
            |header: &&SectionHeader64<Endianness>| header.sh_type(elf.endian) == SHT_REL;
        for header in elf.headers.iter().filter(relocations) {
            let Some(code) = code.get(&(header.sh_info(elf.endian) as usize)) else {
                continue;
            };
            let section = String::from_utf8_lossy(code.name);
            let records: &[Rel64<Endianness>] = header
                .data_as_array(elf.endian, elf.file)
                .map_err(damaged)?;
            budget.charge(records.len())?;
            for record in records {
                if let Some(place) = self.places.get(&(record.r_sym(elf.endian) as usize)) {
                    budget.charge(size_of::<Place>() + section.len())?;
                    self.list[*place].uses.push(Place {
                        section: section.clone().into_owned(),
                        offset: record.r_offset.get(elf.endian),
                    });
                }
            }
        }
        Ok(())
    }
}
