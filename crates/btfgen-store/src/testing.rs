//! For tests: stores with right checksums.

use twox_hash::XxHash3_64;

use crate::image::SUMMED;

/// Makes the checksum of a store's bytes right.
pub fn seal(store: &mut [u8]) {
    if let Some((front, rest)) = store.split_at_mut_checked(SUMMED) {
        let (_, checksum) = front.split_at_mut(SUMMED - size_of::<u64>());
        checksum.copy_from_slice(&XxHash3_64::oneshot(rest).to_ne_bytes());
    }
}
