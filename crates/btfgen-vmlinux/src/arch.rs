//! Names of architectures: converts those of ELF headers and packages to those of a hub.

use btfgen_archive::Architecture;
use object::elf;

/// The name for an ELF header's machine, class and byte order.
pub(crate) fn of_elf(machine: elf::Machine, is_64: bool, is_little: bool) -> Option<&'static str> {
    Architecture::of_elf(machine.0, is_64, is_little).map(Architecture::name)
}

/// The name for a package's architecture. `None` for packages that are for every architecture. A name that the table does not
/// have stays the same.
pub(crate) fn of_package(name: &str) -> Option<String> {
    if let "all" | "noarch" | "any" = name {
        return None;
    }
    let ours = Architecture::named(name).map_or(name, |arch| arch.name());
    let is_name = !ours.is_empty()
        && ours.len() <= 32
        && ours.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then(|| ours.to_owned())
}

/// Whether two names are those of one architecture.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    let known = Architecture::named(one);
    one == other || known.is_some() && known == Architecture::named(other)
}

/// Whether an image cannot tell these two names apart. A package can: it tells which 32-bit ARM its image is for.
pub(crate) fn have_equal_images(one: &str, other: &str) -> bool {
    let (one, other) = (Architecture::named(one), Architecture::named(other));
    one.zip(other)
        .is_some_and(|(one, other)| one.has_elf_header_of(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that an image and its packages agree on the name, with the numbers of another crate for ELF's machines.
    #[test]
    fn names_agree() {
        for (machine, is_64, is_little, packages) in [
            (elf::EM_X86_64, true, true, ["amd64", "x86_64"]),
            (elf::EM_AARCH64, true, true, ["arm64", "aarch64"]),
            (elf::EM_AARCH64, true, false, ["arm64be", "aarch64_be"]),
            (elf::EM_386, false, true, ["i386", "i686"]),
            (elf::EM_ARM, false, true, ["armhf", "armv7hl"]),
            (elf::EM_PPC64, true, true, ["ppc64el", "ppc64le"]),
            (elf::EM_PPC64, true, false, ["ppc64", "ppc64"]),
            (elf::EM_PPC, false, false, ["powerpc", "ppc"]),
            (elf::EM_S390, true, false, ["s390x", "s390x"]),
            (elf::EM_S390, false, false, ["s390", "s390"]),
            (elf::EM_RISCV, true, true, ["riscv64", "riscv64"]),
            (elf::EM_RISCV, false, true, ["riscv32", "riscv32"]),
            (elf::EM_LOONGARCH, true, true, ["loong64", "loongarch64"]),
            (
                elf::EM_LOONGARCH,
                false,
                true,
                ["loongarch32", "loongarch32"],
            ),
            (elf::EM_MIPS, true, true, ["mips64el", "mips64r6el"]),
            (elf::EM_MIPS, true, false, ["mips64", "mips64"]),
            (elf::EM_MIPS, false, true, ["mipsel", "mipsel"]),
            (elf::EM_SPARCV9, true, false, ["sparc64", "sparc64"]),
        ] {
            let image = of_elf(machine, is_64, is_little);
            assert!(image.is_some(), "{packages:?}");
            for package in packages {
                assert_eq!(of_package(package).as_deref(), image);
            }
        }
        assert_eq!(of_elf(elf::EM_BPF, true, true), None);
    }

    /// Check that a package for all architectures, or with an invalid name, has no architecture.
    #[test]
    fn no_name() {
        for name in ["all", "noarch", "", "a/b", "\u{1b}[31m"] {
            assert_eq!(of_package(name), None, "{name:?}");
        }
    }
}
