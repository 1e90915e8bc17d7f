//! Deflating the parts of the stream so that each can be inflated by itself.

use flate2::{Compress, Compression, FlushCompress, Status};

use crate::{Error, ErrorKind, Result};

/// Makes one deflate stream (RFC 1951) from parts that do not refer to each other.
///
/// The crate feature `write` chooses flate2's backend zlib-rs: it is pure Rust, and 4 % better than `miniz_oxide` on
/// minimized BTFs.
#[derive(Debug)]
pub(crate) struct Deflater {
    compress: Compress,
}

impl Deflater {
    pub(crate) fn new() -> Self {
        Self {
            compress: Compress::new(Compression::best(), false),
        }
    }

    /// Deflate a part that is not the last one. It ends with an empty stored block, on a byte boundary.
    ///
    /// `cuts` are the offsets, in ascending order, at which the data changes so much that new Huffman codes are worth it. The
    /// compressor itself begins new codes only when its buffer of symbols is full.
    pub(crate) fn part(&mut self, bytes: &[u8], cuts: &[usize]) -> Result<Vec<u8>> {
        self.deflate(bytes, cuts, FlushCompress::Full)
    }

    /// Deflate the last part.
    pub(crate) fn last_part(&mut self, bytes: &[u8], cuts: &[usize]) -> Result<Vec<u8>> {
        self.deflate(bytes, cuts, FlushCompress::Finish)
    }

    fn deflate(&mut self, bytes: &[u8], cuts: &[usize], end: FlushCompress) -> Result<Vec<u8>> {
        // The part is independent because the compressor has forgotten the earlier data.
        self.compress.reset();
        let mut out = Vec::new();
        for cut in cuts {
            // This ends the block, at the cost of ten bits, and keeps the window.
            self.compress_to(&bytes[..*cut], FlushCompress::Partial, &mut out)?;
        }
        self.compress_to(bytes, end, &mut out)?;
        Ok(out)
    }

    /// Deflate up to the end of `bytes`, which begin at the beginning of the part.
    fn compress_to(&mut self, bytes: &[u8], flush: FlushCompress, out: &mut Vec<u8>) -> Result<()> {
        loop {
            let taken = self.compress.total_in() as usize;
            let rest = bytes.get(taken..).unwrap_or_default();
            out.reserve(rest.len() / 4 + 1024);
            let status = self
                .compress
                .compress_vec(rest, out, flush)
                .map_err(|error| Error::io("cannot compress", error.into()))?;
            // A flush is complete if the output has room left.
            let flushed = flush != FlushCompress::Finish && out.len() < out.capacity();
            if status == Status::StreamEnd || flushed {
                break;
            }
        }
        if self.compress.total_in() != bytes.len() as u64 {
            let message = "the compressor stopped too early";
            return Err(Error::new(ErrorKind::Io, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inflate::Inflate;

    /// Check that each part can be inflated by itself, that all parts are one stream, and that the output is reproducible.
    #[test]
    fn parts() {
        let noise = |seed: u32| -> Vec<u8> {
            let next = |n: &u32| Some(n.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
            let words = std::iter::successors(Some(seed), next).map(|n| (n >> 24) as u8);
            words.take(100_000).collect()
        };
        let parts = [noise(1), noise(1), vec![], vec![7; 1 << 20], noise(2)];
        let mut deflater = Deflater::new();
        let mut stream = Vec::new();
        for part in &parts {
            let cuts = [part.len() / 3, part.len() / 2];
            let blocks = deflater.part(part, &cuts).unwrap();
            assert!(blocks.ends_with(b"\0\0\xff\xff"));
            assert_eq!(deflater.part(part, &cuts).unwrap(), blocks);
            let content = Inflate::new(&blocks, 0).read_vec(part.len()).unwrap();
            assert_eq!(&content, part);
            stream.extend(blocks);
        }
        stream.extend(deflater.last_part(b"end", &[1]).unwrap());
        let whole = [parts.concat(), b"end".to_vec()].concat();
        let mut inflate = Inflate::new(&stream, 0);
        assert_eq!(inflate.read_vec(whole.len()).unwrap(), whole);
        assert_eq!(inflate.read(&mut [0; 8]).unwrap(), 0);
    }
}
