//! Writing an archive: the same contents and options give the same bytes, in whatever order they are added.

mod plan;
mod stream;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;
use std::sync::Arc;

use btfgen_facts::{Answered, Fact};

use crate::build_ids::{self, BUILD_IDS_NAME};
use crate::facts::{self, FACTS_NAME};
use crate::kernel::is_component;
use crate::read::MANIFEST_NAME;
use crate::ustar::Body;
use crate::{BuildId, Error, ErrorKind, KernelId, Manifest, Result};
use plan::Plan;
use stream::Stream;

/// The directory of our own entries.
const OWN_DIRECTORY: &str = ".btfgen";

/// The smallest tar that gets an index. A smaller tar is scanned in a few tenths of a millisecond.
const INDEX_FROM: u64 = 256 << 10;

/// Collects kernels and writes an archive of them.
///
/// ```
/// use btfgen_archive::{Archive, Builder, KernelId};
///
/// let kernel = |release| KernelId::new("ubuntu", "20.04", "x86_64", release);
/// let mut bytes = Vec::new();
/// let summary = Builder::new()
///     .add(kernel("5.4.0-26-generic")?, *b"one BTF")?
///     .add(kernel("5.4.0-28-generic")?, *b"one BTF")?
///     .file("package.json", *b"{}")?
///     .write(&mut bytes)?;
/// assert_eq!((summary.kernels, summary.distinct), (2, 1));
///
/// let archive = Archive::from_bytes(&bytes)?;
/// assert_eq!(archive.file("package.json")?.as_deref(), Some(&b"{}"[..]));
/// # Ok::<(), btfgen_archive::Error>(())
/// ```
#[derive(Debug)]
pub struct Builder {
    prefix: String,
    hard_links: bool,
    index: Option<bool>,
    manifest: Option<Manifest>,
    files: BTreeMap<String, Arc<[u8]>>,
    /// The kernels, and the index of each one's content.
    kernels: BTreeMap<KernelId, usize>,
    build_ids: BTreeMap<KernelId, BuildId>,
    facts: Vec<Fact>,
    answers: BTreeMap<KernelId, Vec<Answered>>,
    contents: Vec<Arc<[u8]>>,
    /// The index of each content.
    positions: HashMap<Arc<[u8]>, usize>,
}

/// What [`Builder::write`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Number of kernels.
    pub kernels: usize,
    /// Number of distinct contents.
    pub distinct: usize,
    /// The size of the tar in bytes.
    pub tar_bytes: u64,
    /// The size of the archive in bytes.
    pub archive_bytes: u64,
    /// The size of the index in the archive in bytes, without the tar header of its entry; 0 without an index.
    pub index_bytes: u64,
}

impl Builder {
    /// Begin an archive: without a prefix, with hard links for equal contents, and with an index if the archive is large.
    pub fn new() -> Self {
        Self {
            prefix: String::new(),
            hard_links: true,
            index: None,
            manifest: None,
            files: BTreeMap::new(),
            kernels: BTreeMap::new(),
            build_ids: BTreeMap::new(),
            facts: Vec::new(),
            answers: BTreeMap::new(),
            contents: Vec::new(),
            positions: HashMap::new(),
        }
    }

    /// Put the kernels below a directory, `./PREFIX/ID/VERSION/ARCH/RELEASE.btf`; empty for none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`] if it is not a relative path of printable ASCII, or is btfgen's own `.btfgen`.
    pub fn prefix(mut self, prefix: &str) -> Result<Self> {
        if !prefix.is_empty() {
            check_path("prefix", prefix)?;
        }
        self.prefix = prefix.to_owned();
        Ok(self)
    }

    /// Whether to store equal contents once, with hard links for the other kernels (the default). Some simple readers do not
    /// support links.
    pub fn hard_links(mut self, hard_links: bool) -> Self {
        self.hard_links = hard_links;
        self
    }

    /// Write an index always, or never. By default, an archive has an index if its tar has a few hundred KiB, so that lookups are
    /// faster with it.
    pub fn index(mut self, index: bool) -> Self {
        self.index = Some(index);
        self
    }

    /// Include a manifest.
    pub fn manifest(mut self, manifest: Manifest) -> Self {
        self.manifest = Some(manifest);
        self
    }

    /// Add another file than a kernel, for example `package.json`. Its name is relative to the root of the archive, not to the
    /// prefix.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`] if the name is not a relative path of printable ASCII, is inside btfgen's own `.btfgen`, or is
    /// the name of a kernel; [`ErrorKind::Duplicate`] if the file was already added.
    pub fn file(mut self, name: &str, bytes: impl Into<Arc<[u8]>>) -> Result<Self> {
        check_path("file", name)?;
        if KernelId::from_entry_path(name).is_some() {
            let message = format!("{name:?} is the name of a kernel, not of another file");
            return Err(Error::new(ErrorKind::InvalidName, message));
        }
        if self.files.insert(name.to_owned(), bytes.into()).is_some() {
            let message = format!("the file {name} was added twice");
            return Err(Error::new(ErrorKind::Duplicate, message));
        }
        Ok(self)
    }

    /// Add a kernel. Equal contents of several kernels are in memory only once.
    ///
    /// # Errors
    /// [`ErrorKind::Duplicate`] if the kernel was already added.
    pub fn add(mut self, kernel: KernelId, btf: impl Into<Arc<[u8]>>) -> Result<Self> {
        if self.kernels.contains_key(&kernel) {
            let message = format!("the kernel {kernel} was added twice");
            return Err(Error::new(ErrorKind::Duplicate, message));
        }
        let btf = btf.into();
        let position = match self.positions.get(&btf) {
            Some(&position) => position,
            None => {
                self.contents.push(Arc::clone(&btf));
                self.positions.insert(btf, self.contents.len() - 1);
                self.contents.len() - 1
            }
        };
        self.kernels.insert(kernel, position);
        Ok(self)
    }

    /// Record the build id of a kernel, of which the archive keeps the [first bytes](BuildId::short). The last call for a kernel
    /// counts. Ids of kernels that are not added are left out.
    pub fn build_id(mut self, kernel: KernelId, id: BuildId) -> Self {
        self.build_ids.insert(kernel, id);
        self
    }

    /// Include facts, which all kernels answer. The last call counts.
    ///
    /// # Errors
    /// [`ErrorKind::Duplicate`] if two facts have the same name, by which a program asks for them.
    pub fn facts(mut self, facts: Vec<Fact>) -> Result<Self> {
        let mut names = HashSet::new();
        if let Some(same) = facts.iter().find(|fact| !names.insert(fact.name())) {
            let message = format!("two facts have the name {}", same.name());
            return Err(Error::new(ErrorKind::Duplicate, message));
        }
        self.facts = facts;
        Ok(self)
    }

    /// Record what a kernel answers to each of the [facts](Self::facts). The last call for a kernel counts. Answers of kernels that
    /// are not added are left out.
    pub fn answers(mut self, kernel: KernelId, answers: Vec<Answered>) -> Self {
        self.answers.insert(kernel, answers);
        self
    }

    /// Check that a kernel's name, below the prefix, fits into an archive.
    ///
    /// # Errors
    /// [`ErrorKind::NameTooLong`]: a ustar header has 100 bytes for a name, and 155 more for folders.
    pub fn check_name(&self, kernel: &KernelId) -> Result<()> {
        plan::encode_header(&kernel.entry_name_under(&self.prefix), Body::File(0)).map(drop)
    }

    /// Write the archive.
    ///
    /// # Errors
    /// [`ErrorKind::NameTooLong`] with the kernel whose name is too long for ustar, [`ErrorKind::TooLarge`] for a content of
    /// 8 GiB or an archive of 4 GiB with an index, [`ErrorKind::InvalidFacts`] if a kernel has more or fewer answers than there are
    /// facts, and [`ErrorKind::Io`] if `out` fails.
    pub fn write(self, mut out: impl Write) -> Result<Summary> {
        let Self {
            prefix,
            hard_links,
            index,
            manifest,
            mut files,
            kernels,
            mut build_ids,
            facts,
            mut answers,
            contents,
            positions: _,
        } = self;
        build_ids.retain(|kernel, _| kernels.contains_key(kernel));
        if !build_ids.is_empty() {
            let text = build_ids::encode(&build_ids);
            files.insert(BUILD_IDS_NAME.to_owned(), text.into());
        }
        answers.retain(|kernel, _| kernels.contains_key(kernel));
        let incomplete = answers.iter().find(|(_, row)| row.len() != facts.len());
        if let (false, Some((kernel, row))) = (facts.is_empty(), incomplete) {
            let (has, facts) = (row.len(), facts.len());
            let message = format!("{kernel} has {has} answers to {facts} facts");
            return Err(Error::new(ErrorKind::InvalidFacts, message));
        }
        if !facts.is_empty() {
            let text = facts::encode(&facts, &answers).into_bytes();
            files.insert(FACTS_NAME.to_owned(), text.into());
        }
        let (kernel_count, distinct) = (kernels.len(), contents.len());
        let owners = owners(kernels, distinct);
        if let Some(manifest) = manifest {
            let text = manifest.to_string().into_bytes();
            files.insert(MANIFEST_NAME.to_owned(), text.into());
        }
        let plan = Plan::new(&prefix, hard_links, &owners, &contents, &files);
        let indexed = index.unwrap_or(plan.tar_len() >= INDEX_FROM);
        let stream = Stream::deflate(&plan, indexed.then_some(prefix.as_str()))?;

        let archive_bytes = stream
            .write(&mut out)
            .map_err(|error| Error::io("cannot write the archive", error))?;
        Ok(Summary {
            kernels: kernel_count,
            distinct,
            tar_bytes: stream.tar_len,
            archive_bytes,
            index_bytes: stream.index_len,
        })
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

/// The kernels of each content, in their order.
fn owners(kernels: BTreeMap<KernelId, usize>, contents: usize) -> Vec<Vec<KernelId>> {
    let mut owners = vec![Vec::new(); contents];
    for (kernel, position) in kernels {
        owners[position].push(kernel);
    }
    owners
}

/// Whether a path is inside btfgen's own directory, or is that.
fn is_own(path: &str) -> bool {
    path.split('/').next() == Some(OWN_DIRECTORY)
}

/// Check that a path is relative and not inside btfgen's own directory.
fn check_path(what: &str, path: &str) -> Result<()> {
    if !is_own(path) && path.split('/').all(is_component) {
        return Ok(());
    }
    let message = format!("{path:?} is not a valid name of a {what}");
    Err(Error::new(ErrorKind::InvalidName, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(release: &str) -> KernelId {
        KernelId::new("d", "1", "arm64", release).unwrap()
    }

    /// Check that invalid names are refused.
    #[test]
    fn names() {
        let refused = |result: Result<Builder>| result.unwrap_err().kind();
        for prefix in [
            "/a",
            "a//b",
            "../a",
            "a b",
            "a/",
            ".btfgen",
            ".btfgen/x",
            ".",
        ] {
            let kind = refused(Builder::new().prefix(prefix));
            assert_eq!(kind, ErrorKind::InvalidName, "{prefix}");
        }
        let btf = "a/b/c/d.btf";
        for name in ["", "/a", "./a", "a/../b", "a/", ".btfgen/index", btf] {
            let kind = refused(Builder::new().file(name, *b""));
            assert_eq!(kind, ErrorKind::InvalidName, "{name}");
        }
        assert!(Builder::new().prefix("a/b.c").is_ok());
        assert!(Builder::new().file("a/d.btf", *b"").is_ok());
    }

    /// Check that nothing is added twice.
    #[test]
    fn duplicates() {
        let builder = Builder::new().add(kernel("1"), *b"a").unwrap();
        let error = builder.add(kernel("1"), *b"a").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Duplicate);
        assert!(error.to_string().contains("d/1/arm64/1"), "{error}");
        let builder = Builder::new().file("package.json", *b"a").unwrap();
        let error = builder.file("package.json", *b"b").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Duplicate);
    }

    /// Check that a sink's failure is the source of the error.
    #[test]
    fn failing_sink() {
        let error = Builder::new().write(&mut [0; 9][..]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(std::error::Error::source(&error).is_some());
    }
}
