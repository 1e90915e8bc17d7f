//! Inflates a slice piece by piece, never more than requested.

use std::fmt;

use flate2::{Decompress, FlushDecompress, Status};

use crate::{Error, ErrorKind, Result};

/// A raw deflate stream (RFC 1951), or the part of one that begins at a full-flush point.
pub(crate) struct Inflate<'a> {
    input: &'a [u8],
    /// The offset of `input` in the archive, for messages.
    base: usize,
    used: usize,
    ended: bool,
    decompress: Decompress,
}

impl<'a> Inflate<'a> {
    /// Begin with the first byte of `input`, which is at `base` in the archive.
    pub(crate) fn new(input: &'a [u8], base: usize) -> Self {
        Self {
            input,
            base,
            used: 0,
            ended: false,
            decompress: Decompress::new(false),
        }
    }

    /// Inflate up to `out.len()` bytes; 0 is the end of the stream.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        while !self.ended && !out.is_empty() {
            let (before_in, before_out) = (self.decompress.total_in(), self.decompress.total_out());
            let status = self
                .decompress
                .decompress(&self.input[self.used..], out, FlushDecompress::None)
                .map_err(|error| self.error(ErrorKind::Corrupt, &format!("is damaged: {error}")))?;
            // Both are at most the lengths of the slices passed in.
            let taken = (self.decompress.total_in() - before_in) as usize;
            let made = (self.decompress.total_out() - before_out) as usize;
            self.used += taken;
            self.ended = status == Status::StreamEnd;
            if made > 0 {
                return Ok(made);
            }
            if taken == 0 && !self.ended {
                return Err(self.error(ErrorKind::Truncated, "ends too early"));
            }
        }
        Ok(0)
    }

    /// Inflate exactly `out.len()` bytes.
    pub(crate) fn read_exact(&mut self, mut out: &mut [u8]) -> Result<()> {
        while !out.is_empty() {
            match self.read(out)? {
                0 => return Err(self.error(ErrorKind::Truncated, "ends too early")),
                n => out = &mut out[n..],
            }
        }
        Ok(())
    }

    /// Inflate `len` bytes, and drop them.
    pub(crate) fn skip(&mut self, mut len: usize) -> Result<()> {
        let mut sink = vec![0; len.min(SKIP_LEN)];
        while len > 0 {
            let n = len.min(SKIP_LEN);
            self.read_exact(&mut sink[..n])?;
            len -= n;
        }
        Ok(())
    }

    /// Inflate `len` bytes. The memory grows with the data, so a wrong length costs no memory.
    pub(crate) fn read_vec(&mut self, len: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let start = bytes.len();
            bytes.resize(len.min(start + STEP_LEN), 0);
            self.read_exact(&mut bytes[start..])?;
        }
        Ok(bytes)
    }

    /// The number of used input bytes.
    pub(crate) fn used(&self) -> usize {
        self.used
    }

    fn error(&self, kind: ErrorKind, what: &str) -> Error {
        let at = self.base + self.used;
        Error::new(kind, format!("the compressed data at byte {at} {what}"))
    }
}

impl fmt::Debug for Inflate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflate")
            .field("base", &self.base)
            .field("used", &self.used)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// How much to inflate at once when the data is dropped.
const SKIP_LEN: usize = 32 << 10;

/// How much memory to allocate at once.
pub(crate) const STEP_LEN: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};

    fn deflate(bytes: &[u8], flush: FlushCompress) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len() + 1024);
        Compress::new(Compression::best(), false)
            .compress_vec(bytes, &mut out, flush)
            .unwrap();
        out
    }

    /// Check that a whole stream and a flushed part of one are read, and that bytes after it are not.
    #[test]
    fn reads() {
        let text = b"abcabcabcabcabcabc".repeat(1000);
        for flush in [FlushCompress::Finish, FlushCompress::Full] {
            let bytes = deflate(&text, flush);
            let mut inflate = Inflate::new(&bytes, 7);
            inflate.skip(3).unwrap();
            assert_eq!(
                inflate.read_vec(text.len() - 3).unwrap(),
                &text[..text.len() - 3]
            );
            let end = inflate.read(&mut [0; 8]);
            if flush == FlushCompress::Finish {
                assert_eq!(end.unwrap(), 0);
                assert_eq!(inflate.used(), bytes.len());
            } else {
                assert_eq!(end.unwrap_err().kind(), ErrorKind::Truncated);
            }
        }
    }

    /// Check that bad data is an error that says where.
    #[test]
    fn bad_data() {
        let mut inflate = Inflate::new(&[0xff; 16], 100);
        let error = inflate.read(&mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("at byte 10"), "{error}");
    }
}
