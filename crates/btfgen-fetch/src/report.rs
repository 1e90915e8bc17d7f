//! The results of a fetch and of a preview.

use btfgen_archive::KernelId;
use serde::{Serialize, Serializer};

/// How files are transferred from a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Transport {
    /// The repository is a local folder, so files are copied.
    Local,
    /// The `git` executable transfers only the selected files (partial clone).
    Partial,
    /// The built-in libgit2 transfers the whole last commit (shallow clone).
    Shallow,
}

/// The result of a fetch.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Fetched {
    /// The repositories, in the order in which they were added.
    pub repositories: Vec<FetchedRepository>,
    /// Kernels that the hub did not have.
    #[serde(serialize_with = "texts")]
    pub added: Vec<KernelId>,
    /// Kernels whose file changed.
    #[serde(serialize_with = "texts")]
    pub updated: Vec<KernelId>,
    /// Number of kernels that were up to date.
    pub unchanged: usize,
    /// Kernels that were removed, because their repository no longer has them.
    #[serde(serialize_with = "texts")]
    pub pruned: Vec<KernelId>,
    /// Kernels that their repository no longer has, and that stay because [`Fetch::prune`](crate::Fetch::prune) is off.
    #[serde(serialize_with = "texts")]
    pub gone: Vec<KernelId>,
    /// Kernels for which the hub has the user's own file, which stays.
    #[serde(serialize_with = "texts")]
    pub kept: Vec<KernelId>,
    /// What happened to chunks. Their kernels are in the fields above.
    pub chunks: FetchedChunks,
    /// Kernels with different contents in several repositories.
    pub collisions: Vec<Collision>,
    /// Files that look like kernels and were left out.
    pub left_out: Vec<LeftOut>,
    /// Bytes of the added and updated files.
    pub written_bytes: u64,
}

/// What a fetch did with chunks, by their paths in the hub.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct FetchedChunks {
    /// Chunks that were written.
    pub written: Vec<String>,
    /// Written chunks of which some kernels do not pass the filter: a chunk comes as a whole.
    pub whole: Vec<String>,
    /// Chunks that were removed, because their repository no longer has them.
    pub pruned: Vec<String>,
    /// Chunks that their repository no longer has, and that stay because [`Fetch::prune`](crate::Fetch::prune) is off.
    pub gone: Vec<String>,
    /// Chunks for which the hub has the user's own chunk, which stays.
    pub kept: Vec<String>,
}

/// A repository that was fetched from.
#[derive(Debug, Clone, Serialize)]
pub struct FetchedRepository {
    /// Its address, without a password.
    pub address: String,
    /// The id of the commit.
    pub commit: String,
    /// How its files are transferred.
    pub transport: Transport,
    /// Bytes of git packs that were transferred.
    pub received_bytes: u64,
}

/// What a fetch would bring.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Preview {
    /// The repositories, in the order in which they were added.
    pub repositories: Vec<PreviewedRepository>,
    /// Kernels with different contents in several repositories.
    pub collisions: Vec<Collision>,
}

/// What a fetch would bring from a repository.
#[derive(Debug, Clone, Serialize)]
pub struct PreviewedRepository {
    /// Its address, without a password.
    pub address: String,
    /// How its files would be transferred.
    pub transport: Transport,
    /// Number of kernels that would be added or updated. This is an estimate if only a transfer of the whole repository would
    /// give its list of files.
    pub kernels: usize,
    /// Number of chunks that would be added or updated. Only a transfer tells how many kernels they have.
    pub chunks: usize,
    /// Bytes that would be transferred, or copied with [`Transport::Local`].
    pub bytes: u64,
    /// Whether the number of kernels is exact, not an estimate.
    pub kernels_are_exact: bool,
    /// Whether the bytes are exact, not an estimate from some of the files.
    pub bytes_are_exact: bool,
}

/// A kernel with different contents in two repositories.
#[derive(Debug, Clone, Serialize)]
pub struct Collision {
    /// The kernel.
    #[serde(serialize_with = "text")]
    pub kernel: KernelId,
    /// The repository whose file is used: the first one that was added.
    pub taken_from: String,
    /// The repository whose file is not used.
    pub also_in: String,
}

/// A repository's file that was left out.
#[derive(Debug, Clone, Serialize)]
pub struct LeftOut {
    /// Its path in the repository.
    pub path: String,
    /// The reason.
    #[serde(rename = "reason")]
    pub why: String,
    /// Whether a kernel is missing because of it. If not, the file contains no kernel, for instance because it is empty.
    pub broken: bool,
}

impl LeftOut {
    /// A file that is left out without a missing kernel.
    pub(crate) fn useless(path: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            why: why.into(),
            broken: false,
        }
    }
}

fn texts<S: Serializer>(kernels: &[KernelId], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(kernels.iter().map(ToString::to_string))
}

fn text<S: Serializer>(kernel: &KernelId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(kernel)
}
