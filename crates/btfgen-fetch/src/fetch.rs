//! Brings published BTFs into a hub, for `btfgen fetch`.
//!
//! 1. Open every repository ([`crate::source`]) and get its list of files. A local folder is read directly. Other repositories come
//!    by git's partial clone ([`crate::partial`]) or, if that is not possible, by libgit2's shallow clone ([`crate::shallow`]).
//! 2. Merge the lists and compare them with the hub ([`crate::plan`], [`btfgen_hub::record`]).
//! 3. Stage the missing files: write them into the hub's own folder, complete and named by their content ([`crate::staging`]).
//! 4. When all files are staged, rename them to their places. Readers are kept out during the renames.
//!
//! A fetch that ends before the last step leaves the hub's kernels unchanged, and the next fetch uses the staged files.

mod preview;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use btfgen_archive::KernelId;
use btfgen_hub::record::{RECORD, Record, RecordedFile, STAGING};
use btfgen_hub::{
    ChunkFile, ChunkPlace, Codenames, Error, ErrorKind, KernelFilter, LockedHub, Result, Waiting,
    forget_build_id, is_chunk, without_ending,
};
use git2::Oid;

use crate::address::Address;
use crate::codenames;
use crate::plan::{self, Bring, Item, Plan};
use crate::report::{Fetched, FetchedRepository, LeftOut, Transport};
use crate::session::{FetchProgress, Session};
use crate::source::Source;
use crate::staging::Staging;
use crate::store::NewStores;
use crate::target::usable;

/// The default repository of published BTFs.
pub const BTFHUB_ARCHIVE: &str = "https://github.com/aquasecurity/btfhub-archive";

/// Brings the kernels of repositories into a hub.
///
/// ```no_run
/// # fn main() -> Result<(), btfgen_hub::Error> {
/// let fetched = btfgen_fetch::Fetch::into_hub("/var/cache/btfhub")
///     .repository("https://github.com/aquasecurity/btfhub-archive")
///     .filter(btfgen_hub::KernelFilter::new().distro("ubuntu/20.04").arch("x86_64"))
///     .run()?;
/// println!("{} new kernels", fetched.added.len());
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Fetch<'a> {
    hub: PathBuf,
    repositories: Vec<String>,
    filter: KernelFilter,
    prune: bool,
    progress: Option<&'a dyn FetchProgress>,
    cancel: Option<&'a AtomicBool>,
}

impl std::fmt::Debug for Fetch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetch")
            .field("hub", &self.hub)
            .finish_non_exhaustive()
    }
}

impl<'a> Fetch<'a> {
    /// Fetches into the hub in this folder. A missing folder is created.
    pub fn into_hub(folder: impl Into<PathBuf>) -> Self {
        Self {
            hub: folder.into(),
            ..Self::default()
        }
    }

    /// Adds a repository: a git URL (https, ssh, git, `user@host:path`) or a folder. If several repositories have a kernel,
    /// the first one wins. The default is [`BTFHUB_ARCHIVE`].
    #[must_use]
    pub fn repository(mut self, address: impl Into<String>) -> Self {
        self.repositories.push(address.into());
        self
    }

    /// Fetches only kernels that pass the filter.
    #[must_use]
    pub fn filter(mut self, filter: KernelFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Whether to remove fetched kernels that pass the filter and that their repository no longer has; off by default. Files
    /// that changed since the fetch, or did not come from one of these repositories, always stay.
    #[must_use]
    pub fn prune(mut self, on: bool) -> Self {
        self.prune = on;
        self
    }

    /// Reports progress to `progress`.
    #[must_use]
    pub fn progress(mut self, progress: &'a dyn FetchProgress) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Stops soon after the flag is set, and leaves the hub's kernels unchanged.
    #[must_use]
    pub fn cancel(mut self, flag: &'a AtomicBool) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Runs the fetch. At its end it waits until nobody reads the hub. Drop every [`btfgen_hub::Hub`] of this hub before the call,
    /// because it counts as a reader.
    ///
    /// # Errors
    /// [`ErrorKind::Hub`], [`ErrorKind::Repository`], [`ErrorKind::Credentials`], [`ErrorKind::Certificate`],
    /// [`ErrorKind::InvalidName`] for an invalid address, [`ErrorKind::NoKernels`], [`ErrorKind::Io`],
    /// [`ErrorKind::Cancelled`]. After an error the hub's kernels are unchanged, and the files that were already transferred are
    /// kept for the next fetch.
    pub fn run(&self) -> Result<Fetched> {
        let session = Session::new(self.progress, self.cancel);
        let addresses = self.addresses()?;
        let hub = usable(&self.hub)?;
        let hub = LockedHub::lock(&hub, || session.waiting(Waiting::Writer))?;
        let record_path = hub.own(RECORD);
        let mut record = Record::read(&record_path)?;
        let stores = hub.own("repositories");
        let mut new = NewStores::default();
        let mut sources = open_all(&addresses, &stores, &mut new, &session)?;
        let codenames = codenames::read(hub.root(), &mut sources, &session)?;
        let mut plan = Plan::new(hub.root(), &sources, &self.filter, &codenames, &record)?;
        self.refuse_nothing(&plan, &sources, &codenames)?;
        new.keep_all();

        let staging = Staging::open(hub.own(STAGING))?;
        stage(
            &staging,
            &mut plan,
            &mut sources,
            &mut record,
            &session,
            Bring::is_chunk,
        )?;
        plan.leave_covered(|bring| staging.chunk(bring))?;
        let is_kernel = |bring: &Bring| !bring.is_chunk();
        stage(
            &staging,
            &mut plan,
            &mut sources,
            &mut record,
            &session,
            is_kernel,
        )?;
        if !plan.bring.is_empty() {
            staging.sync()?;
        }
        session.check()?;
        record.pending.extend(pending(&plan));
        record.write(&record_path)?;
        {
            let _alone = hub.exclude_readers(|| session.waiting(Waiting::Readers))?;
            for passed_over in staging.deliver(hub.root(), &plan.bring)?.into_iter().rev() {
                let user_has = plan.bring.remove(passed_over);
                record.pending.remove(&user_has.path);
                plan.kept.push(user_has.item);
            }
            plan.kept.sort();
            if self.prune {
                remove_gone(hub.root(), &mut plan, &record)?;
            }
            codenames::link(hub.root(), &codenames);
        }
        let fetched = self.finish(plan, &sources, &codenames, hub.root(), &mut record)?;
        record.write(&record_path)?;
        staging.close()?;
        Ok(fetched)
    }

    fn addresses(&self) -> Result<Vec<Address>> {
        if self.repositories.is_empty() {
            return Ok(vec![Address::parse(BTFHUB_ARCHIVE)?]);
        }
        let named = self.repositories.iter().map(|text| Address::parse(text));
        let mut addresses: Vec<Address> = named.collect::<Result<_>>()?;
        // Use a repository only once if it was named twice.
        let mut seen = BTreeSet::new();
        addresses.retain(|address| seen.insert(address.to_string()));
        Ok(addresses)
    }

    /// Fails if no kernel passes: the filter is wrong, or the repository is not an archive of kernels.
    fn refuse_nothing(&self, plan: &Plan, sources: &[Source], codenames: &Codenames) -> Result<()> {
        let names: Vec<&str> = sources.iter().map(|s| &*s.name).collect();
        let listed = sources.iter().flat_map(|s| s.listing.kernels.keys());
        let gone = plan.gone.iter().filter_map(|(item, _)| match item {
            Item::Kernel(kernel) => Some(kernel),
            Item::Chunk(_) => None,
        });
        let in_repositories = sources.iter().flat_map(|s| s.listing.chunks.keys());
        let gone_chunks = plan.gone.iter().filter_map(|(item, _)| match item {
            Item::Kernel(_) => None,
            Item::Chunk(place) => Some(place),
        });
        let chunks: Vec<ChunkPlace> = in_repositories.chain(gone_chunks).cloned().collect();
        let useless = plan
            .left_out
            .iter()
            .filter_map(|l| without_ending(&l.path)?.parse().ok());
        let useless: Vec<KernelId> = useless.collect();
        let kernels: Vec<&KernelId> = listed.chain(gone).chain(&useless).collect();
        if kernels.is_empty() && chunks.is_empty() && plan.left_out.is_empty() {
            let message = "has no files ID/VERSION/ARCH/RELEASE.btf.tar.xz or ID/VERSION/ARCH.btfs";
            let error = Error::new(ErrorKind::NoKernels, names.join(", "), message);
            return Err(error.with_help("name a repository with the layout of btfhub-archive"));
        }
        let names = names.join(", ");
        self.filter
            .check_with_chunks(names, kernels, &chunks, codenames)
    }

    fn finish(
        &self,
        plan: Plan,
        sources: &[Source],
        codenames: &Codenames,
        root: &Path,
        record: &mut Record,
    ) -> Result<Fetched> {
        let have = plan
            .have
            .iter()
            .filter(|(_, path, _)| !is_chunk(path.as_ref()));
        let in_chunks = plan.chunks.iter().map(|(_, chunk)| chunk.entries().len());
        let (kept, kept_chunks) = apart(plan.kept);
        let mut fetched = Fetched {
            unchanged: have.count() + in_chunks.sum::<usize>(),
            kept,
            collisions: plan.collisions,
            left_out: plan.left_out,
            ..Fetched::default()
        };
        fetched.chunks.kept = kept_chunks;
        for source in sources {
            let commit = source.commit.to_string();
            let recorded = record.repositories.entry(source.name.clone()).or_default();
            recorded.commit.clone_from(&commit);
            fetched.repositories.push(FetchedRepository {
                address: source.name.clone(),
                commit,
                transport: source.transport,
                received_bytes: source.received,
            });
        }
        for (source, path, file) in plan.have {
            record.set_file(&sources[source].name, &path, file);
        }
        for bring in plan.bring {
            let path = root.join(&bring.path);
            let metadata = path
                .symlink_metadata()
                .map_err(|e| Error::io(&path, "cannot be read", e))?;
            fetched.written_bytes += metadata.len();
            let file = RecordedFile::new(bring.blob.to_string(), &metadata);
            record.set_file(&sources[bring.source].name, &bring.path, file);
            let older = bring.older_chunk.as_deref();
            match bring.item {
                Item::Kernel(kernel) if bring.older.is_some() || older.is_some() => {
                    fetched.updated.push(kernel);
                }
                Item::Kernel(kernel) => fetched.added.push(kernel),
                Item::Chunk(place) => {
                    let chunk = ChunkFile::open(&path, place)?;
                    let passes = |k: &KernelId| self.filter.matches_any_name(k, codenames);
                    if !plan::kernels_of(&chunk).iter().all(passes) {
                        fetched.chunks.whole.push(bring.path.clone());
                    }
                    fetched.chunks.written.push(bring.path);
                    count_kernels(&mut fetched, &chunk, older);
                }
            }
        }
        fetched.added.sort();
        fetched.updated.sort();
        if self.prune {
            plan.gone.iter().for_each(|(_, path)| record.forget(path));
        }
        let (gone, gone_chunks) = apart(plan.gone.into_iter().map(|(item, _)| item));
        if self.prune {
            (fetched.pruned, fetched.chunks.pruned) = (gone, gone_chunks);
        } else {
            (fetched.gone, fetched.chunks.gone) = (gone, gone_chunks);
        }
        Ok(fetched)
    }
}

/// Kernels, and the paths of chunks.
fn apart(items: impl IntoIterator<Item = Item>) -> (Vec<KernelId>, Vec<String>) {
    let (mut kernels, mut chunks) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            Item::Kernel(kernel) => kernels.push(kernel),
            Item::Chunk(place) => chunks.push(place.to_string()),
        }
    }
    (kernels, chunks)
}

/// Counts the kernels of a new chunk, compared with those of the chunk that it replaced.
fn count_kernels(fetched: &mut Fetched, chunk: &ChunkFile, older: Option<&ChunkFile>) {
    for entry in chunk.entries() {
        let Some(kernel) = chunk.place().kernel(&entry.release) else {
            continue;
        };
        match older.and_then(|older| older.digest(&entry.release)) {
            None => fetched.added.push(kernel),
            Some(digest) if digest == entry.digest => fetched.unchanged += 1,
            Some(_) => fetched.updated.push(kernel),
        }
    }
}

fn open_all(
    addresses: &[Address],
    stores: &Path,
    new: &mut NewStores,
    session: &Session<'_>,
) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for address in addresses {
        let store = stores.join(address.slug());
        new.note(&store);
        let source = Source::open(address, &store, session)?;
        if source.transport == Transport::Shallow && !source.listing.is_empty() {
            // All its files have come. Keep them even if this fetch fails.
            new.keep(&store);
        }
        sources.push(source);
    }
    Ok(sources)
}

/// Stages the missing files among those of one kind. Removes files that are not kernels from the plan.
fn stage(
    staging: &Staging,
    plan: &mut Plan,
    sources: &mut [Source],
    record: &mut Record,
    session: &Session<'_>,
    is_of_kind: impl Fn(&Bring) -> bool,
) -> Result<()> {
    let mut paths: BTreeMap<Oid, Vec<String>> = BTreeMap::new();
    for bring in plan.bring.iter().filter(|b| is_of_kind(b)) {
        let of = paths.entry(bring.blob).or_default();
        of.push(bring.path.clone());
    }
    let paths_of = |blob: Oid| paths.get(&blob).into_iter().flatten();
    let missing: Vec<Vec<Oid>> = (0..sources.len())
        .map(|n| {
            let blobs = plan::blobs_of(&plan.bring, n);
            let mut missing = Vec::new();
            for blob in blobs {
                for path in paths_of(blob) {
                    if !staging.holds(blob, path)? {
                        missing.push(blob);
                        break;
                    }
                }
            }
            Ok(missing)
        })
        .collect::<Result<_>>()?;
    session.expect(missing.iter().map(Vec::len).sum());
    for (source, blobs) in sources.iter_mut().zip(&missing) {
        if blobs.is_empty() {
            continue;
        }
        let name = source.name.clone();
        let mut useless = Vec::new();
        source.contents(blobs, session, &mut |blob, content| {
            for path in paths_of(blob) {
                if let Some(why) = staging.put(blob, path, content)? {
                    useless.push((path.clone(), why));
                }
            }
            Ok(())
        })?;
        for (path, why) in useless {
            plan.bring.retain(|b| b.path != path);
            plan.left_out.push(LeftOut {
                path: path.clone(),
                why: why.why.clone(),
                broken: why.broken,
            });
            // A newer version may be able to read the chunk.
            if is_chunk(path.as_ref()) {
                continue;
            }
            let repository = record.repositories.entry(name.clone()).or_default();
            repository.useless.insert(path, why);
        }
    }
    Ok(())
}

/// The blobs of a plan, by path.
fn pending(plan: &Plan) -> impl Iterator<Item = (String, String)> {
    plan.bring
        .iter()
        .map(|b| (b.path.clone(), b.blob.to_string()))
}

/// Removes the kernels that the repositories no longer have. A file that has changed since the plan was made is now the user's
/// own, and stays.
fn remove_gone(root: &Path, plan: &mut Plan, record: &Record) -> Result<()> {
    let is_unchanged = |path: &str| {
        let now = root.join(path).symlink_metadata();
        let recorded = record.file(path);
        now.is_ok_and(|now| recorded.is_some_and(|r| r.is_unchanged(&now)))
    };
    plan.gone.retain(|(_, path)| is_unchanged(path));
    for (_, path) in &plan.gone {
        let file = root.join(path);
        let failed = |e| Error::io(&file, "cannot be removed", e);
        forget_build_id(&file).map_err(failed)?;
        std::fs::remove_file(&file).map_err(failed)?;
        for folder in Path::new(path).ancestors().skip(1) {
            // Keep the hub's folder and folders that are not empty.
            if folder.as_os_str().is_empty() || std::fs::remove_dir(root.join(folder)).is_err() {
                break;
            }
        }
    }
    Ok(())
}
