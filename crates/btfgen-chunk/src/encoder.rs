//! Writes a chunk.

use std::collections::BTreeMap;

use crate::columns::Columns;
use crate::express::express;
use crate::index::{
    Entry, HEADER_LEN, Index, MAX_BTF_LEN, MAX_COLUMNS_LEN, MAX_INDEX_LEN, Section, is_release,
};
use crate::numbering::Numbering;
use crate::own_parts::{Content, OwnParts, Waiting};
use crate::part::Part;
use crate::restore::restore;
use crate::shape::COLUMNS;
use crate::store::Store;
use crate::stream::Level;
use crate::tables::Tables;
use crate::{Chunk, Digest, Error, ErrorKind, Result, columns, stream};

/// The level of zstd for what waits for [`Encoder::finish`].
const WAITING_LEVEL: Level = Some(1);

/// Puts the BTFs of kernels into a chunk.
///
/// The bytes of the chunk depend only on the kernels and their BTFs, not on the order in which they are added (and on the
/// version of zstd in this library). Memory grows with the types that differ; each kernel costs as little as in the chunk.
#[derive(Debug)]
pub struct Encoder {
    level: Level,
    store: Store,
    kernels: BTreeMap<String, Waiting>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// A chunk without kernels.
    #[must_use]
    pub fn new() -> Self {
        Self::with_level(stream::LEVEL)
    }

    pub(crate) fn with_level(level: Level) -> Self {
        Self {
            level,
            store: Store::new(),
            kernels: BTreeMap::new(),
        }
    }

    /// Add a kernel of this release. The bytes may be anything: what records cannot express is stored as it is.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRelease`], [`ErrorKind::DuplicateRelease`]; [`ErrorKind::TooLarge`] for a BTF of more than 1 GiB.
    pub fn add(&mut self, release: &str, btf: &[u8]) -> Result<()> {
        if !is_release(release) || u16::try_from(release.len()).is_err() {
            let message = format!("{release:?} is not a valid release of a kernel");
            return Err(Error::new(ErrorKind::InvalidRelease, message));
        }
        if self.kernels.contains_key(release) {
            let message = format!("the kernel {release} was added before");
            return Err(Error::new(ErrorKind::DuplicateRelease, message));
        }
        if btf.len() as u64 > MAX_BTF_LEN {
            let message = format!("the BTF of {release} has more than {MAX_BTF_LEN} bytes");
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let waiting = Waiting {
            btf_bytes: btf.len(),
            digest: Digest::of(btf),
            content: self.content(btf)?,
        };
        self.kernels.insert(release.to_owned(), waiting);
        Ok(())
    }

    fn content(&mut self, btf: &[u8]) -> Result<Content> {
        let part = express(&mut self.store, btf);
        // Whatever the reason why the BTF would not come back: it is stored as it is then.
        let same = |part: &Vec<u8>| {
            let back = restore(&self.store.tables, part, btf.len() as u64);
            back.is_ok_and(|back| back == btf)
        };
        Ok(match part.filter(same) {
            Some(part) => {
                let compressed = stream::compress(&[], &part, WAITING_LEVEL)?;
                Content::Part(part.len(), compressed)
            }
            None => Content::Verbatim(stream::compress(&[], btf, self.level)?),
        })
    }

    /// The chunk. Every kernel in it was read again, and its digest is that of the BTF that was added.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] if the kernels are too many for one chunk.
    pub fn finish(self) -> Result<Vec<u8>> {
        let Self {
            level,
            store,
            kernels,
        } = self;
        let bytes = write(store.tables, kernels, level)?;
        let chunk = Chunk::from_bytes(&*bytes)?;
        for (index, entry) in chunk.entries().iter().enumerate() {
            chunk.read(index, entry.btf_bytes)?;
        }
        Ok(bytes)
    }
}

fn write(tables: Tables, kernels: BTreeMap<String, Waiting>, level: Level) -> Result<Vec<u8>> {
    let mut numbering = Numbering::new(&tables);
    for kernel in kernels.values() {
        if let Some(bytes) = kernel.part()? {
            let part = Part::parse(&bytes, &tables, kernel.btf_bytes as u64)?;
            numbering.add(&tables, &part.records);
        }
    }
    let mut columns = columns::write(&tables, &mut numbering);
    let mut own = OwnParts::new(level);
    let mut entries = Vec::new();
    for (release, kernel) in kernels {
        entries.push(Entry {
            release,
            btf_bytes: kernel.btf_bytes as u64,
            digest: kernel.digest,
        });
        own.add(kernel, &tables, &mut numbering)?;
    }
    let names = numbering.name_order[1..].iter();
    columns::write_names(&mut columns, names.map(|&name| tables.name(name)));
    drop(tables);
    let (columns, mut sections) = compress_columns(columns, level)?;
    let index = Index {
        columns,
        entries,
        kernels: own.stored,
    };
    let mut chunk = index.write();
    if (chunk.len() - HEADER_LEN) as u64 > MAX_INDEX_LEN {
        return Err(too_many());
    }
    chunk.append(&mut sections);
    chunk.extend(own.bytes);
    Ok(chunk)
}

fn compress_columns(columns: Columns, level: Level) -> Result<([Section; COLUMNS], Vec<u8>)> {
    let len: usize = columns.iter().map(Vec::len).sum();
    if len as u64 > MAX_COLUMNS_LEN {
        return Err(too_many());
    }
    let mut sections = [Section::default(); COLUMNS];
    let mut stored = Columns::default();
    for (number, column) in columns.iter().enumerate() {
        stored[number] = stream::compress(&[], column, level)?;
        sections[number] = Section::of(column.len(), &stored[number])?;
    }
    if !Section::are_allowed(&sections) {
        // Of kernels that nobody built: what zstd shrinks too well is not compressed.
        for (number, column) in columns.into_iter().enumerate() {
            let Section {
                len, stored: to, ..
            } = sections[number];
            if !stream::is_always_allowed(len, to) {
                sections[number] = Section::of(column.len(), &column)?;
                stored[number] = column;
            }
        }
    }
    Ok((sections, stored.concat()))
}

fn too_many() -> Error {
    Error::new(
        ErrorKind::TooLarge,
        "the kernels are too many for one chunk",
    )
}

#[cfg(test)]
mod tests {
    use btfgen_btf::testing::made_up_btf;

    use super::*;

    /// Check that the format is still that of version 1, which must not change. Without compression, because another zstd may
    /// compress in another way.
    #[test]
    fn format_does_not_change() {
        let types: &[&[u32]] = &[
            &[1, 1 << 24, 4, 32],
            &[5, 4 << 24 | 2, 16, 5, 3, 0, 1, 1, 64],
            &[0, 2 << 24, 2],
            &[5, 4 << 24 | 1, 8, 5, 5, 0],
            &[0, 2 << 24, 4],
            &[0, 13 << 24 | 2, 1, 5, 3, 1, 5],
            &[7, 12 << 24 | 1, 6],
            &[1, 6 << 24 | 2, 4, 5, 7, 7, u32::MAX],
        ];
        let first = made_up_btf(&types[..6], b"\0int\0s\0");
        let mut encoder = Encoder::with_level(None);
        encoder.add("5.4.0", &first).unwrap();
        let second = made_up_btf(types, b"\0int\0s\0name\0unused\0");
        encoder.add("5.4.1", &second).unwrap();
        encoder.add("5.4.2", &first).unwrap();
        encoder.add("5.4.3", b"not a BTF").unwrap();
        let chunk = encoder.finish().unwrap();
        let expected = "a5d18a41baf4800b98c2a2c99695dffc";
        assert_eq!(Digest::of(&chunk).to_string(), expected);
    }
}
