//! Puts the build ids of a hub's kernels into an archive.

use btfgen_archive::Builder;
use btfgen_hub::{Error, ErrorKind, HubKernel, Result};

/// What [`identify`] returns.
pub(crate) struct Identified<'h> {
    pub(crate) kernels: Vec<&'h HubKernel>,
    pub(crate) builder: Builder,
    /// The errors of kernels whose id in the hub cannot be read. The archive would have them as any build of their release.
    pub(crate) left_out: Vec<Error>,
}

/// Adds the ids of kernels to the archive, as far as the hub has them.
///
/// # Errors
/// [`ErrorKind::Machine`].
pub(crate) fn identify<'h>(
    kernels: Vec<&'h HubKernel>,
    mut builder: Builder,
) -> Result<Identified<'h>> {
    let (mut identified, mut left_out) = (Vec::with_capacity(kernels.len()), Vec::new());
    for kernel in kernels {
        match kernel.build_id() {
            Ok(Some(id)) => builder = builder.build_id(kernel.id().clone(), id),
            Ok(None) => {}
            Err(e) if e.kind() == ErrorKind::Machine => return Err(e),
            Err(e) => {
                left_out.push(e);
                continue;
            }
        }
        identified.push(kernel);
    }
    Ok(Identified {
        kernels: identified,
        builder,
        left_out,
    })
}
