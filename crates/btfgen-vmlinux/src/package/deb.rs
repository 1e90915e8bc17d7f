//! Debian packages, deb(5): an ar archive of two tars, one with the metadata and one with the files.

use std::io::Read as _;
use std::ops::Range;

use super::Search;
use super::tar::{self, Entry};
use crate::arch;
use crate::compression;
use crate::content::Content;
use crate::error::{ErrorKind, Result};
use crate::layer::{Peel, Peeled};
use crate::place::Place;

/// The largest metadata to read. A kernel's package has one or two KiB.
const MAX_CONTROL_BYTES: u64 = 64 << 10;

pub(crate) fn read(content: &Content, mut place: Place, peel: Peel) -> Result<Peeled> {
    let members = members(content, &place)?;
    if let Some(control) = members.iter().find(|m| m.is("control.tar")) {
        place.package.arch = read_arch(content, control, &place)?;
    }
    let Some(data) = members.iter().find(|m| m.is("data.tar")) else {
        return Err(place.error(
            ErrorKind::Damaged,
            "is truncated: the package's files are missing",
        ));
    };
    let mut search = Search::new(place.clone(), "package", peel);
    let stream = compression::part(content, data.range.clone(), &place)?;
    let found = tar::entries(stream, &place, |entry: Entry<'_>| {
        search.offer(entry.path, entry.size, entry.body)
    })?;
    search.finish(found)
}

/// A member of the ar archive.
struct Member {
    name: String,
    range: Range<u64>,
}

impl Member {
    /// Whether it is the tar of this name, compressed or not.
    fn is(&self, tar: &str) -> bool {
        self.name
            .strip_prefix(tar)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

/// Reads the members of an ar archive (ar(5)). Debian uses no tables of long names (deb(5)). This is not a general ar reader,
/// because those trust the sizes and offsets in a header.
fn members(content: &Content, place: &Place) -> Result<Vec<Member>> {
    const MAGIC_LEN: u64 = 8;
    const HEADER_LEN: u64 = 60;
    /// The largest number of members. A package has three, and perhaps a signature.
    const MOST: usize = 16;
    let damaged = || place.error(ErrorKind::Damaged, "is a damaged or truncated package");
    let mut members = Vec::new();
    let mut at = MAGIC_LEN;
    while at < content.len() && members.len() < MOST {
        let header = content.read(at, HEADER_LEN as usize, place)?;
        if header.get(58..) != Some(b"`\n") {
            return Err(damaged());
        }
        let field = |range: Range<usize>| str::from_utf8(&header[range]).map(str::trim_end).ok();
        let size: u64 = field(48..58)
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(damaged)?;
        let start = at + HEADER_LEN;
        let range = start..start + size;
        if range.end > content.len() {
            return Err(damaged());
        }
        at = range.end + size % 2;
        if let Some(name) = field(0..16) {
            members.push(Member {
                name: name.trim_end_matches('/').to_owned(),
                range,
            });
        }
    }
    Ok(members)
}

/// The architecture by deb-control(5).
fn read_arch(content: &Content, control: &Member, place: &Place) -> Result<Option<String>> {
    let stream = compression::part(content, control.range.clone(), place)?;
    let text = tar::entries(stream, place, |entry| {
        if entry.path.trim_start_matches("./") != "control" {
            return Ok(None);
        }
        let mut text = Vec::new();
        entry
            .body
            .take(MAX_CONTROL_BYTES)
            .read_to_end(&mut text)
            .map_err(|e| place.unreadable(e))?;
        Ok(Some(text))
    })?;
    let text = String::from_utf8_lossy(text.as_deref().unwrap_or_default()).into_owned();
    Ok(text
        .lines()
        .find_map(|line| line.strip_prefix("Architecture:"))
        .and_then(|name| arch::of_package(name.trim())))
}
