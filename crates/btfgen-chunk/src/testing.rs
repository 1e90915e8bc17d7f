//! Chunks for tests: what is changed in them has right checksums, so that more than the checksums is tested.

use twox_hash::XxHash3_64;

use crate::encoder::Encoder;
use crate::index::{CHECKSUM_AT, HEADER_LEN, Input, front_checksum};
use crate::shape::COLUMNS;
use crate::{Error, Result};

/// An encoder that does not compress.
#[must_use]
pub fn uncompressed() -> Encoder {
    Encoder::with_level(None)
}

/// The length of the header: magic, version, lengths and checksum.
pub const FRONT: usize = HEADER_LEN;

/// Make the checksums right, as far as the places of the sections are known.
pub fn seal(chunk: &mut [u8]) {
    // What does not fit stays as it is.
    let _ = try_seal(chunk);
}

fn try_seal(chunk: &mut [u8]) -> Result<()> {
    let short = || Error::damaged("it is cut off");
    let (front, rest) = chunk.split_at_mut_checked(HEADER_LEN).ok_or_else(short)?;
    let index_len = front[16..].first_chunk().copied().map(u64::from_le_bytes);
    let index_len = usize::try_from(index_len.unwrap_or_default()).map_err(|_| short())?;
    let (index, sections) = rest.split_at_mut_checked(index_len).ok_or_else(short)?;
    let sealed = seal_sections(index, sections);
    let checksum = front_checksum(&front[..CHECKSUM_AT], index);
    front[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
    sealed
}

fn seal_sections(index: &mut [u8], sections: &[u8]) -> Result<()> {
    let whole = index.to_vec();
    let mut input = Input(&whole);
    let mut sections = Input(sections);
    let mut seal_next = |input: &mut Input<'_>| -> Result<()> {
        input.u32()?;
        let stored = input.u32()?;
        let at = whole.len() - input.0.len();
        input.bytes(8)?;
        let checksum = XxHash3_64::oneshot(sections.bytes(stored as usize)?);
        index[at..at + 8].copy_from_slice(&checksum.to_le_bytes());
        Ok(())
    };
    for _ in 0..COLUMNS {
        seal_next(&mut input)?;
    }
    for _ in 0..input.u32()? {
        let len = input.u16()?;
        // The release, the length of the BTF, its digest, the form.
        input.bytes(usize::from(len) + 8 + 16 + 4)?;
        seal_next(&mut input)?;
    }
    Ok(())
}
