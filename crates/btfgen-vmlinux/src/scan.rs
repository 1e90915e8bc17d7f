//! Searches an image for BTF and compressed kernels, if no header says where they are.

use std::cell::Cell;
use std::io::{self, Read};
use std::ops::{ControlFlow, Range};

use btfgen_btf::Header;
use memchr::memmem;

use crate::btf;
use crate::compression::{Codec, Followed, MAGIC_BYTES};
use crate::content::{Content, MAX_KERNEL_BYTES};
use crate::error::{Error, ErrorKind, Result};
use crate::place::Place;
use crate::reader::{Peeled, Reader};

const CHUNK_BYTES: u64 = 1 << 20;

/// The limit for the packed and unpacked bytes of all streams of an image. It bounds images with many magics, by chance or on
/// purpose.
const MAX_STREAM_BYTES_TRIED: u64 = 2 << 30;

/// The largest number of streams to try. A kernel's image has some by chance, and its configuration, headers and initramfs.
const MAX_STREAMS_TRIED: u32 = 1024;

/// The largest number of matches of one search. Chance alone gives at most a hundred.
const MAX_HITS: usize = 1 << 18;

/// Every kernel is larger; a kernel's compressed configuration is smaller.
const SMALLEST_KERNEL: u64 = 256 << 10;

/// The longest header that a BTF may have. Chance magics mostly give longer ones.
const MAX_HEADER_BYTES: u64 = 4096;

/// Calls `hit` for each match of a needle, from front to back, with the match's offset and the needle's number. Stops if `hit`
/// breaks or after too many matches.
pub(crate) fn search<B>(
    content: &Content,
    range: Range<u64>,
    needles: &[&[u8]],
    place: &Place,
    mut hit: impl FnMut(u64, usize) -> Result<ControlFlow<B>>,
) -> Result<Option<B>> {
    let finders: Vec<_> = needles.iter().map(memmem::Finder::new).collect();
    let overlap = needles.iter().map(|n| n.len()).max().unwrap_or(0);
    let end = range.end.min(content.len());
    let mut at = range.start;
    let mut hits_left = MAX_HITS;
    while at < end && hits_left > 0 {
        let wanted = (end - at).min(CHUNK_BYTES + overlap as u64);
        let bytes = content
            .read(at, wanted as usize)
            .map_err(|e| place.unreadable(e))?;
        let mut hits: Vec<(u64, usize)> = finders
            .iter()
            .enumerate()
            .flat_map(|(which, finder)| finder.find_iter(&bytes).map(move |o| (o as u64, which)))
            .filter(|&(offset, _)| offset < CHUNK_BYTES)
            .collect();
        hits.sort_unstable();
        hits.truncate(hits_left);
        hits_left -= hits.len();
        for (offset, which) in hits {
            if let ControlFlow::Break(found) = hit(at + offset, which)? {
                return Ok(Some(found));
            }
        }
        at += CHUNK_BYTES;
    }
    Ok(None)
}

/// Finds the BTF of an uncompressed kernel by its header.
///
/// An image may contain other BTFs, of BPF programs that are built into the kernel. A kernel's BTF defines `task_struct`; if
/// there are several, the largest one is used.
pub(crate) fn find_btf(
    reader: &Reader,
    content: &Content,
    place: &Place,
) -> Result<Option<Vec<u8>>> {
    let mut found: Option<Vec<u8>> = None;
    let mut too_large = None;
    let needles = Header::MAGICS.each_ref().map(|magic| &magic[..]);
    search(content, 0..MAX_KERNEL_BYTES, &needles, place, |at, _| {
        let read = |len| content.read(at, len).map_err(|e| place.unreadable(e));
        let header = Header::parse(&read(Header::LEN)?);
        let sane = header.ok().filter(|h| h.header_len() <= MAX_HEADER_BYTES);
        let Some(len) = sane.map(|header| header.btf_len()) else {
            return Ok(ControlFlow::Continue(()));
        };
        let largest = found.as_ref().map_or(0, Vec::len) as u64;
        if len <= largest || at.saturating_add(len) > content.len() {
            return Ok(ControlFlow::Continue(()));
        }
        if len > reader.max_btf_bytes {
            too_large = Some(len);
            return Ok(ControlFlow::<()>::Continue(()));
        }
        if !place.budget.survey(len) {
            return Ok(ControlFlow::Continue(()));
        }
        let bytes = read(len as usize)?;
        if btf::is_kernels(&bytes) {
            found = Some(bytes);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    match (found, too_large) {
        (None, Some(len)) => Err(reader.btf_too_large(place, len)),
        (found, _) => Ok(found),
    }
}

/// The result of a search for a kernel.
pub(crate) enum Hunted {
    Kernel(Box<Peeled>),
    KernelWithoutBtf,
    Nothing,
}

/// Finds the first compressed stream of an image that contains a kernel's BTF, as the kernel's `scripts/extract-vmlinux` does.
pub(crate) fn find_in_streams(reader: &Reader, content: &Content, place: &Place) -> Result<Hunted> {
    const NEEDLES: [&[u8]; 6] = [
        &[0x1f, 0x8b, 8],
        &[0xfd, b'7', b'z', b'X', b'Z', 0],
        &[0x28, 0xb5, 0x2f, 0xfd],
        &[0x02, 0x21, 0x4c, 0x18],
        &[0x04, 0x22, 0x4d, 0x18],
        &[0x5d, 0, 0],
    ];
    let mut hunt = Hunt {
        reader,
        content,
        place,
        budget: MAX_STREAM_BYTES_TRIED,
        tries: MAX_STREAMS_TRIED,
        saw_kernel: false,
    };
    let found = search(content, 0..MAX_KERNEL_BYTES, &NEEDLES, place, |at, _| {
        hunt.try_at(at)
    })?;
    Ok(match found {
        Some(peeled) => Hunted::Kernel(Box::new(peeled)),
        None if hunt.saw_kernel => Hunted::KernelWithoutBtf,
        None => Hunted::Nothing,
    })
}

struct Hunt<'h> {
    reader: &'h Reader,
    content: &'h Content,
    place: &'h Place,
    budget: u64,
    tries: u32,
    saw_kernel: bool,
}

impl Hunt<'_> {
    fn try_at(&mut self, at: u64) -> Result<ControlFlow<Peeled>> {
        let go_on = Ok(ControlFlow::Continue(()));
        let head = self
            .content
            .read(at, MAGIC_BYTES)
            .map_err(|e| self.place.unreadable(e))?;
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
        let decoder = self
            .reader
            .decoder(codec, window, Followed::ByAnything, &inner);
        let Ok(decoder) = decoder else {
            return go_on;
        };
        let decoder = Counted {
            from: decoder,
            bytes: &counted,
        };
        let limit = self.budget.min(MAX_KERNEL_BYTES);
        let unpacked = Content::unpack(decoder, limit, &inner, &self.reader.unpack_dir());
        self.budget = self.budget.saturating_sub(counted.get());
        let unpacked = match unpacked {
            Ok(unpacked) => unpacked,
            Err(e) => return self.unless_final(e),
        };
        if unpacked.len() < SMALLEST_KERNEL {
            return go_on;
        }
        match self.reader.peel(unpacked, inner) {
            Ok(peeled) => Ok(ControlFlow::Break(peeled)),
            Err(e) => {
                self.saw_kernel |= e.kind() == ErrorKind::NoBtf;
                self.unless_final(e)
            }
        }
    }

    /// Ignores the errors of one stream, because another stream may be the right one. Returns other errors: a full disk, a
    /// used-up budget, or a cancelled reading.
    fn unless_final(&self, error: Error) -> Result<ControlFlow<Peeled>> {
        if error.ends_the_search() || self.place.budget.is_spent() {
            return Err(error);
        }
        Ok(ControlFlow::Continue(()))
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
