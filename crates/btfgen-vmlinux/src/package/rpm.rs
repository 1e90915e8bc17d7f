//! RPM packages: a lead, two headers, and a compressed cpio of the files (rpm's `docs/manual/format_v4.md` and
//! `format_v6.md`).

use std::io::{self, Read};

use cpio::newc;

use super::Search;
use super::rpm_header::{Files, Header, MODE_REGULAR, MODE_TYPE, damaged};
use crate::compression;
use crate::content::Content;
use crate::error::Result;
use crate::layer::{Peel, Peeled};
use crate::place::Place;
use crate::vmlinux::Vmlinux;

const LEAD_BYTES: u64 = 96;

/// The largest header of a member, with its name: longer than any path.
const MAX_MEMBER_HEADER_BYTES: u64 = 64 << 10;

pub(crate) fn read(content: &Content, mut place: Place, peel: Peel) -> Result<Peeled> {
    let signature = Header::read(content, LEAD_BYTES, &place)?;
    let header = Header::read(content, signature.end().next_multiple_of(8), &place)?;
    place.package.arch = header.arch(&place)?;
    let mut payload = Payload {
        from: compression::part(content, header.end()..content.len(), &place)?,
        header,
        files: None,
        stripped: 0,
        place: &place,
    };
    let mut search = Search::new(place.clone(), "package", peel);
    let found = payload.search(&mut search)?;
    search.finish(found)
}

struct Payload<'p> {
    from: Box<dyn Read + 'p>,
    header: Header<'p>,
    /// Read at the first member without a name.
    files: Option<Files<'p>>,
    /// The number of members without a name so far.
    stripped: usize,
    place: &'p Place,
}

/// cpio(5), "New ASCII Format": a file's content ends at a multiple of four.
fn padding(size: u64) -> u64 {
    (4 - size % 4) % 4
}

struct Member {
    path: String,
    size: u64,
    mode: u32,
}

impl Payload<'_> {
    fn search(&mut self, search: &mut Search) -> Result<Option<Vmlinux>> {
        while let Some(member) = self.next_member()? {
            let mut body = self.from.by_ref().take(member.size);
            if member.mode & MODE_TYPE == MODE_REGULAR
                && let Some(vmlinux) = search.offer(&member.path, member.size, &mut body)?
            {
                return Ok(Some(vmlinux));
            }
            let rest = body.limit().saturating_add(padding(member.size));
            let skipped = io::copy(&mut self.from.by_ref().take(rest), &mut io::sink())
                .map_err(|e| self.place.unreadable(e))?;
            if skipped < rest {
                return Err(damaged(self.place));
            }
        }
        Ok(None)
    }

    fn next_member(&mut self) -> Result<Option<Member>> {
        let mut magic = [0; 6];
        self.read_exact(&mut magic)?;
        if magic == *b"07070X" {
            return self.stripped_member().map(Some);
        }
        // The crate parses only the header, and only a part of it, because a name may have up to 4 GiB.
        let limited = magic
            .chain(self.from.by_ref())
            .take(MAX_MEMBER_HEADER_BYTES);
        let header = newc::Reader::new(limited).map_err(|e| self.place.unreadable(e))?;
        let entry = header.entry();
        Ok((!entry.is_trailer()).then(|| Member {
            path: entry.name().to_owned(),
            size: u64::from(entry.file_size()),
            mode: entry.mode(),
        }))
    }

    /// Reads the member of a stripped payload. Instead of cpio's header it has the file's number in the package's header.
    /// Packages of format 6 and packages with files of 4 GiB or more have it.
    fn stripped_member(&mut self) -> Result<Member> {
        let mut rest = [0; 10];
        self.read_exact(&mut rest)?;
        let number = str::from_utf8(&rest[..8])
            .ok()
            .and_then(|digits| usize::from_str_radix(digits, 16).ok());
        let files = match &mut self.files {
            Some(files) => files,
            none => none.insert(self.header.files(self.place)?),
        };
        // Each file comes once. Without this limit, many files without content would need much time to look up their names.
        self.stripped += 1;
        let number = number.filter(|_| self.stripped <= files.len());
        let file = match number {
            Some(number) => files.get(number, self.place)?,
            None => None,
        };
        let (path, size, mode) = file.ok_or_else(|| damaged(self.place))?;
        Ok(Member { path, size, mode })
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.from
            .read_exact(buffer)
            .map_err(|e| self.place.unreadable(e))
    }
}
