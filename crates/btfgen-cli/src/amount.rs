//! Sizes and counts as people write and read them.

use std::fmt;

use indicatif::HumanBytes;

/// Parses a number of bytes, with an optional suffix: `K`, `M`, `G` or `T`, as powers of 1024.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, suffix) = text.split_at(digits);
    let shift = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err("not a size; write for instance 500000, 256M or 1G".into()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "not a size; write for instance 500000, 256M or 1G")?;
    match number.checked_mul(1 << shift) {
        Some(0) => Err("must be more than 0".into()),
        Some(bytes) => Ok(bytes),
        None => Err("too large".into()),
    }
}

/// A size in bytes as people read it: `3.91 MiB`.
pub(crate) fn bytes(size: u64) -> HumanBytes {
    HumanBytes(size)
}

/// A number of things: `1 kernel`, `2 kernels`.
pub(crate) fn count(number: usize, thing: &'static str) -> impl fmt::Display {
    struct Count(usize, &'static str);
    impl fmt::Display for Count {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let Self(number, thing) = self;
            let plural = if *number == 1 { "" } else { "s" };
            write!(f, "{number} {thing}{plural}")
        }
    }
    Count(number, thing)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that sizes are read with and without suffix.
    #[test]
    fn sizes() {
        assert_eq!(parse_bytes("500000"), Ok(500_000));
        assert_eq!(parse_bytes("4k"), Ok(4096));
        assert_eq!(parse_bytes("256M"), Ok(256 << 20));
        assert_eq!(parse_bytes("1GiB"), Ok(1 << 30));
    }

    /// Check that a text that is not a size is refused.
    #[test]
    fn no_sizes() {
        for bad in [
            "",
            "M",
            "-1",
            "1.5G",
            "1 G",
            "1X",
            "0",
            "0G",
            "99999999999T",
        ] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    /// Check that only 1 takes the singular.
    #[test]
    fn plurals() {
        assert_eq!(count(1, "kernel").to_string(), "1 kernel");
        assert_eq!(count(0, "kernel").to_string(), "0 kernels");
    }
}
