//! Compares the builds of an archive's kernels with the running kernel's, because two builds can have the same release.

use btfgen_archive::{Archive, BuildId, BuildIds, KernelId};
use btfgen_files::read_regular;

use crate::error::{Error, ErrorKind, Result};
use crate::host::describe_error;
use crate::lookup::Lookup;
use crate::step::{Rung, Steps};

/// The notes of the running kernel's image. In a container they are those of the host's kernel, which runs the container, too.
const NOTES: &str = "/sys/kernel/notes";

/// The largest file of notes to read. A kernel's have some hundred bytes.
const MAX_NOTES_BYTES: u64 = 64 << 10;

/// The build id of the running kernel. `None` if the kernel has none, or if `/sys` is not mounted.
pub fn running_build_id() -> Option<BuildId> {
    read().ok().flatten()
}

fn read() -> std::io::Result<Option<BuildId>> {
    let notes = read_regular(NOTES.as_ref(), MAX_NOTES_BYTES)?;
    Ok(BuildId::from_notes(&notes, cfg!(target_endian = "little")))
}

/// The host's build, and those of an archive's kernels.
pub(crate) struct Builds {
    host: Option<BuildId>,
    archive: BuildIds,
}

impl Builds {
    /// Reads the ids. The host's is only needed if the archive has the id of any of these kernels.
    pub(crate) fn read(
        lookup: &Lookup<'_>,
        archive: &Archive<'_>,
        here: &[KernelId],
        steps: &mut Steps,
    ) -> btfgen_archive::Result<Self> {
        let archive = match here {
            [] => BuildIds::default(),
            _ => archive.build_ids()?,
        };
        let is_needed = here.iter().any(|kernel| archive.get(kernel).is_some());
        let host = match lookup.build_id {
            Some(id) => Some(id),
            None if !is_needed || lookup.is_elsewhere() => None,
            None => running(steps),
        };
        Ok(Self { host, archive })
    }

    /// The host's build id, and the kernels that have it. `None` if the host's is not known.
    pub(crate) fn equal(&self, here: &[KernelId]) -> Option<(BuildId, Vec<KernelId>)> {
        let host = self.host?;
        let is_equal = |kernel: &&KernelId| {
            let id = self.archive.get(kernel);
            id.is_some_and(|id| id.is_same_build(&host))
        };
        Some((host, here.iter().filter(is_equal).cloned().collect()))
    }

    /// Refuses a kernel that is known to be of another build than the host's.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`].
    pub(crate) fn refuse_other(
        &self,
        kernel: &KernelId,
        rung: Rung,
        steps: &mut Steps,
    ) -> Result<()> {
        let (Some(host), Some(id)) = (self.host, self.archive.get(kernel)) else {
            return Ok(());
        };
        if id.is_same_build(&host) {
            return Ok(());
        }
        let host = host.short();
        let outcome =
            format!("refused: it is another build, {id}, and the host's kernel is {host}");
        steps.passed(rung, kernel, outcome);
        let message = format!(
            "the archive's entry {kernel} is of another build of this kernel: its build id begins with {id}, the host's with \
             {host}; add the host's kernel to the hub, and pack again"
        );
        Err(Error::new(ErrorKind::NotFound, message))
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
