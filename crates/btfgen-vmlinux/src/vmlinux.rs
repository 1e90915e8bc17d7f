//! The result of a reading.

use std::fmt;

/// The BTF of a kernel, and what the file says about the kernel.
#[derive(Clone, PartialEq, Eq)]
pub struct Vmlinux {
    pub(crate) btf: Vec<u8>,
    pub(crate) release: Option<String>,
    pub(crate) arch: Option<String>,
    pub(crate) origin: String,
}

impl Vmlinux {
    /// The BTF, in the kernel's byte order. Only its header and the bounds of its sections were checked.
    pub fn btf(&self) -> &[u8] {
        &self.btf
    }

    /// As [`Vmlinux::btf`], without a copy.
    pub fn into_btf(self) -> Vec<u8> {
        self.btf
    }

    /// The kernel's release as uname(2) returns it, for example `6.1.0-47-cloud-amd64`. `None` for a bare BTF, which does not
    /// contain it.
    ///
    /// The release is from the image, as uname(2) returns it on a machine that runs the kernel. If the image does not contain it,
    /// the release is from the path in the package (`boot/vmlinuz-RELEASE`, `lib/modules/RELEASE/vmlinuz`).
    pub fn release(&self) -> Option<&str> {
        self.release.as_deref()
    }

    /// The kernel's architecture under its name in a hub. `None` for a bare BTF, which does not contain it.
    ///
    /// | image | Debian's package | RPM | name |
    /// |---|---|---|---|
    /// | x86, 64 bits | amd64 | `x86_64` | `x86_64` |
    /// | 64-bit ARM | arm64 | aarch64 | `arm64` |
    /// | s390, 64 bits | s390x | s390x | `s390x` |
    /// | 64-bit POWER, least significant byte first | ppc64el | ppc64le | `ppc64le` |
    /// | RISC-V, 64 bits | riscv64 | riscv64 | `riscv64` |
    /// | `LoongArch`, 64 bits | loong64 | loongarch64 | `loongarch64` |
    /// | x86, 32 bits | i386 | i386 … i686 | `i386` |
    /// | 32-bit ARM | armhf | armv7hl | `armhf`; `arm` without a package |
    /// | 32-bit ARM | armel | armv5tel, armv6l | `armel` |
    ///
    /// Other architectures have uname(2)'s name, for example `mips64`, or the package's.
    pub fn arch(&self) -> Option<&str> {
        self.arch.as_deref()
    }

    /// Where the BTF was found, as text for people: `boot/vmlinuz-6.1.0-47-cloud-amd64 in the package, x86 boot image, lz4,
    /// .BTF section`.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl fmt::Debug for Vmlinux {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vmlinux")
            .field("btf", &format_args!("{} bytes", self.btf.len()))
            .field("release", &self.release)
            .field("arch", &self.arch)
            .field("origin", &self.origin)
            .finish()
    }
}
