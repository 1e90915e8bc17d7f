//! The plan of a fetch: compares the repositories' files with the hub's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::path::Path;

use btfgen_archive::KernelId;
use btfgen_files::{is_machine_fault, read_regular};
use btfgen_hub::record::{Record, RecordedFile};
use btfgen_hub::seen::{is_as_seen, look};
use btfgen_hub::{Codenames, ENDINGS, Error, KernelFilter, Result, without_ending};
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
    /// Kernels for which the hub has the user's own file, which stays.
    pub(crate) kept: Vec<KernelId>,
    /// Fetched files that nobody changed, and that their repository no longer has.
    pub(crate) gone: Vec<(KernelId, String)>,
    pub(crate) collisions: Vec<Collision>,
    pub(crate) left_out: Vec<LeftOut>,
}

/// A kernel's file to bring from a repository.
#[derive(Debug)]
pub(crate) struct Bring {
    pub(crate) kernel: KernelId,
    /// The index of the repository.
    pub(crate) source: usize,
    /// The file's path in the repository and in the hub.
    pub(crate) path: String,
    pub(crate) blob: Oid,
    /// The older file in the hub.
    pub(crate) older: Option<Metadata>,
}

impl Bring {
    /// Whether the kernel's place in the hub is unchanged since the plan was made: empty, or with the older file.
    ///
    /// # Errors
    /// If the hub cannot be read.
    pub(crate) fn is_as_planned(&self, root: &Path) -> io::Result<bool> {
        let is_as_seen = is_as_seen(&root.join(&self.path), self.older.as_ref())?;
        Ok(is_as_seen && (self.older.is_some() || !has_another_form(root, &self.kernel)?))
    }
}

/// The file that a hub has for a kernel.
enum Present {
    Nothing,
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
            plan.place(
                root,
                kernel,
                *source,
                listed,
                &sources[*source].name,
                record,
            )?;
        }
        let names: BTreeSet<&str> = sources.iter().map(|s| &*s.name).collect();
        for (path, file) in recorded(record, &names) {
            let kernel: Option<KernelId> = without_ending(path).and_then(|stem| stem.parse().ok());
            let kernel = kernel.filter(|k| !wanted.contains_key(k) && passes(k));
            if let Some(kernel) = kernel
                && let Ok(metadata) = root.join(path).symlink_metadata()
                && file.is_unchanged(&metadata)
            {
                plan.gone.push((kernel, path.to_owned()));
            }
        }
        Ok(plan)
    }

    fn place(
        &mut self,
        root: &Path,
        kernel: &KernelId,
        source: usize,
        listed: &Listed,
        repository: &str,
        record: &Record,
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
        let older = match present(root, kernel, listed, record)? {
            Present::Same(file) => {
                self.have.push((source, listed.path.clone(), file));
                return Ok(());
            }
            Present::Foreign => {
                self.kept.push(kernel.clone());
                return Ok(());
            }
            Present::Nothing => None,
            Present::Older(metadata) => Some(metadata),
        };
        self.bring.push(Bring {
            kernel: kernel.clone(),
            source,
            path: listed.path.clone(),
            blob: listed.blob,
            older,
        });
        Ok(())
    }
}

fn present(root: &Path, kernel: &KernelId, listed: &Listed, record: &Record) -> Result<Present> {
    let path = root.join(&listed.path);
    let unreadable = |e| Error::io(&path, "cannot be read", e);
    let Some(metadata) = look(&path).map_err(unreadable)? else {
        let foreign = has_another_form(root, kernel).map_err(unreadable)?;
        return Ok(if foreign {
            Present::Foreign
        } else {
            Present::Nothing
        });
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

/// Whether a hub has a file for a kernel, with any ending.
fn has_another_form(root: &Path, kernel: &KernelId) -> io::Result<bool> {
    for ending in ENDINGS {
        if look(&root.join(format!("{kernel}{ending}")))?.is_some() {
            return Ok(true);
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
