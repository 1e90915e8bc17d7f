//! The entries of the tar, and their order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::is_own;
use crate::index::{self, crc_of};
use crate::order;
use crate::ustar::{self, BLOCK, Body, NAME_LEN};
use crate::{Error, ErrorKind, KernelId, Result};

/// The smallest first content of a group that is worth its own Huffman codes.
const MIN_CUT: usize = 2 << 10;

/// One entry of the tar.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    pub(super) name: String,
    pub(super) key: String,
    pub(super) content: Content<'a>,
}

#[derive(Debug)]
pub(super) enum Content<'a> {
    File(&'a [u8]),
    HardLink(String),
}

/// All entries in the order of the tar, without the index.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    pub(super) entries: Vec<Entry<'a>>,
}

impl<'a> Plan<'a> {
    /// First the contents, similar ones next to each other, then the links, then the other files.
    ///
    /// The links are not next to their targets, but all together and in the order of the index. So neighbouring headers differ
    /// only in a few digits, which makes large archives a third smaller, and the positions in the index are consecutive.
    pub(super) fn new(
        prefix: &str,
        hard_links: bool,
        owners: &'a [Vec<KernelId>],
        contents: &'a [Arc<[u8]>],
        files: &'a BTreeMap<String, Arc<[u8]>>,
    ) -> Self {
        // Sorted by their first kernels, so that the order of addition does not matter.
        let mut distinct: Vec<_> = owners.iter().zip(contents).collect();
        distinct.sort_by_key(|(owners, _)| *owners);
        let sorted: Vec<_> = distinct.iter().map(|(_, content)| content).collect();

        let mut entries = Vec::new();
        let mut links = Vec::new();
        for position in order::by_similarity(&sorted) {
            let (owners, content) = distinct[position];
            // Longer names do not fit into a link.
            let target = owners
                .iter()
                .find(|id| hard_links && id.entry_name_under(prefix).len() <= NAME_LEN);
            for kernel in owners {
                let content = match target {
                    Some(target) if target != kernel => {
                        Content::HardLink(target.entry_name_under(prefix))
                    }
                    _ => Content::File(content),
                };
                let place = match content {
                    Content::File(_) => &mut entries,
                    Content::HardLink(_) => &mut links,
                };
                place.push((kernel, content));
            }
        }
        links.sort_by_cached_key(|(kernel, _)| index::kernel_key(kernel));

        let kernels = entries
            .into_iter()
            .chain(links)
            .map(|(kernel, content)| Entry {
                name: kernel.entry_name_under(prefix),
                key: index::kernel_key(kernel),
                content,
            });
        // The build ids and the manifest after the others.
        let (own, others): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| is_own(name));
        let files = others.into_iter().chain(own).map(|(name, bytes)| Entry {
            name: format!("./{name}"),
            key: index::file_key(name),
            content: Content::File(bytes),
        });
        Self {
            entries: kernels.chain(files).collect(),
        }
    }

    /// The length of the tar without the index and without the end.
    pub(super) fn tar_len(&self) -> u64 {
        let len = |entry: &Entry<'_>| match entry.content {
            Content::File(bytes) => BLOCK + bytes.len().next_multiple_of(BLOCK),
            Content::HardLink(_) => BLOCK,
        };
        self.entries.iter().map(|entry| len(entry) as u64).sum()
    }
}

impl Entry<'_> {
    pub(super) fn header(&self) -> Result<ustar::Block> {
        let body = match &self.content {
            Content::File(bytes) => Body::File(bytes.len() as u64),
            Content::HardLink(target) => Body::HardLink(target),
        };
        encode_header(&self.name, body)
    }

    /// Whether new Huffman codes are worth their bytes from this entry on, `len` bytes after the start of a group, because the
    /// data changes. This makes archives of real BTFs 3 to 5 % smaller.
    pub(super) fn is_unlike(&self, previous: &Entry<'_>, len: usize) -> bool {
        match (&previous.content, &self.content) {
            // From here on there are only headers.
            (Content::File(_), Content::HardLink(_)) => true,
            // The first content of a group is mostly literals, the others are mostly references to earlier contents.
            (Content::File(first), Content::File(_)) => {
                len >= MIN_CUT && len == BLOCK + first.len().next_multiple_of(BLOCK)
            }
            (Content::HardLink(_), _) => false,
        }
    }

    /// The offsets at which the data changes within the first entry of a group: after the tar header, and between the types and
    /// the strings of the BTF. The entries after it are mostly references to it.
    pub(super) fn cuts_of_first(&self) -> impl Iterator<Item = usize> + use<> {
        let cuts = match self.content {
            Content::File(bytes) if bytes.len() >= MIN_CUT => {
                strings_start(bytes).map(|strings| [BLOCK, BLOCK + strings])
            }
            Content::File(_) | Content::HardLink(_) => None,
        };
        cuts.into_iter().flatten()
    }

    /// The CRC-32 of a regular file.
    pub(super) fn crc(&self) -> Option<u32> {
        match self.content {
            Content::File(bytes) => Some(crc_of(bytes)),
            Content::HardLink(_) => None,
        }
    }
}

/// The offset of a BTF's strings, from its header (kernel Documentation/bpf/btf.rst). The strings follow the types.
fn strings_start(btf: &[u8]) -> Option<usize> {
    let word = |at: usize| -> Option<u32> {
        let word = btf.get(at..at + 4)?.try_into().ok()?;
        Some(match btf.get(..2)? {
            [0xeb, 0x9f] => u32::from_be_bytes(word),
            _ => u32::from_le_bytes(word),
        })
    };
    let start = usize::try_from(word(4)?.checked_add(word(16)?)?).ok()?;
    (start <= btf.len()).then_some(start)
}

pub(super) fn encode_header(name: &str, body: Body<'_>) -> Result<ustar::Block> {
    ustar::encode(name, body).ok_or_else(|| match body {
        Body::File(size) if size >= 1 << 33 => {
            let message = format!("{name} is too large for a tar");
            Error::new(ErrorKind::TooLarge, message)
        }
        _ => {
            let message = format!("the name {name} is too long for a ustar header");
            Error::new(ErrorKind::NameTooLong, message)
        }
    })
}
