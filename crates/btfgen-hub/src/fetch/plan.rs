//! What has to be done to a hub: what repositories have, against what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::io;
use std::path::Path;

use btfgen::{Codenames, KernelFilter, KernelId};
use btfgen_files::{is_machine_fault, read_regular};
use git2::{ObjectType, Oid};

use super::listing::Listed;
use super::report::{Collision, LeftOut};
use super::source::Source;
use crate::ENDINGS;
use crate::error::{Error, Result};
use crate::record::{Record, RecordedFile};
use crate::seen::{is_as_seen, look};

/// A file of a hub that is larger is no fetch's: git transfers none of that size as a kernel's.
const MAX_BYTES: u64 = 1 << 30;

/// A hub's kernels, as they will be.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) bring: Vec<Bring>,
    /// Files that are as they must be: of which repository, and what to record of them.
    pub(super) have: Vec<(usize, String, RecordedFile)>,
    /// Files that their user put there; they stay.
    pub(super) kept: Vec<KernelId>,
    /// Files whose repository has them no more, unchanged since they came.
    pub(super) gone: Vec<(KernelId, String)>,
    pub(super) collisions: Vec<Collision>,
    pub(super) left_out: Vec<LeftOut>,
}

/// A kernel's file to take from a repository.
#[derive(Debug)]
pub(super) struct Bring {
    pub(super) kernel: KernelId,
    /// Which repository.
    pub(super) source: usize,
    /// The file's path in the repository and in the hub.
    pub(super) path: String,
    pub(super) blob: Oid,
    /// The older one that the hub has.
    pub(super) older: Option<Metadata>,
}

impl Bring {
    /// Whether the hub still has in the kernel's place what it had when this was planned: nothing, or the older file.
    ///
    /// # Errors
    /// Where that cannot be known.
    pub(super) fn is_as_planned(&self, root: &Path) -> io::Result<bool> {
        let is_as_seen = is_as_seen(&root.join(&self.path), self.older.as_ref())?;
        Ok(is_as_seen && (self.older.is_some() || !has_another_form(root, &self.kernel)?))
    }
}

/// What a hub has in a kernel's place.
enum Present {
    Nothing,
    /// This very content.
    Same(RecordedFile),
    /// One that a fetch brought.
    Older(Metadata),
    /// One that no fetch brought.
    Foreign,
}

impl Plan {
    pub(super) fn new(
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
            let kernel = kernel_of(path).filter(|k| !wanted.contains_key(k) && passes(k));
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
    // Copied here, put back after a damage, or written by a fetch that was killed: its content tells.
    let found = match hash(&path) {
        Ok(found) => found,
        Err(e) if is_machine_fault(&e) => return Err(unreadable(e)),
        // No fetch has brought what cannot be read, or is so large.
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

/// Whether a hub has a kernel's file of any form.
fn has_another_form(root: &Path, kernel: &KernelId) -> io::Result<bool> {
    for ending in ENDINGS {
        if look(&root.join(format!("{kernel}{ending}")))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The id that git gives to a file's content.
pub(super) fn hash(path: &Path) -> io::Result<String> {
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

/// The kernel of a path below a hub.
pub(super) fn kernel_of(path: &str) -> Option<KernelId> {
    let stem = ENDINGS
        .iter()
        .find_map(|ending| path.strip_suffix(ending))?;
    stem.parse().ok()
}

/// The blobs that have to come from one repository, each once.
pub(super) fn blobs_of(bring: &[Bring], source: usize) -> Vec<Oid> {
    let mut seen = BTreeSet::new();
    bring
        .iter()
        .filter(|b| b.source == source && seen.insert(b.blob))
        .map(|b| b.blob)
        .collect()
}
