//! Compressed bytes.

use std::io;

use zstd::zstd_safe::{self, CCtx, CParameter, DCtx};

use crate::{Error, Result};

/// A level of zstd, or none for bytes that are not compressed.
pub(crate) type Level = Option<i32>;

/// The level for what is written into a chunk. Above it, chunks are not smaller.
pub(crate) const LEVEL: Level = Some(19);

/// How many times as large as their compressed bytes columns may be, and how many bytes they may have in any case. Those of
/// real kernels are four times as large.
const MOST_RATIO: u64 = 32;
const ALWAYS_ALLOWED: u64 = 4096;

/// Whether so many bytes may become so many.
pub(crate) fn is_allowed(len: u64, stored: u64) -> bool {
    len <= ALWAYS_ALLOWED + MOST_RATIO * stored
}

/// Whether so many bytes are allowed to become so many, whatever else there is.
pub(crate) fn is_always_allowed(len: u32, stored: u32) -> bool {
    u64::from(len) <= MOST_RATIO * u64::from(stored)
}

/// Compress `bytes` for [`decompress`]. Bytes that zstd does not shrink are the result themselves.
pub(crate) fn compress(base: &[u8], bytes: &[u8], level: Level) -> Result<Vec<u8>> {
    let Some(level) = level else {
        return Ok(bytes.to_vec());
    };
    // zstd's result depends on whether the prefix is next to the bytes in memory, so it always is.
    let joined = [base, bytes].concat();
    let (base, bytes) = joined.split_at(base.len());
    // There is room for the result, so that nothing else can fail.
    let compressed = compress_behind(base, bytes, level).ok_or_else(no_memory)?;
    Ok(if compressed.len() < bytes.len() {
        compressed
    } else {
        bytes.to_vec()
    })
}

fn compress_behind(base: &[u8], bytes: &[u8], level: i32) -> Option<Vec<u8>> {
    let mut context = CCtx::try_create()?;
    let parameters = [
        CParameter::CompressionLevel(level),
        // Checksums are in the index.
        CParameter::ChecksumFlag(false),
    ];
    for parameter in parameters {
        context.set_parameter(parameter).ok()?;
    }
    if !base.is_empty() {
        context.ref_prefix(base).ok()?;
    }
    let mut compressed = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
    context.compress2(&mut compressed, bytes).ok()?;
    // It may wait for long, and had room for bytes that cannot be compressed.
    compressed.shrink_to_fit();
    Some(compressed)
}

fn no_memory() -> Error {
    Error::io(
        "there is no memory for zstd",
        io::ErrorKind::OutOfMemory.into(),
    )
}

/// The `len` bytes that became `stored`. The caller has checked `len`.
pub(crate) fn decompress(base: &[u8], stored: Vec<u8>, len: usize) -> Result<Vec<u8>> {
    if stored.len() == len {
        return Ok(stored);
    }
    let wrong = || Error::damaged("a part of it cannot be decompressed");
    let mut context = DCtx::try_create().ok_or_else(no_memory)?;
    if !base.is_empty() {
        context.ref_prefix(base).map_err(|_| no_memory())?;
    }
    // At once, so that zstd needs no window.
    let mut bytes = Vec::with_capacity(len);
    context
        .decompress(&mut bytes, &stored)
        .map_err(|_| wrong())?;
    if bytes.len() != len {
        return Err(wrong());
    }
    Ok(bytes)
}
