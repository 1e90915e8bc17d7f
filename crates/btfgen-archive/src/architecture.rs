//! The names of architectures: those of hubs, of uname(2), of packages and of ELF headers.

/// The table of architectures as text. Its first lines describe its columns. It is plain data, so that a reader in another
/// language can use the same table.
pub const ARCHITECTURES: &str = include_str!("architectures.tsv");

/// An architecture: a row of [`ARCHITECTURES`].
///
/// ```
/// use btfgen_archive::Architecture;
///
/// let arch = Architecture::named("ppc64el").expect("Debian's name");
/// assert_eq!(arch.name(), "ppc64le");
/// assert_eq!(Architecture::named("aarch64"), Architecture::named("arm64"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Architecture {
    // Its columns are read when they are asked for: a program that embeds a reader of archives needs only the names.
    row: &'static str,
}

impl Architecture {
    /// All architectures, in the table's order.
    pub fn all() -> impl Iterator<Item = Self> {
        let rows = ARCHITECTURES.lines().filter(|row| !row.starts_with('#'));
        rows.map(|row| Self { row })
    }

    /// The architecture with this name, which may be any of its [`names`](Self::names).
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|arch| arch.names().any(|n| n == name))
    }

    /// The architecture of an ELF file, by `e_machine`, class and byte order. If several architectures have the same header, the
    /// first one of the table.
    pub fn of_elf(machine: u16, is_64: bool, is_little_endian: bool) -> Option<Self> {
        let machine = machine.to_string();
        Self::all().find(|arch| {
            arch.column(MACHINE) == machine
                && (arch.column(BITS) == "64") == is_64
                && arch.is_little_endian().unwrap_or(is_little_endian) == is_little_endian
        })
    }

    /// The name in hubs, for example `x86_64` or `arm64`.
    pub fn name(self) -> &'static str {
        self.column(NAME)
    }

    /// All names: the hub's first, then those of `uname -m`, then those of packages and languages. No other architecture has one
    /// of these names.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let columns = self.row.split('\t').take(MACHINE);
        let names = columns.enumerate().flat_map(|(column, names)| {
            let names = names.split(' ');
            names.map(move |name| (column, name))
        });
        names
            .filter(move |&(column, name)| column == NAME || name != NONE && name != self.name())
            .map(|(_, name)| name)
    }

    /// Whether the least significant byte comes first. `None` if machines of both byte orders have these names.
    pub fn is_little_endian(self) -> Option<bool> {
        match self.column(ORDER) {
            "little" => Some(true),
            "big" => Some(false),
            _ => None,
        }
    }

    /// What `uname -m` prints, for example `aarch64`; the first name if there are several, as for 32-bit x86.
    pub fn machine(self) -> &'static str {
        let machines = self.column(MACHINES);
        machines.split(' ').next().unwrap_or(machines)
    }

    /// What `uname -m` prints on this architecture's kernel for a process with the personality `PER_LINUX32`: `i686` on `x86_64`.
    pub fn compat_machine(self) -> Option<&'static str> {
        Some(self.column(COMPAT)).filter(|name| *name != NONE)
    }

    /// Whether an ELF header cannot tell the two architectures apart.
    pub fn has_elf_header_of(self, other: Self) -> bool {
        (MACHINE..=ORDER).all(|n| self.column(n) == other.column(n))
    }

    fn column(self, n: usize) -> &'static str {
        // The tests check that every row has all columns.
        self.row.split('\t').nth(n).unwrap_or_default()
    }
}

// The columns by their numbers. Those before `MACHINE` have names.
const NAME: usize = 0;
const MACHINES: usize = 1;
const MACHINE: usize = 3;
const BITS: usize = 4;
const ORDER: usize = 5;
const COMPAT: usize = 6;

/// An empty column.
const NONE: &str = "-";

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::KernelId;

    /// Check that every line of the table is a comment or a whole row, and that no name is in two rows.
    #[test]
    fn table() {
        let (mut seen, mut compats) = (HashSet::new(), HashSet::new());
        for line in ARCHITECTURES.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&str> = line.split('\t').collect();
            let [name, machines, _, machine, bits, order, compat] = columns[..] else {
                panic!("not seven columns: {line}");
            };
            assert!(matches!(bits, "32" | "64"), "{line}");
            assert!(matches!(order, "little" | "big" | "any"), "{line}");
            assert_ne!(machines, NONE, "{line}");
            if compat != NONE {
                let shown = Architecture::named(compat).unwrap();
                let machines = shown.column(MACHINES).split(' ');
                assert!(bits == "64" && shown.column(BITS) == "32", "{line}");
                assert!(machines.clone().any(|name| name == compat), "{line}");
                assert!(compats.insert(compat), "{compat} is in two rows");
            }
            assert_eq!(machine.parse::<u16>().unwrap().to_string(), machine);
            let arch = Architecture { row: line };
            assert_eq!(arch.name(), name);
            for name in arch.names() {
                assert!(seen.insert(name), "{name} is in two rows");
                assert!(KernelId::new("debian", "12", name, "6.1.0").is_ok());
                assert_eq!(Architecture::named(name), Some(arch));
            }
        }
        for unknown in ["", NONE, "#", "X86_64", "x86_64 ", "powerpc64 ", "amd64\t"] {
            assert_eq!(Architecture::named(unknown), None, "{unknown}");
        }
    }

    /// Check that every name in use leads to its architecture: of `uname -m`, Debian, RPM, Rust, Go and btfhub-archive.
    #[test]
    fn names_in_use() {
        for (name, others) in [
            ("x86_64", "amd64 x86_64_v2 x32"),
            ("i386", "i486 i586 i686 x86 386"),
            ("arm64", "aarch64"),
            ("aarch64_be", "arm64be"),
            ("arm", "armv7l armv8l armhf armv7 armv7hl thumbv7neon"),
            ("armel", "armv5tel armv5tejl armv6l armv4t armv5te armv6hl"),
            ("armeb", "armv7b armv8b armbe"),
            ("ppc64le", "ppc64el powerpc64le"),
            ("ppc64", "powerpc64"),
            ("ppc", "powerpc"),
            ("riscv64", "riscv64gc riscv64a23"),
            ("riscv32", "riscv riscv32gc"),
            ("loongarch64", "loong64"),
            (
                "mips64",
                "mips64el mips64le mips64r6el mipsisa64r6 mipsn32el",
            ),
            ("mips", "mipsel mipsle mipsisa32r6el mipsr6"),
            ("sparc64", "sparc64"),
            ("parisc", "hppa"),
            ("openrisc", "or1k"),
            ("sh4", "sh3"),
        ] {
            for other in others.split(' ').chain([name]) {
                let arch = Architecture::named(other).map(Architecture::name);
                assert_eq!(arch, Some(name), "{other}");
            }
        }
        let same = "s390x s390 sparc alpha ia64 m68k arc csky hexagon microblaze nios2 xtensa";
        for name in same.split(' ') {
            assert_eq!(Architecture::named(name).unwrap().name(), name);
        }
    }

    /// Check which name a kernel shows to a process with 32 bits.
    #[test]
    fn compat_machines() {
        for (name, compat) in [
            ("amd64", Some("i686")),
            ("arm64", Some("armv8l")),
            ("ppc64", Some("ppc")),
            ("mips64el", Some("mips")),
            ("s390x", Some("s390")),
            ("i386", None),
            ("loongarch64", None),
        ] {
            let arch = Architecture::named(name).unwrap();
            assert_eq!(arch.compat_machine(), compat, "{name}");
        }
    }

    /// Check that a row's ELF header leads back to the row, or to the first of those that have it.
    #[test]
    fn elf_headers() {
        for arch in Architecture::all() {
            let machine = arch.column(MACHINE).parse().unwrap();
            let is_64 = arch.column(BITS) == "64";
            for is_little in [true, false] {
                let found = Architecture::of_elf(machine, is_64, is_little);
                if arch.is_little_endian().unwrap_or(is_little) == is_little {
                    assert!(found.unwrap().has_elf_header_of(arch), "{arch:?}");
                }
            }
        }
        assert_eq!(Architecture::of_elf(40, false, true).unwrap().name(), "arm");
        let big = Architecture::of_elf(40, false, false);
        assert_eq!(big.unwrap().name(), "armeb");
        assert_eq!(Architecture::of_elf(40, true, true), None);
    }
}
