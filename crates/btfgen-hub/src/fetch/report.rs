//! What came of a fetch, or would.

use btfgen::KernelId;
use serde::{Serialize, Serializer};

/// How files come out of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Transport {
    /// It is a folder of this machine.
    Local,
    /// The `git` executable transfers only the files that are wanted (partial clone).
    Partial,
    /// libgit2, which is built in, transfers the last commit whole (shallow clone).
    Shallow,
}

/// What came of a fetch.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Fetched {
    /// The repositories, in the order in which they were named.
    pub repositories: Vec<FetchedRepository>,
    /// Kernels that the hub did not have.
    #[serde(serialize_with = "texts")]
    pub added: Vec<KernelId>,
    /// Kernels whose file is another one than before.
    #[serde(serialize_with = "texts")]
    pub updated: Vec<KernelId>,
    /// Number of kernels that were there as they are.
    pub unchanged: usize,
    /// Kernels that were removed, because the repository they came from has them no more.
    #[serde(serialize_with = "texts")]
    pub pruned: Vec<KernelId>,
    /// Kernels that would have been, but pruning was not asked for.
    #[serde(serialize_with = "texts")]
    pub gone: Vec<KernelId>,
    /// Kernels for which the hub has a file of its user's, which stays.
    #[serde(serialize_with = "texts")]
    pub kept: Vec<KernelId>,
    /// Kernels that several repositories have, with different contents.
    pub collisions: Vec<Collision>,
    /// Files that look like kernels' and were not taken.
    pub left_out: Vec<LeftOut>,
    /// Bytes of the files that are new in the hub.
    pub written_bytes: u64,
}

/// A repository that was fetched from.
#[derive(Debug, Clone, Serialize)]
pub struct FetchedRepository {
    /// Its address, without a password.
    pub address: String,
    /// The id of the commit.
    pub commit: String,
    /// How files come out of it.
    pub transport: Transport,
    /// Bytes of git packs that were transferred.
    pub received_bytes: u64,
}

/// What a fetch would bring.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Preview {
    /// The repositories, in the order in which they were named.
    pub repositories: Vec<PreviewedRepository>,
    /// Kernels that several repositories have, with different contents.
    pub collisions: Vec<Collision>,
}

/// What would come from a repository.
#[derive(Debug, Clone, Serialize)]
pub struct PreviewedRepository {
    /// Its address, without a password.
    pub address: String,
    /// How files would come out of it.
    pub transport: Transport,
    /// Number of kernels that would be new or different in the hub. An estimate where the whole repository would have to be
    /// transferred to list it.
    pub kernels: usize,
    /// Bytes that would be transferred, or for [`Transport::Local`] copied.
    pub bytes: u64,
    /// Whether the number of kernels is counted, not estimated.
    pub kernels_are_exact: bool,
    /// Whether the bytes are counted, not estimated from some of the files.
    pub bytes_are_exact: bool,
}

/// A kernel that more than one repository has.
#[derive(Debug, Clone, Serialize)]
pub struct Collision {
    /// The kernel.
    #[serde(serialize_with = "crate::text")]
    pub kernel: KernelId,
    /// The repository it was taken from: the first one named.
    pub taken_from: String,
    /// The one whose file was not.
    pub also_in: String,
}

/// A repository's file that was not taken.
#[derive(Debug, Clone, Serialize)]
pub struct LeftOut {
    /// Its path in the repository.
    pub path: String,
    /// The reason.
    pub why: String,
    /// Whether a kernel is missing for it. The others hold none: an empty file, say.
    pub broken: bool,
}

impl LeftOut {
    /// No kernel is missing for it.
    pub(super) fn useless(path: impl Into<String>, why: impl Into<String>) -> Self {
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
