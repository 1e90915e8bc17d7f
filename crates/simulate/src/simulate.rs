//! Makes the hub: reads the real kernels, and writes the planned ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, bail, ensure};
use btfgen_archive::{Architecture, KernelId};
use btfgen_files::TempFile;
use btfgen_hub::{DEFAULT_MAX_BTF_BYTES, Hub, HubKernel, hub_arch};
use liblzma::write::XzEncoder;
use rayon::prelude::*;

use crate::edit::Kernel;
use crate::family::{Targets, next_level, next_series, to_flavour};
use crate::layout::to_32_bits;
use crate::model::Types;
use crate::plan::{Plan, Planned, plan};
use crate::thin::thin;

/// The file in a simulated hub that says what it was made of.
const MADE_OF: &str = "simulated";

/// Changes whenever the same options make other kernels.
const VERSION: u32 = 1;

/// The fastest one. What reads the files does not notice the preset.
const XZ_PRESET: u32 = 0;

/// A hub to be made.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// The hub of real kernels.
    pub from: PathBuf,
    /// The number of kernels.
    pub kernels: usize,
    /// Another seed makes other kernels.
    pub seed: u64,
}

/// The real kernels of one version: a line of series is made from each.
#[derive(Debug)]
struct Line {
    archs: Vec<String>,
    sources: Vec<Source>,
}

/// A real kernel, and whether it stands for one of 32 bits.
#[derive(Debug, Clone)]
struct Source {
    kernel: HubKernel,
    to_32_bits: bool,
}

/// A line with its types.
#[derive(Debug)]
struct Loaded {
    kernels: Vec<Kernel>,
    targets: Targets,
}

impl Simulation {
    /// The ids of the kernels, in the order in which they were published. The ids of a smaller hub are the first of these.
    ///
    /// # Errors
    /// If the hub of real kernels cannot be read or is empty.
    pub fn kernels(&self) -> Result<Vec<KernelId>> {
        let plan = self.plan(&self.lines()?)?;
        Ok(plan.kernels.into_iter().map(|kernel| kernel.id).collect())
    }

    /// Writes the kernels that a folder lacks, and calls `progress` with the number of kernels that are there and the number
    /// of all.
    ///
    /// # Errors
    /// If the hub of real kernels cannot be read, or the folder cannot be written to or has kernels of another simulation.
    pub fn write(&self, out: &Path, progress: impl Fn(usize, usize) + Sync) -> Result<()> {
        let lines = self.lines()?;
        let plan = self.plan(&lines)?;
        fs::create_dir_all(out).with_context(|| format!("{} cannot be created", out.display()))?;
        check_made_of(out, &self.made_of(&lines))?;
        let mut of_branch: BTreeMap<usize, Vec<&Planned>> = BTreeMap::new();
        for kernel in &plan.kernels {
            of_branch.entry(kernel.branch).or_default().push(kernel);
        }
        let missing =
            |kernels: &Vec<&Planned>| kernels.iter().any(|kernel| !file(out, &kernel.id).exists());
        of_branch.retain(|_, kernels| missing(kernels));
        if of_branch.is_empty() {
            return Ok(());
        }
        let loaded: Vec<Loaded> = lines.par_iter().map(Line::load).collect::<Result<_>>()?;
        let open: usize = of_branch.values().map(Vec::len).sum();
        let done = AtomicUsize::new(plan.kernels.len() - open);
        let one_more = || progress(done.fetch_add(1, Ordering::Relaxed) + 1, plan.kernels.len());
        // The longest first, so that no thread begins one at the end.
        let mut of_branch: Vec<_> = of_branch.into_iter().collect();
        of_branch.sort_by_key(|(_, kernels)| std::cmp::Reverse(kernels.len()));
        let each = of_branch.par_iter().with_max_len(1);
        each.try_for_each(|(branch, kernels)| {
            self.write_branch(out, &loaded, &plan, *branch, kernels, &one_more)
        })
    }

    fn write_branch(
        &self,
        out: &Path,
        lines: &[Loaded],
        plan: &Plan,
        branch: usize,
        kernels: &[&Planned],
        one_more: &impl Fn(),
    ) -> Result<()> {
        let branch = &plan.branches[branch];
        let (line, steps) = (branch.series % lines.len(), branch.series / lines.len());
        let Loaded {
            kernels: sources,
            targets,
        } = &lines[line];
        // Seeds are the same on any machine.
        let (line, series) = (line as u64, branch.series as u64);
        let mut kernel = sources[branch.arch].clone();
        for step in 0..=steps as u64 {
            next_series(&mut kernel, targets, self.seed, line, step);
        }
        if branch.flavour > 0 {
            to_flavour(&mut kernel, targets, self.seed, line, branch.flavour_name());
        }
        let mut level = 0;
        for planned in kernels {
            while level < planned.level {
                level += 1;
                next_level(&mut kernel, targets, self.seed, series, level);
            }
            let path = file(out, &planned.id);
            if !path.exists() {
                write_file(&path, &planned.id, &kernel.write())
                    .with_context(|| format!("{} cannot be written", path.display()))?;
            }
            one_more();
        }
        Ok(())
    }

    fn plan(&self, lines: &[Line]) -> Result<Plan> {
        plan(self.kernels, self.seed, |series| {
            &lines[series % lines.len()].archs
        })
    }

    /// The real kernels by version, the oldest first.
    fn lines(&self) -> Result<Vec<Line>> {
        let hub = Hub::open(&[&self.from])?;
        let mut versions: BTreeMap<(u32, u32), Vec<&HubKernel>> = BTreeMap::new();
        for kernel in &hub {
            let version = version(kernel.id().release());
            let version =
                version.with_context(|| format!("{} has no version of Linux", kernel.id()))?;
            versions.entry(version).or_default().push(kernel);
        }
        ensure!(
            !versions.is_empty(),
            "{} has no kernels",
            self.from.display()
        );
        Ok(versions
            .into_values()
            .map(|kernels| Line::of(&kernels))
            .collect())
    }

    fn made_of(&self, lines: &[Line]) -> String {
        let mut text = format!("version {VERSION}, seed {}\n", self.seed);
        for source in lines.iter().flat_map(|line| &line.sources) {
            text += &format!("{} {}\n", source.kernel.id(), source.kernel.file_bytes());
        }
        text
    }
}

impl Line {
    /// The first kernel of each little-endian architecture, `x86_64` first, and at last one of 32 bits.
    fn of(kernels: &[&HubKernel]) -> Self {
        let mut of_arch: BTreeMap<(bool, String), Source> = BTreeMap::new();
        for &kernel in kernels {
            let arch = hub_arch(kernel.id().arch()).to_owned();
            // The programs of the measurements are little-endian, so a pack would leave these kernels out.
            let known = Architecture::named(&arch).and_then(Architecture::is_little_endian);
            if known == Some(false) {
                continue;
            }
            let source = Source {
                kernel: kernel.clone(),
                to_32_bits: false,
            };
            of_arch.entry((arch != "x86_64", arch)).or_insert(source);
        }
        let arm = of_arch.get(&(true, "arm64".to_owned())).cloned();
        let (mut archs, mut sources): (Vec<_>, Vec<_>) = of_arch
            .into_iter()
            .map(|((_, arch), source)| (arch, source))
            .unzip();
        if let Some(arm) = arm {
            archs.push("arm".to_owned());
            sources.push(Source {
                to_32_bits: true,
                ..arm
            });
        }
        Self { archs, sources }
    }

    fn load(&self) -> Result<Loaded> {
        let kernels: Vec<Kernel> = self
            .sources
            .iter()
            .map(Source::load)
            .collect::<Result<_>>()?;
        let targets = Targets::of(&kernels[0]);
        Ok(Loaded { kernels, targets })
    }
}

impl Source {
    fn load(&self) -> Result<Kernel> {
        let path = self.kernel.path();
        let bytes = self.kernel.read(DEFAULT_MAX_BTF_BYTES)?;
        let mut types =
            Types::read(&bytes).with_context(|| format!("{} cannot be read", path.display()))?;
        thin(&mut types);
        Ok(Kernel::new(if self.to_32_bits {
            to_32_bits(types)
        } else {
            types
        }))
    }
}

/// The first two numbers of a release.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

fn file(out: &Path, id: &KernelId) -> PathBuf {
    out.join(format!("{id}.btf.tar.xz"))
}

fn write_file(path: &Path, id: &KernelId, btf: &[u8]) -> Result<()> {
    let folder = path.parent().context("it has no folder")?;
    fs::create_dir_all(folder)?;
    let mut file = TempFile::create_in(folder)?;
    let mut tar = tar::Builder::new(XzEncoder::new(file.as_file_mut(), XZ_PRESET));
    let mut header = tar::Header::new_gnu();
    header.set_size(btf.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, format!("{}.btf", id.release()), btf)?;
    tar.into_inner()?.finish()?;
    file.persist(path)?;
    Ok(())
}

/// Requires that a folder has kernels of this simulation or none, and notes what they are made of.
fn check_made_of(out: &Path, made_of: &str) -> Result<()> {
    let note = out.join(MADE_OF);
    match fs::read_to_string(&note) {
        Ok(before) if before == made_of => return Ok(()),
        Ok(_) => bail!(
            "{} was made from other kernels, or with another seed or version; remove it",
            out.display()
        ),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(e).with_context(|| format!("{} cannot be read", note.display())),
    }
    let mut entries =
        fs::read_dir(out).with_context(|| format!("{} cannot be read", out.display()))?;
    ensure!(
        entries.next().is_none(),
        "{} is not a simulated hub, and is not empty; name another folder",
        out.display()
    );
    fs::write(&note, made_of).with_context(|| format!("{} cannot be written", note.display()))
}
