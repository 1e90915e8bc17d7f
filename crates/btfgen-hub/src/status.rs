//! What a hub contains, for `btfgen hub status`.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use walkdir::WalkDir;

use crate::error::{Error, Result};
use crate::hub::Hub;
use crate::hub_kernel::HubKernel;
use crate::lock::OWN_FOLDER;
use crate::record::{RECORD, Record, STAGING};
use crate::type_store::{STORE, TypeStore};

/// What a hub contains.
///
/// ```no_run
/// let status = btfgen_hub::Status::of("btfhub")?;
/// for count in &status.kernels {
///     println!("{} {} {}: {}", count.distro, count.version, count.arch, count.kernels);
/// }
/// # Ok::<(), btfgen_hub::Error>(())
/// ```
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The hub's folder.
    pub folder: PathBuf,
    /// The repositories that kernels were fetched from.
    pub repositories: Vec<RecordedRepository>,
    /// The kernels of each distribution, version and architecture.
    #[serde(rename = "counts")]
    pub kernels: Vec<KernelCount>,
    /// The number of kernels whose build id is known.
    pub build_ids: usize,
    /// The chunks, which contain some of the kernels.
    pub chunks: ChunkCount,
    /// The files with the BTFs of modules.
    pub modules: ModulesCount,
    /// The type store.
    pub store: StoreStatus,
    /// The disk space of the kernels and their modules, in bytes.
    pub kernel_bytes: u64,
    /// The disk space of what fetches keep for later fetches, in bytes.
    pub kept_bytes: u64,
    /// Number of files that an interrupted fetch has transferred; the next fetch uses them.
    pub unfinished: usize,
    /// Files that look like kernels but cannot be used.
    #[serde(skip)]
    pub rejected: Vec<Error>,
}

/// A repository from which kernels of a hub came.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct RecordedRepository {
    /// Its address, without a password.
    pub address: String,
    /// The commit at the last fetch.
    pub commit: String,
    /// The number of files of the hub that came from it.
    pub kernels: usize,
}

/// The chunks of a hub.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[non_exhaustive]
pub struct ChunkCount {
    /// The number of chunks.
    pub chunks: usize,
    /// The number of kernels in them. Some may also be files.
    pub kernels: usize,
    /// The sum of the chunks' sizes.
    pub bytes: u64,
    /// The sum of the sizes of the BTFs in them.
    pub btf_bytes: u64,
}

/// The modules of a hub's kernels.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[non_exhaustive]
pub struct ModulesCount {
    /// The number of kernels with modules.
    pub kernels: usize,
    /// The sum of the sizes of the modules' files.
    pub bytes: u64,
}

/// The type store of a hub.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct StoreStatus {
    /// Its file, which may be missing; `None` if there is no place for it.
    pub path: Option<PathBuf>,
    /// The size of the file in bytes; 0 if there is no usable file.
    pub bytes: u64,
    /// The number of the hub's kernels that the store has.
    pub kernels: usize,
    /// The number of the hub's kernels that the next pack has to read.
    pub missing: usize,
}

/// The kernels of one distribution, version and architecture.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct KernelCount {
    /// The distribution.
    pub distro: String,
    /// The distribution's version.
    pub version: String,
    /// The architecture.
    pub arch: String,
    /// The number of kernels.
    pub kernels: usize,
    /// The sum of their files' sizes, and of their shares of chunks.
    pub bytes: u64,
}

impl Status {
    /// Reads a hub.
    ///
    /// # Errors
    /// Those of [`Hub::open`], and if the record cannot be read.
    pub fn of(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let mut hub = Hub::open(&[folder])?;
        let rejected = hub.take_rejected();
        let record = Record::read(&folder.join(OWN_FOLDER).join(RECORD))?;
        let mut counts: BTreeMap<[&str; 3], (usize, u64)> = BTreeMap::new();
        for kernel in hub.kernels() {
            let id = kernel.id();
            let count = counts
                .entry([id.distro(), id.version(), id.arch()])
                .or_default();
            count.0 += 1;
            count.1 += kernel.file_bytes();
        }
        let counts = counts
            .into_iter()
            .map(|([distro, version, arch], (kernels, bytes))| KernelCount {
                distro: distro.to_owned(),
                version: version.to_owned(),
                arch: arch.to_owned(),
                kernels,
                bytes,
            });
        let repositories =
            record
                .repositories
                .iter()
                .map(|(address, repository)| RecordedRepository {
                    address: address.clone(),
                    commit: repository.commit.clone(),
                    kernels: repository.files.len(),
                });
        let staged = std::fs::read_dir(folder.join(OWN_FOLDER).join(STAGING));
        Ok(Self {
            folder: folder.to_owned(),
            repositories: repositories.collect(),
            kernels: counts.collect(),
            build_ids: hub.kernels().iter().filter(|k| k.has_build_id()).count(),
            chunks: chunk_count(&hub),
            modules: modules_count(&hub),
            store: store_status(&hub),
            kernel_bytes: disk_bytes(
                hub.kernels()
                    .iter()
                    .map(HubKernel::path)
                    .chain(hub.kernels().iter().filter_map(HubKernel::modules_path))
                    .chain(hub.chunks().iter().map(|chunk| chunk.path()))
                    .map(Path::to_owned),
            ),
            kept_bytes: disk_bytes(
                files_below(&folder.join(OWN_FOLDER)).filter(|file| !is_of_store(file)),
            ),
            unfinished: staged.map_or(0, Iterator::count),
            rejected,
        })
    }
}

/// Whether a file is the type store or lies beside it.
fn is_of_store(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().as_encoded_bytes();
    name.starts_with(STORE.as_bytes())
}

fn store_status(hub: &Hub) -> StoreStatus {
    let store = TypeStore::of(hub);
    let found = hub
        .kernels()
        .iter()
        .filter(|kernel| store.find(kernel).is_some());
    let kernels = found.count();
    StoreStatus {
        path: store.path().map(Path::to_owned),
        bytes: store.stored_bytes(),
        kernels,
        missing: hub.kernels().len() - kernels,
    }
}

fn modules_count(hub: &Hub) -> ModulesCount {
    let with = hub.kernels().iter().filter(|k| k.modules_path().is_some());
    ModulesCount {
        kernels: with.clone().count(),
        bytes: with.map(HubKernel::modules_file_bytes).sum(),
    }
}

fn chunk_count(hub: &Hub) -> ChunkCount {
    let mut count = ChunkCount::default();
    for chunk in hub.chunks() {
        count.chunks += 1;
        count.kernels += chunk.entries().len();
        count.bytes += chunk.file_bytes();
        count.btf_bytes += chunk.entries().iter().map(|e| e.btf_bytes).sum::<u64>();
    }
    count
}

fn files_below(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = WalkDir::new(folder).into_iter().flatten();
    entries.map(walkdir::DirEntry::into_path)
}

/// The disk space of files. A file with several names counts once.
fn disk_bytes(files: impl Iterator<Item = PathBuf>) -> u64 {
    // stat(2): this is the unit of st_blocks on every file system.
    const BLOCK: u64 = 512;
    let mut seen = BTreeSet::new();
    files
        .filter_map(|file| file.symlink_metadata().ok())
        .filter(|metadata| seen.insert((metadata.dev(), metadata.ino())))
        .map(|metadata| metadata.blocks() * BLOCK)
        .sum()
}
