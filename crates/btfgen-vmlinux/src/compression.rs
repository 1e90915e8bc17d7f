//! The compressions of kernels and packages, detected by their magic.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read};
use std::ops::Range;

use flate2::bufread::{GzDecoder, MultiGzDecoder};
use liblzma::bufread::XzDecoder;
use liblzma::stream::{self, CONCATENATED, Stream};
use lz4_flex::frame::FrameDecoder;
use zstd::zstd_safe::{self, zstd_sys::ZSTD_ErrorCode};

use crate::content::Content;
use crate::error::{ErrorKind, Result};
use crate::lz4::{self, LegacyDecoder};
use crate::place::Place;

/// The memory limit of an xz or lzma decoder. The kernel's `scripts/xz_wrap.sh` uses a dictionary of at most 128 MiB.
const XZ_MEMORY: u64 = 192 << 20;

/// The largest window of zstd: its own default limit, and the window of `zstd -22`, which compresses x86 kernels.
const ZSTD_WINDOW_LOG: u32 = 27;

const BUFFER_BYTES: usize = 128 << 10;

/// The number of bytes that [`Codec::of`] needs.
pub(crate) const MAGIC_BYTES: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Gzip,
    Xz,
    Lzma,
    Zstd,
    Lz4,
    Lz4Legacy,
    /// Detected, but not supported.
    Bzip2,
    /// Detected, but not supported.
    Lzo,
}

/// What follows a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Followed {
    /// More streams of the same file.
    ByMore,
    /// The rest of a kernel's image, which is ignored.
    ByAnything,
}

impl Codec {
    /// The compression of what begins with `head`.
    pub(crate) fn of(head: &[u8]) -> Option<Self> {
        let codec = match head {
            [0x1f, 0x8b, 8, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Lz4,
            [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', ..] => Self::Bzip2,
            [0x89, b'L', b'Z', b'O', 0, ..] => Self::Lzo,
            _ if head.starts_with(&lz4::LEGACY_MAGIC) => Self::Lz4Legacy,
            _ if is_lzma(head) => Self::Lzma,
            _ => return None,
        };
        Some(codec)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Lzma => "lzma",
            Self::Zstd => "zstd",
            Self::Lz4 | Self::Lz4Legacy => "lz4",
            Self::Bzip2 => "bzip2",
            Self::Lzo => "lzo",
        }
    }

    /// The unpacked bytes of `from`, within the budget, or an error for an unsupported compression.
    pub(crate) fn unpack<'r>(
        self,
        from: impl Read + 'r,
        followed: Followed,
        place: &Place,
    ) -> Result<Box<dyn Read + 'r>> {
        let from = BufReader::with_capacity(BUFFER_BYTES, from);
        let decoder: io::Result<Box<dyn Read + 'r>> = match self {
            Self::Gzip => Ok(match followed {
                Followed::ByMore => Box::new(MultiGzDecoder::new(from)),
                Followed::ByAnything => Box::new(GzDecoder::new(from)),
            }),
            Self::Xz => xz(from, followed),
            Self::Lzma => lzma(from),
            Self::Zstd => zstd(from, followed),
            Self::Lz4 => Ok(Box::new(FrameDecoder::new(from))),
            Self::Lz4Legacy => Ok(Box::new(LegacyDecoder::new(from))),
            Self::Bzip2 | Self::Lzo => {
                let message = format!("is compressed with {}, which is not supported", self.name());
                return Err(place.error(ErrorKind::Unsupported, message));
            }
        };
        let decoder = decoder.map_err(|e| place.unreadable(e))?;
        Ok(Box::new(place.budget.meter(decoder)))
    }
}

/// A part of a package, unpacked if it is compressed.
pub(crate) fn part<'c>(
    content: &'c Content,
    range: Range<u64>,
    place: &Place,
) -> Result<Box<dyn Read + 'c>> {
    let head = content.read(range.start, MAGIC_BYTES, place)?;
    let window = content.window(range);
    match Codec::of(&head) {
        Some(codec) => codec.unpack(window, Followed::ByMore, place),
        None => Ok(Box::new(window)),
    }
}

fn xz<'r>(from: impl BufRead + 'r, followed: Followed) -> io::Result<Box<dyn Read + 'r>> {
    let flags = match followed {
        Followed::ByMore => CONCATENATED,
        Followed::ByAnything => 0,
    };
    let stream = Stream::new_stream_decoder(XZ_MEMORY, flags).map_err(of_xz)?;
    Ok(of_xz_stream(from, stream))
}

fn lzma<'r>(from: impl BufRead + 'r) -> io::Result<Box<dyn Read + 'r>> {
    let stream = Stream::new_lzma_decoder(XZ_MEMORY).map_err(of_xz)?;
    Ok(of_xz_stream(from, stream))
}

fn of_xz(error: stream::Error) -> io::Error {
    with_lack_of_memory(error.into(), xz_lacks_memory)
}

fn of_xz_stream<'r>(from: impl BufRead + 'r, stream: Stream) -> Box<dyn Read + 'r> {
    Box::new(Decoder {
        decoder: XzDecoder::new_stream(from, stream),
        lacks_memory: xz_lacks_memory,
    })
}

fn xz_lacks_memory(error: &(dyn Error + 'static)) -> bool {
    matches!(error.downcast_ref(), Some(stream::Error::Mem))
}

fn zstd<'r>(from: impl BufRead + 'r, followed: Followed) -> io::Result<Box<dyn Read + 'r>> {
    // The decoder has read nothing yet, so the only possible error is lack of memory.
    let mut decoder = zstd::stream::read::Decoder::with_buffer(from)
        .map_err(|e| io::Error::new(io::ErrorKind::OutOfMemory, e))?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    Ok(Box::new(Decoder {
        decoder: match followed {
            Followed::ByMore => decoder,
            Followed::ByAnything => decoder.single_frame(),
        },
        lacks_memory: zstd_lacks_memory,
    }))
}

/// Recognizes zstd's error by its text, because the number is lost.
fn zstd_lacks_memory(error: &(dyn Error + 'static)) -> bool {
    // Functions return the negated number: `ERROR()` of zstd's error_private.h.
    let code = (ZSTD_ErrorCode::ZSTD_error_memory_allocation as usize).wrapping_neg();
    error.to_string() == zstd_safe::get_error_name(code)
}

/// A decoder that reports lack of memory as [`io::ErrorKind::OutOfMemory`]. The libraries report it like damage.
struct Decoder<D> {
    decoder: D,
    lacks_memory: fn(&(dyn Error + 'static)) -> bool,
}

impl<D: Read> Read for Decoder<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.decoder.read(buffer);
        got.map_err(|e| with_lack_of_memory(e, self.lacks_memory))
    }
}

fn with_lack_of_memory(
    error: io::Error,
    lacks_memory: fn(&(dyn Error + 'static)) -> bool,
) -> io::Error {
    match error.get_ref() {
        Some(inner) if lacks_memory(inner) => io::Error::new(io::ErrorKind::OutOfMemory, error),
        _ => error,
    }
}

/// Detects lzma, which has no magic. As in xz, a header is valid if the dictionary's size is 2ⁿ or 2ⁿ + 2ⁿ⁻¹ and the unpacked
/// size is unknown or below 256 GiB (`lzma_alone_decoder` in liblzma).
fn is_lzma(head: &[u8]) -> bool {
    let Some((&[0x5d, a, b, c, d], rest)) = head.split_first_chunk() else {
        return false;
    };
    let Some((size, _)) = rest.split_first_chunk() else {
        return false;
    };
    let dictionary = u32::from_le_bytes([a, b, c, d]);
    let top = 1 << dictionary.checked_ilog2().unwrap_or(0);
    let size = u64::from_le_bytes(*size);
    dictionary >= 4096
        && (dictionary == top || dictionary == top + top / 2)
        && (size == u64::MAX || size < 256 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that random bytes are not detected as lzma, which has no magic.
    #[test]
    fn lzma_by_its_header() {
        let head = |dictionary: u32, size: u64| {
            [&[0x5d][..], &dictionary.to_le_bytes(), &size.to_le_bytes()].concat()
        };
        assert!(is_lzma(&head(1 << 26, u64::MAX)));
        assert!(is_lzma(&head(3 << 22, 40 << 20)));
        assert!(!is_lzma(&head(0, u64::MAX)));
        assert!(!is_lzma(&head((1 << 26) + 1, u64::MAX)));
        assert!(!is_lzma(&head(u32::MAX, u64::MAX)));
        assert!(!is_lzma(&head(1 << 26, 1 << 50)));
        assert!(!is_lzma(&head(1 << 26, 0)[..12]));
    }
}
