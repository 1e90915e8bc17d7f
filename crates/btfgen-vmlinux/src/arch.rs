//! Names of architectures: converts those of ELF headers and packages to those of a hub.

use object::elf;

/// The name for an ELF header's machine, class and byte order.
pub(crate) fn of_elf(machine: elf::Machine, is_64: bool, is_little: bool) -> Option<&'static str> {
    let name = match (machine, is_64, is_little) {
        (elf::EM_X86_64, ..) => "x86_64",
        (elf::EM_386, ..) => "i386",
        (elf::EM_AARCH64, _, true) => "arm64",
        (elf::EM_AARCH64, _, false) => "aarch64_be",
        (elf::EM_ARM, ..) => "arm",
        (elf::EM_S390, true, _) => "s390x",
        (elf::EM_S390, false, _) => "s390",
        (elf::EM_PPC64, _, true) => "ppc64le",
        (elf::EM_PPC64, _, false) => "ppc64",
        (elf::EM_PPC, ..) => "ppc",
        (elf::EM_RISCV, true, _) => "riscv64",
        (elf::EM_RISCV, false, _) => "riscv32",
        (elf::EM_LOONGARCH, true, _) => "loongarch64",
        (elf::EM_LOONGARCH, false, _) => "loongarch32",
        // uname(2) has the same name for both byte orders.
        (elf::EM_MIPS, true, _) => "mips64",
        (elf::EM_MIPS, false, _) => "mips",
        (elf::EM_SPARCV9, ..) => "sparc64",
        _ => return None,
    };
    Some(name)
}

/// The name for a package's architecture. `None` for packages that are for every architecture.
pub(crate) fn of_package(name: &str) -> Option<String> {
    let ours = match name {
        "all" | "noarch" | "any" => return None,
        "amd64" | "x86_64" | "x86_64_v2" | "x86_64_v3" => "x86_64",
        "arm64" | "aarch64" => "arm64",
        "ppc64el" | "ppc64le" => "ppc64le",
        "loong64" | "loongarch64" => "loongarch64",
        "i386" | "i486" | "i586" | "i686" => "i386",
        "armhf" | "armv7hl" | "armv7hnl" | "armv7l" => "armhf",
        "armel" | "armv5tel" | "armv5tl" | "armv6l" | "armv6hl" => "armel",
        "mips64el" | "mips64" => "mips64",
        "mipsel" | "mips" => "mips",
        other => other,
    };
    let is_name = !ours.is_empty()
        && ours.len() <= 32
        && ours.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then(|| ours.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that an image and its packages agree on the name.
    #[test]
    fn names_agree() {
        for (machine, is_little, packages) in [
            (elf::EM_X86_64, true, ["amd64", "x86_64"]),
            (elf::EM_AARCH64, true, ["arm64", "aarch64"]),
            (elf::EM_PPC64, true, ["ppc64el", "ppc64le"]),
            (elf::EM_S390, false, ["s390x", "s390x"]),
            (elf::EM_RISCV, true, ["riscv64", "riscv64"]),
            (elf::EM_LOONGARCH, true, ["loong64", "loongarch64"]),
            (elf::EM_386, true, ["i386", "i686"]),
        ] {
            let image = of_elf(machine, machine != elf::EM_386, is_little);
            for package in packages {
                assert_eq!(of_package(package).as_deref(), image);
            }
        }
    }

    /// Check that a package for all architectures, or with an invalid name, has no architecture.
    #[test]
    fn no_name() {
        for name in ["all", "noarch", "", "a/b", "\u{1b}[31m"] {
            assert_eq!(of_package(name), None, "{name:?}");
        }
    }
}
