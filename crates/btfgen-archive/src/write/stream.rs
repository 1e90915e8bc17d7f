//! Deflates the tar in parts, and writes the index of the parts.

use std::io::{self, Write};

use flate2::Crc;

use super::plan::{Content, Entry, Plan, encode_header};
use crate::deflate::Deflater;
use crate::gzip::{self, RootPlace};
use crate::index::{GroupLen, Location, Pages, crc_of};
use crate::ustar::{BLOCK, Body};
use crate::{Error, ErrorKind, Result};

/// The name of the index's entry.
const INDEX_NAME: &str = "./.btfgen/index";

/// A group of deflate blocks ends with the entry that makes it this long. A lookup inflates half a group on average, which takes
/// about 0.2 ms. Groups of half the size would make large archives 5 % larger.
const GROUP_LEN: usize = 512 << 10;

/// The end of a tar.
const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The deflate stream, and the values for the gzip header and trailer.
#[derive(Debug)]
pub(super) struct Stream {
    deflater: Deflater,
    deflated: Vec<u8>,
    crc: Crc,
    /// The CRC-32 of the whole tar.
    pub(super) tar_len: u64,
    root: Option<RootPlace>,
    /// The size of the index in the archive.
    pub(super) index_len: u64,
}

/// The groups of the stream. The last group is not yet deflated.
#[derive(Debug, Default)]
struct Groups {
    lens: Vec<GroupLen>,
    last: Vec<u8>,
    /// The offsets in the last group at which new Huffman codes are worth it.
    cuts: Vec<usize>,
    locations: Vec<(String, Location)>,
}

impl Stream {
    fn new() -> Self {
        Self {
            deflater: Deflater::new(),
            deflated: Vec::new(),
            crc: Crc::new(),
            tar_len: 0,
            root: None,
            index_len: 0,
        }
    }

    /// Deflate a tar, with an index if there is a prefix to write into it.
    pub(super) fn deflate(plan: &Plan<'_>, indexed: Option<&str>) -> Result<Self> {
        let mut stream = Self::new();
        match indexed {
            Some(prefix) => {
                let groups = stream.add_entries(plan, GROUP_LEN)?;
                stream.add_index(groups, prefix)?;
            }
            None => {
                let Groups { mut last, cuts, .. } = stream.add_entries(plan, usize::MAX)?;
                last.extend(END);
                let blocks = stream.deflater.last_part(&last, &cuts)?;
                stream.append(&last, &blocks);
            }
        }
        Ok(stream)
    }

    /// Deflate the entries in groups. A group is complete when it reaches a length.
    fn add_entries(&mut self, plan: &Plan<'_>, group_len: usize) -> Result<Groups> {
        let Groups {
            mut lens,
            last: mut group,
            mut cuts,
            mut locations,
        } = Groups::default();
        let mut previous: Option<&Entry<'_>> = None;
        for entry in &plan.entries {
            if group.len() >= group_len {
                let blocks = self.deflater.part(&group, &cuts)?;
                lens.push(GroupLen {
                    compressed: blocks.len(),
                    blocks: (group.len() / BLOCK) as u64,
                });
                self.append(&group, &blocks);
                group.clear();
                cuts.clear();
                previous = None;
            }
            if previous.is_some_and(|previous| entry.is_unlike(previous, group.len())) {
                cuts.push(group.len());
            }
            if group.is_empty() {
                cuts.extend(entry.cuts_of_first());
            }
            previous = Some(entry);
            let location = Location {
                block: (self.tar_len + group.len() as u64) / BLOCK as u64,
                crc: entry.crc(),
            };
            locations.push((entry.key.clone(), location));
            group.extend(entry.header()?);
            if let Content::File(bytes) = entry.content {
                group.extend(bytes);
                group.resize(group.len().next_multiple_of(BLOCK), 0);
            }
        }
        Ok(Groups {
            lens,
            last: group,
            cuts,
            locations,
        })
    }

    /// Deflate the last group with the index's header, the pages, and the root with the rest of the tar.
    fn add_index(&mut self, groups: Groups, prefix: &str) -> Result<()> {
        let Groups {
            lens,
            mut last,
            cuts,
            locations,
        } = groups;
        // Make the pages before the root, which has their lengths, and the root before the header, which has the size of both.
        let pages = Pages::new(locations);
        let page_blocks = pages
            .separate()
            .iter()
            .map(|page| self.deflater.part(page, &[]))
            .collect::<Result<Vec<_>>>()?;
        let page_lens: Vec<_> = page_blocks.iter().map(Vec::len).collect();
        let mut root = pages.root(prefix, &lens, &page_lens);
        let len = root.len();
        let size = pages.separate().iter().map(Vec::len).sum::<usize>() + len;

        last.extend(encode_header(INDEX_NAME, Body::File(size as u64))?);
        let blocks = self.deflater.part(&last, &cuts)?;
        self.append(&last, &blocks);
        let groups_end = self.deflated.len();
        for (page, blocks) in pages.separate().iter().zip(page_blocks) {
            self.append(page, &blocks);
        }
        let offset = gzip::header_len(true) + self.deflated.len();
        let crc = crc_of(&root);
        root.resize(len + size.next_multiple_of(BLOCK) - size, 0);
        root.extend(END);
        let blocks = self.deflater.last_part(&root, &[])?;
        self.append(&root, &blocks);

        self.root = Some(RootPlace {
            offset: narrow(offset)?,
            compressed_len: narrow(blocks.len())?,
            len: narrow(len)?,
            crc,
        });
        let extra_field = gzip::header_len(true) - gzip::header_len(false);
        self.index_len = (extra_field + self.deflated.len() - groups_end) as u64;
        Ok(())
    }

    /// Write the gzip member, and return its length.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<u64> {
        let header = gzip::encode_header(self.root);
        let trailer = [
            self.crc.sum().to_le_bytes(),
            self.crc.amount().to_le_bytes(),
        ];
        let parts = [&header, &self.deflated, trailer.as_flattened()];
        for part in parts {
            out.write_all(part)?;
        }
        out.flush()?;
        Ok(parts.iter().map(|part| part.len() as u64).sum())
    }

    fn append(&mut self, bytes: &[u8], blocks: &[u8]) {
        self.crc.update(bytes);
        self.tar_len += bytes.len() as u64;
        self.deflated.extend_from_slice(blocks);
    }
}

/// An offset in the form of the extra field.
fn narrow(offset: usize) -> Result<u32> {
    u32::try_from(offset).map_err(|_| {
        let message = "the archive is too large for an index";
        Error::new(ErrorKind::TooLarge, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Archive, KernelId, index};

    fn kernel(release: &str) -> KernelId {
        KernelId::new("d", "1", "arm64", release).unwrap()
    }

    fn entry<'a>(release: &str, content: Content<'a>) -> Entry<'a> {
        let id = kernel(release);
        Entry {
            name: id.entry_name(),
            key: index::kernel_key(&id),
            content,
        }
    }

    fn link<'a>(release: &str, target: &str) -> Entry<'a> {
        entry(release, Content::HardLink(kernel(target).entry_name()))
    }

    /// An archive whose index was changed before it was written.
    fn archive(
        entries: Vec<Entry<'_>>,
        prefix: &str,
        tamper: impl FnOnce(&mut Groups),
    ) -> Archive<'static> {
        let mut stream = Stream::new();
        let mut groups = stream.add_entries(&Plan { entries }, 4096).unwrap();
        tamper(&mut groups);
        stream.add_index(groups, prefix).unwrap();
        let mut bytes = Vec::new();
        stream.write(&mut bytes).unwrap();
        Archive::from_vec(bytes).unwrap()
    }

    /// Check that the right content is read, whatever positions the index has.
    #[test]
    fn lying_index() {
        let contents: Vec<Vec<u8>> = (0..20).map(|n| vec![n; 500 + usize::from(n)]).collect();
        let entries = || -> Vec<_> {
            let files = contents.iter().enumerate();
            let files = files.map(|(n, content)| entry(&n.to_string(), Content::File(content)));
            let links = (0..20).map(|n| link(&format!("{n}-link"), &n.to_string()));
            files.chain(links).collect()
        };
        type Tamper = fn(&mut Groups);
        let lies: [(&str, Tamper); 10] = [
            ("", |_| {}),
            ("other", |_| {}),
            ("", |groups| {
                groups.locations.iter_mut().for_each(|l| l.1.block += 1)
            }),
            ("", |groups| {
                groups.locations.iter_mut().for_each(|l| l.1.block = 7)
            }),
            ("", |groups| {
                groups
                    .locations
                    .iter_mut()
                    .for_each(|l| l.1.block = 1 << 40)
            }),
            ("", |groups| {
                groups.locations.iter_mut().for_each(|l| l.1.crc = None)
            }),
            ("", |groups| {
                groups.locations.iter_mut().for_each(|l| l.1.crc = Some(1))
            }),
            ("", |groups| {
                let first = groups.locations[0].1;
                groups.locations[1].1 = first;
            }),
            ("", |groups| {
                groups.lens.iter_mut().for_each(|len| len.blocks += 1)
            }),
            ("", |groups| groups.lens[0].compressed -= 1),
        ];
        for (n, (prefix, tamper)) in lies.into_iter().enumerate() {
            let archive = archive(entries(), prefix, tamper);
            assert!(archive.has_index(), "{n}");
            for (content, expected) in contents.iter().enumerate() {
                for release in [format!("{content}"), format!("{content}-link")] {
                    let found = archive.get(&kernel(&release)).unwrap();
                    assert_eq!(found.as_ref(), Some(expected), "{n} {release}");
                }
            }
            assert_eq!(archive.get(&kernel("20")).unwrap(), None);
            assert_eq!(archive.kernels().unwrap().len(), 40);
        }
    }

    /// Check that the reader reads the tar if the index is invalid.
    #[test]
    fn useless_index() {
        let content = b"BTF";
        let lies: [fn(&mut Groups); 3] = [
            |groups| {
                groups.lens = vec![GroupLen {
                    compressed: usize::MAX >> 8,
                    blocks: 1,
                }]
            },
            |groups| {
                groups.lens = vec![
                    GroupLen {
                        compressed: 1,
                        blocks: 1
                    };
                    3000
                ]
            },
            |groups| groups.locations[0].0 = "\u{1}/a/b/c".to_owned(),
        ];
        for tamper in lies {
            let archive = archive(vec![entry("1", Content::File(content))], "", tamper);
            assert_eq!(archive.kernels().unwrap(), [kernel("1")]);
        }
    }

    /// Check that links to links, to themselves and to missing files are errors, and that the first of equal names wins.
    #[test]
    fn links() {
        let entries = vec![
            entry("file", Content::File(b"first")),
            entry("file", Content::File(b"second")),
            link("good", "file"),
            link("chain", "good"),
            link("self", "self"),
            link("ping", "pong"),
            link("pong", "ping"),
            link("lost", "nowhere"),
            entry("up", Content::HardLink("../../etc/passwd".to_owned())),
        ];
        let archive = archive(entries, "", |groups| {
            groups.locations.remove(1);
        });
        assert!(archive.has_index());
        for release in ["file", "good"] {
            let content = archive.get(&kernel(release)).unwrap();
            assert_eq!(content.as_deref(), Some(&b"first"[..]));
        }
        for release in ["chain", "self", "ping", "pong", "lost", "up"] {
            let error = archive.get(&kernel(release)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenLink, "{release}");
            assert!(error.to_string().contains(release), "{error}");
        }
        assert_eq!(archive.entries().unwrap_err().kind(), ErrorKind::BrokenLink);
        assert_eq!(archive.kernels().unwrap().len(), 8);
    }
}
