//! Architectures, by their names in hubs.

use btfgen_archive::{Architecture, KernelId};
use btfgen_btf::{Btf, ByteOrder};

/// The name of an architecture in hubs, by any of its names in the [table](btfgen_archive::ARCHITECTURES): `arm64` for
/// `aarch64`, `x86_64` for Debian's `amd64`. Unknown names stay the same.
pub fn hub_arch(arch: &str) -> &str {
    Architecture::named(arch).map_or(arch, |known| known.name())
}

/// A kernel's id with the hub's name of its architecture. So a kernel has one id, whatever its folder is called.
///
/// ```
/// let kernel = "debian/12/armhf/6.1.0-50-armmp".parse()?;
/// assert_eq!(btfgen_hub::hub_id(kernel).to_string(), "debian/12/arm/6.1.0-50-armmp");
/// # Ok::<(), btfgen_archive::Error>(())
/// ```
pub fn hub_id(kernel: KernelId) -> KernelId {
    with_arch(&kernel, hub_arch(kernel.arch())).unwrap_or(kernel)
}

/// The ids of a kernel under the other names of its architecture.
pub fn other_ids(kernel: &KernelId) -> impl Iterator<Item = KernelId> {
    let names = Architecture::named(kernel.arch()).map(Architecture::names);
    let others = names.into_iter().flatten();
    others.filter_map(|name| with_arch(kernel, name))
}

/// A kernel's id with another architecture. `None` if it has this one, or the name is not valid.
fn with_arch(kernel: &KernelId, arch: &str) -> Option<KernelId> {
    let other = || KernelId::new(kernel.distro(), kernel.version(), arch, kernel.release()).ok();
    (kernel.arch() != arch).then(other).flatten()
}

/// Whether a BTF can be that of a kernel of this architecture, by its byte order. If an architecture has both byte orders,
/// or is not known, the BTF can always be.
pub fn arch_fits(arch: &str, btf: &Btf<'_>) -> bool {
    let order = Architecture::named(arch).and_then(Architecture::is_little_endian);
    order.is_none_or(|is_little| is_little == (btf.byte_order() == ByteOrder::Little))
}
