//! Reads an archive like any tar: from its beginning, entry by entry.
//!
//! This is for archives of other writers, and for our own if the index is missing or wrong. Only the current entry is in
//! memory. At the end, the checksum of the gzip member is compared.

use std::ops::Range;

use flate2::Crc;

use crate::gzip::{self, TRAILER_LEN};
use crate::inflate::{Inflate, STEP_LEN};
use crate::ustar::{self, BLOCK, Block, Header, Kind};
use crate::{ArchiveOptions, Error, ErrorKind, Result};

/// The largest record of a long name.
const MAX_NAME_RECORD: u64 = 1 << 20;

/// How much to inflate at once.
const BUFFER_LEN: usize = 32 << 10;

/// The content of an entry, as far as it matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A regular file of this size.
    File(u64),
    /// A hard link to the entry of this normalized name; `None` if the name leads out of the archive.
    HardLink(Option<String>),
    /// A directory, device, symbolic link, or another special file.
    Ignored,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Normalized, as [`ustar::normalize`] does.
    pub(crate) name: String,
    pub(crate) content: Content,
}

/// A pass over the entries of an archive.
#[derive(Debug)]
pub(crate) struct Scan<'a> {
    members: Members<'a>,
    options: ArchiveOptions,
    /// The number of remaining bytes of the current entry, with padding.
    pending: u64,
    /// The same without the padding.
    size: u64,
    ended: bool,
}

impl<'a> Scan<'a> {
    pub(crate) fn new(archive: &'a [u8], options: ArchiveOptions) -> Result<Self> {
        Ok(Self {
            members: Members::new(archive, options.max_total_size)?,
            options,
            pending: 0,
            size: 0,
            ended: false,
        })
    }

    /// The next entry, or `None` if all entries are read and the checksum is right.
    ///
    /// Entries whose name is absolute, leads upwards or is not UTF-8 are skipped.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>> {
        let mut overrides = Overrides::default();
        while let Some(header) = self.next_header()? {
            match header.kind {
                Kind::LongName => overrides.name = Some(self.read_record()?),
                Kind::LongLink => overrides.link = Some(self.read_record()?),
                Kind::Pax => {
                    let records = self.read_record()?;
                    overrides
                        .read_pax(&records)
                        .ok_or_else(|| self.corrupt("has a bad extended header"))?;
                }
                Kind::Sparse => {
                    let name = String::from_utf8_lossy(&header.name).into_owned();
                    let message = format!("{name} is a sparse file");
                    return Err(Error::new(ErrorKind::Unsupported, message));
                }
                Kind::File | Kind::HardLink | Kind::NoData | Kind::Other => {
                    let overrides = std::mem::take(&mut overrides);
                    if let Some(entry) = self.entry(header, overrides)? {
                        return Ok(Some(entry));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The content of the file that [`Scan::next_entry`] came to.
    pub(crate) fn read_content(&mut self, entry: &Entry) -> Result<Vec<u8>> {
        if self.size > self.options.max_entry_size {
            let name = &entry.name;
            let max = self.options.max_entry_size;
            let message = format!("{name} has {} bytes, more than {max}", self.size);
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        self.read_data()
    }

    /// Go to the end, where the checksum is.
    pub(crate) fn finish(mut self) -> Result<()> {
        while self.next_entry()?.is_some() {}
        Ok(())
    }

    fn entry(&mut self, header: Header, overrides: Overrides) -> Result<Option<Entry>> {
        if let (Kind::File | Kind::Other, Some(size)) = (header.kind, overrides.size) {
            self.begin_data(size)?;
        }
        let content = match header.kind {
            Kind::File => Content::File(self.size),
            Kind::HardLink => {
                let link = overrides.link.unwrap_or(header.link);
                Content::HardLink(ustar::normalize(trim_nuls(&link)))
            }
            _ => Content::Ignored,
        };
        let name = overrides.name.unwrap_or(header.name);
        let name = ustar::normalize(trim_nuls(&name));
        Ok(name.map(|name| Entry { name, content }))
    }

    fn next_header(&mut self) -> Result<Option<Header>> {
        if self.ended {
            return Ok(None);
        }
        if self.members.skip(self.pending)? != self.pending {
            return Err(self.truncated());
        }
        self.pending = 0;
        let mut block: Block = [0; BLOCK];
        let got = self.members.read_up_to(&mut block)?;
        // Some writers omit the two blocks of zeros at the end, and some write only one.
        if got == 0 || block == [0; BLOCK] {
            self.ended = true;
            // The checksum comes after any following data.
            self.members.skip(u64::MAX)?;
            return Ok(None);
        }
        if got < BLOCK {
            return Err(self.truncated());
        }
        let header = Header::parse(&block).ok_or_else(|| self.corrupt("has a damaged header"))?;
        self.begin_data(header.size)?;
        Ok(Some(header))
    }

    fn begin_data(&mut self, size: u64) -> Result<()> {
        self.size = size;
        self.pending = ustar::padded(size).ok_or_else(|| self.corrupt("has an impossible size"))?;
        Ok(())
    }

    /// A long name or extended header.
    fn read_record(&mut self) -> Result<Vec<u8>> {
        if self.size > MAX_NAME_RECORD {
            return Err(self.corrupt("has an extended header larger than any name"));
        }
        self.read_data()
    }

    fn read_data(&mut self) -> Result<Vec<u8>> {
        let mut data = Vec::new();
        // In steps, so that a wrong size costs no memory.
        while (data.len() as u64) < self.size {
            let start = data.len();
            let step = (self.size - start as u64).min(STEP_LEN as u64);
            data.resize(start + step as usize, 0);
            if self.members.read_up_to(&mut data[start..])? as u64 != step {
                return Err(self.truncated());
            }
        }
        self.pending -= self.size;
        Ok(data)
    }

    fn corrupt(&self, what: &str) -> Error {
        let at = self.members.total;
        let message = format!("the tar at uncompressed byte {at} {what}");
        Error::new(ErrorKind::Corrupt, message)
    }

    fn truncated(&self) -> Error {
        let at = self.members.total;
        let message = format!("the tar ends too early, at uncompressed byte {at}");
        Error::new(ErrorKind::Truncated, message)
    }
}

/// The values of extended headers for the next entry.
#[derive(Debug, Default)]
struct Overrides {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Overrides {
    /// Read pax records: `LENGTH KEY=VALUE\n`, where the length counts all of it.
    fn read_pax(&mut self, mut records: &[u8]) -> Option<()> {
        while !records.is_empty() {
            let space = records.iter().position(|&b| b == b' ')?;
            let len = parse_decimal(&records[..space])?;
            let (record, rest) = records.split_at_checked(usize::try_from(len).ok()?)?;
            records = rest;
            let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
            let equals = record.iter().position(|&b| b == b'=')?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.name = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(parse_decimal(value)?),
                _ => {}
            }
        }
        Some(())
    }
}

fn parse_decimal(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn trim_nuls(name: &[u8]) -> &[u8] {
    name.split(|&b| b == 0).next().unwrap_or_default()
}

/// The inflated bytes of gzip members, one after the other, as in gzip(1).
#[derive(Debug)]
struct Members<'a> {
    archive: &'a [u8],
    /// The offset of the current member's deflate stream.
    body: usize,
    inflate: Inflate<'a>,
    crc: Crc,
    ended: bool,
    /// Inflated bytes that are not yet read. A call of the decompressor for each header would be slow.
    buffer: Vec<u8>,
    unread: Range<usize>,
    /// The number of read bytes.
    total: u64,
    max_total: u64,
}

impl<'a> Members<'a> {
    fn new(archive: &'a [u8], max_total: u64) -> Result<Self> {
        let body = gzip::Header::parse(archive, 0)?.len;
        Ok(Self {
            archive,
            body,
            inflate: Inflate::new(&archive[body..], body),
            crc: Crc::new(),
            ended: false,
            buffer: vec![0; BUFFER_LEN],
            unread: 0..0,
            total: 0,
            max_total,
        })
    }

    /// Fill `out` as far as there are bytes, and return their number.
    fn read_up_to(&mut self, out: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < out.len() && self.fill()? {
            let n = self.unread.len().min(out.len() - filled);
            let from = &self.buffer[self.unread.start..][..n];
            out[filled..][..n].copy_from_slice(from);
            filled += n;
            self.consume(n);
        }
        Ok(filled)
    }

    /// Skip `len` bytes, as far as there are, and return their number.
    fn skip(&mut self, len: u64) -> Result<u64> {
        let mut skipped = 0;
        while skipped < len && self.fill()? {
            let n = (self.unread.len() as u64).min(len - skipped);
            skipped += n;
            self.consume(n as usize);
        }
        Ok(skipped)
    }

    fn consume(&mut self, n: usize) {
        self.unread.start += n;
        self.total += n as u64;
    }

    /// Fill the buffer if it is empty. Returns false at the end.
    fn fill(&mut self) -> Result<bool> {
        while self.unread.is_empty() && !self.ended {
            let n = self.inflate.read(&mut self.buffer)?;
            self.crc.update(&self.buffer[..n]);
            self.unread = 0..n;
            if self.total + n as u64 > self.max_total {
                let message = format!("the archive inflates to more than {} bytes", self.max_total);
                return Err(Error::new(ErrorKind::TooLarge, message));
            }
            if n == 0 {
                self.end_member()?;
            }
        }
        Ok(!self.unread.is_empty())
    }

    /// Compare the trailer and begin the next member, if any.
    fn end_member(&mut self) -> Result<()> {
        let at = self.body + self.inflate.used();
        let trailer: &[u8; TRAILER_LEN] = self.archive[at..].first_chunk().ok_or_else(|| {
            let message = format!("the gzip trailer at byte {at} ends too early");
            Error::new(ErrorKind::Truncated, message)
        })?;
        let expected = [
            self.crc.sum().to_le_bytes(),
            self.crc.amount().to_le_bytes(),
        ];
        if trailer != expected.as_flattened() {
            let message = format!("the gzip checksum at byte {at} is wrong");
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        let next = at + TRAILER_LEN;
        // Other data after it is padding, as in gzip(1).
        if !gzip::is_member(&self.archive[next..]) {
            self.ended = true;
            return Ok(());
        }
        self.body = next + gzip::Header::parse(self.archive, next)?.len;
        self.inflate = Inflate::new(&self.archive[self.body..], self.body);
        self.crc = Crc::new();
        Ok(())
    }
}
