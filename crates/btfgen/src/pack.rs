//! Minimizes and packs all kernels of a hub, for `btfgen pack` and for a `build.rs`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use btfgen_archive::{Builder, KernelId, Manifest};
use btfgen_facts::Fact;
use btfgen_hub::{
    DEFAULT_MAX_BTF_BYTES, Error, ErrorKind, Hub, HubKernel, KernelFilter, Progress, Result,
    TypeStore, default_hub, in_pool,
};

use crate::build_ids::{Identified, identify};
use crate::check::{self, Support};
use crate::claims::Claims;
use crate::facts::{Asked, Asking, Facts};
use crate::harvest::Harvest;
use crate::linkable::{TargetArch, linkable_object};
use crate::lists::ListAnswers;
use crate::loadable::loadable;
use crate::matrix::Matrix;
use crate::modules::ModuleChoice;
use crate::needs::{Need, Needs};
use crate::object::Object;
use crate::output::{Output, commit};
use crate::packed::{Packed, PackedKernel, StoreReport, Totals};
use crate::questions::Questions;
use crate::ranges::Places;
use crate::work::{Failure, Work};

/// Packs the BTFs of a hub's kernels for some objects.
///
/// ```no_run
/// let packed = btfgen::Pack::new()
///     .object("app.bpf.o")
///     .hub("btfhub")
///     .filter(btfgen::KernelFilter::new().arch("x86_64"))
///     .write("btfs.tar.gz")?;
/// for left_out in &packed.left_out {
///     println!("cargo::warning={left_out}");
/// }
/// # Ok::<(), btfgen::Error>(())
/// ```
///
/// Objects and a hub may also be values, and so may the archive:
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bytes = std::fs::read("app.bpf.o")?;
/// let packed = btfgen::Pack::new()
///     .parsed_object(btfgen::Object::parse("app.bpf.o", &bytes)?)
///     .opened_hub(btfgen::Hub::open(&["btfhub"])?)
///     .build()?;
/// let archive = btfgen::archive::Archive::from_bytes(packed.archive())?;
/// println!("{} kernels", archive.kernels()?.len());
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Pack<'a> {
    objects: Vec<ObjectSource>,
    hub: HubSource,
    filter: KernelFilter,
    prefix: Option<String>,
    copies: bool,
    files: Vec<(String, Vec<u8>)>,
    facts: Vec<Fact>,
    linkable: Option<(PathBuf, TargetArch)>,
    threads: usize,
    strict: bool,
    max_btf_bytes: Option<u64>,
    claims: Claims,
    store: StoreUse,
    modules: ModuleChoice,
    progress: Option<&'a dyn Progress>,
    cancel: Option<&'a AtomicBool>,
}

/// How a pack uses the hub's type store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreUse {
    /// Reads what it has, and adds what it lacks.
    #[default]
    Kept,
    /// Reads nothing: every kernel is read, its full BTF is asked everything, and a new store is written.
    Cold,
    /// Neither reads nor writes it. Only the types that the objects ask for are looked at.
    None,
}

/// What the outcomes of the kernels are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Pack,
    Check,
}

/// The outcomes of all kernels, and what they are for.
struct Gathered {
    hub: Hub,
    builder: Builder,
    needs: Needs,
    left_out: Vec<Error>,
    harvest: Harvest,
    store: StoreReport,
}

#[derive(Debug)]
enum ObjectSource {
    File(PathBuf),
    Parsed(Box<Object>),
}

#[derive(Debug)]
enum HubSource {
    /// Without folders, [`default_hub`] is used.
    Folders(Vec<PathBuf>),
    Opened(Box<Hub>),
}

impl Default for HubSource {
    fn default() -> Self {
        Self::Folders(Vec::new())
    }
}

impl std::fmt::Debug for Pack<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pack")
            .field("objects", &self.objects)
            .field("hub", &self.hub)
            .finish_non_exhaustive()
    }
}

impl<'a> Pack<'a> {
    /// Creates a pack without objects.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an object file. The archive serves all added objects.
    #[must_use]
    pub fn object(mut self, path: impl Into<PathBuf>) -> Self {
        self.objects.push(ObjectSource::File(path.into()));
        self
    }

    /// Adds an object that the caller has parsed, for instance from bytes with [`Object::parse`].
    #[must_use]
    pub fn parsed_object(mut self, object: Object) -> Self {
        self.objects.push(ObjectSource::Parsed(Box::new(object)));
        self
    }

    /// Adds a hub's folder. Without any, [`default_hub`] is used. Replaces [`Pack::opened_hub`].
    #[must_use]
    pub fn hub(mut self, folder: impl Into<PathBuf>) -> Self {
        match &mut self.hub {
            HubSource::Folders(folders) => folders.push(folder.into()),
            HubSource::Opened(_) => self.hub = HubSource::Folders(vec![folder.into()]),
        }
        self
    }

    /// Uses a hub that the caller has opened. Replaces [`Pack::hub`].
    #[must_use]
    pub fn opened_hub(mut self, hub: Hub) -> Self {
        self.hub = HubSource::Opened(Box::new(hub));
        self
    }

    /// Packs only kernels that pass the filter.
    #[must_use]
    pub fn filter(mut self, filter: KernelFilter) -> Self {
        self.filter = filter;
        self
    }

    /// Puts all entries of the archive into this folder.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Whether to store equal BTFs once, with hard links for the other kernels. The default is true. Simple readers, such as
    /// those of BCC and bpf-compatible, cannot read links.
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

    /// Adds a fact. The archive then has each kernel's answer to it, which the program finds together with the BTF.
    ///
    /// ```no_run
    /// let packed = btfgen::Pack::new()
    ///     .object("app.bpf.o")
    ///     .hub("btfhub")
    ///     .fact("task_struct.__state | task_struct.state".parse()?)
    ///     .write("btfs.tar.gz")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A fact that no kernel has is not an error: see [`Facts::unknown`](crate::Facts::unknown) of [`Packed::facts`].
    #[must_use]
    pub fn fact(mut self, fact: Fact) -> Self {
        self.facts.push(fact);
        self
    }

    /// Also writes the archive as an object to link with a C program; see [`linkable_object`].
    ///
    /// [`Pack::write`] promises the same for this file as for the archive. Both take their names together; only if
    /// their folders cannot be locked within five seconds, the outputs of two simultaneous runs may mix.
    #[must_use]
    pub fn linkable(mut self, path: impl Into<PathBuf>, arch: TargetArch) -> Self {
        self.linkable = Some((path.into(), arch));
        self
    }

    /// The number of threads. 0, the default, means one for each processor. The archive's bytes do not depend on it.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Whether the pack fails if a kernel cannot be packed, or if libbpf refuses to load an object on a kernel. Otherwise,
    /// such kernels are named in the result, and kernels that cannot be packed are left out.
    #[must_use]
    pub fn strict(mut self, on: bool) -> Self {
        self.strict = on;
        self
    }

    /// The largest BTF to unpack, in bytes. The default is [`DEFAULT_MAX_BTF_BYTES`].
    #[must_use]
    pub fn max_btf_bytes(mut self, bytes: u64) -> Self {
        self.max_btf_bytes = Some(bytes);
        self
    }

    /// Files that the caller reads and writes in the same run. No output may be one of these files.
    #[must_use]
    pub fn claims(mut self, claims: Claims) -> Self {
        self.claims = claims;
        self
    }

    /// Takes types that the kernel itself does not have only from this module, and from others that are named. By default, the
    /// types of all modules count that the hub has. If several modules define a name differently, libbpf refuses an object that
    /// asks where they disagree, as it does on a kernel with all these modules loaded; see [`Packed::module_types`].
    #[must_use]
    pub fn module(mut self, name: impl AsRef<str>) -> Self {
        self.modules.add(name.as_ref());
        self
    }

    /// How the hub's type store is used: [`StoreUse::Kept`] by default. The archive's bytes do not depend on it.
    #[must_use]
    pub fn store(mut self, store: StoreUse) -> Self {
        self.store = store;
        self
    }

    /// Reports the progress to `progress`.
    #[must_use]
    pub fn progress(mut self, progress: &'a dyn Progress) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Stops soon after the flag is set. Then nothing is written.
    #[must_use]
    pub fn cancel(mut self, flag: &'a AtomicBool) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// The paths for `cargo::rerun-if-changed`: the object files and the folders of the hubs. cargo looks into a
    /// [folder][cargo] and all folders in it, so it notices kernels that are new, changed or gone. It also runs the script
    /// again after a `btfgen fetch` or `btfgen add` that brought nothing, because these commands write to a hidden folder of
    /// the hub. A pack keeps its type store in that folder, with the times that were there before, so cargo does not notice it.
    ///
    /// An object below `$OUT_DIR` is not in the list, because the script itself makes it at each run: let cargo watch its
    /// sources. If the pack names no hub, the script also depends on the variables of [`default_hub`]: see
    /// `cargo::rerun-if-env-changed`.
    ///
    /// ```no_run
    /// // build.rs
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let pack = btfgen::Pack::new().object("app.bpf.o").hub("btfhub");
    ///     for path in pack.rerun_if_changed() {
    ///         println!("cargo::rerun-if-changed={}", path.display());
    ///     }
    ///     let out = std::path::Path::new(&std::env::var("OUT_DIR")?).join("btfs.tar.gz");
    ///     pack.write(out)?;
    ///     Ok(())
    /// }
    /// ```
    ///
    /// [cargo]: https://doc.rust-lang.org/cargo/reference/build-scripts.html#rerun-if-changed
    pub fn rerun_if_changed(&self) -> Vec<PathBuf> {
        let made_in = std::env::var_os("OUT_DIR");
        let is_made = |path: &Path| made_in.as_ref().is_some_and(|out| path.starts_with(out));
        let files = self.objects.iter().filter_map(|object| match object {
            ObjectSource::File(path) if !is_made(path) => Some(path.clone()),
            ObjectSource::File(_) | ObjectSource::Parsed(_) => None,
        });
        let hubs = match &self.hub {
            HubSource::Folders(folders) => or_default(folders),
            HubSource::Opened(hub) => hub.folders().map(Path::to_owned).collect(),
        };
        files.chain(hubs).collect()
    }

    /// Does the work, and writes the archive in one step at the end.
    ///
    /// # Errors
    /// [`ErrorKind::Output`] before the work starts if a file cannot be written, or is an input or another output; those of
    /// [`Pack::build`].
    pub fn write(mut self, path: impl AsRef<Path>) -> Result<Packed> {
        let archive = Output::probe(path.as_ref())?;
        self.claims.writes("the archive", &archive)?;
        let mut linkable = None;
        if let Some((path, arch)) = &self.linkable {
            let output = Output::probe(path)?;
            self.claims.writes("the object to link", &output)?;
            linkable = Some((output, *arch));
        }
        let cancel = self.cancel;
        let packed = self.build()?;
        let mut outputs = Vec::new();
        if let Some((output, arch)) = linkable {
            outputs.push(output.stage(&linkable_object(packed.archive(), arch)?)?);
        }
        // The archive takes its name last, so a program that sees the archive also sees the object.
        outputs.push(archive.stage(packed.archive())?);
        go_on(cancel)?;
        commit(outputs)?;
        Ok(packed)
    }

    /// Does the work, but writes no file. The archive is in [`Packed::archive`].
    ///
    /// # Errors
    /// [`ErrorKind::Output`] if the caller claimed to write an input; the errors of [`Object::open`] and [`Hub::open`];
    /// [`ErrorKind::EmptyHub`] if there is no kernel to pack, or none could be packed; [`ErrorKind::Archive`] if an archive
    /// cannot have the prefix or a file, or two facts have one name; [`ErrorKind::Cancelled`]; [`ErrorKind::Machine`]. With [`Pack::strict`], the error
    /// of the first kernel, in the order of their ids.
    pub fn build(mut self) -> Result<Packed> {
        let Gathered {
            hub,
            builder,
            needs,
            left_out,
            harvest,
            store,
        } = self.gather(Purpose::Pack)?;
        let mut packed = self.finish(&hub, builder, needs, left_out, harvest)?;
        packed.store = store;
        Ok(packed)
    }

    /// Does the work, but instead of an archive gives on which of the kernels the objects load, and what breaks where. Kernels of
    /// another byte order than the objects are not left out.
    ///
    /// ```no_run
    /// let support = btfgen::Pack::new().object("app.bpf.o").hub("btfhub").check()?;
    /// for object in &support.objects {
    ///     let kernels = support.kernels_with(object, btfgen::Verdict::Loads);
    ///     println!("{} loads on {} kernels", object.name, kernels.len());
    ///     for finding in support.findings(object) {
    ///         println!("{}: {}", support.needs[finding.need], finding.reason);
    ///     }
    /// }
    /// # Ok::<(), btfgen::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Pack::build`]. With [`Pack::strict`], only kernels that cannot be checked are errors.
    pub fn check(mut self) -> Result<Support> {
        let Gathered {
            hub,
            needs,
            mut left_out,
            harvest,
            store,
            ..
        } = self.gather(Purpose::Check)?;
        let Harvest {
            matrix,
            modules,
            reasons,
            layouts,
            functions,
            left_out: failed,
            ..
        } = harvest;
        left_out.extend(failed.into_iter().map(|(_, e)| e));
        let matrix = matrix.finish(needs.iter().map(Need::asked).collect());
        if matrix.kernels().len() == 0 {
            return Err(none_of(&hub, "checked", left_out));
        }
        let groups = check::groups(&matrix, reasons);
        Ok(Support {
            functions: check::by_function(check::names(&needs), functions),
            objects: in_pool(self.threads, || check::objects(&needs, &matrix, &groups)),
            module_types: modules.finish(),
            needs,
            places: Places::new(
                matrix.kernels(),
                groups.iter().map(|group| group.kernels.as_slice()),
            ),
            matrix,
            groups,
            layouts,
            left_out,
            store,
        })
    }

    /// Finds the outcomes of all kernels.
    fn gather(&mut self, purpose: Purpose) -> Result<Gathered> {
        let objects = std::mem::take(&mut self.objects);
        for object in &objects {
            if let ObjectSource::File(path) = object {
                self.claims.reads("the BPF object", path)?;
            }
        }
        let objects = objects.into_iter().map(|object| match object {
            ObjectSource::File(path) => Object::open(path),
            ObjectSource::Parsed(object) => Ok(*object),
        });
        let needs = Needs::new(objects.collect::<Result<_>>()?);
        let (mut hub, mut store) = self.open_hub()?;
        let mut left_out = hub.take_rejected();
        let builder = self.builder(&needs).map_err(unpacked)?;
        let (mut kernels, too_long) = nameable(&builder, hub.kernels());
        left_out.extend(too_long);
        if purpose == Purpose::Pack {
            let max_btf_bytes = self.max_btf_bytes.unwrap_or(DEFAULT_MAX_BTF_BYTES);
            let (loadable, other_order) = loadable(&needs, kernels, max_btf_bytes);
            left_out.extend(other_order);
            kernels = loadable;
        }
        let Identified {
            kernels,
            builder,
            left_out: unidentified,
        } = identify(kernels, builder)?;
        left_out.extend(unidentified);
        if self.strict && !left_out.is_empty() {
            return Err(left_out.swap_remove(0));
        }
        let mut harvest = self.minimize_all(&store, &needs, &kernels, purpose);
        if let Err(Failure::Stale(_)) = harvest {
            store = store.anew();
            harvest = self.minimize_all(&store, &needs, &kernels, purpose);
        }
        let harvest = harvest.map_err(Failure::into_error)?;
        // The store only saves work, so a run that cannot keep it is as good.
        let (written_bytes, failure) = match store.save() {
            Ok(written) => (written, None),
            Err(e) => (None, Some(e)),
        };
        let store = StoreReport {
            known: harvest.known,
            alone: harvest.alone,
            written_bytes,
            failure,
        };
        Ok(Gathered {
            hub,
            builder,
            needs,
            left_out,
            harvest,
            store,
        })
    }

    /// The archive without the kernels.
    fn builder(&self, needs: &Needs) -> btfgen_archive::Result<Builder> {
        let mut builder = Builder::new()
            .hard_links(!self.copies)
            .manifest(self.manifest(needs))
            .facts(self.facts.clone())?;
        if let Some(prefix) = &self.prefix {
            builder = builder.prefix(prefix)?;
        }
        for (name, content) in &self.files {
            builder = builder.file(name, content.as_slice())?;
        }
        Ok(builder)
    }

    /// The kernels to pack, and the type store of the whole hub.
    fn open_hub(&mut self) -> Result<(Hub, TypeStore)> {
        let hub = match std::mem::take(&mut self.hub) {
            HubSource::Folders(folders) => {
                Hub::open_waiting(&or_default(&folders), || go_on(self.cancel))?
            }
            HubSource::Opened(hub) => *hub,
        };
        self.claims.reads_hub(&hub)?;
        let store = match self.store {
            StoreUse::Kept => TypeStore::of(&hub),
            StoreUse::Cold => TypeStore::new_of(&hub),
            StoreUse::None => TypeStore::in_memory(),
        };
        let mut hub = hub.filtered(&self.filter)?;
        if !hub.kernels().is_empty() {
            return Ok((hub, store));
        }
        Err(match hub.take_rejected().into_iter().next() {
            Some(e) => empty(&hub, "the hub has no usable kernels").with_source(e),
            None => empty(&hub, "the hub has no kernels")
                .with_help("`btfgen fetch` brings published kernels, `btfgen add` adds your own"),
        })
    }

    fn minimize_all(
        &self,
        store: &TypeStore,
        needs: &Needs,
        kernels: &[&HubKernel],
        purpose: Purpose,
    ) -> Result<Harvest, Failure> {
        let questions = Questions::new(needs, self.modules.clone());
        let questions = questions.explain(purpose == Purpose::Check);
        if let Some(progress) = self.progress {
            progress.start(kernels.len());
        }
        // More threads would have nothing to do.
        let threads = self.threads.min(kernels.len());
        in_pool(threads, || {
            let go_on = || go_on(self.cancel);
            let work = Work {
                questions: &questions,
                lists: ListAnswers::new(&questions),
                facts: Asking::new(&self.facts),
                store,
                kernels,
                max_btf_bytes: self.max_btf_bytes.unwrap_or(DEFAULT_MAX_BTF_BYTES),
                prove_all: self.store == StoreUse::Cold,
                strict: self.strict,
                progress: self.progress,
                go_on: &go_on,
                explained: check::Explained::default(),
            };
            let harvest = work.harvest()?;
            go_on()?;
            Ok(harvest)
        })
    }

    fn finish(
        &self,
        hub: &Hub,
        mut builder: Builder,
        needs: Needs,
        mut left_out: Vec<Error>,
        harvest: Harvest,
    ) -> Result<Packed> {
        let Harvest {
            kernels: mut harvested,
            contents,
            matrix,
            left_out: failed,
            modules,
            facts,
            ..
        } = harvest;
        left_out.extend(failed.into_iter().map(|(_, e)| e));
        if harvested.is_empty() {
            return Err(none_of(hub, "packed", left_out));
        }
        let matrix = matrix.finish(needs.iter().map(Need::asked).collect());
        if let (true, Some(e)) = (self.strict, first_refused(&matrix, &needs)) {
            return Err(e);
        }
        harvested.sort_by(|a, b| a.0.kernel.cmp(&b.0.kernel));
        let mut totals = Totals {
            distinct_btfs: contents.len(),
            outcome_sets: matrix.sets().len(),
            ..Totals::default()
        };
        let mut kernels = Vec::with_capacity(harvested.len());
        for (kernel, btf) in harvested {
            totals.kernels += 1;
            totals.full_bytes += kernel.full_bytes;
            totals.minimal_bytes += kernel.minimal_bytes;
            totals.largest_btf_bytes = totals.largest_btf_bytes.max(kernel.full_bytes);
            builder = builder.add(kernel.kernel.clone(), btf).map_err(unpacked)?;
            kernels.push(kernel);
        }
        let facts = self.packed_facts(facts, &kernels);
        for row in &facts.rows {
            for kernel in &row.kernels {
                builder = builder.answers(kernel.clone(), row.answers.clone());
            }
        }
        let mut archive = Vec::new();
        let summary = builder.write(&mut archive).map_err(unpacked)?;
        totals.archive_bytes = summary.archive_bytes;
        go_on(self.cancel)?;
        Ok(Packed {
            kernels,
            left_out,
            needs,
            matrix,
            module_types: modules.finish(),
            facts,
            totals,
            store: StoreReport::default(),
            archive,
        })
    }

    /// The answers of the kernels in the archive.
    fn packed_facts(&self, asked: Asked, kernels: &[PackedKernel]) -> Facts {
        let packed: HashSet<&KernelId> = kernels.iter().map(|k| &k.kernel).collect();
        let rows = asked.rows.into_iter().filter_map(|mut row| {
            row.kernels.retain(|kernel| packed.contains(kernel));
            (!row.kernels.is_empty()).then_some(row)
        });
        Facts {
            facts: self.facts.clone(),
            rows: rows.collect(),
            unknown: asked.unknown,
            ..Facts::default()
        }
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
}

/// Fails when the caller has asked to stop.
fn go_on(cancel: Option<&AtomicBool>) -> Result<()> {
    if cancel.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
        let message = "stopped; nothing was written";
        return Err(Error::new(ErrorKind::Cancelled, "pack", message));
    }
    Ok(())
}

/// The given folders, or the default hub if there are none.
pub(crate) fn or_default(folders: &[PathBuf]) -> Vec<PathBuf> {
    match (folders, default_hub()) {
        ([], Some(hub)) => vec![hub],
        _ => folders.to_vec(),
    }
}

/// The kernels whose names fit into an archive, and errors for the others.
fn nameable<'h>(builder: &Builder, kernels: &'h [HubKernel]) -> (Vec<&'h HubKernel>, Vec<Error>) {
    let (mut nameable, mut too_long) = (Vec::new(), Vec::new());
    for kernel in kernels {
        match builder.check_name(kernel.id()) {
            Ok(()) => nameable.push(kernel),
            Err(e) => {
                let subject = kernel.path().display();
                let message = "its name is too long for an archive";
                let error = Error::new(ErrorKind::InvalidName, subject, message);
                too_long.push(error.with_kernel(kernel.id()).with_source(e));
            }
        }
    }
    (nameable, too_long)
}

pub(crate) fn empty(hub: &Hub, message: &str) -> Error {
    let folders: Vec<_> = hub.folders().map(|f| f.display().to_string()).collect();
    Error::new(ErrorKind::EmptyHub, folders.join(", "), message)
}

/// The error if no kernel could be used.
pub(crate) fn none_of(hub: &Hub, done: &str, left_out: Vec<Error>) -> Error {
    let none = empty(hub, &format!("none of the kernels could be {done}"));
    match left_out.into_iter().next() {
        Some(first) => none.with_source(first),
        None => none,
    }
}

fn unpacked(e: btfgen_archive::Error) -> Error {
    Error::new(ErrorKind::Archive, "the archive", "cannot be packed").with_source(e)
}

/// The first kernel on which libbpf refuses to load an object.
fn first_refused(matrix: &Matrix, needs: &Needs) -> Option<Error> {
    let kernels = matrix.refused().into_iter();
    let (kernel, need, reason) = kernels
        .filter(|r| r.reason.is_of_object())
        .filter_map(|r| Some((*r.kernels.first()?, r.need, r.reason)))
        .min_by_key(|&(kernel, ..)| kernel)?;
    let message = format!(
        "libbpf refuses to load an object with the relocation {}: {reason}",
        needs[need]
    );
    Some(Error::new(ErrorKind::Refused, kernel, message).with_help(reason.help()))
}
