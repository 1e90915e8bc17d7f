//! A kernel's own part: which records its types are, and what records leave open.

use crate::tables::Tables;
use crate::varint::{Input, put, put_runs};
use crate::{Error, Result};

/// The fewest bytes of a type in a BTF.
const TYPE_LEN: u64 = 12;

/// A kernel's own part, decoded as far as it does not depend on the records.
#[derive(Debug)]
pub(crate) struct Part<'p> {
    /// The bytes before the types (the header), between types and strings, and behind the strings.
    pub(crate) outside: [&'p [u8]; 3],
    /// The record of each type.
    pub(crate) records: Vec<u32>,
    /// Names that no type has.
    pub(crate) unused: Vec<u32>,
    /// Which of several types with one label is meant.
    pub(crate) choices: &'p [u8],
    /// The order of the strings.
    pub(crate) ranks: &'p [u8],
}

impl<'p> Part<'p> {
    /// Read the part of a kernel whose BTF has so many bytes. They bound the memory.
    pub(crate) fn parse(bytes: &'p [u8], tables: &Tables, btf_bytes: u64) -> Result<Self> {
        let mut input = Input(bytes);
        let mut outside = [&[][..]; 3];
        for bytes in &mut outside {
            *bytes = lengthy(&mut input)?;
        }
        let count = input.number()?;
        if u64::from(count) * TYPE_LEN > btf_bytes {
            return Err(Error::damaged("a kernel in it has more types than its BTF"));
        }
        let records = input.runs(count as usize, tables.records())?;
        let unused = unused(&mut input, tables)?;
        let choices = lengthy(&mut input)?;
        Ok(Self {
            outside,
            records,
            unused,
            choices,
            ranks: input.0,
        })
    }

    /// The bytes of the part.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for bytes in self.outside {
            put_lengthy(&mut out, bytes);
        }
        put(&mut out, self.records.len() as u32);
        put_runs(&mut out, self.records.iter().copied());
        put(&mut out, self.unused.len() as u32);
        for &name in &self.unused {
            put(&mut out, name);
        }
        put_lengthy(&mut out, self.choices);
        out.extend(self.ranks);
        out
    }
}

/// Each name is a byte of the part at least, so that the part bounds the memory.
fn unused(input: &mut Input<'_>, tables: &Tables) -> Result<Vec<u32>> {
    let count = input.number()?;
    let mut unused = Vec::new();
    for _ in 0..count {
        let name = input.number()?;
        if name as usize >= tables.name_count() {
            return Err(Error::damaged("a kernel in it has an unknown name"));
        }
        unused.push(name);
    }
    Ok(unused)
}

fn lengthy<'p>(input: &mut Input<'p>) -> Result<&'p [u8]> {
    let len = input.number()?;
    input.bytes(len as usize)
}

fn put_lengthy(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u32);
    out.extend(bytes);
}
