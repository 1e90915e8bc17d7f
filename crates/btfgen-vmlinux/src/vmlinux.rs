//! The result of a reading.

use std::fmt;

use btfgen_archive::BuildId;

use crate::arch::{have_equal_images, is_same};

/// The BTF of a kernel, and what the file says about the kernel.
#[derive(Clone, PartialEq, Eq)]
pub struct Vmlinux {
    pub(crate) btf: Vec<u8>,
    pub(crate) release: Option<String>,
    pub(crate) arch: Option<String>,
    /// Whether only the image tells the architecture.
    pub(crate) is_image_arch: bool,
    pub(crate) build_id: Option<BuildId>,
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

    /// The kernel's architecture under its name in a hub, by the [table](btfgen_archive::ARCHITECTURES): `x86_64` also if the
    /// package is Debian's for `amd64`. `None` for a bare BTF, which does not contain it.
    ///
    /// An image does not tell which 32-bit ARM it is for, so it counts as `arm`, for `ARMv7`. A package tells. If the table
    /// does not have a package's architecture, the name is the package's.
    pub fn arch(&self) -> Option<&str> {
        self.arch.as_deref()
    }

    /// Whether the kernel can be of this architecture, by any of its names. If only an image tells the architecture, that can be
    /// another one with the same ELF header: `armel` for `arm`. `true` for a bare BTF.
    pub fn can_be(&self, arch: &str) -> bool {
        let Some(told) = &self.arch else {
            return true;
        };
        is_same(told, arch) || self.is_image_arch && have_equal_images(told, arch)
    }

    /// The kernel's GNU build id, which a machine that runs the kernel shows in `/sys/kernel/notes`. `None` for a bare BTF, for a
    /// kernel that was linked without an id, and if a flat image has several notes of which any may be the kernel's.
    pub fn build_id(&self) -> Option<BuildId> {
        self.build_id
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
            .field("build_id", &self.build_id)
            .field("origin", &self.origin)
            .finish()
    }
}
