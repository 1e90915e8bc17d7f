//! One character for each group of kernels, as runs: `a12b3c` is twelve `a`, three `b` and one `c`.

use std::fmt::Write as _;

/// Writes characters, none of them a digit, as runs.
pub(super) fn runs(of: impl IntoIterator<Item = char>) -> String {
    let mut text = String::new();
    let mut run: Option<(char, usize)> = None;
    for c in of {
        run = match run {
            Some((known, count)) if known == c => Some((c, count + 1)),
            known => {
                end(&mut text, known);
                Some((c, 1))
            }
        };
    }
    end(&mut text, run);
    text
}

fn end(text: &mut String, run: Option<(char, usize)>) {
    let Some((c, count)) = run else { return };
    text.push(c);
    if count > 1 {
        // A string takes all that is written.
        let _ = write!(text, "{count}");
    }
}

/// The character of a number: letters, and then what Unicode has from U+0100 on, without the surrogates.
pub(super) fn letter(number: usize) -> char {
    const LETTERS: &[u8; 52] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if let Some(&letter) = LETTERS.get(number) {
        return letter.into();
    }
    let beyond = number - LETTERS.len() + 0x100;
    let beyond = match beyond {
        0..0xd800 => beyond,
        beyond => beyond + 0x800,
    };
    u32::try_from(beyond)
        .ok()
        .and_then(char::from_u32)
        .unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that runs have counts and single characters none.
    #[test]
    fn short() {
        assert_eq!(runs("aaaaaaaaaaaabbbc".chars()), "a12b3c");
        assert_eq!(runs("".chars()), "");
        assert_eq!(runs("aba".chars()), "aba");
    }

    /// Check that a million numbers have different characters, of which none is a digit.
    #[test]
    fn letters() {
        let all: std::collections::BTreeSet<char> = (0..1_000_000).map(letter).collect();
        assert_eq!(all.len(), 1_000_000);
        assert!(!all.iter().any(char::is_ascii_digit));
    }
}
