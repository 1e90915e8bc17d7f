//! Searches a content for bytes.

use std::ops::{ControlFlow, Range};

use memchr::memmem;

use crate::content::Content;
use crate::error::Result;
use crate::place::Place;

const CHUNK_BYTES: u64 = 1 << 20;

/// The largest number of matches of one search. Chance alone gives at most a hundred.
pub(crate) const MAX_HITS: usize = 1 << 18;

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
        let bytes = content.read(at, wanted as usize, place)?;
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
