//! Architectures, by their names in hubs.

use btfgen_btf::{Btf, ByteOrder};

/// An architecture as hubs name it, after uname(2) but for `arm64`: `x86_64` for Debian's `amd64`, `arm64` for `aarch64`. What is
/// not known stays as it is.
pub fn hub_arch(arch: &str) -> &str {
    match arch {
        "aarch64" => "arm64",
        "amd64" => "x86_64",
        arch => arch,
    }
}

/// Whether a BTF can be a kernel's of this architecture, by its byte order; of architectures that have both, it always can.
pub fn arch_fits(arch: &str, btf: &Btf<'_>) -> bool {
    let expected = match hub_arch(arch) {
        "x86_64" | "i386" | "i686" | "arm64" | "armhf" | "armel" | "riscv64" | "ppc64le"
        | "loongarch64" => ByteOrder::Little,
        "s390x" | "ppc64" | "sparc64" => ByteOrder::Big,
        _ => return true,
    };
    btf.byte_order() == expected
}
