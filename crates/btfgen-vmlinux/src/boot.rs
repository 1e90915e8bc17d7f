//! Kernel images whose header says where the compressed kernel is.

use std::io::Read;
use std::ops::Range;

use crate::banner;
use crate::compression::{Codec, Followed, MAGIC_BYTES};
use crate::content::{Content, MAX_KERNEL_BYTES};
use crate::error::{ErrorKind, Result};
use crate::form::Form;
use crate::layer::{Layer, Peel};
use crate::place::Place;
use crate::scan;

/// x86: `Documentation/arch/x86/boot.rst`, "The Real-Mode Kernel Header".
pub(crate) fn read_bzimage(content: &Content, mut place: Place, peel: Peel) -> Result<Layer> {
    let header = content.read(0, HEADER_BYTES, &place)?;
    let Some(setup) = Setup::parse(&header) else {
        return Err(place.error(ErrorKind::Damaged, "is truncated within its header"));
    };
    place.is_kernel = true;
    place.image.arch = setup.is_64.then(|| "x86_64".to_owned());
    if let Some(at) = setup.version {
        let text = content.read(at, 128, &place)?;
        place.image.release = banner::first_word(&text, b" ");
    }
    let inner = place.inside("x86 boot image")?;
    match setup.payload {
        Some(payload) => read_payload(content, payload, &inner),
        // Before protocol 2.08, the header does not give the payload's offset.
        None => scan::read(content, inner, peel).map(Layer::Peeled),
    }
}

/// The header up to `init_size`, which is the last field that is read.
const HEADER_BYTES: usize = 0x260;

struct Setup {
    is_64: bool,
    /// The offset of the release, which is followed by a space and the builder's name.
    version: Option<u64>,
    payload: Option<Range<u64>>,
}

impl Setup {
    fn parse(header: &[u8]) -> Option<Self> {
        let u16_at = |at: usize| {
            Some(u64::from(u16::from_le_bytes(
                *header.get(at..)?.first_chunk()?,
            )))
        };
        let u32_at = |at: usize| {
            Some(u64::from(u32::from_le_bytes(
                *header.get(at..)?.first_chunk()?,
            )))
        };
        let protocol = u16_at(0x206)?;
        let setup_sectors = match *header.get(0x1f1)? {
            // "For backwards compatibility"
            0 => 4,
            sectors => u64::from(sectors),
        };
        let version = u16_at(0x20e)?;
        let start = (setup_sectors + 1) * 512 + u32_at(0x248)?;
        let payload = start..start + u32_at(0x24c)?;
        Some(Self {
            // XLF_KERNEL_64 of xloadflags
            is_64: protocol >= 0x20c && u16_at(0x236)? & 1 != 0,
            version: (version != 0).then_some(version + 0x200),
            payload: (protocol >= 0x208 && !payload.is_empty()).then_some(payload),
        })
    }
}

/// arm64, riscv64, loongarch64: `struct linux_efi_zboot_header` of `drivers/firmware/efi/libstub/zboot.h`.
pub(crate) fn read_zboot(content: &Content, mut place: Place) -> Result<Layer> {
    let header = content.read(0, 64, &place)?;
    let field = |at: usize| {
        let bytes = header.get(at..).and_then(<[u8]>::first_chunk);
        bytes.map(|b| u64::from(u32::from_le_bytes(*b)))
    };
    let (Some(start), Some(len)) = (field(8), field(12)) else {
        return Err(place.error(ErrorKind::Damaged, "is truncated within its header"));
    };
    place.is_kernel = true;
    let inner = place.inside("EFI zboot image")?;
    read_payload(content, start..start + len, &inner)
}

/// Reads a kernel, compressed or not, from a known part of an image.
///
/// The kernel's build appends the unpacked size to most streams, so bytes after a stream are not an error.
pub(crate) fn read_payload(content: &Content, range: Range<u64>, place: &Place) -> Result<Layer> {
    if range.end > content.len() {
        return Err(place.error(
            ErrorKind::Damaged,
            "is truncated within the compressed kernel",
        ));
    }
    let head = content.read(range.start, MAGIC_BYTES, place)?;
    let window = content.window(range);
    let (from, step): (Box<dyn Read + '_>, _) = match Codec::of(&head) {
        Some(codec) => (
            codec.unpack(window, Followed::ByAnything, place)?,
            codec.name(),
        ),
        None if Form::of(&head) == Form::Elf => (Box::new(window), "uncompressed"),
        None => {
            return Err(place.error(
                ErrorKind::Unsupported,
                "the compression of the kernel in the image is unknown",
            ));
        }
    };
    let inner = place.inside(step)?;
    let unpacked = Content::unpack(from, MAX_KERNEL_BYTES, &inner)?;
    Ok(Layer::Inner(unpacked, inner))
}
