//! All kernels of a hub, minimized and packed: what `btfgen pack` and a `build.rs` call.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use btfgen_archive::{Builder, KernelId, Manifest};
use btfgen_btf::ByteOrder;
use rayon::prelude::*;

use crate::claims::Claims;
use crate::error::{Error, ErrorKind, Result};
use crate::harvest::{Harvest, Packed, RefusedNeed, Totals};
use crate::hub::{Hub, HubKernel, default_hub};
use crate::kernel_file::{DEFAULT_MAX_BTF_BYTES, parse_kernel};
use crate::kernel_filter::KernelFilter;
use crate::linkable::{TargetArch, linkable_object};
use crate::minimize::{MinimizeError, Minimized, Minimizer};
use crate::needs::Needs;
use crate::object::Object;
use crate::output::{Output, Staged, commit};
use crate::threads::in_pool;

/// Packs the BTFs of a hub's kernels for some objects.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (object, hub) = (btfgen_testkit::object("execsnoop"), btfgen_testkit::sample_hub());
/// # let dir = tempfile::tempdir()?;
/// # let out = dir.path().join("btfs.tar.gz");
/// let packed = btfgen::Pack::new()
///     .object(object)
///     .hub(hub)
///     .filter(btfgen::KernelFilter::new().arch("x86_64"))
///     .write(&out)?;
/// for left_out in &packed.left_out {
///     println!("cargo::warning={left_out}");
/// }
/// # assert!(packed.left_out.is_empty() && !packed.kernels.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Pack<'a> {
    objects: Vec<PathBuf>,
    hubs: Vec<PathBuf>,
    filter: KernelFilter,
    prefix: Option<String>,
    copies: bool,
    files: Vec<(String, Vec<u8>)>,
    linkable: Option<(PathBuf, TargetArch)>,
    threads: usize,
    strict: bool,
    max_btf_bytes: Option<u64>,
    claims: Claims,
    progress: Option<&'a dyn Progress>,
    cancel: Option<&'a AtomicBool>,
}

impl std::fmt::Debug for Pack<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pack")
            .field("objects", &self.objects)
            .field("hubs", &self.hubs)
            .finish_non_exhaustive()
    }
}

/// Where it goes.
struct Outputs {
    archive: Output,
    linkable: Option<(Output, TargetArch)>,
}

/// An archive that is on the disk, but does not have its name yet: see [`Pack::prepare`].
#[derive(Debug)]
pub struct Prepared {
    packed: Packed,
    outputs: Vec<Staged>,
}

impl Prepared {
    /// What was packed.
    pub fn packed(&self) -> &Packed {
        &self.packed
    }

    /// Has another output of the same run take its name together with the archive.
    #[must_use]
    pub fn with(mut self, output: Staged) -> Self {
        // The archive is the last one: who sees it sees the others.
        self.outputs.insert(0, output);
        self
    }

    /// Has the archive take its name, and all that belongs to it.
    ///
    /// # Errors
    /// As [`commit`].
    pub fn commit(self) -> Result<Packed> {
        commit(self.outputs)?;
        Ok(self.packed)
    }
}

/// Is told how far the work is, from several threads.
pub trait Progress: Sync {
    /// The work begins, on so many kernels.
    fn start(&self, _kernels: usize) {}
    /// A kernel is done or left out.
    fn kernel(&self, _kernel: &KernelId, _error: Option<&Error>) {}
}

impl<'a> Pack<'a> {
    /// Nothing to pack yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an object file. The archive serves all objects that are added.
    #[must_use]
    pub fn object(mut self, path: impl Into<PathBuf>) -> Self {
        self.objects.push(path.into());
        self
    }

    /// Adds a hub; [`default_hub`] is taken if none is.
    #[must_use]
    pub fn hub(mut self, folder: impl Into<PathBuf>) -> Self {
        self.hubs.push(folder.into());
        self
    }

    /// Takes only kernels that pass.
    #[must_use]
    pub fn filter(mut self, filter: KernelFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Puts all entries of the archive below a folder.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Whether equal BTFs are stored once, with hard links for the other kernels; on unless switched off. Simple
    /// readers, as BCC's and bpf-compatible's, know no links.
    #[must_use]
    pub fn hard_links(mut self, on: bool) -> Self {
        self.copies = !on;
        self
    }

    /// Adds a file to the archive.
    #[must_use]
    pub fn file(mut self, name: impl Into<String>, content: Vec<u8>) -> Self {
        self.files.push((name.into(), content));
        self
    }

    /// Writes the archive also as an object to link with a C program; see [`linkable_object`].
    ///
    /// All that [`Pack::write`] promises for the archive holds for it. Both take their names at once, see [`commit`].
    #[must_use]
    pub fn linkable(mut self, path: impl Into<PathBuf>, arch: TargetArch) -> Self {
        self.linkable = Some((path.into(), arch));
        self
    }

    /// Number of threads; 0, the default, is one for each processor. The archive's bytes do not depend on it.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Whether one kernel that cannot be packed fails the whole, and one on which libbpf refuses to load an object; they are
    /// named otherwise, and the first kind is left out.
    #[must_use]
    pub fn strict(mut self, on: bool) -> Self {
        self.strict = on;
        self
    }

    /// The largest BTF to unpack, in bytes; [`DEFAULT_MAX_BTF_BYTES`] unless set.
    #[must_use]
    pub fn max_btf_bytes(mut self, bytes: u64) -> Self {
        self.max_btf_bytes = Some(bytes);
        self
    }

    /// Files that the caller reads and writes in the same run: none of the outputs may be one of them.
    #[must_use]
    pub fn claims(mut self, claims: Claims) -> Self {
        self.claims = claims;
        self
    }

    /// Reports progress here.
    #[must_use]
    pub fn progress(mut self, progress: &'a dyn Progress) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Stops soon after the flag is set; nothing is written then.
    #[must_use]
    pub fn cancel(mut self, flag: &'a AtomicBool) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Does the work, and writes the archive in one step at its end.
    ///
    /// # Errors
    /// Those of [`Pack::prepare`] and [`Prepared::commit`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<Packed> {
        self.prepare(path)?.commit()
    }

    /// Does the work, and writes the archive under a temporary name, for [`Prepared::commit`] to give it its own.
    ///
    /// # Errors
    /// [`ErrorKind::Output`] before the work starts if a file cannot be written, or is one of the others or an input; the
    /// errors of [`Object::open`] and [`Hub::open`], [`ErrorKind::EmptyHub`] if there is no kernel to pack, or none that could
    /// be, [`ErrorKind::Cancelled`], [`ErrorKind::Machine`]. With [`Pack::strict`] that of the first kernel.
    pub fn prepare(&self, path: impl AsRef<Path>) -> Result<Prepared> {
        let mut claims = self.claims.clone();
        let outputs = self.probe(path.as_ref(), &mut claims)?;
        let objects = self
            .objects
            .iter()
            .map(Object::open)
            .collect::<Result<_>>()?;
        let needs = Needs::new(objects);
        let mut hub = self.open_hub(&mut claims)?;
        let mut left_out = hub.take_rejected();
        let builder = self.builder(&needs, &outputs)?;
        let (kernels, too_long) = self.nameable(&builder, hub.kernels());
        left_out.extend(too_long);
        if self.strict && !left_out.is_empty() {
            return Err(left_out.swap_remove(0));
        }
        let harvest = self.minimize_all(&needs, &kernels)?;
        self.finish(&outputs, builder, needs, left_out, harvest)
    }

    fn probe(&self, path: &Path, claims: &mut Claims) -> Result<Outputs> {
        for object in &self.objects {
            claims.reads("the BPF object", object)?;
        }
        let archive = Output::probe(path)?;
        claims.writes("the archive", &archive)?;
        let mut linkable = None;
        if let Some((path, arch)) = &self.linkable {
            let output = Output::probe(path)?;
            claims.writes("the object to link", &output)?;
            linkable = Some((output, *arch));
        }
        Ok(Outputs { archive, linkable })
    }

    /// The archive to be, with all but the kernels.
    fn builder(&self, needs: &Needs, outputs: &Outputs) -> Result<Builder> {
        let bad = |e| outputs.bad_archive(e);
        let mut builder = Builder::new()
            .hard_links(!self.copies)
            .manifest(self.manifest(needs));
        if let Some(prefix) = &self.prefix {
            builder = builder.prefix(prefix).map_err(bad)?;
        }
        for (name, content) in &self.files {
            builder = builder.file(name, content.as_slice()).map_err(bad)?;
        }
        Ok(builder)
    }

    /// The kernels whose names an archive can hold, and errors for the others.
    fn nameable<'h>(
        &self,
        builder: &Builder,
        kernels: &'h [HubKernel],
    ) -> (Vec<&'h HubKernel>, Vec<Error>) {
        let (mut nameable, mut too_long) = (Vec::new(), Vec::new());
        for kernel in kernels {
            match builder.check_name(kernel.id()) {
                Ok(()) => nameable.push(kernel),
                Err(e) => {
                    let subject = kernel.path().display();
                    let message = "its name is too long for an archive";
                    let error = Error::new(ErrorKind::InvalidName, subject, message);
                    too_long.push(error.with_source(e));
                }
            }
        }
        (nameable, too_long)
    }

    fn open_hub(&self, claims: &mut Claims) -> Result<Hub> {
        let hubs = match (&*self.hubs, default_hub()) {
            ([], Some(hub)) => vec![hub],
            (hubs, _) => hubs.to_vec(),
        };
        let hub = Hub::open_waiting(&hubs, || self.go_on())?;
        claims.reads_hub(&hub)?;
        let all = hub.kernels().len();
        let mut hub = hub.filtered(&self.filter);
        if !hub.kernels().is_empty() {
            return Ok(hub);
        }
        let subject = hubs
            .iter()
            .map(|h| h.display().to_string())
            .collect::<Vec<_>>();
        let empty = |message: String| Error::new(ErrorKind::EmptyHub, subject.join(", "), message);
        Err(match (all, hub.take_rejected().into_iter().next()) {
            (0, Some(e)) => empty("the hub holds no kernel in its place".into()).with_source(e),
            (0, None) => empty("the hub holds no kernels".into())
                .with_help("`btfgen fetch` brings published kernels, `btfgen add` your own"),
            (n, _) => empty(format!("none of the hub's {n} kernels passes the filters"))
                .with_help("see which there are with `btfgen list`"),
        })
    }

    fn minimize_all(&self, needs: &Needs, kernels: &[&HubKernel]) -> Result<Harvest> {
        let minimizer = Minimizer::new(needs);
        if let Some(progress) = self.progress {
            progress.start(kernels.len());
        }
        // More threads would have nothing to do.
        let threads = self.threads.min(kernels.len());
        in_pool(threads, || {
            let harvest = self.harvest(needs, &minimizer, kernels)?;
            self.go_on()?;
            Ok(harvest)
        })
    }

    fn harvest(
        &self,
        needs: &Needs,
        minimizer: &Minimizer<'_>,
        kernels: &[&HubKernel],
    ) -> Result<Harvest> {
        let harvest = Mutex::new(Harvest::default());
        kernels.par_iter().try_for_each(|kernel| {
            self.go_on()?;
            let one = self.minimize(minimizer, kernel);
            if let Some(progress) = self.progress {
                progress.kernel(kernel.id(), one.as_ref().err());
            }
            let mut harvest = harvest.lock().unwrap_or_else(PoisonError::into_inner);
            match one {
                Ok((full, order, minimized)) => {
                    harvest.add(needs, kernel.id().clone(), full, order, minimized);
                }
                // The kernel may be sound: an archive without it would only look whole.
                Err(e) if self.strict || e.kind() == ErrorKind::Machine => return Err(e),
                Err(e) => harvest.left_out.push((kernel.id().clone(), e)),
            }
            Ok(())
        })?;
        Ok(harvest.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn minimize(
        &self,
        minimizer: &Minimizer<'_>,
        kernel: &HubKernel,
    ) -> Result<(u64, ByteOrder, Minimized)> {
        let bytes = kernel.read(self.max_btf_bytes.unwrap_or(DEFAULT_MAX_BTF_BYTES))?;
        let full = bytes.len() as u64;
        let btf = parse_kernel(kernel.path(), bytes)?;
        let minimized = minimizer
            .minimize(&btf)
            .map_err(|e| refused(kernel.path(), e))?;
        Ok((full, btf.byte_order(), minimized))
    }

    fn finish(
        &self,
        outputs: &Outputs,
        mut builder: Builder,
        needs: Needs,
        mut left_out: Vec<Error>,
        mut harvest: Harvest,
    ) -> Result<Prepared> {
        let refused = harvest.refused();
        harvest.left_out.sort_by(|a, b| a.0.cmp(&b.0));
        left_out.extend(harvest.left_out.into_iter().map(|(_, e)| e));
        if harvest.kernels.is_empty() {
            let none = Error::new(
                ErrorKind::EmptyHub,
                outputs.archive.path().display(),
                "not written: none of the kernels could be packed",
            );
            return Err(match left_out.into_iter().next() {
                Some(first) => none.with_source(first),
                None => none,
            });
        }
        if let (true, Some(first)) = (self.strict, refused.first()) {
            return Err(refused_by_libbpf(&needs, first));
        }
        harvest.kernels.sort_by(|a, b| a.0.kernel.cmp(&b.0.kernel));
        let mut totals = Totals {
            distinct_btfs: harvest.contents.len(),
            outcome_sets: harvest.outcome_sets.len(),
            ..Totals::default()
        };
        let mut kernels = Vec::with_capacity(harvest.kernels.len());
        for (kernel, btf) in harvest.kernels {
            totals.kernels += 1;
            totals.full_bytes += kernel.full_bytes;
            totals.minimal_bytes += kernel.minimal_bytes;
            totals.largest_btf_bytes = totals.largest_btf_bytes.max(kernel.full_bytes);
            builder = builder
                .add(kernel.kernel.clone(), btf)
                .map_err(|e| outputs.bad_archive(e))?;
            kernels.push(kernel);
        }
        let mut archive = Vec::new();
        let summary = builder
            .write(&mut archive)
            .map_err(|e| outputs.bad_archive(e))?;
        totals.archive_bytes = summary.archive_bytes;
        let mut staged = Vec::new();
        if let Some((output, arch)) = &outputs.linkable {
            staged.push(output.stage(linkable_object(&archive, *arch)?)?);
        }
        staged.push(outputs.archive.stage(archive)?);
        self.go_on()?;
        let found = harvest.found;
        let is_refused = |need: usize| refused.iter().any(|r| r.need == need);
        let unresolved = (0..needs.len())
            .filter(|&i| !found.get(i).copied().unwrap_or(false) && !is_refused(i))
            .collect();
        Ok(Prepared {
            packed: Packed {
                kernels,
                left_out,
                needs,
                unresolved,
                refused,
                totals,
            },
            outputs: staged,
        })
    }

    fn manifest(&self, needs: &Needs) -> Manifest {
        let asking = needs
            .objects()
            .iter()
            .filter(|o| !o.relocations().is_empty());
        let mut objects: Vec<u32> = asking.map(Needs::digest).collect();
        objects.sort_unstable();
        objects.dedup();
        Manifest {
            tool: concat!("btfgen ", env!("CARGO_PKG_VERSION")).to_owned(),
            options: if self.copies {
                vec!["no-hard-links".to_owned()]
            } else {
                Vec::new()
            },
            objects,
        }
    }

    /// Fails when the caller has asked to stop.
    fn go_on(&self) -> Result<()> {
        if self.cancel.is_some_and(|c| c.load(Ordering::Relaxed)) {
            let message = "stopped; nothing was written";
            return Err(Error::new(ErrorKind::Cancelled, "pack", message));
        }
        Ok(())
    }
}

impl Outputs {
    fn bad_archive(&self, e: btfgen_archive::Error) -> Error {
        let subject = self.archive.path().display();
        Error::new(ErrorKind::Archive, subject, "cannot be packed").with_source(e)
    }
}

fn refused_by_libbpf(needs: &Needs, refused: &RefusedNeed) -> Error {
    let need = needs.get(refused.need).map(ToString::to_string);
    let kernel = refused.kernels.first().map(ToString::to_string);
    let message = format!(
        "libbpf refuses to load an object with the relocation {}: {}",
        need.unwrap_or_default(),
        refused.reason
    );
    Error::new(ErrorKind::Refused, kernel.unwrap_or_default(), message)
}

pub(crate) fn refused(path: &Path, e: MinimizeError) -> Error {
    let kind = match e {
        _ if e.is_machine_fault() => ErrorKind::Machine,
        MinimizeError::Damaged(_) => ErrorKind::InvalidKernel,
        MinimizeError::Inexpressible(_) => ErrorKind::Unsupported,
        MinimizeError::Unproven { .. } => ErrorKind::Unproven,
    };
    Error::new(kind, path.display(), "cannot be minimized").with_source(e)
}
