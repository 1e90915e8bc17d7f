//! Architectures, by their names in hubs.

use btfgen_archive::Architecture;
use btfgen_btf::{Btf, ByteOrder};

/// The name of an architecture in hubs, by any of its names in the [table](btfgen_archive::ARCHITECTURES): `arm64` for
/// `aarch64`, `x86_64` for Debian's `amd64`. Unknown names stay the same.
pub fn hub_arch(arch: &str) -> &str {
    Architecture::named(arch).map_or(arch, |known| known.name())
}

/// Whether a BTF can be that of a kernel of this architecture, by its byte order. If an architecture has both byte orders,
/// or is not known, the BTF can always be.
pub fn arch_fits(arch: &str, btf: &Btf<'_>) -> bool {
    let order = Architecture::named(arch).and_then(Architecture::is_little_endian);
    order.is_none_or(|is_little| is_little == (btf.byte_order() == ByteOrder::Little))
}
