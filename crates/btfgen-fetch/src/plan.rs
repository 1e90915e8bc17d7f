//! The plan of a fetch: compares the repositories' files with the hub's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::path::Path;
use std::sync::Arc;

use btfgen_archive::KernelId;
use btfgen_files::{is_machine_fault, read_regular};
use btfgen_hub::record::{Record, RecordedFile};
use btfgen_hub::seen::{is_as_seen, look};
use btfgen_hub::{
    ChunkFile, ChunkPlace, Codenames, ENDINGS, Error, ErrorKind, KernelFilter, Result, hub_id,
    other_ids, without_ending,
};
use git2::{ObjectType, Oid};

use crate::listing::Listed;
use crate::report::{Collision, LeftOut};
use crate::source::Source;

/// The largest file of a hub to read. A fetch never writes a larger one.
const MAX_BYTES: u64 = 1 << 30;

/// What a fetch does with each kernel.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) bring: Vec<Bring>,
    /// Files that are up to date: the repository, the path, and the entry for the record.
    pub(crate) have: Vec<(usize, String, RecordedFile)>,
    /// Kernels and chunks for which the hub has the user's own file, which stays.
    pub(crate) kept: Vec<Item>,
    /// Fetched files that nobody changed, and that their repository no longer has.
    pub(crate) gone: Vec<(Item, String)>,
    /// The chunks that are up to date, with their repositories.
    pub(crate) chunks: Vec<(usize, Arc<ChunkFile>)>,
    pub(crate) collisions: Vec<Collision>,
    pub(crate) left_out: Vec<LeftOut>,
}

/// What a file has: one kernel, or a chunk of kernels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Item {
    Kernel(KernelId),
    Chunk(ChunkPlace),
}

/// A file to bring from a repository.
#[derive(Debug)]
pub(crate) struct Bring {
    pub(crate) item: Item,
    /// The index of the repository.
    pub(crate) source: usize,
    /// The file's path in the repository and in the hub.
    pub(crate) path: String,
    pub(crate) blob: Oid,
    /// The older file in the hub.
    pub(crate) older: Option<Metadata>,
    /// The chunk in the hub that has older BTFs: the one to replace, or the one that a kernel's older file was put into.
    pub(crate) older_chunk: Option<Arc<ChunkFile>>,
}

impl Bring {
    /// Whether the kernel's place in the hub is unchanged since the plan was made: empty, or with the older file.
    ///
    /// # Errors
    /// If the hub cannot be read.
    pub(crate) fn is_as_planned(&self, root: &Path) -> io::Result<bool> {
        let is_as_seen = is_as_seen(&root.join(&self.path), self.older.as_ref())?;
        let is_taken = match &self.item {
            Item::Kernel(kernel) if self.older.is_none() => has_another_form(root, kernel)?,
            _ => false,
        };
        Ok(is_as_seen && !is_taken)
    }

    pub(crate) fn is_chunk(&self) -> bool {
        matches!(self.item, Item::Chunk(_))
    }
}

/// What a hub has for a kernel or a chunk.
enum Present {
    Nothing,
    /// A chunk with an older BTF, which came as a file in a fetch.
    OlderInChunk(Arc<ChunkFile>),
    /// A file with the same content.
    Same(RecordedFile),
    /// Another file that a fetch brought.
    Older(Metadata),
    /// A file that no fetch brought.
    Foreign,
}

impl Plan {
    pub(crate) fn new(
        root: &Path,
        sources: &[Source],
        filter: &KernelFilter,
        codenames: &Codenames,
        record: &Record,
    ) -> Result<Self> {
        let mut plan = Self::default();
        let mut hub = HubChunks::new(root);
        plan.place_chunks(&mut hub, sources, filter, codenames, record)?;
        let passes = |kernel: &KernelId| filter.matches_any_name(kernel, codenames);
        let mut wanted: BTreeMap<KernelId, (usize, &Listed)> = BTreeMap::new();
        for (source, repository) in sources.iter().enumerate() {
            plan.left_out
                .extend_from_slice(&repository.listing.left_out);
            for (kernel, listed) in &repository.listing.kernels {
                if !passes(kernel) {
                    continue;
                }
                let &mut (first, taken) = wanted.entry(kernel.clone()).or_insert((source, listed));
                if taken.blob != listed.blob {
                    plan.collisions.push(Collision {
                        kernel: kernel.clone(),
                        taken_from: sources[first].name.clone(),
                        also_in: repository.name.clone(),
                    });
                }
            }
        }
        for (kernel, (source, listed)) in wanted.iter() {
            let present =
                |plan: &Self| present(plan, &mut hub, *source, kernel, listed, sources, record);
            let item = Item::Kernel(kernel.clone());
            plan.place(
                item,
                *source,
                listed,
                &sources[*source].name,
                record,
                present,
            )?;
        }
        let names: BTreeSet<&str> = sources.iter().map(|s| &*s.name).collect();
        for (path, file) in recorded(record, &names) {
            let kernel: Option<KernelId> = without_ending(path).and_then(|stem| stem.parse().ok());
            let kernel = kernel
                .map(hub_id)
                .filter(|k| !wanted.contains_key(k) && passes(k));
            if let Some(kernel) = kernel
                && let Ok(metadata) = root.join(path).symlink_metadata()
                && file.is_unchanged(&metadata)
            {
                plan.gone.push((Item::Kernel(kernel), path.to_owned()));
            }
        }
        plan.find_gone_chunks(&mut hub, sources, &passes, record)?;
        Ok(plan)
    }

    /// Plans the chunks. If several repositories have a chunk of the same place, the first one's is taken as a whole.
    fn place_chunks(
        &mut self,
        hub: &mut HubChunks<'_>,
        sources: &[Source],
        filter: &KernelFilter,
        codenames: &Codenames,
        record: &Record,
    ) -> Result<()> {
        let mut wanted: BTreeMap<ChunkPlace, (usize, &Listed)> = BTreeMap::new();
        for (source, repository) in sources.iter().enumerate() {
            for (place, listed) in &repository.listing.chunks {
                if !filter.may_match(place, codenames) {
                    continue;
                }
                let &mut (first, taken) = wanted.entry(place.clone()).or_insert((source, listed));
                if taken.blob != listed.blob {
                    self.left_out.push(LeftOut {
                        path: listed.path.clone(),
                        why: format!(
                            "the chunk of {} is taken instead of that of {}",
                            sources[first].name, repository.name
                        ),
                        broken: true,
                    });
                }
            }
        }
        for (place, (source, listed)) in wanted {
            let present =
                |_: &Self| file_present(hub.root, listed, record, &mut || Ok(Present::Nothing));
            let item = Item::Chunk(place.clone());
            self.place(item, source, listed, &sources[source].name, record, present)?;
            let older = hub.open(&place)?;
            match self.bring.last_mut() {
                Some(bring) if bring.item == Item::Chunk(place) => {
                    bring.older_chunk = older.filter(|_| bring.older.is_some());
                }
                _ => {
                    let is_there = self
                        .have
                        .last()
                        .is_some_and(|(_, path, _)| *path == listed.path);
                    let older = older.filter(|_| is_there);
                    self.chunks.extend(older.map(|chunk| (source, chunk)));
                }
            }
        }
        Ok(())
    }

    /// Finds fetched chunks that their repository no longer has. All their kernels must pass the filter.
    fn find_gone_chunks(
        &mut self,
        hub: &mut HubChunks<'_>,
        sources: &[Source],
        passes: &dyn Fn(&KernelId) -> bool,
        record: &Record,
    ) -> Result<()> {
        let names: BTreeSet<&str> = sources.iter().map(|s| &*s.name).collect();
        for (path, file) in recorded(record, &names) {
            let Some(place) = ChunkPlace::of_path(path) else {
                continue;
            };
            if sources
                .iter()
                .any(|s| s.listing.chunks.contains_key(&place))
            {
                continue;
            }
            if let Some(chunk) = hub.open(&place)?
                && file.is_unchanged(chunk.metadata())
                && kernels_of(&chunk).iter().all(passes)
            {
                self.gone.push((Item::Chunk(place), path.to_owned()));
            }
        }
        Ok(())
    }

    /// Leaves out the files of kernels that are in the chunk of an earlier repository, because the first repository wins.
    /// `staged` opens a chunk that has arrived.
    ///
    /// # Errors
    /// Those of `staged`.
    pub(crate) fn leave_covered(
        &mut self,
        staged: impl Fn(&Bring) -> Result<Option<ChunkFile>>,
    ) -> Result<()> {
        let mut first: BTreeMap<KernelId, usize> = BTreeMap::new();
        let mut cover = |source: usize, chunk: &ChunkFile| {
            for kernel in kernels_of(chunk) {
                first.insert(kernel, source);
            }
        };
        for (source, chunk) in &self.chunks {
            cover(*source, chunk);
        }
        for bring in self.bring.iter().filter(|b| b.is_chunk()) {
            if let Some(chunk) = staged(bring)? {
                cover(bring.source, &chunk);
            }
        }
        self.bring.retain(|bring| match &bring.item {
            Item::Kernel(kernel) => first.get(kernel).is_none_or(|&n| n >= bring.source),
            Item::Chunk(_) => true,
        });
        Ok(())
    }

    fn place(
        &mut self,
        item: Item,
        source: usize,
        listed: &Listed,
        repository: &str,
        record: &Record,
        present: impl FnOnce(&Self) -> Result<Present>,
    ) -> Result<()> {
        let useless = record
            .repositories
            .get(repository)
            .and_then(|r| r.useless.get(&listed.path))
            .filter(|u| u.blob == listed.blob.to_string());
        if let Some(useless) = useless {
            self.left_out.push(LeftOut {
                path: listed.path.clone(),
                why: useless.why.clone(),
                broken: useless.broken,
            });
            return Ok(());
        }
        let (older, older_chunk) = match present(self)? {
            Present::Same(file) => {
                self.have.push((source, listed.path.clone(), file));
                return Ok(());
            }
            Present::Foreign => {
                self.kept.push(item);
                return Ok(());
            }
            Present::Nothing => (None, None),
            Present::OlderInChunk(chunk) => (None, Some(chunk)),
            Present::Older(metadata) => (Some(metadata), None),
        };
        self.bring.push(Bring {
            item,
            source,
            path: listed.path.clone(),
            blob: listed.blob,
            older,
            older_chunk,
        });
        Ok(())
    }
}

/// The chunks of a hub, each opened once.
struct HubChunks<'r> {
    root: &'r Path,
    opened: BTreeMap<ChunkPlace, Option<Arc<ChunkFile>>>,
}

impl<'r> HubChunks<'r> {
    fn new(root: &'r Path) -> Self {
        Self {
            root,
            opened: BTreeMap::new(),
        }
    }

    /// The chunk of a place; `None` if there is none, or it cannot be used.
    ///
    /// # Errors
    /// Errors of the machine.
    fn open(&mut self, place: &ChunkPlace) -> Result<Option<Arc<ChunkFile>>> {
        if let Some(opened) = self.opened.get(place) {
            return Ok(opened.clone());
        }
        let chunk = match ChunkFile::open(&self.root.join(place.to_string()), place.clone()) {
            Err(e) if e.kind() == ErrorKind::Machine => return Err(e),
            chunk => chunk.ok().map(Arc::new),
        };
        self.opened.insert(place.clone(), chunk.clone());
        Ok(chunk)
    }
}

/// The kernels of a chunk.
pub(crate) fn kernels_of(chunk: &ChunkFile) -> Vec<KernelId> {
    let entries = chunk.entries().iter();
    entries
        .filter_map(|entry| chunk.place().kernel(&entry.release))
        .collect()
}

/// What the hub has of a kernel.
fn present(
    plan: &Plan,
    hub: &mut HubChunks<'_>,
    source: usize,
    kernel: &KernelId,
    listed: &Listed,
    sources: &[Source],
    record: &Record,
) -> Result<Present> {
    let root = hub.root;
    let mut without_file = || {
        let path = root.join(&listed.path);
        if has_another_form(root, kernel).map_err(|e| Error::io(&path, "cannot be read", e))? {
            return Ok(Present::Foreign);
        }
        let place = ChunkPlace::of(kernel);
        let chunk = hub.open(&place)?;
        let Some((chunk, digest)) = chunk.and_then(|c| c.digest(kernel.release()).map(|d| (c, d)))
        else {
            return Ok(Present::Nothing);
        };
        let recorded = record.file(&listed.path);
        if let Some(recorded) = recorded.filter(|r| r.is_compacted(digest)) {
            // The chunk has the BTF of the file that a fetch brought.
            return Ok(match recorded.blob == listed.blob.to_string() {
                true => Present::Same(recorded.clone()),
                false => Present::OlderInChunk(chunk),
            });
        }
        // If the chunk comes from these repositories, `leave_covered` decides.
        let is_planned = plan
            .chunks
            .iter()
            .any(|(_, planned)| *planned.place() == place)
            || plan
                .bring
                .iter()
                .any(|b| b.item == Item::Chunk(place.clone()));
        let is_sources = sources[source].listing.chunks.contains_key(&place);
        Ok(match is_planned || is_sources {
            true => Present::Nothing,
            false => Present::Foreign,
        })
    };
    file_present(root, listed, record, &mut without_file)
}

/// What the hub has in the place of a file. If there is no file, `without_file` tells.
fn file_present(
    root: &Path,
    listed: &Listed,
    record: &Record,
    without_file: &mut dyn FnMut() -> Result<Present>,
) -> Result<Present> {
    let path = root.join(&listed.path);
    let unreadable = |e| Error::io(&path, "cannot be read", e);
    let Some(metadata) = look(&path).map_err(unreadable)? else {
        return without_file();
    };
    if !metadata.is_file() {
        return Ok(Present::Foreign);
    }
    let recorded = record.file(&listed.path);
    let wanted = listed.blob.to_string();
    let same = || Present::Same(RecordedFile::new(wanted.clone(), &metadata));
    if let Some(recorded) = recorded.filter(|r| r.is_unchanged(&metadata)) {
        let is_same = recorded.blob == wanted;
        return Ok(if is_same {
            same()
        } else {
            Present::Older(metadata)
        });
    }
    // The file may have been copied, restored, or written by a fetch that was killed. So compare its content.
    let found = match hash(&path) {
        Ok(found) => found,
        Err(e) if is_machine_fault(&e) => return Err(unreadable(e)),
        // A fetch does not write unreadable or such large files.
        Err(_) => return Ok(Present::Foreign),
    };
    let brought = |blob: &String| *blob == found;
    Ok(if found == wanted {
        same()
    } else if recorded.is_some_and(|r| brought(&r.blob))
        || record.pending.get(&listed.path).is_some_and(brought)
    {
        Present::Older(metadata)
    } else {
        Present::Foreign
    })
}

/// Whether a hub has a file for a kernel, with any ending and any name of the architecture.
fn has_another_form(root: &Path, kernel: &KernelId) -> io::Result<bool> {
    for id in std::iter::once(kernel.clone()).chain(other_ids(kernel)) {
        for ending in ENDINGS {
            if look(&root.join(format!("{id}{ending}")))?.is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Git's id of a file's content.
pub(crate) fn hash(path: &Path) -> io::Result<String> {
    let content = read_regular(path, MAX_BYTES)?;
    let id = Oid::hash_object(ObjectType::Blob, &content);
    id.map(|id| id.to_string()).map_err(io::Error::other)
}

fn recorded<'r>(
    record: &'r Record,
    names: &BTreeSet<&str>,
) -> impl Iterator<Item = (&'r str, &'r RecordedFile)> {
    record
        .repositories
        .iter()
        .filter(|(name, _)| names.contains(&***name))
        .flat_map(|(_, repository)| &repository.files)
        .map(|(path, file)| (&**path, file))
}

/// The blobs to bring from one repository, without repetitions.
pub(crate) fn blobs_of(bring: &[Bring], source: usize) -> Vec<Oid> {
    let mut seen = BTreeSet::new();
    bring
        .iter()
        .filter(|b| b.source == source && seen.insert(b.blob))
        .map(|b| b.blob)
        .collect()
}
