//! Packages and other archives: finds the files of a kernel in them.

pub(crate) mod deb;
pub(crate) mod rpm;
mod rpm_header;
pub(crate) mod tar;

use std::io::Read;

use crate::banner;
use crate::content::{Content, MAX_FILE_BYTES};
use crate::error::{Error, ErrorKind, Result};
use crate::layer::{Peel, Peeled};
use crate::modules::ModuleFile;
use crate::place::Place;
use crate::vmlinux::Vmlinux;

/// The largest number of files to try.
const MAX_KERNEL_FILES: u32 = 16;

/// A kernel's file, recognized by its path in a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KernelFile<'p> {
    path: &'p str,
    release: Option<&'p str>,
}

impl<'p> KernelFile<'p> {
    /// Recognizes the paths where distributions put a kernel:
    ///
    /// | path | who |
    /// |---|---|
    /// | `boot/vmlinuz-RELEASE`, `boot/vmlinux-RELEASE` | Debian, Ubuntu, RHEL 7, Amazon |
    /// | `lib/modules/RELEASE/vmlinuz`, `usr/lib/…` | Fedora, RHEL, SUSE, Arch, Debian from Linux 6.19 on |
    /// | `boot/vmlinux-RELEASE.gz`, `boot/Image-RELEASE` | SUSE |
    /// | `usr/lib/debug/…` with any of these, also with `.debug` appended | debug symbols |
    pub(crate) fn of(path: &'p str) -> Option<Self> {
        let path = path.trim_start_matches(['.', '/']);
        let installed = path.strip_prefix("usr/lib/debug/").unwrap_or(path);
        let release = if let Some(name) = installed.strip_prefix("boot/") {
            let (kind, release) = without_extension(name).split_once('-')?;
            is_image(kind).then_some(release)?
        } else {
            let usr = installed.strip_prefix("usr/").unwrap_or(installed);
            let (release, name) = usr.strip_prefix("lib/modules/")?.split_once('/')?;
            is_image(without_extension(name)).then_some(release)?
        };
        // The whole path is printed, so it must not contain control characters.
        let shown = !release.contains('/') && path.chars().all(|c| !c.is_control());
        shown.then_some(Self {
            path,
            release: banner::is_release(release).then_some(release),
        })
    }
}

fn is_image(name: &str) -> bool {
    matches!(
        name,
        "vmlinuz" | "vmlinux" | "Image" | "image" | "zImage" | "bzImage" | "kernel"
    )
}

fn without_extension(name: &str) -> &str {
    [
        ".gz", ".xz", ".zst", ".lz4", ".lzma", ".bz2", ".debug", ".efi",
    ]
    .iter()
    .find_map(|extension| name.strip_suffix(extension))
    .unwrap_or(name)
}

/// A search through the files of a package, in their order.
///
/// It ends at the first file with BTF, because all files of a package are of one kernel, unless the caller wants the modules,
/// too. It keeps a file with only debug
/// information, in case no other file has BTF.
pub(crate) struct Search {
    place: Place,
    what: &'static str,
    peel: Peel,
    tried: u32,
    /// The kernel, while the search goes on for modules.
    found: Option<Vmlinux>,
    dwarf: Option<Peeled>,
    error: Option<Error>,
}

impl Search {
    /// `what` is the word for messages: "package" or "archive".
    pub(crate) fn new(place: Place, what: &'static str, peel: Peel) -> Self {
        Self {
            place,
            what,
            peel,
            tried: 0,
            found: None,
            dwarf: None,
            error: None,
        }
    }

    /// Reads a regular file if its path is a kernel's. `size` is the file's size in the archive.
    ///
    /// # Errors
    /// If the package cannot be read. Errors of one kernel's file are kept for [`Search::finish`].
    pub(crate) fn offer(
        &mut self,
        path: &str,
        size: u64,
        body: &mut dyn Read,
    ) -> Result<Option<Vmlinux>> {
        if let Some(modules) = &self.place.modules
            && let Some(file) = ModuleFile::of(path).filter(|_| size > 0)
        {
            let mut inner = self.place.member(file.path, self.what)?;
            inner.package.release = file.release.map(str::to_owned);
            let content = Content::unpack_small(body, size, MAX_FILE_BYTES, &inner)?;
            if content.len() < size {
                return Err(inner.error(ErrorKind::Damaged, "is truncated"));
            }
            modules.offer(file.path, content, inner)?;
            return Ok(None);
        }
        if let Some(modules) = &self.place.modules
            && let Some(file) = ModuleFile::with_debug_info(path).filter(|_| size > 0)
        {
            let mut inner = self.place.member(file.path, self.what)?;
            inner.package.release = file.release.map(str::to_owned);
            modules.offer_dwarf(file.path, body, inner)?;
            return Ok(None);
        }
        // Only one file of a set of hard links has content in an archive.
        let Some(file) = KernelFile::of(path).filter(|_| size > 0) else {
            return Ok(None);
        };
        if self.tried == MAX_KERNEL_FILES || self.found.is_some() {
            return Ok(None);
        }
        self.tried += 1;
        let mut inner = self.place.member(file.path, self.what)?;
        inner.package.release = file.release.map(str::to_owned);
        let content = unpack(body, size, MAX_FILE_BYTES, &inner)?;
        match (self.peel)(content, inner) {
            Ok(Peeled::Btf(vmlinux)) if self.place.modules.is_none() => return Ok(Some(vmlinux)),
            Ok(Peeled::Btf(vmlinux)) => self.found = Some(vmlinux),
            Ok(dwarf) => {
                self.dwarf.get_or_insert(dwarf);
            }
            Err(e) if e.ends_the_search() => return Err(e),
            // "A kernel has no BTF" is the better message than "another file is not a kernel".
            Err(e) if e.kind() == ErrorKind::NoBtf => self.error = Some(e),
            Err(e) => {
                self.error.get_or_insert(e);
            }
        }
        Ok(None)
    }

    /// The result: what [`Search::offer`] found, or the best of what it kept.
    pub(crate) fn finish(self, found: Option<Vmlinux>) -> Result<Peeled> {
        let found = found.or(self.found).map(Peeled::Btf);
        match (found.or(self.dwarf), self.error) {
            (Some(peeled), _) => Ok(peeled),
            (None, Some(error)) => Err(error),
            (None, None) => Err(self.place.error(
                ErrorKind::NoKernel,
                format!("there is no kernel in this {}", self.what),
            )),
        }
    }
}

/// Unpacks a file of an archive, which has `size` bytes.
fn unpack(body: &mut dyn Read, size: u64, limit: u64, place: &Place) -> Result<Content> {
    let content = Content::unpack(body, limit, place)?;
    if content.len() < size {
        return Err(place.error(ErrorKind::Damaged, "is truncated"));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that kernels are found where distributions put them, with the release from the path.
    #[test]
    fn kernel_files() {
        for (path, release) in [
            ("./boot/vmlinuz-6.1.0-47-amd64", Some("6.1.0-47-amd64")),
            (
                "./usr/lib/modules/7.2.13+deb14-riscv64/vmlinuz",
                Some("7.2.13+deb14-riscv64"),
            ),
            (
                "./lib/modules/5.14.0-362.el9.x86_64/vmlinuz",
                Some("5.14.0-362.el9.x86_64"),
            ),
            (
                "/boot/vmlinux-5.3.18-150300.59-default.gz",
                Some("5.3.18-150300.59-default"),
            ),
            (
                "usr/lib/modules/6.4.0-1-default/vmlinux.xz",
                Some("6.4.0-1-default"),
            ),
            ("./boot/Image-6.4.0-1-default", Some("6.4.0-1-default")),
            (
                "./usr/lib/debug/boot/vmlinux-5.10.0-30-amd64",
                Some("5.10.0-30-amd64"),
            ),
            (
                "./usr/lib/debug/usr/lib/modules/6.11.4-301.fc41.x86_64/vmlinux",
                Some("6.11.4-301.fc41.x86_64"),
            ),
            (
                "./usr/lib/debug/boot/vmlinux-5.3.18-59-default.debug",
                Some("5.3.18-59-default"),
            ),
            ("./boot/vmlinuz-lts", None),
        ] {
            let file = KernelFile::of(path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!(file.release, release, "{path}");
        }
    }

    /// Check that other paths are not recognized as a kernel's.
    #[test]
    fn other_files() {
        for path in [
            "./boot/config-6.1.0-47-amd64",
            "./boot/System.map-6.1.0-47-amd64",
            "./boot/.vmlinuz-5.14.0.hmac",
            "./lib/modules/6.1.0/kernel/fs/vmlinuz",
            "./lib/modules/6.1.0/vdso/vdso64.so",
            "../../boot/../vmlinuz-6.1",
            "./boot/vmlinuz-6.1/../../x",
            "./usr/share/doc/vmlinuz-6.1",
            "./boot/vmlinuz-6.1\u{1b}[2J",
            "",
        ] {
            assert_eq!(KernelFile::of(path), None, "{path}");
        }
    }
}
