//! Finds the two ELF sections with an object's types and relocations, and those with its programs.

use std::collections::HashMap;

use object::Endianness;
use object::elf::{
    ELFCLASS32, EM_AARCH64, EM_BPF, EM_X86_64, FileHeader64, SHF_EXECINSTR, SectionHeader64,
};
use object::read::elf::{FileHeader as _, SectionHeader as _};

use crate::error::{Error, ErrorKind, Result};

/// The sections with an object's types and its relocations.
#[derive(Debug, Clone, Copy)]
pub struct Sections<'d> {
    /// Content of `.BTF`, which is not empty.
    pub btf: &'d [u8],
    /// Content of `.BTF.ext`; empty if there is none.
    pub btf_ext: &'d [u8],
}

const MAGIC: &[u8] = b"\x7fELF";
/// The magic of plain LLVM bitcode, and of bitcode in its wrapper (LLVM's `BitCodeFormat`, "Bitcode Wrapper Format").
const BITCODE_MAGICS: [[u8; 4]; 2] = [*b"BC\xc0\xde", 0x0b17_c0de_u32.to_le_bytes()];
/// The offset of the file's class, 32 or 64 bits.
const CLASS_AT: usize = 4;

impl<'d> Sections<'d> {
    /// Finds the sections in an ELF file of either byte order. The bytes may start at any address.
    ///
    /// # Errors
    /// Any [`ErrorKind`] except [`ErrorKind::TooLarge`].
    pub fn of(file: &'d [u8]) -> Result<Self> {
        let elf = Elf::parse(file)?;
        let sections = Self {
            btf: elf.content(".BTF")?,
            btf_ext: elf.content(".BTF.ext")?,
        };
        if sections.btf.is_empty() {
            return Err(Error::new(ErrorKind::NoBtf, "it has no .BTF section"));
        }
        Ok(sections)
    }

    /// The content of the sections with instructions, by their names, in an ELF file that [`Sections::of`] accepts. Of sections
    /// with the same name, the first one counts.
    ///
    /// # Errors
    /// Those of [`Sections::of`].
    pub fn programs(file: &'d [u8]) -> Result<HashMap<&'d [u8], &'d [u8]>> {
        let elf = Elf::parse(file)?;
        let mut programs = HashMap::new();
        for header in elf.headers {
            if header.sh_flags(elf.endian).contains(SHF_EXECINSTR)
                && let Some(name) = elf.name(header)
            {
                let content = header.data(elf.endian, file).map_err(damaged)?;
                programs.entry(name).or_insert(content);
            }
        }
        Ok(programs)
    }
}

/// An ELF file for BPF.
pub(crate) struct Elf<'d> {
    pub(crate) file: &'d [u8],
    pub(crate) endian: Endianness,
    pub(crate) headers: &'d [SectionHeader64<Endianness>],
    names: &'d [u8],
}

/// The longest name of a section, or of a symbol. The names of a hostile file may be one long string, and
/// all of it would be read for each name.
const MAX_NAME: usize = 1024;

pub(crate) fn damaged(e: object::Error) -> Error {
    Error::damaged(format!("damaged ELF file: {e}"))
}

impl<'d> Elf<'d> {
    pub(crate) fn parse(file: &'d [u8]) -> Result<Self> {
        if file.is_empty() {
            return Err(Error::new(ErrorKind::NotElf, "the file is empty"));
        }
        if BITCODE_MAGICS.iter().any(|magic| file.starts_with(magic)) {
            let message = "LLVM bitcode, not an ELF file";
            return Err(Error::new(ErrorKind::Bitcode, message));
        }
        if !file.starts_with(MAGIC) {
            return Err(Error::new(ErrorKind::NotElf, "not an ELF file"));
        }
        let not_bpf = |what: &str| {
            let message = format!("an ELF file for {what}, not for BPF");
            Err(Error::new(ErrorKind::NotBpf, message))
        };
        if file.get(CLASS_AT) == Some(&ELFCLASS32.0) {
            return not_bpf("32 bits");
        }
        let header = FileHeader64::<Endianness>::parse(file).map_err(damaged)?;
        let endian = header.endian().map_err(damaged)?;
        match header.e_machine(endian) {
            EM_BPF => {}
            EM_X86_64 => return not_bpf("x86_64"),
            EM_AARCH64 => return not_bpf("arm64"),
            other => return not_bpf(&format!("machine {}", other.0)),
        }
        let headers = header.section_headers(endian, file).map_err(damaged)?;
        let names = if headers.is_empty() {
            &[]
        } else {
            let index = header.shstrndx(endian, file).map_err(damaged)?;
            headers
                .get(index as usize)
                .ok_or_else(|| Error::damaged("damaged ELF file: the sections have no names"))?
                .data(endian, file)
                .map_err(damaged)?
        };
        Ok(Self {
            file,
            endian,
            headers,
            names,
        })
    }

    /// The content of the first section of this name; empty if there is none.
    pub(crate) fn content(&self, name: &str) -> Result<&'d [u8]> {
        // Compare prefixes: looking for the end of each name would take quadratic time if the names are one long string.
        let terminated = [name.as_bytes(), b"\0"].concat();
        let found = self.headers.iter().find(|header| {
            let rest = self.names.get(header.sh_name(self.endian) as usize..);
            rest.is_some_and(|rest| rest.starts_with(&terminated))
        });
        match found {
            None => Ok(&[]),
            Some(header) => header
                .data(self.endian, self.file)
                .map_err(|e| Error::damaged(format!("damaged section {name}: {e}"))),
        }
    }

    /// The name of a section; `None` if it is longer than [`MAX_NAME`].
    pub(crate) fn name(&self, header: &SectionHeader64<Endianness>) -> Option<&'d [u8]> {
        string(self.names, header.sh_name(self.endian))
    }
}

/// The string at an offset; `None` if it is longer than [`MAX_NAME`].
pub(crate) fn string(strings: &[u8], offset: u32) -> Option<&[u8]> {
    let rest = strings.get(offset as usize..)?;
    let rest = &rest[..rest.len().min(MAX_NAME + 1)];
    let end = rest.iter().position(|&byte| byte == 0)?;
    Some(&rest[..end])
}
