//! Finds a kernel's release in its banner: `Linux version 6.1.0-47-cloud-amd64 (…` (`linux_banner` in the kernel's
//! `init/version-timestamp.c`).

use std::ops::{ControlFlow, Range};

use crate::content::Content;
use crate::error::Result;
use crate::place::Place;
use crate::search::search;

const BANNER: &[u8] = b"Linux version ";

/// `__NEW_UTS_LEN` of `include/uapi/linux/utsname.h`.
const MAX_RELEASE_BYTES: usize = 64;

/// How much to search. The banner is in the read-only data, which comes before the debug information even in the largest
/// vmlinux.
pub(crate) const MAX_SEARCHED_BYTES: u64 = 1 << 30;

/// The release in the first banner of a range.
pub(crate) fn release(
    content: &Content,
    range: Range<u64>,
    place: &Place,
) -> Result<Option<String>> {
    let end = range
        .end
        .min(range.start.saturating_add(MAX_SEARCHED_BYTES));
    search(content, range.start..end, &[BANNER], place, |at, _| {
        let behind = content.read(at + BANNER.len() as u64, MAX_RELEASE_BYTES + 2, place)?;
        // The kernel also contains the format "Linux version %s (…", and sentences about versions.
        Ok(match first_word(&behind, b" (") {
            Some(release) => ControlFlow::Break(release),
            None => ControlFlow::Continue(()),
        })
    })
}

/// The release at the beginning of some text, if it is followed by `delimiter`.
pub(crate) fn first_word(text: &[u8], delimiter: &[u8]) -> Option<String> {
    let len = memchr::memmem::find(text, delimiter)?;
    let word = std::str::from_utf8(&text[..len]).ok()?;
    is_release(word).then(|| word.to_owned())
}

/// Whether this may be a kernel's release: it begins with a version number, and has only characters that are safe in a path and
/// on a terminal.
pub(crate) fn is_release(text: &str) -> bool {
    text.len() <= MAX_RELEASE_BYTES
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.contains('.')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._+-~^:@".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that only valid releases are accepted.
    #[test]
    fn releases() {
        for good in [
            "6.1.0-47-cloud-amd64",
            "6.12.107+deb13-s390x",
            "5.14.0-362.8.1.el9_3.x86_64",
            "7.0.0-rc1",
        ] {
            assert!(is_release(good), "{good}");
        }
        for bad in ["", "%s", "6", "lts", "6.1/../..", "6.1\u{1b}[0m"] {
            assert!(!is_release(bad), "{bad}");
        }
        assert_eq!(
            first_word(b"6.1.0-9 (gcc)", b" (").as_deref(),
            Some("6.1.0-9")
        );
        assert_eq!(first_word(b"%s (%s)", b" ("), None);
        assert_eq!(first_word(b"6.1.0-9 of old", b" ("), None);
    }
}
