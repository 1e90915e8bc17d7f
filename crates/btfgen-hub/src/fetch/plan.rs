//! What has to be done to a hub: what repositories have, against what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use btfgen::{Codenames, KernelFilter, KernelId};
use git2::{ObjectType, Oid};

use super::listing::Listed;
use super::report::{Collision, LeftOut};
use super::source::Source;
use crate::ENDINGS;
use crate::error::{Error, Result};
use crate::record::{Record, RecordedFile};

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
    /// Whether the hub has an older one.
    pub(super) update: bool,
}

/// What a hub has in a kernel's place.
enum Present {
    Nothing,
    /// This very content.
    Same(RecordedFile),
    /// One that a fetch brought.
    Older,
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
        let update = match present(root, kernel, listed, record)? {
            Present::Same(file) => {
                self.have.push((source, listed.path.clone(), file));
                return Ok(());
            }
            Present::Foreign => {
                self.kept.push(kernel.clone());
                return Ok(());
            }
            Present::Nothing => false,
            Present::Older => true,
        };
        self.bring.push(Bring {
            kernel: kernel.clone(),
            source,
            path: listed.path.clone(),
            blob: listed.blob,
            update,
        });
        Ok(())
    }
}

fn present(root: &Path, kernel: &KernelId, listed: &Listed, record: &Record) -> Result<Present> {
    let path = root.join(&listed.path);
    let Ok(metadata) = path.symlink_metadata() else {
        let other = ENDINGS.map(|ending| root.join(format!("{kernel}{ending}")));
        let foreign = other.iter().any(|path| path.exists());
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
        return Ok(if is_same { same() } else { Present::Older });
    }
    // Copied here, put back after a damage, or written by a fetch that was killed: its content tells.
    let found = hash(&path)?;
    let brought = |blob: &String| *blob == found;
    Ok(if found == wanted {
        same()
    } else if recorded.is_some_and(|r| brought(&r.blob))
        || record.pending.get(&listed.path).is_some_and(brought)
    {
        Present::Older
    } else {
        Present::Foreign
    })
}

/// The id that git gives to a file's content.
pub(super) fn hash(path: &Path) -> Result<String> {
    let id = Oid::hash_file(ObjectType::Blob, path).map_err(|e| {
        Error::new(crate::ErrorKind::Io, path.display(), "cannot be read").with_git_source(&e)
    })?;
    Ok(id.to_string())
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
