//! Tar archives: in Debian's and Arch's packages, and btfhub's tars with a single BTF.

use std::io::Read;

use tar::{EntryType, PaxExtensions};

use super::{Search, unpack};
use crate::banner;
use crate::content::{Content, MAX_KERNEL_BYTES};
use crate::error::{ErrorKind, Result};
use crate::layer::{Peel, Peeled};
use crate::place::Place;

/// The largest long name or extended header to read.
const MAX_NAME_BYTES: u64 = 64 << 10;

/// A tar with a kernel's files, or with exactly one `.btf`.
pub(crate) fn read(from: impl Read, place: Place, peel: Peel) -> Result<Peeled> {
    let mut search = Search::new(place.clone(), "archive", peel);
    let mut btf: Option<(Content, Place)> = None;
    let found = entries(from, &place, |entry| {
        let Some(stem) = btf_stem(entry.path) else {
            return search.offer(entry.path, entry.size, entry.body);
        };
        if btf.is_some() {
            return Err(place
                .error(ErrorKind::NoKernel, "the archive has more than one .btf")
                .with_help("unpack it, and name one of the files"));
        }
        let mut inner = place.member(&format!("{stem}.btf"), "archive")?;
        inner.package.release = banner::is_release(stem).then(|| stem.to_owned());
        let content = unpack(entry.body, entry.size, MAX_KERNEL_BYTES, &inner)?;
        btf = Some((content, inner));
        Ok(None)
    })?;
    match (found, btf) {
        (None, Some((content, inner))) => peel(content, inner),
        (found, _) => search.finish(found),
    }
}

/// `6.1.0-47-amd64` of `./6.1.0-47-amd64.btf`
fn btf_stem(path: &str) -> Option<&str> {
    let name = path.rsplit('/').next()?.strip_suffix(".btf")?;
    (!name.is_empty() && name.chars().all(|c| !c.is_control())).then_some(name)
}

/// A regular file in a tar.
pub(crate) struct Entry<'e> {
    pub(crate) path: &'e str,
    pub(crate) size: u64,
    pub(crate) body: &'e mut dyn Read,
}

/// Calls `visit` for every regular file, until it returns a value. Skips links, folders and devices.
pub(crate) fn entries<T>(
    from: impl Read,
    place: &Place,
    mut visit: impl FnMut(Entry<'_>) -> Result<Option<T>>,
) -> Result<Option<T>> {
    let mut archive = tar::Archive::new(from);
    // Raw entries, because the crate would read a long name of any length into memory.
    let raw = archive
        .entries()
        .map_err(|e| place.unreadable(e))?
        .raw(true);
    let mut long_name = None;
    for entry in raw {
        let mut entry = entry.map_err(|e| place.unreadable(e))?;
        let kind = entry.header().entry_type();
        let size = entry.size();
        if matches!(kind, EntryType::GNULongName | EntryType::XHeader) {
            let mut bytes = Vec::new();
            entry
                .take(MAX_NAME_BYTES)
                .read_to_end(&mut bytes)
                .map_err(|e| place.unreadable(e))?;
            long_name = if kind == EntryType::XHeader {
                pax_path(&bytes).or(long_name)
            } else {
                bytes.split(|&b| b == 0).next().map(<[u8]>::to_vec)
            };
        } else if kind == EntryType::Regular {
            let name = long_name
                .take()
                .unwrap_or_else(|| entry.path_bytes().into_owned());
            let found = visit(Entry {
                path: &String::from_utf8_lossy(&name),
                size,
                body: &mut entry,
            })?;
            if found.is_some() {
                return Ok(found);
            }
        } else if !matches!(kind, EntryType::GNULongLink | EntryType::XGlobalHeader) {
            long_name = None;
        }
    }
    Ok(None)
}

fn pax_path(bytes: &[u8]) -> Option<Vec<u8>> {
    PaxExtensions::new(bytes)
        .filter_map(std::result::Result::ok)
        .find(|extension| extension.key_bytes() == b"path")
        .map(|extension| extension.value_bytes().to_vec())
}
