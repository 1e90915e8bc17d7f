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

/// The order of the bytes in the words of a BTF.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    /// The order in the BTF that begins with these bytes. `None` if it is not BTF.
    pub(crate) fn of(header: &[u8]) -> Option<Self> {
        match header {
            [0x9f, 0xeb, ..] => Some(Self::Little),
            [0xeb, 0x9f, ..] => Some(Self::Big),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn word(self, bytes: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        }
    }

    #[inline]
    pub(crate) fn bytes(self, word: u32) -> [u8; 4] {
        match self {
            Self::Little => word.to_le_bytes(),
            Self::Big => word.to_be_bytes(),
        }
    }
}

impl<'b> Raw<'b> {
    /// `None` if the bytes are not a BTF, or if there is something in the types that records cannot express.
    pub(crate) fn parse(btf: &'b [u8]) -> Option<Self> {
        let order = ByteOrder::of(btf)?;
        let (fields, _) = btf.get(..HEADER_LEN)?.as_chunks();
        let field = |n: usize| order.word(fields[n]) as usize;
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
        let (words, []) = type_bytes.as_chunks() else {
            return None;
        };
        let words: Vec<u32> = words.iter().map(|&word| order.word(word)).collect();
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
