//! Detects the type of a file from its first bytes.

use btfgen_btf::Header;

use crate::compression::Codec;

/// The number of bytes that [`Form::of`] needs. s390's mark has the largest offset.
pub(crate) const HEAD_BYTES: usize = 0x10_010;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Btf,
    Elf,
    Compressed(Codec),
    Deb,
    Rpm,
    Tar,
    /// x86, `Documentation/arch/x86/boot.rst`.
    BzImage,
    /// The EFI stub's own compressed image, `drivers/firmware/efi/libstub/zboot-header.S`.
    Zboot,
    /// An image whose header gives only the architecture.
    Kernel(&'static str),
    Unknown,
}

impl Form {
    pub(crate) fn of(head: &[u8]) -> Self {
        let has = |at: usize, magic: &[u8]| head.get(at..).is_some_and(|h| h.starts_with(magic));
        if Header::MAGICS.iter().any(|magic| has(0, magic)) {
            Self::Btf
        } else if has(0, b"\x7fELF") {
            Self::Elf
        } else if has(0, b"!<arch>\ndebian-binary") {
            Self::Deb
        } else if has(0, &[0xed, 0xab, 0xee, 0xdb]) {
            Self::Rpm
        } else if has(0, b"MZ") && has(4, b"zimg") {
            Self::Zboot
        } else if has(0x202, b"HdrS") {
            Self::BzImage
        } else if let Some(arch) = kernel(&has) {
            Self::Kernel(arch)
        } else if let Some(codec) = Codec::of(head) {
            Self::Compressed(codec)
        } else if has(257, b"ustar") {
            Self::Tar
        } else {
            Self::Unknown
        }
    }
}

/// The architecture of an image by the mark in its header.
fn kernel(has: &impl Fn(usize, &[u8]) -> bool) -> Option<&'static str> {
    // Documentation/arch/arm64/booting.rst
    if has(0x38, b"ARM\x64") {
        return Some("arm64");
    }
    // Documentation/arch/riscv/boot-image-header.rst: the second magic; the first one is deprecated.
    if has(0x38, b"RSC\x05") || has(0x30, b"RISCV\0\0\0") {
        return Some("riscv64");
    }
    // arch/s390/boot/head.S
    if has(0x10_008, b"S390EP") {
        return Some("s390x");
    }
    // arch/arm/boot/compressed/head.S
    if has(0x24, &[0x18, 0x28, 0x6f, 0x01]) || has(0x24, &[0x01, 0x6f, 0x28, 0x18]) {
        return Some("arm");
    }
    None
}

#[cfg(test)]
mod tests {
    use btfgen_archive::Architecture;

    use super::*;

    /// Check that an image's mark gives the hub's name of its architecture.
    #[test]
    fn names_of_marks() {
        for (at, mark, arch) in [
            (0x38, &b"ARM\x64"[..], "aarch64"),
            (0x38, b"RSC\x05", "riscv64"),
            (0x30, b"RISCV\0\0\0", "riscv64"),
            (0x10_008, b"S390EP", "s390x"),
            (0x24, &[0x18, 0x28, 0x6f, 0x01], "armv7l"),
        ] {
            let mut head = vec![0; HEAD_BYTES];
            head[at..at + mark.len()].copy_from_slice(mark);
            let name = Architecture::named(arch).unwrap().name();
            assert_eq!(Form::of(&head), Form::Kernel(name), "{arch}");
        }
    }
}
