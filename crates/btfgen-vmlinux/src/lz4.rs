//! LZ4's legacy frame format, which kernels use. [`lz4_flex`] decodes the blocks, and this module the frame.
//!
//! `lz4_flex`'s frame reader refuses a block that did not become smaller. It also reads the size that the kernel's build appends
//! to the stream as another block.

use std::io::{self, Read};

/// `lz4_Frame_format.md`, "Legacy frame", least significant byte first.
pub(crate) const LEGACY_MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];

/// The unpacked size of every block except the last one.
const BLOCK_BYTES: usize = 8 << 20;

/// The largest size of a compressed block: `LZ4_COMPRESSBOUND` of lz4.h.
const MAX_PACKED_BYTES: usize = BLOCK_BYTES + BLOCK_BYTES / 255 + 16;

/// Unpacks a legacy frame. The frame ends at the end of the input, after a block that is not full, or before an impossible
/// block size.
#[derive(Debug)]
pub(crate) struct LegacyDecoder<R> {
    from: R,
    packed: Vec<u8>,
    unpacked: Vec<u8>,
    at: usize,
    end: usize,
    started: bool,
    finished: bool,
}

impl<R: Read> LegacyDecoder<R> {
    pub(crate) fn new(from: R) -> Self {
        Self {
            from,
            packed: Vec::new(),
            unpacked: Vec::new(),
            at: 0,
            end: 0,
            started: false,
            finished: false,
        }
    }

    fn start(&mut self) -> io::Result<()> {
        let mut magic = [0; 4];
        self.from.read_exact(&mut magic)?;
        if magic != LEGACY_MAGIC {
            return Err(invalid("not a legacy LZ4 frame"));
        }
        self.unpacked.try_reserve_exact(BLOCK_BYTES)?;
        self.unpacked.resize(BLOCK_BYTES, 0);
        self.started = true;
        Ok(())
    }

    fn next_block(&mut self) -> io::Result<()> {
        (self.at, self.end) = (0, 0);
        let mut size = [0; 4];
        let got = read_full(&mut self.from, &mut size)?;
        let len = u32::from_le_bytes(size) as usize;
        if got < size.len() || len == 0 || len > MAX_PACKED_BYTES {
            self.finished = true;
            return Ok(());
        }
        self.packed.clear();
        self.from
            .by_ref()
            .take(len as u64)
            .read_to_end(&mut self.packed)?;
        if self.packed.len() < len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.end = lz4_flex::block::decompress_into(&self.packed, &mut self.unpacked)
            .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        self.finished = self.end < BLOCK_BYTES;
        Ok(())
    }
}

impl<R: Read> Read for LegacyDecoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.started {
            self.start()?;
        }
        while self.at == self.end {
            if self.finished {
                return Ok(0);
            }
            self.next_block()?;
        }
        let got = buffer.len().min(self.end - self.at);
        buffer[..got].copy_from_slice(&self.unpacked[self.at..self.at + got]);
        self.at += got;
        Ok(got)
    }
}

/// Fills the buffer as far as there is input.
fn read_full(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match from.read(&mut buffer[got..]) {
            Ok(0) => break,
            Ok(more) => got += more,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(blocks: &[&[u8]]) -> Vec<u8> {
        let mut frame = LEGACY_MAGIC.to_vec();
        for block in blocks {
            let packed = lz4_flex_block(block);
            frame.extend((packed.len() as u32).to_le_bytes());
            frame.extend(packed);
        }
        frame
    }

    /// A block of only literals (`lz4_Block_format.md`), as for incompressible bytes.
    fn lz4_flex_block(bytes: &[u8]) -> Vec<u8> {
        let mut packed = vec![0xf0];
        let mut rest = bytes.len() - 15;
        while rest >= 255 {
            packed.push(255);
            rest -= 255;
        }
        packed.push(rest as u8);
        packed.extend(bytes);
        packed
    }

    fn unpack(frame: &[u8]) -> io::Result<Vec<u8>> {
        let mut unpacked = Vec::new();
        LegacyDecoder::new(frame).read_to_end(&mut unpacked)?;
        Ok(unpacked)
    }

    /// Check that blocks that did not become smaller are read, and that the appended size ends the frame.
    #[test]
    fn several_blocks_and_a_size() {
        let full: Vec<u8> = (0..BLOCK_BYTES).map(|n| (n * 31 / 8) as u8).collect();
        let mut bytes = frame(&[&full, b"and then the rest of it"]);
        let expected = [&full[..], b"and then the rest of it"].concat();
        assert_eq!(unpack(&bytes).unwrap(), expected);
        bytes.extend((expected.len() as u32).to_le_bytes());
        assert_eq!(unpack(&bytes).unwrap(), expected);

        let mut full_ones = frame(&[&full, &full]);
        full_ones.extend((2 * BLOCK_BYTES as u32).to_le_bytes());
        assert_eq!(unpack(&full_ones).unwrap().len(), 2 * BLOCK_BYTES);
    }

    /// Check that an incomplete or damaged frame is an error and not a panic.
    #[test]
    fn damaged() {
        let bytes = frame(&[b"sixteen bytes and a few more"]);
        for cut in 9..bytes.len() {
            assert!(unpack(&bytes[..cut]).is_err(), "{cut}");
        }
        assert!(unpack(b"\x02\x21\x4c\x18\x04\0\0\0\x0f\xff\xff\xff").is_err());
        assert!(unpack(b"no frame").is_err());
    }
}
