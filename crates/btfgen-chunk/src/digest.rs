//! The digest that names the content of a BTF.

use std::fmt;

use twox_hash::XxHash3_128;

/// The 128-bit digest of a BTF's bytes: XXH3-128 with the seed 0. It finds damage and tells BTFs apart; it is no signature.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Digest(
    /// The number that XXH3-128 computes.
    pub u128,
);

impl Digest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(XxHash3_128::oneshot(bytes))
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;

    /// Check that the digest is XXH3-128 as others compute it: `xxhsum -H2` of an empty file.
    #[test]
    fn digest_is_xxh3_128() {
        let empty = Digest::of(b"").to_string();
        assert_eq!(empty, "99aa06d3014798d86001c324468d497f");
    }
}
