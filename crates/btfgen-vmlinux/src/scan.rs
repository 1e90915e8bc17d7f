//! Images whose header does not say where the BTF or the compressed kernel is: searches for both.

use std::cell::Cell;
use std::io::{self, Read};
use std::ops::ControlFlow;

use btfgen_btf::Header;

use crate::banner;
use crate::btf;
use crate::build_id::{self, Notes};
use crate::compression::{Codec, Followed, MAGIC_BYTES};
use crate::content::{Content, MAX_KERNEL_BYTES};
use crate::error::{ErrorKind, Result};
use crate::layer::{Peel, Peeled};
use crate::place::Place;
use crate::search::{MAX_HITS, search};

/// The limit for the packed and unpacked bytes of all streams of an image. It bounds images with many magics, by chance or on
/// purpose.
const MAX_STREAM_BYTES_TRIED: u64 = 2 << 30;

/// The largest number of streams to try. A kernel's image has some by chance, and its configuration, headers and initramfs.
const MAX_STREAMS_TRIED: u32 = 1024;

/// Every kernel is larger; a kernel's compressed configuration is smaller.
const SMALLEST_KERNEL: u64 = 256 << 10;

/// The longest header that a BTF may have. Chance magics mostly give longer ones.
const MAX_HEADER_BYTES: u64 = 4096;

/// The first bytes of streams, as far as they are always the same.
const STREAM_MAGICS: [&[u8]; 6] = [
    &[0x1f, 0x8b, 8],
    &[0xfd, b'7', b'z', b'X', b'Z', 0],
    &[0x28, 0xb5, 0x2f, 0xfd],
    &[0x02, 0x21, 0x4c, 0x18],
    &[0x04, 0x22, 0x4d, 0x18],
    &[0x5d, 0, 0],
];

/// Finds a kernel's BTF in an image or in one of its compressed streams.
pub(crate) fn read(content: &Content, mut place: Place, peel: Peel) -> Result<Peeled> {
    if let Some((btf, notes)) = find_btf(content, &place)? {
        place.build_id = notes.id();
        if place.image.release.is_none() {
            place.image.release = banner::release(content, 0..content.len(), &place)?;
        }
        return Ok(Peeled::Btf(place.found(btf, "BTF by its header")));
    }
    let mut has_kernel = banner::release(content, 0..MAX_KERNEL_BYTES, &place)?.is_some();
    if !place.hunted {
        let mut hunt = Hunt {
            content,
            place: &place,
            peel,
            budget: MAX_STREAM_BYTES_TRIED,
            tries: MAX_STREAMS_TRIED,
            saw_kernel: has_kernel,
        };
        let range = 0..MAX_KERNEL_BYTES;
        let found = search(content, range, &STREAM_MAGICS, &place, |at, _| {
            hunt.try_at(at)
        })?;
        if let Some(peeled) = found {
            return Ok(peeled);
        }
        has_kernel = hunt.saw_kernel;
    }
    Err(if has_kernel {
        place.without_btf()
    } else if place.is_kernel {
        place.error(
            ErrorKind::Unsupported,
            "found no kernel in this kernel image: its compression may be unsupported",
        )
    } else {
        place.error(ErrorKind::Unrecognized, "unrecognized file type")
    })
}

/// Finds the BTF of an uncompressed kernel by its header, and all build ids on the way.
///
/// An image may contain other BTFs, of BPF programs that are built into the kernel. A kernel's BTF defines `task_struct`; if
/// there are several, the largest one is used.
fn find_btf(content: &Content, place: &Place) -> Result<Option<(Vec<u8>, Notes)>> {
    let mut found: Option<Vec<u8>> = None;
    let mut notes = Notes::default();
    let mut hits = 0;
    let mut too_large = None;
    let magics = Header::MAGICS.iter().map(|magic| &magic[..]);
    let needles: Vec<&[u8]> = magics.chain(build_id::NEEDLES).collect();
    let range = 0..MAX_KERNEL_BYTES;
    search(content, range, &needles, place, |at, which| {
        hits += 1;
        if let Some(which) = which.checked_sub(Header::MAGICS.len()) {
            notes.take(content, at, which, place)?;
            return Ok(ControlFlow::<()>::Continue(()));
        }
        let header = Header::parse(&content.read(at, Header::LEN, place)?);
        let sane = header.ok().filter(|h| h.header_len() <= MAX_HEADER_BYTES);
        let len = sane.map_or(0, |header| header.btf_len());
        let largest = found.as_ref().map_or(0, Vec::len) as u64;
        let fits = len > largest && at.saturating_add(len) <= content.len();
        if fits && len > place.budget.options().max_btf_bytes {
            too_large = Some(len);
        } else if fits && place.budget.survey(len) {
            let bytes = content.read(at, len as usize, place)?;
            if btf::is_kernels(&bytes) {
                found = Some(bytes);
            }
        }
        Ok(ControlFlow::<()>::Continue(()))
    })?;
    if hits == MAX_HITS || content.len() > MAX_KERNEL_BYTES {
        // The kernel's note may be in the part that was not searched.
        notes = Notes::default();
    }
    match (found, too_large) {
        (None, Some(len)) => Err(btf::too_large(len, place)),
        (found, _) => Ok(found.map(|btf| (btf, notes))),
    }
}

/// A search for the first compressed stream of an image that contains a kernel's BTF, as in the kernel's
/// `scripts/extract-vmlinux`.
struct Hunt<'h> {
    content: &'h Content,
    place: &'h Place,
    peel: Peel,
    budget: u64,
    tries: u32,
    saw_kernel: bool,
}

impl Hunt<'_> {
    fn try_at(&mut self, at: u64) -> Result<ControlFlow<Peeled>> {
        let go_on = Ok(ControlFlow::Continue(()));
        let head = self.content.read(at, MAGIC_BYTES, self.place)?;
        let Some(codec) = Codec::of(&head) else {
            return go_on;
        };
        if self.tries == 0 || self.budget == 0 {
            return go_on;
        }
        self.tries -= 1;
        let counted = Cell::new(0);
        let window = Counted {
            from: self.content.window(at..self.content.len()),
            bytes: &counted,
        };
        let mut inner = self.place.inside(codec.name())?;
        inner.hunted = true;
        let Ok(decoder) = codec.unpack(window, Followed::ByAnything, &inner) else {
            return go_on;
        };
        let decoder = Counted {
            from: decoder,
            bytes: &counted,
        };
        let limit = self.budget.min(MAX_KERNEL_BYTES);
        let unpacked = Content::unpack(decoder, limit, &inner);
        self.budget = self.budget.saturating_sub(counted.get());
        let peeled = match unpacked {
            Ok(unpacked) if unpacked.len() < SMALLEST_KERNEL => return go_on,
            Ok(unpacked) => (self.peel)(unpacked, inner),
            Err(e) => Err(e),
        };
        match peeled {
            Ok(peeled) => Ok(ControlFlow::Break(peeled)),
            // A full disk, a used-up budget, or a cancelled reading.
            Err(e) if e.ends_the_search() || self.place.budget.is_spent() => Err(e),
            // Another stream may be the right one.
            Err(e) => {
                self.saw_kernel |= e.kind() == ErrorKind::NoBtf;
                go_on
            }
        }
    }
}

/// Counts the packed and unpacked bytes of a stream, also if it ends with an error. It counts both because endless empty blocks
/// cost time, too.
struct Counted<'c, R> {
    from: R,
    bytes: &'c Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.from.read(buffer)?;
        self.bytes.set(self.bytes.get() + got as u64);
        Ok(got)
    }
}
