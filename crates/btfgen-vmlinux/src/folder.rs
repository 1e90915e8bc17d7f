//! Folders with the modules of a kernel: `/lib/modules/RELEASE` with files of modules, and `/sys/kernel/btf` with bare BTFs.

use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use btfgen_btf::{Header, HeaderFault};
use btfgen_files::{is_machine_fault, open_regular};
use walkdir::WalkDir;

use crate::banner;
use crate::content::Content;
use crate::error::{Error, ErrorKind, Result};
use crate::layer::{Peel, Peeled};
use crate::modules::is_module_file;
use crate::place::Place;

/// The BTF of the running kernel. The modules' are beside it.
pub(crate) const RUNNING_KERNEL: &str = "/sys/kernel/btf/vmlinux";

/// The names of a kernel's BTF beside those of its modules.
const KERNEL: [&str; 2] = ["vmlinux", "vmlinux.btf"];

/// Queues all modules below a folder, and reads the kernel's bare BTF in it, if there is one. Does not follow links: that to the
/// kernel's sources leads far, and those of `weak-updates` lead to modules of other kernels.
pub(crate) fn read(folder: &Path, place: &Place, peel: Peel) -> Result<Option<Peeled>> {
    let Some(modules) = place.modules.clone() else {
        return Ok(None);
    };
    let mut kernel = None;
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(|e| {
            let path = e.path().unwrap_or(folder).display().to_string();
            let source = e.into_io_error();
            Error::read(
                path,
                source.unwrap_or_else(|| io::ErrorKind::NotFound.into()),
            )
        })?;
        if !entry.file_type().is_file() {
            continue;
        }
        let path = entry.path();
        let mut inner = Place::of(path, place.budget.clone());
        inner.package.release = release_of(path);
        if entry.file_name().to_str().is_some_and(is_module_file) {
            modules.offer_file(path, inner)?;
            continue;
        }
        if entry.depth() > 1 {
            continue;
        }
        let is_kernel = KERNEL.iter().any(|name| entry.file_name() == *name);
        match bare_btf(path) {
            Ok(Some(Bare::Kernel)) if is_kernel => {
                kernel = Some(peel(Content::open(path, &inner)?, inner)?);
            }
            Ok(Some(Bare::Split)) => modules.offer_file(path, inner)?,
            Ok(_) => {}
            Err(e) if is_machine_fault(&e) => return Err(inner.unreadable(e)),
            // Whoever reads it says why that is not possible.
            Err(_) => modules.offer_file(path, inner)?,
        }
    }
    if kernel.is_none() && modules.is_empty() {
        return Err(place
            .error(ErrorKind::Unrecognized, "is a folder without modules")
            .with_help("name the kernel's image or package, or a folder with modules (.ko)"));
    }
    Ok(kernel)
}

enum Bare {
    /// It needs no other BTF.
    Kernel,
    /// It continues another one, as a module's does.
    Split,
}

/// What kind of bare BTF is in a file; `None` if it is another file.
fn bare_btf(path: &Path) -> io::Result<Option<Bare>> {
    let is_short = |e: &io::Error| e.kind() == io::ErrorKind::UnexpectedEof;
    let mut file = open_regular(path)?;
    let mut head = [0; Header::LEN];
    match file.read_exact(&mut head) {
        Err(e) if is_short(&e) => return Ok(None),
        read => read?,
    }
    let header = match Header::parse(&head) {
        Ok(header) => header,
        // Only split BTF can do without strings.
        Err(HeaderFault::Sections(_)) => return Ok(Some(Bare::Split)),
        Err(_) => return Ok(None),
    };
    let mut first = [0];
    file.seek(SeekFrom::Start(header.strings().start))?;
    match file.read_exact(&mut first) {
        // A truncated file is neither.
        Err(e) if is_short(&e) => return Ok(None),
        read => read?,
    }
    Ok(Some(match first {
        [0] => Bare::Kernel,
        _ => Bare::Split,
    }))
}

/// The release in a path that has `lib/modules/RELEASE/`.
fn release_of(path: &Path) -> Option<String> {
    let path = path.to_str()?;
    let (_, rest) = path.rsplit_once("lib/modules/")?;
    let (release, _) = rest.split_once('/')?;
    banner::is_release(release).then(|| release.to_owned())
}
