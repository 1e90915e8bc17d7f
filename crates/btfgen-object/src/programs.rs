//! What an object asks of a kernel besides its types: program types and targets, maps, helpers, symbols.
//!
//! It is read as libbpf 1.7 reads it in `bpf_object__open`, from the ELF file alone.

mod budget;
mod definitions;
mod externs;
mod kernel_btf;
mod maps;
mod symbols;
mod target;

use btfgen_btf::Btf;
use object::elf::{SHT_NOBITS, SHT_PROGBITS};
use object::read::elf::SectionHeader as _;

pub use self::externs::{Kconfig, KconfigSource, KconfigType, Ksym, KsymKind};
pub use self::kernel_btf::NeedsKernelBtf;
pub use self::maps::Map;
pub use self::target::Target;

use self::budget::Budget;
use self::definitions::Definition;
use self::symbols::Symbols;
use crate::elf::Elf;
use crate::error::{Error, Result};
use crate::feature::{Feature, FeatureKind};

/// The section whose variables define maps.
const MAPS: &str = ".maps";
/// `BPF_MAP_TYPE_ARRAY`: libbpf makes such a map of each section with variables.
const ARRAY: u32 = 2;
/// `BPF_MAP_TYPE_STRUCT_OPS`.
const STRUCT_OPS: u32 = 26;
/// libbpf keeps so many bytes of a license.
const MAX_LICENSE: usize = 63;

/// What an object asks of a kernel besides its types.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Programs {
    /// The programs, in libbpf's order: by section, then by offset.
    pub programs: Vec<Program>,
    /// The functions in `.text`, which programs call.
    pub subprograms: Vec<ProgramFunction>,
    /// The maps: those in `.maps`, those that libbpf makes of sections with variables, those of tables of functions.
    pub maps: Vec<Map>,
    /// The variables in `.kconfig`.
    pub kconfig: Vec<Kconfig>,
    /// The symbols in `.ksyms`.
    pub ksyms: Vec<Ksym>,
    /// The sections with tables of functions: `.struct_ops`, `.struct_ops.link`, perhaps with a leading `?`.
    pub struct_ops: Vec<String>,
    /// The license, from the section `license`.
    pub license: Option<String>,
    /// The version of Linux that the section `version` asks for, as `KERNEL_VERSION` computes it. Kernels before 5.0 load a kprobe
    /// only if the version is theirs. Without the section, libbpf gives the version of the running kernel.
    pub kernel_version: Option<u32>,
    /// Whether it has a section `maps` with maps of the old form. libbpf 1.0 and later refuse to open such an object.
    pub has_legacy_maps: bool,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Program {
    /// Its function. The name of its section may begin with `?`.
    pub function: ProgramFunction,
    /// Whether libbpf loads it with the object: the name of its section does not begin with `?`.
    pub autoload: bool,
    /// Its type, as [`Feature`] names it; `None` if libbpf does not know the section's name, so that the program's user must set
    /// the type.
    pub program_type: Option<&'static str>,
    /// The attach type that libbpf expects, as [`Feature`] names it; `None` if it expects none.
    pub attach_type: Option<&'static str>,
    /// Whether it may sleep.
    pub is_sleepable: bool,
    /// What it attaches to, if the section's name says it.
    pub target: Option<Target>,
}

/// A function with instructions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct ProgramFunction {
    /// Its name.
    pub name: String,
    /// The name of its ELF section.
    pub section: String,
    /// The offset in bytes of its first instruction in the section.
    pub offset: u64,
    /// Its length in bytes.
    pub len: u64,
    /// The helpers that it calls itself, in the order of its instructions.
    pub helpers: Vec<HelperCall>,
}

/// A call of a helper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct HelperCall {
    /// `enum bpf_func_id`, as a number.
    pub helper: u32,
    /// The offset in bytes of the instruction in its section.
    pub offset: u64,
}

/// An instruction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Place {
    /// The name of its ELF section.
    pub section: String,
    /// Its offset in bytes in the section.
    pub offset: u64,
}

impl HelperCall {
    /// The helper, with the version of Linux that brought it; `None` if the table does not know the number.
    pub fn feature(&self) -> Option<Feature> {
        Feature::by_number(FeatureKind::Helper, self.helper)
    }
}

impl Program {
    fn of(function: ProgramFunction) -> Self {
        let section = function.section.strip_prefix('?');
        let autoload = section.is_none();
        let section = section.unwrap_or(&function.section);
        let definition = Definition::of(section);
        Self {
            autoload,
            program_type: definition.map(|known| known.program_type),
            attach_type: definition.and_then(|known| known.attach_type),
            is_sleepable: definition.is_some_and(|known| known.is_sleepable),
            target: Target::of(section),
            function,
        }
    }

    /// Its program type and its attach type, with the versions of Linux that brought them.
    pub fn features(&self) -> impl Iterator<Item = Feature> {
        let of = |kind, name: Option<&str>| Feature::by_name(kind, name?);
        let program_type = of(FeatureKind::ProgramType, self.program_type);
        let attach_type = of(FeatureKind::AttachType, self.attach_type);
        program_type.into_iter().chain(attach_type)
    }
}

impl Programs {
    /// Reads an object from the bytes of its ELF file, which may start at any address. Unlike relocations, programs need no
    /// types.
    ///
    /// # Errors
    /// Any [`ErrorKind`](crate::ErrorKind) but [`ErrorKind::NoBtf`](crate::ErrorKind::NoBtf): the bytes are not a BPF object, or
    /// one that libbpf cannot open.
    pub fn read(object: &[u8]) -> Result<Self> {
        let elf = Elf::parse(object)?;
        let mut budget = Budget::new();
        let symbols = Symbols::read(&elf, &mut budget)?;
        let btf = elf.content(".BTF")?;
        let btf = if btf.is_empty() {
            None
        } else {
            Some(Btf::parse(btf).map_err(Error::btf)?)
        };
        let (kconfig, ksyms) = externs::sort(symbols.externs, btf.as_ref())?;
        let sections = DataSections::of(&elf, &mut budget)?;
        let mut maps = match &btf {
            Some(btf) if sections.has_maps => maps::defined(btf, &mut budget)?,
            None if sections.has_maps => {
                return Err(Error::damaged("it has maps, but no .BTF with their types"));
            }
            _ => Vec::new(),
        };
        maps.extend(
            sections
                .variables
                .into_iter()
                .map(|name| Map::made(name, ARRAY)),
        );
        if !kconfig.is_empty() {
            maps.push(Map::made(".kconfig".to_owned(), ARRAY));
        }
        for section in &sections.struct_ops {
            let tables = btf
                .as_ref()
                .map(|btf| maps::variables(btf, section.as_bytes()))
                .unwrap_or_default();
            maps.extend(tables.into_iter().map(|name| Map::made(name, STRUCT_OPS)));
        }
        Ok(Self {
            programs: symbols.programs.into_iter().map(Program::of).collect(),
            subprograms: symbols.subprograms,
            maps,
            kconfig,
            ksyms,
            struct_ops: sections.struct_ops,
            license: license(elf.content("license")?),
            kernel_version: kernel_version(&elf)?,
            has_legacy_maps: sections.has_legacy_maps,
        })
    }
}

/// What the names of an object's sections without instructions say.
#[derive(Default)]
struct DataSections {
    /// The sections that libbpf makes maps of.
    variables: Vec<String>,
    struct_ops: Vec<String>,
    has_maps: bool,
    has_legacy_maps: bool,
}

impl DataSections {
    fn of(elf: &Elf<'_>, budget: &mut Budget) -> Result<Self> {
        let mut found = Self::default();
        for header in elf.headers {
            let Some(name) = elf.name(header) else {
                continue;
            };
            let is_one_of = |stems: &[&[u8]]| {
                stems.iter().any(|stem| {
                    let rest = name.strip_prefix(*stem);
                    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
                })
            };
            let text = || String::from_utf8_lossy(name).into_owned();
            let is_empty = header.sh_size(elf.endian) == 0;
            match (name, header.sh_type(elf.endian)) {
                (b"maps", _) => found.has_legacy_maps = true,
                (b".maps", _) => found.has_maps = true,
                (_, SHT_NOBITS) if is_one_of(&[b".bss"]) && !is_empty => {
                    found.variables.push(text())
                }
                (_, SHT_PROGBITS) if is_one_of(&[b".data", b".rodata"]) && !is_empty => {
                    found.variables.push(text());
                }
                (
                    b".struct_ops" | b".struct_ops.link" | b"?.struct_ops" | b"?.struct_ops.link",
                    SHT_PROGBITS,
                ) if !is_empty && !found.struct_ops.contains(&text()) => {
                    found.struct_ops.push(text());
                }
                _ => continue,
            }
            budget.charge(size_of::<Map>() + 2 * name.len())?;
        }
        Ok(found)
    }
}

fn license(content: &[u8]) -> Option<String> {
    let end = content
        .iter()
        .take(MAX_LICENSE)
        .take_while(|byte| **byte != 0)
        .count();
    (!content.is_empty()).then(|| String::from_utf8_lossy(&content[..end]).into_owned())
}

fn kernel_version(elf: &Elf<'_>) -> Result<Option<u32>> {
    let content = elf.content("version")?;
    if content.is_empty() {
        return Ok(None);
    }
    let bytes: [u8; 4] = content
        .try_into()
        .map_err(|_| Error::damaged("the section version has not 4 bytes"))?;
    Ok(Some(match elf.endian {
        object::Endianness::Little => u32::from_le_bytes(bytes),
        object::Endianness::Big => u32::from_be_bytes(bytes),
    }))
}
