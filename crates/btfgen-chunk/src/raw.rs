//! A BTF as words and strings, as far as records can express it.

use crate::shape::Shape;

/// The parts of a BTF.
#[derive(Debug)]
pub(crate) struct Raw<'b> {
    /// What lies before the types (the header), between types and strings, and behind the strings.
    pub(crate) outside: [&'b [u8]; 3],
    pub(crate) words: Vec<u32>,
    /// Where the words of each type begin, and where the last ones end. The first type has the id 1.
    pub(crate) starts: Vec<u32>,
    /// The strings, with a zero byte at the end of each; the first one is empty.
    pub(crate) strings: &'b [u8],
}

/// The bytes of the header that every BTF has.
const HEADER_LEN: usize = 24;

/// Whether the words of the BTF that begins with these bytes are big-endian.
pub(crate) fn is_big_endian(header: &[u8]) -> bool {
    header.starts_with(&[0xeb, 0x9f])
}

impl<'b> Raw<'b> {
    /// `None` if the bytes are not a BTF, or if there is something in the types that records cannot express.
    pub(crate) fn parse(btf: &'b [u8]) -> Option<Self> {
        let big = is_big_endian(btf);
        if !big && !btf.starts_with(&[0x9f, 0xeb]) {
            return None;
        }
        let word = |bytes: &[u8]| {
            let bytes = bytes.first_chunk().copied().unwrap_or_default();
            if big {
                u32::from_be_bytes(bytes)
            } else {
                u32::from_le_bytes(bytes)
            }
        };
        let header = btf.get(..HEADER_LEN)?;
        let field = |n: usize| word(&header[4 * n..]) as usize;
        let types = field(1).checked_add(field(2))?;
        let types_end = types.checked_add(field(3))?;
        let strings = field(1).checked_add(field(4))?;
        let strings_end = strings.checked_add(field(5))?;
        // The header tells the byte order to the reader, so that it has to be before the types.
        if types < HEADER_LEN {
            return None;
        }
        let outside = [
            btf.get(..types)?,
            btf.get(types_end..strings)?,
            btf.get(strings_end..)?,
        ];
        let type_bytes = btf.get(types..types_end)?;
        let (chunks, []) = type_bytes.as_chunks::<4>() else {
            return None;
        };
        let words: Vec<u32> = chunks.iter().map(|chunk| word(chunk)).collect();
        let strings = btf.get(strings..strings_end)?;
        if strings.first() != Some(&0) || strings.last() != Some(&0) {
            return None;
        }
        let starts = starts(&words)?;
        Some(Self {
            outside,
            words,
            starts,
            strings,
        })
    }

    /// The number of types, without `void`.
    pub(crate) fn types(&self) -> usize {
        self.starts.len() - 1
    }

    /// The words of a type. Its id is not 0.
    pub(crate) fn words_of(&self, id: u32) -> &[u32] {
        let at = id as usize;
        &self.words[self.starts[at - 1] as usize..self.starts[at] as usize]
    }
}

fn starts(words: &[u32]) -> Option<Vec<u32>> {
    let mut starts = vec![0];
    let mut at = 0;
    while at < words.len() {
        let info = *words.get(at + 1)?;
        at += Shape::of_info(info)?.words(info);
        starts.push(u32::try_from(at).ok()?);
    }
    (at == words.len()).then_some(starts)
}
