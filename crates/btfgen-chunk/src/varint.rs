//! Numbers as varints (LEB128), and differences of them.

use crate::{Error, Result};

/// Write a number: seven bits for each byte, the lowest first.
pub(crate) fn put(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The difference `to - from`, zigzag-coded. It wraps around in 32 bits.
pub(crate) fn difference(from: u32, to: u32) -> u32 {
    let difference = to.wrapping_sub(from).cast_signed();
    (difference << 1 ^ difference >> 31).cast_unsigned()
}

/// Write a [`difference`].
pub(crate) fn put_difference(out: &mut Vec<u8>, from: u32, to: u32) {
    put(out, difference(from, to));
}

/// The number that differs from `from` as this zigzag-coded difference tells.
pub(crate) fn add_difference(from: u32, zigzag: u32) -> u32 {
    from.wrapping_add(zigzag >> 1 ^ (zigzag & 1).wrapping_neg())
}

/// Decoded bytes, read from their beginning. Reading beyond their end is damage.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// A varint.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<u32> {
        // Most numbers have one byte.
        if let [byte @ ..0x80, rest @ ..] = self.0 {
            self.0 = rest;
            return Ok(u32::from(*byte));
        }
        self.long_number()
    }

    fn long_number(&mut self) -> Result<u32> {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let [byte, rest @ ..] = self.0 else {
                return Err(Error::damaged("a part of it ends too early"));
            };
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return u32::try_from(number)
                    .map_err(|_| Error::damaged("a number in it is too large"));
            }
        }
        Err(Error::damaged("a number in it is too long"))
    }

    /// A number that differs from this one.
    #[inline]
    pub(crate) fn difference(&mut self, from: u32) -> Result<u32> {
        Ok(add_difference(from, self.number()?))
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let parts = self.0.split_at_checked(len);
        let (bytes, rest) = parts.ok_or_else(|| Error::damaged("a part of it ends too early"))?;
        self.0 = rest;
        Ok(bytes)
    }
}

/// Write numbers as runs of successive ones: for each run the difference of its first number from the end of the run before,
/// and its length.
pub(crate) fn put_runs(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) {
    let (mut end, mut run): (u32, Option<(u32, u32)>) = (0, None);
    for number in numbers {
        run = match run {
            Some((first, next)) if next == number => Some((first, next.wrapping_add(1))),
            _ => {
                put_run(out, &mut end, run);
                Some((number, number.wrapping_add(1)))
            }
        };
    }
    put_run(out, &mut end, run);
}

fn put_run(out: &mut Vec<u8>, end: &mut u32, run: Option<(u32, u32)>) {
    if let Some((first, next)) = run {
        put_difference(out, *end, first);
        put(out, next.wrapping_sub(first));
        *end = next;
    }
}

impl Input<'_> {
    /// So many numbers that [`put_runs`] wrote, each below `below`. The caller has bounded their number.
    pub(crate) fn runs(&mut self, count: usize, below: usize) -> Result<Vec<u32>> {
        let mut numbers = Vec::with_capacity(count);
        let mut end = 0;
        while numbers.len() < count {
            let first = self.difference(end)?;
            let len = self.number()?;
            let next = first
                .checked_add(len)
                .filter(|&next| next as usize <= below);
            let next = next.ok_or_else(|| Error::damaged("a number in it is too large"))?;
            if len == 0 || len as usize > count - numbers.len() {
                return Err(Error::damaged("a run of numbers in it has a wrong length"));
            }
            numbers.extend(first..next);
            end = next;
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that numbers and differences of every length come back, and that nothing is left over.
    #[test]
    fn numbers_come_back() {
        let numbers = [0, 1, 127, 128, 16_383, 16_384, u32::MAX - 1, u32::MAX];
        let mut bytes = Vec::new();
        for from in numbers {
            for to in numbers {
                put(&mut bytes, from);
                put_difference(&mut bytes, from, to);
            }
        }
        let mut input = Input(&bytes);
        for from in numbers {
            for to in numbers {
                assert_eq!(input.number().unwrap(), from);
                assert_eq!(input.difference(from).unwrap(), to);
            }
        }
        assert!(input.is_empty());
    }

    /// Check that runs come back, and that a count or a number that does not fit is an error.
    #[test]
    fn runs_come_back() {
        let numbers = [5, 6, 7, 0, 1, 9, 9, 8];
        let mut bytes = Vec::new();
        put_runs(&mut bytes, numbers);
        assert_eq!(Input(&bytes).runs(8, 10).unwrap(), numbers);
        assert!(Input(&bytes).runs(8, 9).is_err());
        assert!(Input(&bytes).runs(4, 10).is_err());
        assert!(Input(&bytes).runs(9, 10).is_err());
    }

    /// Check that numbers of more than 32 bits are errors, not other numbers.
    #[test]
    fn long_numbers_are_errors() {
        assert!(Input(&[0xff; 4]).number().is_err());
        assert!(Input(&[0xff, 0xff, 0xff, 0xff, 0x1f]).number().is_err());
        assert!(Input(&[0x80, 0x80, 0x80, 0x80, 0x80, 0]).number().is_err());
        assert_eq!(
            Input(&[0xff, 0xff, 0xff, 0xff, 0x0f]).number().unwrap(),
            u32::MAX
        );
    }
}
