//! What a loader must be able to read in a BTF: its kinds of types, and the extensions of Linux 7.1.
//!
//! The scan goes from one type to the next and reads the BTF in pieces, so it needs little memory for megabytes of types.

use btfgen_btf::{Header, Info, Kind, Words};

use crate::inspect::{ReadAt, Unusable, inspect, read};

/// The features of a BTF that not all loaders read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Features {
    /// The largest number of a kind.
    pub(crate) largest_kind: u32,
    /// Whether a type has more than 65,535 members.
    pub(crate) large_counts: bool,
    /// The length of the header, without words at its end that are 0, which mean nothing; at least 24 bytes.
    pub(crate) header_len: u64,
    /// Whether a layout section gives the lengths of unknown kinds.
    pub(crate) has_layout: bool,
}

/// The most bytes to read at once.
const PIECE: usize = 1 << 16;

/// The most kinds that the info word can express, and the length of an entry of the layout section.
const MAX_LAYOUT_BYTES: usize = 128 * 4;

/// The longest header to look at. Later kernels append fields; Linux 7.1 has 32 bytes.
const MAX_HEADER_BYTES: usize = 64;

/// Inspects a BTF, and scans all its types.
pub(crate) fn scan(source: &dyn ReadAt) -> Result<Features, Unusable> {
    let header = inspect(source)?;
    let place = header.layout();
    let mut layout = [0; MAX_LAYOUT_BYTES];
    let len = place.end - place.start;
    let len = usize::try_from(len).map_or(MAX_LAYOUT_BYTES, |len| len.min(MAX_LAYOUT_BYTES));
    let len = read(source, &mut layout[..len], place.start)?;
    let layout = Words::new(&layout[..len], header.byte_order());
    let mut features = Features {
        largest_kind: 0,
        large_counts: false,
        header_len: used_header(source, &header)?,
        has_layout: !layout.is_empty(),
    };
    scan_types(source, &header, layout, &mut features)?;
    Ok(features)
}

fn scan_types(
    source: &dyn ReadAt,
    header: &Header,
    layout: Words<'_>,
    features: &mut Features,
) -> Result<(), Unusable> {
    const DAMAGED: Unusable = Unusable::Damaged("a type runs over the end of its types");
    let types = header.types();
    let mut at = types.start;
    let mut buffer = vec![0; PIECE];
    // The start and the length of the piece in the buffer.
    let (mut start, mut len) = (at, 0);
    while at < types.end {
        // The info word is the second one of a type.
        if at + 8 > start + len as u64 {
            start = at;
            let rest = usize::try_from(types.end - at).unwrap_or(PIECE);
            len = read(source, &mut buffer[..rest.min(PIECE)], start)?;
        }
        let piece = Words::new(&buffer[..len], header.byte_order());
        let info = piece.u32((at - start) as usize + 4).ok_or(DAMAGED)?;
        let info = Info::new(info);
        if info.kind_number() == 0 {
            return Err(Unusable::Damaged("a type has kind 0"));
        }
        features.largest_kind = features.largest_kind.max(info.kind_number());
        // If the length is unknown, the rest is unreadable. But then no loader can read the BTF, because of this kind.
        let Some(type_len) = info.type_len(layout) else {
            return Ok(());
        };
        features.large_counts |= info.kind() != Kind::Unknown && !info.is_classic();
        at += type_len;
    }
    if at > types.end { Err(DAMAGED) } else { Ok(()) }
}

/// The length of the header without the words at its end that are 0.
fn used_header(source: &dyn ReadAt, header: &Header) -> Result<u64, Unusable> {
    let mut bytes = [0; MAX_HEADER_BYTES];
    let len = header.header_len();
    let Some(bytes) = usize::try_from(len)
        .ok()
        .and_then(|len| bytes.get_mut(..len))
    else {
        return Ok(len);
    };
    read(source, bytes, 0)?;
    let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let used = (len - zeros as u64).next_multiple_of(4);
    Ok(used.clamp(Header::LEN as u64, len))
}

#[cfg(test)]
mod tests {
    use btfgen_btf::{Btf, Kind};
    use proptest::prelude::*;

    use super::*;
    use crate::forge::{btf, btf_with_header, ty};

    const PLAIN: Features = Features {
        largest_kind: 1,
        large_counts: false,
        header_len: 24,
        has_layout: false,
    };

    fn why(btf: Vec<u8>) -> String {
        scan(&btf).unwrap_err().to_string()
    }

    /// Check that the largest kind counts, wherever it is, also behind a kind of unknown length.
    #[test]
    fn kinds() {
        let int = ty(1, 0);
        for kind in 1..=22 {
            for types in [[ty(kind, 1), int.clone()], [int.clone(), ty(kind, 1)]] {
                let features = scan(&btf(&types.concat())).unwrap();
                let expected = Features {
                    largest_kind: kind,
                    ..PLAIN
                };
                assert_eq!(features, expected);
            }
        }
        let unknown = [ty(25, 9), vec![1, 2, 3], int].concat();
        assert_eq!(scan(&btf(&unknown)).unwrap().largest_kind, 25);
        let none = Features {
            largest_kind: 0,
            ..PLAIN
        };
        assert_eq!(scan(&btf(&[])).unwrap(), none);
    }

    /// Check that a layout section is used for kinds of unknown length.
    #[test]
    fn layout() {
        let mut layout = vec![0; 4 * 26];
        // Each member has 4 bytes.
        layout[4 * 25 + 1] = 4;
        let types = [ty(25, 2), vec![0, 0], ty(26, 0)].concat();
        let header = [1, layout.len() as u32];
        // The types and the string come before the section.
        let place = 4 * types.len() as u32 + header[0];
        let btf = btf_with_header(&[place, header[1]], &types, &layout);
        let expected = Features {
            largest_kind: 26,
            header_len: 32,
            has_layout: true,
            large_counts: false,
        };
        assert_eq!(scan(&btf).unwrap(), expected);
    }

    /// Check that more members than 16 bits count are noticed, except where there are no members.
    #[test]
    fn large_counts() {
        let has = |kind, vlen| {
            let types = [ty(kind, vlen), ty(1, 0)].concat();
            scan(&btf(&types)).unwrap().large_counts
        };
        assert!(!has(4, 0xffff));
        assert!(has(4, 0x1_0000));
        assert!(has(19, 0x1_0000));
        assert!(!has(2, 0x1_0000));
    }

    /// Check that zeros at the end of a header do not count.
    #[test]
    fn headers() {
        for (more, len) in [
            (&[][..], 24),
            (&[0, 0], 24),
            (&[0, 0, 0, 0x10_0000, 0], 40),
            (&[0; 100], 424),
        ] {
            let btf = btf_with_header(more, &ty(1, 0), &[]);
            assert_eq!(scan(&btf).unwrap().header_len, len);
        }
    }

    /// Check that types which run over their end, or have kind 0, are damage.
    #[test]
    fn damage() {
        let over = "is damaged: a type runs over the end of its types";
        let types = [ty(1, 0), ty(4, 3)].concat();
        for len in 1..types.len() {
            // The first type has four words.
            if len != 4 {
                assert_eq!(why(btf(&types[..len])), over, "{len}");
            }
        }
        assert_eq!(why(btf(&ty(0, 0))), "is damaged: a type has kind 0");
    }

    /// Check that the scan of the kernel's own BTF sees the same kinds as the reader of whole BTFs.
    #[test]
    fn kernels_own() {
        let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else {
            println!("skipped: this kernel has no BTF of its own");
            return;
        };
        let features = scan(&bytes).unwrap();
        let btf = Btf::parse(bytes).unwrap();
        let kinds = btf.types().map(|ty| ty.kind());
        let largest = kinds.filter(|kind| *kind != Kind::Unknown).max().unwrap();
        assert_eq!(Kind::of_number(features.largest_kind), largest);
    }

    proptest! {
        /// Check that types of any kinds and numbers of members, over several pieces, are passed one by one.
        #[test]
        fn any_types(parts in prop::collection::vec((1_u32..=22, 0_u32..3000), 1..20)) {
            let types = parts.iter().flat_map(|(kind, vlen)| ty(*kind, *vlen));
            let types: Vec<u32> = types.collect();
            let largest_kind = parts.iter().map(|(kind, _)| *kind).max().unwrap();
            let expected = Features { largest_kind, ..PLAIN };
            prop_assert_eq!(scan(&btf(&types)).unwrap(), expected);
        }

        /// Check that any words end without a panic.
        #[test]
        fn any_words(words in prop::collection::vec(any::<u32>(), 0..200), more in prop::collection::vec(any::<u32>(), 0..4)) {
            let _ = scan(&btf_with_header(&more, &words, b"more"));
        }
    }
}
