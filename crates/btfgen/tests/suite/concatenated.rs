//! Merges several BTFs into one without deduplication: a kernel whose names stand for several types.

/// A BTF's words in its byte order.
struct Raw<'b> {
    btf: &'b [u8],
    is_big_endian: bool,
}

impl<'b> Raw<'b> {
    fn new(btf: &'b [u8]) -> Self {
        let is_big_endian = btf.starts_with(&0xeb9f_u16.to_be_bytes());
        Self { btf, is_big_endian }
    }

    fn word(&self, at: usize) -> u32 {
        let bytes = self.btf[at..at + 4].try_into().expect("four bytes");
        if self.is_big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }

    fn bytes(&self, word: u32) -> [u8; 4] {
        if self.is_big_endian {
            word.to_be_bytes()
        } else {
            word.to_le_bytes()
        }
    }

    /// A section behind the header. The header has its offset and length.
    fn section(&self, offset: usize) -> std::ops::Range<usize> {
        let start = self.word(4) as usize + self.word(offset) as usize;
        start..start + self.word(offset + 4) as usize
    }

    fn types(&self) -> Vec<u32> {
        self.section(8).step_by(4).map(|at| self.word(at)).collect()
    }

    fn strings(&self) -> &'b [u8] {
        &self.btf[self.section(16)]
    }
}

/// The layout of a type's record: its words, and which of them are ids of types or names (kernel Documentation/bpf/btf.rst).
fn layout(record: &[u32]) -> (usize, Vec<usize>, Vec<usize>) {
    let vlen = (record[1] & 0xffff) as usize;
    let each = |size: usize, word: usize| (0..vlen).map(move |n| 3 + size * n + word);
    let (more, ids, names): (usize, Vec<usize>, Vec<usize>) = match record[1] >> 24 & 0x1f {
        1 => (1, vec![], vec![]),
        2 | 8..=12 | 18 => (0, vec![2], vec![]),
        3 => (3, vec![3, 4], vec![]),
        4 | 5 => (3 * vlen, each(3, 1).collect(), each(3, 0).collect()),
        6 => (2 * vlen, vec![], each(2, 0).collect()),
        7 | 16 => (0, vec![], vec![]),
        13 => (
            2 * vlen,
            each(2, 1).chain([2]).collect(),
            each(2, 0).collect(),
        ),
        14 | 17 => (1, vec![2], vec![]),
        15 => (3 * vlen, each(3, 0).collect(), vec![]),
        19 => (3 * vlen, vec![], each(3, 0).collect()),
        kind => panic!("kind {kind}"),
    };
    (3 + more, ids, [vec![0], names].concat())
}

/// One BTF with the types of all these BTFs, in this order. They must have the same byte order. Equal string sections are
/// merged.
///
/// # Panics
/// If one of them is not BTF.
pub(super) fn concatenated(btfs: &[&[u8]]) -> Vec<u8> {
    let raw = Raw::new(btfs[0]);
    let (mut types, mut strings) = (Vec::new(), Vec::new());
    let mut places: Vec<(&[u8], u32)> = Vec::new();
    let mut first_id = 0;
    for btf in btfs.iter().map(|btf| Raw::new(btf)) {
        assert_eq!(btf.is_big_endian, raw.is_big_endian, "one byte order");
        let known = places.iter().find(|(known, _)| *known == btf.strings());
        let first_name = known.map_or(strings.len() as u32, |(_, place)| *place);
        if known.is_none() {
            places.push((btf.strings(), first_name));
            strings.extend(btf.strings());
        }
        let words = btf.types();
        let (mut at, mut count) = (0, 0);
        while at < words.len() {
            let (len, ids, names) = layout(&words[at..]);
            let mut record = words[at..at + len].to_vec();
            for (shifted, by) in [(ids, first_id), (names, first_name)] {
                // Type 0 is void, and the name at 0 is empty.
                for word in shifted {
                    record[word] += if record[word] > 0 { by } else { 0 };
                }
            }
            types.extend(record.into_iter().flat_map(|word| raw.bytes(word)));
            at += len;
            count += 1;
        }
        first_id += count;
    }
    let lengths = [
        24,
        0,
        types.len() as u32,
        types.len() as u32,
        strings.len() as u32,
    ];
    let lengths = lengths.map(|word| raw.bytes(word)).concat();
    [&btfs[0][..4], &lengths, &types, &strings].concat()
}
