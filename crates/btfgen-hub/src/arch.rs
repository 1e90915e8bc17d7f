//! Architectures, by their names in hubs.

use btfgen_btf::{Btf, ByteOrder};

/// The name of an architecture in hubs. It is that of uname(2), except `arm64` for `aarch64`: Debian's `amd64` is `x86_64`.
/// Unknown names stay the same.
pub fn hub_arch(arch: &str) -> &str {
    match arch {
        "aarch64" => "arm64",
        "amd64" => "x86_64",
        arch => arch,
    }
}

/// Whether a BTF can be that of a kernel of this architecture, by its byte order. If an architecture has both byte orders,
/// or is not known, the BTF can always be.
pub fn arch_fits(arch: &str, btf: &Btf<'_>) -> bool {
    let expected = match hub_arch(arch) {
        "x86_64" | "i386" | "i686" | "arm64" | "armhf" | "armel" | "riscv64" | "ppc64le"
        | "loongarch64" => ByteOrder::Little,
        "s390x" | "ppc64" | "sparc64" => ByteOrder::Big,
        _ => return true,
    };
    btf.byte_order() == expected
}
