//! Reading an archive: with its index if it has one, else entry by entry.

use std::borrow::Cow;

use crate::build_ids::{BUILD_IDS_NAME, BuildIds};
use crate::facts::{ArchiveFacts, FACTS_NAME};
use crate::gzip;
use crate::index::{self, Distrust, Index, Location, crc_of};
use crate::inflate::Inflate;
use crate::scan::{Content, Entry, Scan};
use crate::ustar::{self, BLOCK, Block, Header, Kind};
use crate::{Error, ErrorKind, KernelId, Manifest, Result};

/// The name of the manifest's entry.
pub(crate) const MANIFEST_NAME: &str = ".btfgen/manifest";

/// The digest of an object without relocations.
const DIGEST_OF_NOTHING: u32 = 0;

/// The limits of a reader.
///
/// ```
/// use btfgen_archive::{ArchiveOptions, ErrorKind};
///
/// let options = ArchiveOptions::new().max_entry_size(1 << 20);
/// assert!(options.open(&b"no gzip"[..]).is_err());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ArchiveOptions {
    pub(crate) max_entry_size: u64,
    pub(crate) max_total_size: u64,
}

impl ArchiveOptions {
    /// The defaults: 64 MiB for an entry, 4 GiB for the archive.
    pub fn new() -> Self {
        Self {
            max_entry_size: 64 << 20,
            max_total_size: 4 << 30,
        }
    }

    /// Refuse entries with more bytes. This bounds the memory of a reader.
    pub fn max_entry_size(mut self, bytes: u64) -> Self {
        self.max_entry_size = bytes;
        self
    }

    /// Refuse archives that inflate to more bytes. This bounds the time of a reader without an index.
    pub fn max_total_size(mut self, bytes: u64) -> Self {
        self.max_total_size = bytes;
        self
    }

    /// Open an archive in memory.
    ///
    /// # Errors
    /// If the bytes do not begin with a gzip header. Only the header and the index are read.
    pub fn open<'a>(self, archive: impl Into<Cow<'a, [u8]>>) -> Result<Archive<'a>> {
        let bytes = archive.into();
        let gzip::Header { len, root } = gzip::Header::parse(&bytes, 0)?;
        let index = root.and_then(|root| Index::read(&bytes, len, root).ok());
        Ok(Archive {
            bytes,
            index,
            options: self,
        })
    }
}

impl Default for ArchiveOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// One kernel's entry in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArchiveEntry {
    /// The kernel.
    pub kernel: KernelId,
    /// The size of its BTF in bytes.
    pub size: u64,
    /// The target if this entry is a hard link: the kernel that stores the same BTF.
    pub link_target: Option<KernelId>,
}

/// An archive to read from.
///
/// The bytes stay compressed; each call inflates what it needs. With an index (see [`Archive::has_index`]) a lookup inflates a
/// few hundred KiB. Without an index it inflates the whole archive, but never holds all of it in memory.
///
/// All results were checked: with an index, by the checksums of the index and the content; without an index, by the checksum of
/// the whole archive.
///
/// ```
/// # #[cfg(feature = "write")] {
/// use btfgen_archive::{Archive, Builder, KernelId};
///
/// let kernel = KernelId::new("debian", "12", "x86_64", "6.1.0-47-amd64")?;
/// let mut bytes = Vec::new();
/// Builder::new().add(kernel.clone(), *b"BTF")?.write(&mut bytes)?;
///
/// let archive = Archive::from_bytes(&bytes)?;
/// assert_eq!(archive.kernels()?, [kernel.clone()]);
/// assert_eq!(archive.get(&kernel)?.as_deref(), Some(&b"BTF"[..]));
/// # }
/// # Ok::<(), btfgen_archive::Error>(())
/// ```
#[derive(Debug)]
pub struct Archive<'a> {
    bytes: Cow<'a, [u8]>,
    /// `None` if the archive has no index, or a wrong one.
    index: Option<Index>,
    options: ArchiveOptions,
}

impl<'a> Archive<'a> {
    /// Open an archive with the default limits.
    ///
    /// # Errors
    /// The errors of [`ArchiveOptions::open`].
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self> {
        ArchiveOptions::new().open(bytes)
    }

    /// All kernels, in their order.
    ///
    /// Only the last four components of a name count, so directories in front are ignored.
    ///
    /// # Errors
    /// Without a usable index: [`ErrorKind::Truncated`], [`ErrorKind::Corrupt`] and the other errors of reading the whole
    /// archive.
    pub fn kernels(&self) -> Result<Vec<KernelId>> {
        self.kernels_where("", |_| true)
    }

    /// All kernels of this release and architecture, in their order: one for each distribution and version.
    ///
    /// # Errors
    /// The errors of [`Archive::kernels`].
    ///
    /// ```
    /// # #[cfg(feature = "write")] {
    /// use btfgen_archive::{Archive, Builder, KernelId};
    ///
    /// let mut bytes = Vec::new();
    /// let mut builder = Builder::new();
    /// for version in ["8.4", "8.5"] {
    ///     let kernel = KernelId::new("rhel", version, "x86_64", "4.18.0-305.el8")?;
    ///     builder = builder.add(kernel, *b"BTF")?;
    /// }
    /// builder.write(&mut bytes)?;
    ///
    /// let found = Archive::from_bytes(&bytes)?.find("4.18.0-305.el8", "x86_64")?;
    /// assert_eq!(found.len(), 2);
    /// # }
    /// # Ok::<(), btfgen_archive::Error>(())
    /// ```
    pub fn find(&self, release: &str, arch: &str) -> Result<Vec<KernelId>> {
        let wanted = |id: &KernelId| id.release() == release && id.arch() == arch;
        self.kernels_where(&index::range_key(release, arch), wanted)
    }

    /// A kernel's BTF, or `None` if the archive does not have the kernel.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] beyond the limits, [`ErrorKind::BrokenLink`] if the entry is a link that does not lead to a
    /// regular file, and the errors of reading an archive.
    pub fn get(&self, kernel: &KernelId) -> Result<Option<Vec<u8>>> {
        if let Some(index) = &self.index
            && let Ok(content) = self.indexed_kernel(index, kernel)
        {
            return Ok(content);
        }
        let path = kernel.btf_path();
        let content = self.scanned(&|name| {
            let prefix = name.strip_suffix(&path);
            prefix.is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('/'))
        })?;
        self.require_unlisted(content, &index::kernel_key(kernel))
    }

    /// Another file than a kernel, for example `package.json`, or `None` if the archive does not have it.
    ///
    /// # Errors
    /// The errors of [`Archive::get`].
    pub fn file(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let Some(name) = ustar::normalize(name.as_bytes()) else {
            return Ok(None);
        };
        if let Some(index) = &self.index
            && let Ok(content) = self.indexed_file(index, &name)
        {
            return Ok(content);
        }
        let content = self.scanned(&|entry| entry == name)?;
        self.require_unlisted(content, &index::file_key(&name))
    }

    /// The manifest, if the archive has one.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidManifest`], and the errors of [`Archive::get`].
    pub fn manifest(&self) -> Result<Option<Manifest>> {
        let Some(bytes) = self.file(MANIFEST_NAME)? else {
            return Ok(None);
        };
        let text = String::from_utf8(bytes).map_err(|_| {
            let message = "the manifest is not UTF-8";
            Error::new(ErrorKind::InvalidManifest, message)
        })?;
        text.parse().map(Some)
    }

    /// The build ids of the kernels; without any if the archive has none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidBuildId`], and the errors of [`Archive::get`].
    pub fn build_ids(&self) -> Result<BuildIds> {
        match self.file(BUILD_IDS_NAME)? {
            Some(bytes) => BuildIds::parse(bytes),
            None => Ok(BuildIds::default()),
        }
    }

    /// What the kernels answer to the facts that the archive was packed for; without any if there are none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidFacts`], and the errors of [`Archive::get`].
    pub fn facts(&self) -> Result<ArchiveFacts> {
        match self.file(FACTS_NAME)? {
            Some(bytes) => ArchiveFacts::parse(bytes),
            None => Ok(ArchiveFacts::default()),
        }
    }

    /// Whether the archive was packed for the relocations of this object; `object` is its ELF file. If not, the archive is stale
    /// or belongs to another program, and libbpf may find less in its BTFs than the kernel has.
    ///
    /// The object may be from another build, with another `vmlinux.h`, and one of several objects of the archive. An object
    /// without relocations matches any archive with a manifest.
    ///
    /// # Errors
    /// [`ErrorKind::NoManifest`], [`ErrorKind::InvalidObject`], and the errors of [`Archive::manifest`].
    ///
    /// ```no_run
    /// use btfgen_archive::Archive;
    /// # const ARCHIVE: &[u8] = &[];
    ///
    /// // const ARCHIVE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/btfs.tar.gz"));
    /// let archive = Archive::from_bytes(ARCHIVE)?;
    /// assert!(archive.matches_object(&std::fs::read("app.bpf.o").unwrap())?);
    /// # Ok::<(), btfgen_archive::Error>(())
    /// ```
    pub fn matches_object(&self, object: &[u8]) -> Result<bool> {
        let manifest = self.manifest()?.ok_or_else(|| {
            let message = "the archive has no manifest, so `btfgen pack` did not make it";
            Error::new(ErrorKind::NoManifest, message)
        })?;
        let digest = btfgen_object::digest(object).map_err(Error::object)?;
        Ok(digest == DIGEST_OF_NOTHING || manifest.objects.contains(&digest))
    }

    /// All kernels with sizes and links, in their order. This always reads and checks the whole archive.
    ///
    /// # Errors
    /// The errors of [`Archive::get`], for any entry.
    pub fn entries(&self) -> Result<Vec<ArchiveEntry>> {
        let mut kernels = Vec::new();
        let mut sizes = Vec::new();
        let mut scan = Scan::new(&self.bytes, self.options)?;
        while let Some(Entry { name, content }) = scan.next_entry()? {
            if let Content::File(size) = content {
                sizes.push((name.clone(), size));
            }
            if content != Content::Ignored
                && let Some(kernel) = KernelId::from_entry_path(&name)
            {
                kernels.push((kernel, name, content));
            }
        }
        // Both sorts are stable, so the first of equal entries wins.
        sizes.sort_by(|(a, _), (b, _)| a.cmp(b));
        sizes.dedup_by(|(a, _), (b, _)| a == b);
        kernels.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        kernels.dedup_by(|(a, ..), (b, ..)| a == b);

        let entry = |(kernel, name, content): (KernelId, String, Content)| {
            let (size, link_target) = match content {
                Content::File(size) => (Some(size), None),
                Content::Ignored => (None, None),
                Content::HardLink(target) => {
                    let target = target.unwrap_or_default();
                    let at = sizes.binary_search_by(|(name, _)| name.cmp(&target));
                    let size = at.ok().map(|at| sizes[at].1);
                    (size, KernelId::from_entry_path(&target))
                }
            };
            let size = size.ok_or_else(|| broken_link(&name))?;
            Ok(ArchiveEntry {
                kernel,
                size,
                link_target,
            })
        };
        kernels.into_iter().map(entry).collect()
    }

    /// Whether lookups use an index.
    pub fn has_index(&self) -> bool {
        self.index.is_some()
    }

    /// All kernels that are `wanted`. The index finds them by their keys, which begin with `start`; a scan uses `wanted` alone.
    fn kernels_where(
        &self,
        start: &str,
        wanted: impl Fn(&KernelId) -> bool,
    ) -> Result<Vec<KernelId>> {
        let indexed = self.index.as_ref().ok_or(Distrust);
        // Each kernel has a header in the tar. Refuse an index that lists more kernels than a tar can have, to save memory.
        let max = self.options.max_total_size / BLOCK as u64;
        let mut kernels = match indexed.and_then(|index| index.kernels(&self.bytes, start, max)) {
            Ok(kernels) => kernels,
            Err(Distrust) => self.scanned_kernels()?,
        };
        kernels.retain(wanted);
        kernels.sort();
        kernels.dedup();
        Ok(kernels)
    }

    fn scanned_kernels(&self) -> Result<Vec<KernelId>> {
        let mut kernels = Vec::new();
        let mut scan = Scan::new(&self.bytes, self.options)?;
        while let Some(Entry { name, content }) = scan.next_entry()? {
            if content != Content::Ignored {
                kernels.extend(KernelId::from_entry_path(&name));
            }
        }
        Ok(kernels)
    }

    /// The content of the first file or link whose name is `wanted`.
    // Not generic, to keep the code that programs embed small.
    fn scanned(&self, wanted: &dyn Fn(&str) -> bool) -> Result<Option<Vec<u8>>> {
        let (name, target) = match self.scanned_first(wanted)? {
            None => return Ok(None),
            Some((_, Found::File(content))) => return Ok(Some(content)),
            Some((name, Found::HardLink(target))) => (name, target),
        };
        // Follow only one link: its target must be a file.
        let found = match target {
            Some(target) => self.scanned_first(&|name| name == target)?,
            None => None,
        };
        match found {
            Some((_, Found::File(content))) => Ok(Some(content)),
            _ => Err(broken_link(&name)),
        }
    }

    /// Checks the result of a scan for a key. If the scan found nothing but the index lists the key, the archive is corrupt:
    /// [`Archive::kernels`] would list the kernel.
    fn require_unlisted(&self, content: Option<Vec<u8>>, key: &str) -> Result<Option<Vec<u8>>> {
        if content.is_none()
            && let Some(index) = &self.index
            && let Ok(Some(_)) = index.get(&self.bytes, key)
        {
            let message = format!("the index lists {key}, but the tar does not have it");
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        Ok(content)
    }

    fn scanned_first(&self, wanted: &dyn Fn(&str) -> bool) -> Result<Option<(String, Found)>> {
        let mut scan = Scan::new(&self.bytes, self.options)?;
        while let Some(entry) = scan.next_entry()? {
            if !wanted(&entry.name) {
                continue;
            }
            let found = match &entry.content {
                Content::Ignored => continue,
                Content::File(_) => Found::File(scan.read_content(&entry)?),
                Content::HardLink(target) => Found::HardLink(target.clone()),
            };
            // The checksum is at the end.
            scan.finish()?;
            return Ok(Some((entry.name, found)));
        }
        Ok(None)
    }

    fn indexed_kernel(&self, index: &Index, id: &KernelId) -> Result<Option<Vec<u8>>, Distrust> {
        let Some(location) = index.get(&self.bytes, &index::kernel_key(id))? else {
            return Ok(None);
        };
        let prefix = index.prefix();
        let target = match self.indexed_entry(index, location, &id.entry_name_under(prefix))? {
            Found::File(content) => return Ok(Some(content)),
            Found::HardLink(target) => target.ok_or(Distrust)?,
        };
        let target_id = KernelId::from_entry_path(&target).ok_or(Distrust)?;
        let location = index
            .get(&self.bytes, &index::kernel_key(&target_id))?
            .ok_or(Distrust)?;
        match self.indexed_entry(index, location, &target)? {
            Found::File(content) => Ok(Some(content)),
            Found::HardLink(_) => Err(Distrust),
        }
    }

    fn indexed_file(&self, index: &Index, name: &str) -> Result<Option<Vec<u8>>, Distrust> {
        let Some(location) = index.get(&self.bytes, &index::file_key(name))? else {
            return Ok(None);
        };
        match self.indexed_entry(index, location, name)? {
            Found::File(content) => Ok(Some(content)),
            Found::HardLink(_) => Err(Distrust),
        }
    }

    /// Read the entry at a location, which must be the one of this name.
    fn indexed_entry(
        &self,
        index: &Index,
        location: Location,
        name: &str,
    ) -> Result<Found, Distrust> {
        let (place, offset) = index.group(location)?;
        let blocks = self.bytes.get(place.clone()).ok_or(Distrust)?;
        let mut inflate = Inflate::new(blocks, place.start);
        let mut block: Block = [0; BLOCK];
        let mut read_header = || {
            inflate.skip(offset)?;
            inflate.read_exact(&mut block)
        };
        read_header().map_err(|_: Error| Distrust)?;
        let header = Header::parse(&block).ok_or(Distrust)?;
        // Two names that cannot be are not the same one.
        let found = ustar::normalize(&header.name).ok_or(Distrust)?;
        if ustar::normalize(name.as_bytes()) != Some(found) {
            return Err(Distrust);
        }
        match (header.kind, location.crc) {
            (Kind::HardLink, None) => Ok(Found::HardLink(ustar::normalize(&header.link))),
            (Kind::File, Some(crc)) if header.size <= self.options.max_entry_size => {
                let size = usize::try_from(header.size).map_err(|_| Distrust)?;
                let content = inflate.read_vec(size).map_err(|_| Distrust)?;
                (crc_of(&content) == crc)
                    .then_some(Found::File(content))
                    .ok_or(Distrust)
            }
            _ => Err(Distrust),
        }
    }
}

impl Archive<'static> {
    /// Open an archive with the default limits and keep its bytes.
    ///
    /// # Errors
    /// The errors of [`ArchiveOptions::open`].
    pub fn from_vec(bytes: Vec<u8>) -> Result<Self> {
        ArchiveOptions::new().open(bytes)
    }
}

/// What an entry turned out to hold.
enum Found {
    File(Vec<u8>),
    /// The normalized name that it links to, if it can be one.
    HardLink(Option<String>),
}

fn broken_link(name: &str) -> Error {
    let message = format!("{name} is a link to no regular file of the archive");
    Error::new(ErrorKind::BrokenLink, message)
}
