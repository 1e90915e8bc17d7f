//! What the fuzz targets share: bytes of a fuzzer never have the checksums of an archive, so archives are forged of them.
//! And what makes two types of two BTFs the same.
#![forbid(unsafe_code)]

#[path = "../../crates/btfgen-archive/tests/suite/forge.rs"]
mod forge;
mod indexed;

use btfgen_btf::Type;

pub use indexed::{Indexed, file_name, kernel};

/// Make the checksums of a tar's headers right, so that the fuzzer may change the rest of them.
pub fn right_checksums(tar: &mut [u8]) {
    let mut rest = tar;
    while let Some((header, data)) = rest.split_at_mut_checked(forge::BLOCK) {
        // The end, which is no header.
        if header.iter().all(|&b| b == 0) {
            return;
        }
        forge::put_checksum(header);
        let size = str::from_utf8(&header[124..135]).ok();
        let size = size.and_then(|size| usize::from_str_radix(size, 8).ok());
        let len = size.unwrap_or(0).next_multiple_of(forge::BLOCK);
        rest = data.get_mut(len..).unwrap_or_default();
    }
}

/// A gzip file of a tar, with a right checksum; of two members where it is cut.
pub fn gzip(tar: &[u8], cut: Option<usize>, deflated: bool) -> Vec<u8> {
    let (first, second) = tar.split_at(cut.unwrap_or_default().min(tar.len()));
    let mut archive = Vec::new();
    if !first.is_empty() {
        archive = forge::gzip(first, deflated);
    }
    archive.extend(forge::gzip(second, deflated));
    archive
}

/// A gzip file of a tar that holds these files.
pub fn archive_of<'a>(files: impl IntoIterator<Item = (String, &'a [u8])>) -> Vec<u8> {
    let entries = files
        .into_iter()
        .map(|(name, data)| forge::file(name, data));
    forge::gzip(&entries.collect::<Vec<_>>().concat(), false)
}

/// A Debian package whose files are in this tar: ar(5), deb(5).
pub fn deb(data: &[u8]) -> Vec<u8> {
    let mut deb = b"!<arch>\n".to_vec();
    for (name, content) in [("debian-binary", &b"2.0\n"[..]), ("data.tar", data)] {
        let len = content.len();
        let header = format!("{name:<16}{0:<12}{0:<6}{0:<6}{1:<8}{len:<10}`\n", 0, 100644);
        deb.extend(header.bytes());
        deb.extend(content);
        deb.resize(deb.len().next_multiple_of(2), b'\n');
    }
    deb
}

/// Whether two types of two BTFs say the same but for their sizes, wherever their names lie.
pub fn is_same(a: Type<'_>, b: Type<'_>) -> bool {
    (a.kind(), a.kind_flag(), a.name()) == (b.kind(), b.kind_flag(), b.name())
        && (a.referenced(), a.int(), a.array()) == (b.referenced(), b.int(), b.array())
        && a.members().eq(b.members())
        && a.enumerators().eq(b.enumerators())
        && a.params().eq(b.params())
}
