//! Writes the archive as an ELF object to link with a C program.
//!
//! `ld -r -b binary` also makes such an object. But it names the symbols after the path that it gets, leaves the data
//! writable, and knows only the machines that it was built for.

use std::fmt;
use std::str::FromStr;

use btfgen_archive::Architecture as Names;
use btfgen_hub::{Error, ErrorKind, Result};
use object::write::{Object, Symbol, SymbolFlags, SymbolSection};
use object::{
    AddressSize, Architecture, BinaryFormat, Endianness, FileFlags, SectionKind, SymbolKind,
    SymbolScope, elf,
};

/// The prefix of the symbols' names. `ld -r -b binary min_core_btfs.tar.gz` gives the same names.
const SYMBOLS: &str = "_binary_min_core_btfs_tar_gz";

/// The alignment of malloc, which is enough for any reader of the data.
const ALIGNMENT: u64 = 16;

/// The architecture of an object, see [`linkable_object`].
///
/// ```
/// use btfgen::TargetArch;
///
/// let arch: TargetArch = "aarch64".parse()?;
/// assert_eq!(arch.name(), "arm64");
/// # Ok::<(), btfgen::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TargetArch {
    name: &'static str,
    architecture: Architecture,
    endianness: Endianness,
    /// The flags of Linux's ABI. Linkers compare them, so an object with other flags does not link.
    e_flags: elf::FileFlags,
}

const NO_FLAGS: elf::FileFlags = elf::FileFlags(0);

const fn little(
    name: &'static str,
    architecture: Architecture,
    e_flags: elf::FileFlags,
) -> TargetArch {
    TargetArch {
        name,
        architecture,
        endianness: Endianness::Little,
        e_flags,
    }
}

const fn big(name: &'static str, architecture: Architecture) -> TargetArch {
    TargetArch {
        name,
        architecture,
        endianness: Endianness::Big,
        e_flags: NO_FLAGS,
    }
}

const MIPS64EL: &str = "mips64el";

/// Go's name of it.
const MIPS64LE: &str = "mips64le";

/// By the names in hubs. Only `mips64el` is not the hub's name, because that does not tell the byte order.
const KNOWN: [TargetArch; 13] = [
    little("x86_64", Architecture::X86_64, NO_FLAGS),
    little("arm64", Architecture::Aarch64, NO_FLAGS),
    little("i386", Architecture::I386, NO_FLAGS),
    little("arm", Architecture::Arm, elf::EF_ARM_EABI_VER5),
    // Objects without code link with code for either kind of floating point.
    little("armel", Architecture::Arm, elf::EF_ARM_EABI_VER5),
    little(
        "ppc64le",
        Architecture::PowerPc64,
        // The ABI's version, ELFv2.
        elf::FileFlags(2),
    ),
    // Without the ABI's version, which tells how functions are called, the object links with both.
    big("ppc64", Architecture::PowerPc64),
    big("ppc", Architecture::PowerPc),
    big("s390x", Architecture::S390x),
    little(
        "riscv64",
        Architecture::Riscv64,
        // lp64d. The flag for compressed instructions matters only for objects with code.
        elf::EF_RISCV_FLOAT_ABI_DOUBLE,
    ),
    little(
        "riscv32",
        Architecture::Riscv32,
        elf::EF_RISCV_FLOAT_ABI_DOUBLE,
    ),
    little(
        "loongarch64",
        Architecture::LoongArch64,
        elf::FileFlags(elf::EF_LARCH_ABI_DOUBLE_FLOAT.0 | elf::EF_LARCH_OBJABI_V1.0),
    ),
    little(
        MIPS64EL,
        Architecture::Mips64,
        elf::FileFlags(elf::EF_MIPS_ARCH_64R2.0 | elf::EF_MIPS_PIC.0 | elf::EF_MIPS_CPIC.0),
    ),
];

impl TargetArch {
    /// All known architectures.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        KNOWN.into_iter()
    }

    /// The architecture that this library was built for, if [`linkable_object`] can make an object for it. In a `build.rs`
    /// that may differ from the architecture that the program is built for.
    pub fn native() -> Option<Self> {
        let little = cfg!(target_endian = "little");
        let name = match std::env::consts::ARCH {
            "powerpc64" if little => "ppc64le",
            "mips64" if little => MIPS64EL,
            other => other,
        };
        let is_like_us = |arch: &Self| {
            let bytes = arch.architecture.address_size().map(AddressSize::bytes);
            bytes.map(usize::from) == Some(size_of::<usize>())
                && (arch.endianness == Endianness::Little) == little
        };
        name.parse().ok().filter(is_like_us)
    }

    /// Its name in hubs; `mips64el` for MIPS with 64 bits, which is `mips64` in hubs.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Its other names: those of `uname -m`, of packages, and of languages.
    pub fn aliases(self) -> impl Iterator<Item = &'static str> {
        let names = Names::named(self.name).filter(|names| names.name() == self.name);
        let names = names.into_iter().flat_map(|names| names.names().skip(1));
        names.chain((self.name == MIPS64EL).then_some(MIPS64LE))
    }
}

impl FromStr for TargetArch {
    type Err = Error;

    /// Finds an architecture by any of its names.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`]; the message lists all known names.
    fn from_str(text: &str) -> Result<Self> {
        let name = match text {
            MIPS64LE => MIPS64EL,
            _ => Names::named(text).map_or(text, |names| names.name()),
        };
        Self::all()
            .find(|arch| arch.name == text || arch.name == name)
            .ok_or_else(|| {
                let known: Vec<&str> = Self::all().map(Self::name).collect();
                let known = known.join(", ");
                let message = format!(
                    "not an architecture that btfgen can make an object for; it knows {known}"
                );
                Error::new(ErrorKind::InvalidName, text, message)
            })
    }
}

impl fmt::Display for TargetArch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The bytes of a relocatable ELF object with an archive in its `.rodata`, aligned to 16. These symbols are its start and
/// end:
///
/// ```c
/// extern const char _binary_min_core_btfs_tar_gz_start[], _binary_min_core_btfs_tar_gz_end[];
/// ```
///
/// The absolute symbol `_binary_min_core_btfs_tar_gz_size` is there too, as `ld -r -b binary` makes it. Linkers refuse it in
/// most position-independent programs, so better compute the difference of the other two. An archive may end at an odd
/// address. On s390x, code that is not position-independent can name only even addresses, unless it is compiled with
/// `-munaligned-symbols`.
///
/// The bytes depend only on the arguments.
///
/// # Errors
/// [`ErrorKind::Archive`] if the archive does not fit into an object.
pub fn linkable_object(archive: &[u8], arch: TargetArch) -> Result<Vec<u8>> {
    let mut object = Object::new(BinaryFormat::Elf, arch.architecture, arch.endianness);
    object.flags = FileFlags::Elf {
        os_abi: elf::ELFOSABI_NONE,
        abi_version: 0,
        e_flags: arch.e_flags,
    };
    let data = object.add_section(Vec::new(), b".rodata".to_vec(), SectionKind::ReadOnlyData);
    object.set_section_data(data, archive, ALIGNMENT);
    // Without this section, linkers give the program an executable stack.
    object.add_section(Vec::new(), b".note.GNU-stack".to_vec(), SectionKind::Other);

    let size = archive.len() as u64;
    let mut symbol = |name: &str, kind, section, value, size| {
        object.add_symbol(Symbol {
            name: format!("{SYMBOLS}_{name}").into_bytes(),
            value,
            size,
            kind,
            scope: SymbolScope::Dynamic,
            weak: false,
            section,
            flags: SymbolFlags::None,
        });
    };
    let section = SymbolSection::Section(data);
    symbol("start", SymbolKind::Data, section, 0, size);
    symbol("end", SymbolKind::Label, section, size, 0);
    symbol("size", SymbolKind::Label, SymbolSection::Absolute, size, 0);
    object.write().map_err(|e| {
        let message = format!("cannot be written as an object for {arch}");
        Error::new(ErrorKind::Archive, "the archive", message).with_source(e)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

    use super::*;

    /// Check that every name belongs to one architecture, and finds it, and that the table has the names.
    #[test]
    fn names() {
        let mut seen = HashSet::new();
        for arch in TargetArch::all() {
            for name in std::iter::once(arch.name()).chain(arch.aliases()) {
                assert!(seen.insert(name), "{name} is the name of two");
                assert_eq!(name.parse::<TargetArch>().unwrap(), arch);
            }
            assert_eq!(arch.to_string(), arch.name());
            assert!(Names::named(arch.name()).is_some(), "{arch}");
        }
    }

    /// Check that an unknown name is refused, and that the error lists the known names.
    #[test]
    fn unknown() {
        for name in ["", "sparc", "X86_64", "x86_64 ", "mips64", "mips"] {
            let error = name.parse::<TargetArch>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidName);
            assert!(TargetArch::all().all(|arch| error.to_string().contains(arch.name())));
        }
    }

    /// Check that the native architecture is that of this test program.
    #[test]
    #[cfg(target_os = "linux")]
    fn native() {
        let ours = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let ours = object::File::parse(&*ours).unwrap();
        let native = TargetArch::native().unwrap();
        assert_eq!(native.architecture, ours.architecture());
        assert_eq!(native.endianness, ours.endianness());
    }

    /// Check that another ELF reader finds archives of any size between the symbols.
    #[test]
    fn archive_between_symbols() {
        for (arch, length) in
            TargetArch::all().flat_map(|arch| [0, 1, 15, 16, 4097].map(|n| (arch, n)))
        {
            let archive: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let bytes = linkable_object(&archive, arch).unwrap();
            assert_eq!(bytes, linkable_object(&archive, arch).unwrap());
            let object = object::File::parse(&*bytes).unwrap();
            assert_eq!(object.architecture(), arch.architecture);
            assert_eq!(object.endianness(), arch.endianness);

            let data = object.section_by_name(".rodata").unwrap();
            assert_eq!(data.data().unwrap(), archive);
            assert_eq!(data.align(), ALIGNMENT);
            assert_eq!(data.kind(), SectionKind::ReadOnlyData);
            let symbol = |name| {
                let name = format!("{SYMBOLS}_{name}");
                let symbol = object.symbol_by_name(&name).unwrap();
                assert!(symbol.is_global() && !symbol.is_weak());
                (symbol.section_index(), symbol.address(), symbol.size())
            };
            assert_eq!(symbol("start"), (Some(data.index()), 0, length));
            assert_eq!(symbol("end"), (Some(data.index()), length, 0));
            assert_eq!(symbol("size"), (None, length, 0));
        }
    }
}
