//! BTFs for unit tests, in little-endian order.

/// A BTF with these types, and one string, the empty one.
pub(crate) fn btf(types: &[u32]) -> Vec<u8> {
    btf_with_header(&[], types, &[])
}

/// A BTF with these words at the end of its header, and these bytes after its strings.
pub(crate) fn btf_with_header(more: &[u32], types: &[u32], end: &[u8]) -> Vec<u8> {
    let header_len = 24 + 4 * more.len() as u32;
    let types_len = 4 * types.len() as u32;
    let header = [header_len, 0, types_len, types_len, 1];
    let words = [&header[..], more, types].concat();
    let words: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    [&[0x9f, 0xeb, 1, 0][..], &words, &[0], end].concat()
}

/// A type of this kind with this many members, and zeros for all other fields.
pub(crate) fn ty(kind: u32, vlen: u32) -> Vec<u32> {
    let (own, each) = match kind {
        1 | 14 | 17 => (1, 0),
        3 => (3, 0),
        4 | 5 | 15 | 19 | 22 => (0, 3),
        6 | 13 => (0, 2),
        20 => (1, 1),
        21 => (0, 1),
        _ => (0, 0),
    };
    let mut words = vec![0; 3 + own + each * vlen as usize];
    words[1] = kind << 24 | vlen;
    words
}

/// A BTF with an integer and a type of this kind.
pub(crate) fn btf_of_kind(kind: u32) -> Vec<u8> {
    btf(&[ty(1, 0), ty(kind, 1)].concat())
}
