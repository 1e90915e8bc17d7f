//! A store as the bytes of a file.
//!
//! The file is for one machine: integers have its byte order, so that the file is used where it is mapped. A file of another
//! version or byte order, or with a wrong checksum, is no store. After the checksum, every number in the file is checked once,
//! so nothing that a file contains makes a reader leave its bounds or run for ever.
//!
//! ```text
//! header    magic, version, checksum (XXH3-64 of all that follows), the length of each section in items
//! sections  each one at a multiple of 8 bytes, in the order of `Section`
//! ```

use std::borrow::Cow;

use twox_hash::XxHash3_64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::definitions::Definitions;
use crate::error::{Error, Result};
use crate::files::{File, Files};
use crate::kernel::Kernel;
use crate::lists::NO_LISTS;
use crate::node::{self, MAX_HEIGHT, NO_NAME, Shape, VOID_WORDS};
use crate::sequences::Sequences;

/// Begins every store. The last byte is the version of the format and of the rules by which definitions are made.
const MAGIC: [u8; 8] = *b"btfstor\x03";

/// Every section begins at a multiple of this number of bytes.
const ALIGNMENT: usize = 8;

/// The sections, in their order.
const SECTIONS: usize = 15;

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Header {
    magic: [u8; 8],
    /// 1, which has other bytes on a machine of another byte order.
    one: u64,
    /// XXH3-64 of the lengths and of all sections.
    checksum: u64,
    /// The number of items in each section.
    lengths: [u64; SECTIONS],
}

/// Where the checksum begins: behind itself.
pub(crate) const SUMMED: usize = 24;

/// A store in the bytes of a file.
#[derive(Debug)]
pub(crate) struct Image<'f> {
    pub(crate) definitions: Definitions<'f>,
    records: &'f [File],
    names: Sequences<'f, u8>,
}

impl Image<'_> {
    /// # Errors
    /// [`Error::Damaged`].
    pub(crate) fn files(&self) -> Result<Files> {
        Files::from_sections(self.records, self.names, self.definitions.kernels().len())
    }
}

/// The bytes of a file with these definitions and files.
pub(crate) fn write(definitions: &Definitions<'_>, files: &Files) -> Vec<u8> {
    let kernels: Vec<Kernel> = definitions.kernels().collect();
    let names = definitions.names;
    let (records, paths, path_ends) = files.to_sections();
    let sections: [(&[u8], usize); SECTIONS] = [
        bytes(names.items()),
        bytes(names.ends()),
        bytes(definitions.nodes.items()),
        bytes(definitions.nodes.ends()),
        bytes(definitions.lists.items()),
        bytes(definitions.lists.ends()),
        bytes(definitions.blocks.items()),
        bytes(definitions.blocks.ends()),
        bytes(definitions.keys.items()),
        bytes(definitions.keys.ends()),
        bytes(definitions.functions),
        bytes(&kernels),
        bytes(&records),
        bytes(&paths),
        bytes(&path_ends),
    ];
    let header = Header {
        magic: MAGIC,
        one: 1,
        checksum: 0,
        lengths: sections.map(|(_, items)| items as u64),
    };
    let mut image = header.as_bytes().to_vec();
    for (section, _) in sections {
        image.extend_from_slice(section);
        image.resize(image.len().next_multiple_of(ALIGNMENT), 0);
    }
    let checksum = XxHash3_64::oneshot(&image[SUMMED..]);
    image[SUMMED - 8..SUMMED].copy_from_slice(&checksum.to_ne_bytes());
    image
}

fn bytes<T: IntoBytes + Immutable>(items: &[T]) -> (&[u8], usize) {
    (items.as_bytes(), items.len())
}

/// Reads the bytes of a file, which begin at a multiple of 8 bytes.
///
/// # Errors
/// [`Error::Version`], [`Error::Damaged`].
pub(crate) fn read(file: &[u8]) -> Result<Image<'_>> {
    let (header, _) = Header::read_from_prefix(file).map_err(|_| Error::Version)?;
    if header.magic != MAGIC || header.one != 1 {
        return Err(Error::Version);
    }
    if XxHash3_64::oneshot(&file[SUMMED..]) != header.checksum {
        return Err(Error::Damaged("its checksum is wrong"));
    }
    let image = sections(file, header)?;
    if !image.names.is_whole() {
        return Err(Error::Damaged("the names of the files are not in order"));
    }
    check(&image.definitions)?;
    Ok(image)
}

/// The definitions in the bytes of a file that was checked before.
pub(crate) fn definitions(file: &[u8]) -> Result<Definitions<'_>> {
    let (header, _) = Header::read_from_prefix(file).map_err(|_| Error::Version)?;
    Ok(sections(file, header)?.definitions)
}

fn sections(file: &[u8], header: Header) -> Result<Image<'_>> {
    let mut sections = Sections {
        file,
        at: size_of::<Header>(),
        lengths: header.lengths.into_iter(),
    };
    let names = sections.sequences::<u8>()?;
    let nodes = sections.sequences::<u32>()?;
    let lists = sections.sequences::<u32>()?;
    let blocks = sections.sequences::<u32>()?;
    let keys = sections.sequences::<u32>()?;
    let functions: &[[u32; 2]] = sections.next()?;
    let kernels: &[Kernel] = sections.next()?;
    let records: &[File] = sections.next()?;
    let paths = sections.sequences::<u8>()?;
    if sections.at != file.len() {
        return Err(Error::Damaged("it has more bytes than its sections"));
    }
    Ok(Image {
        definitions: Definitions {
            names,
            nodes,
            lists,
            blocks,
            keys,
            functions,
            kernels: Cow::Borrowed(kernels),
        },
        records,
        names: paths,
    })
}

struct Sections<'f> {
    file: &'f [u8],
    at: usize,
    lengths: std::array::IntoIter<u64, SECTIONS>,
}

impl<'f> Sections<'f> {
    fn next<T: FromBytes + Immutable>(&mut self) -> Result<&'f [T]> {
        let cut_off = Error::Damaged("it is cut off");
        let items = self.lengths.next().unwrap_or_default();
        let len = usize::try_from(items).ok();
        let len = len.and_then(|items| items.checked_mul(size_of::<T>()));
        let end = len.and_then(|len| self.at.checked_add(len));
        let Some(bytes) = end.and_then(|end| self.file.get(self.at..end)) else {
            return Err(cut_off);
        };
        self.at = (self.at + bytes.len()).next_multiple_of(ALIGNMENT);
        <[T]>::ref_from_bytes(bytes).map_err(|_| Error::Damaged("a section is not aligned"))
    }

    fn sequences<T: FromBytes + Immutable>(&mut self) -> Result<Sequences<'f, T>> {
        Ok(Sequences::new(self.next()?, self.next()?))
    }
}

/// Checks every number in the definitions. Blocks have no order, so a reader of a kernel's lists checks them on its way.
fn check(definitions: &Definitions<'_>) -> Result<()> {
    let Definitions {
        names,
        nodes,
        lists,
        blocks,
        keys,
        functions,
        kernels,
    } = definitions;
    let words = [nodes, lists, blocks, keys];
    if !names.is_whole() || !words.into_iter().all(Sequences::is_whole) {
        return Err(Error::Damaged("the ends of a section are not in order"));
    }
    if names.get(NO_NAME) != Some(&[]) || nodes.get(node::VOID) != Some(&VOID_WORDS) {
        return Err(Error::Damaged(
            "the first name or node is not the empty one",
        ));
    }
    let mut heights = Vec::with_capacity(nodes.len() as usize);
    for (number, words) in (0..).zip(nodes.iter()) {
        let shape = Shape::of(words).ok_or(Error::Damaged("a definition has no known form"))?;
        let refers = match shape {
            Shape::Type(kind) => {
                let mut inner = node::type_places(kind, words.len());
                inner.any(|place| words[place] >= number)
            }
            Shape::OfModule => words[2] >= number,
            Shape::Void | Shape::Reference(_) | Shape::Function => false,
        };
        if refers {
            return Err(Error::Damaged("a definition contains itself"));
        }
        let is_named = match shape {
            Shape::Type(kind) => {
                let mut all = node::name_places(kind, words.len());
                all.all(|place| words[place] < names.len())
            }
            _ => words[0] < names.len(),
        };
        if !is_named {
            return Err(Error::Damaged("a definition has an unknown name"));
        }
        let height = node::height(words, &heights);
        if height > MAX_HEIGHT {
            return Err(Error::Damaged("a definition is nested too deeply"));
        }
        heights.push(height);
    }
    let is_node = |node: u32| node < nodes.len();
    // A reader makes as many types as a list has, so the counts must be those of a kernel.
    let most = kernels.iter().map(|kernel| kernel.types).max();
    let is_list = |list: &[u32]| {
        let (runs, rest) = list.as_chunks::<2>();
        let count: u64 = runs.iter().map(|&[_, count]| u64::from(count)).sum();
        let all = runs.iter().all(|&[node, count]| is_node(node) && count > 0);
        all && rest.is_empty() && count <= u64::from(most.unwrap_or_default())
    };
    if !lists.iter().all(is_list) {
        return Err(Error::Damaged(
            "a list has an unknown candidate, or too many",
        ));
    }
    let is_key = |key: &[u32]| matches!(key, &[_, name] if name < names.len());
    if !keys.iter().all(is_key) {
        return Err(Error::Damaged("a key has an unknown name"));
    }
    let is_function = |&[name, node]: &[u32; 2]| name < names.len() && is_node(node);
    if !functions.iter().all(is_function) {
        return Err(Error::Damaged("a function has an unknown name or node"));
    }
    let is_kernel = |kernel: &Kernel| {
        let lists = kernel.lists;
        let has_blocks = lists == NO_LISTS || lists < blocks.len();
        is_node(kernel.long) && has_blocks && kernel.functions < blocks.len()
    };
    if !kernels.iter().all(is_kernel) {
        return Err(Error::Damaged("a kernel has unknown lists or functions"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
