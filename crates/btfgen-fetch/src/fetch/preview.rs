//! Computes what a fetch would bring, for `btfgen fetch --dry-run`.

use btfgen_files::TempFolder;
use btfgen_hub::record::{RECORD, Record};
use btfgen_hub::{Error, OWN_FOLDER, Result};
use git2::Oid;

use super::Fetch;
use crate::codenames;
use crate::plan::{self, Plan};
use crate::report::{Preview, PreviewedRepository};
use crate::session::Session;
use crate::source::Source;
use crate::target::usable;

/// The number of files from which the size of all files is estimated.
const SAMPLE: usize = 8;

impl Fetch<'_> {
    /// Says what [`Fetch::run`] would bring, and writes nothing into the hub. It transfers the lists of files, and some files if
    /// it needs them to estimate the size.
    ///
    /// # Errors
    /// As [`Fetch::run`].
    pub fn preview(&self) -> Result<Preview> {
        let session = Session::new(self.progress, self.cancel);
        let addresses = self.addresses()?;
        let temp_dir = std::env::temp_dir();
        let scratch = TempFolder::create_in(&temp_dir)
            .map_err(|e| Error::io(&temp_dir, "cannot be written to", e))?;
        let root = usable(&self.hub)?;
        let record = Record::read(&root.join(OWN_FOLDER).join(RECORD))?;
        let mut sources = Vec::new();
        let mut preview = Preview::default();
        // Repositories that can only be transferred as a whole.
        let mut whole = Vec::new();
        for (n, address) in addresses.iter().enumerate() {
            let store = scratch.path().join(n.to_string());
            let kept = root
                .join(OWN_FOLDER)
                .join("repositories")
                .join(address.slug());
            match Source::preview(address, &store, &kept, &session)? {
                Ok(source) => sources.push(source),
                Err(estimate) => whole.push((n, estimate)),
            }
        }
        let codenames = codenames::read(&root, &mut sources, &session.quiet())?;
        let mut plan = Plan::new(&root, &sources, &self.filter, &codenames, &record)?;
        // Chunks that have not come yet cannot tell their kernels.
        plan.leave_covered(|_| Ok(None))?;
        if whole.is_empty() {
            self.refuse_nothing(&plan, &sources, &codenames)?;
        }
        for (n, source) in sources.iter_mut().enumerate() {
            let blobs = plan::blobs_of(&plan.bring, n);
            let of_source = plan.bring.iter().filter(|b| b.source == n);
            let (chunks, kernels): (Vec<_>, Vec<_>) = of_source.partition(|b| b.is_chunk());
            let (bytes, bytes_are_exact) = sizes(source, &blobs, &session)?;
            preview.repositories.push(PreviewedRepository {
                address: source.name.clone(),
                transport: source.transport,
                kernels: kernels.len(),
                chunks: chunks.len(),
                bytes,
                kernels_are_exact: true,
                bytes_are_exact,
            });
        }
        for (n, estimate) in whole {
            preview.repositories.insert(n, estimate);
        }
        preview.collisions = plan.collisions;
        Ok(preview)
    }
}

/// The total size of blobs, and whether it is exact.
fn sizes(source: &mut Source, blobs: &[Oid], session: &Session<'_>) -> Result<(u64, bool)> {
    let known: Option<u64> = blobs.iter().map(|&blob| source.size(blob)).sum();
    if let Some(bytes) = known {
        return Ok((bytes, true));
    }
    // Files of one kernel series have similar sizes, so spread the sample over the list.
    let step = blobs.len().div_ceil(SAMPLE).max(1);
    let sample: Vec<Oid> = blobs.iter().copied().step_by(step).collect();
    let mut bytes = 0;
    source.contents(&sample, &session.quiet(), &mut |_, content| {
        bytes += content.map_or(0, <[u8]>::len) as u64;
        Ok(())
    })?;
    let all = bytes * blobs.len() as u64 / sample.len().max(1) as u64;
    Ok((all, sample.len() == blobs.len()))
}
