//! Compares the builds of an archive's kernels with the running kernel's, because two builds can have the same release.

use std::io::{self, Read as _};

use btfgen_archive::{Archive, BuildId, BuildIds, KernelId};
use btfgen_files::open_regular;

use crate::error::{Error, ErrorKind};
use crate::host::describe_error;
use crate::lookup::Lookup;
use crate::step::{Rung, Steps};

/// The notes of the running kernel's image. In a container they are those of the host's kernel, which runs the container, too.
const NOTES: &str = "/sys/kernel/notes";

/// How much of the notes to read. A kernel's have some hundred bytes.
const MAX_NOTES_BYTES: u64 = 64 << 10;

/// The build id of the running kernel. `None` if the kernel has none, or if `/sys` is not mounted.
pub fn running_build_id() -> Option<BuildId> {
    read().ok().flatten()
}

fn read() -> io::Result<Option<BuildId>> {
    let mut notes = Vec::new();
    open_regular(NOTES.as_ref())?
        .take(MAX_NOTES_BYTES)
        .read_to_end(&mut notes)?;
    Ok(BuildId::from_notes(&notes, cfg!(target_endian = "little")))
}

/// The build ids of the host and of an archive's kernels.
pub(crate) struct Builds {
    host: Option<BuildId>,
    archive: BuildIds,
}

/// How a kernel's build compares with the host's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Build {
    /// One of the ids is not known.
    Unknown,
    Equal,
    Other,
}

impl Builds {
    /// Compares the ids of these kernels of the archive with the host's, which is only needed if any of them is known.
    pub(crate) fn compare(
        lookup: &Lookup<'_>,
        archive: &Archive<'_>,
        here: &[KernelId],
        steps: &mut Steps,
    ) -> btfgen_archive::Result<(Self, Vec<Build>)> {
        let archive = match here {
            [] => BuildIds::default(),
            _ => archive.build_ids()?,
        };
        let ids: Vec<Option<BuildId>> = here.iter().map(|kernel| archive.get(kernel)).collect();
        let host = match lookup.build_id {
            None if ids.iter().any(Option::is_some) && !lookup.is_elsewhere() => running(steps),
            named => named,
        };
        let compare = |id: Option<BuildId>| match (host, id) {
            (Some(host), Some(id)) if id.is_same_build(&host) => Build::Equal,
            (Some(_), Some(_)) => Build::Other,
            _ => Build::Unknown,
        };
        let compared = ids.into_iter().map(compare).collect();
        Ok((Self { host, archive }, compared))
    }

    /// The error for a kernel of another build. Adds a step.
    #[cold]
    pub(crate) fn refused(&self, kernel: &KernelId, rung: Rung, steps: &mut Steps) -> Error {
        let text = |id: Option<BuildId>| id.map(|id| id.short().to_string()).unwrap_or_default();
        let (id, host) = (text(self.archive.get(kernel)), text(self.host));
        steps.passed(
            rung,
            kernel,
            format_args!("refused: it is another build, {id}, and the host's kernel is {host}"),
        );
        let message = format!(
            "the archive's entry {kernel} is of another build of this kernel: its build id begins with {id}, the host's with \
             {host}; add the host's kernel to the hub, and pack again"
        );
        Error::new(ErrorKind::NotFound, message)
    }
}

/// The running kernel's id. Adds a step.
fn running(steps: &mut Steps) -> Option<BuildId> {
    let (id, outcome) = match read() {
        Ok(Some(id)) => (Some(id), format!("build id {id}")),
        Ok(None) => (None, "without a build id".to_owned()),
        Err(e) => (None, describe_error(&e)),
    };
    steps.passed(Rung::Host, NOTES, outcome);
    id
}
