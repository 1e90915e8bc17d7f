//! `btfgen list`: lists the kernels of a hub or an archive.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use btfgen::archive::BuildId;
use btfgen::{Codenames, Hub, HubKernel, KernelFilter, KernelId};
use serde::Serialize;

use crate::amount::{bytes, count};
use crate::arguments::{FilterArguments, HubArguments};
use crate::commands::extract;
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::{Advised, printable};
use crate::report::LeftOut;
use crate::sink;
use crate::table::{Column, Table};

const EXAMPLES: &str = "\
EXAMPLES
  btfgen list --hub ~/btfhub-archive --distro ubuntu --arch x86_64
  btfgen list --count
  btfgen list btfs.tar.gz --long";

/// List the kernels of a hub, or of an archive
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The archive to list, instead of a hub
    #[arg(conflicts_with = "hub")]
    archive: Option<PathBuf>,

    /// Count the kernels of each distribution, version and architecture
    #[arg(long)]
    count: bool,

    /// Also show sizes, files or links, and modules; the same as --verbose
    #[arg(short, long)]
    long: bool,

    #[command(flatten)]
    hub: HubArguments,

    #[command(flatten)]
    filter: FilterArguments,
}

/// A kernel of a hub or an archive.
#[derive(Serialize)]
struct Listed {
    #[serde(serialize_with = "crate::report::text")]
    kernel: KernelId,
    /// In a hub, the size of the file, which may be compressed; in an archive, the size of the BTF.
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// The file with the BTFs of the kernel's modules.
    #[serde(skip_serializing_if = "Option::is_none")]
    modules: Option<ListedModules>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_target: Option<String>,
    /// The build id, if it is known; in an archive only its first eight bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    build_id: Option<String>,
}

/// The BTFs of a kernel's modules.
#[derive(Serialize)]
struct ListedModules {
    path: String,
    /// The size of the file.
    bytes: u64,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'k> {
    #[serde(skip_serializing_if = "Option::is_none")]
    kernels: Option<&'k [Listed]>,
    /// With `--count`, instead of the kernels.
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Vec<Count<'k>>>,
    left_out: Vec<LeftOut>,
}

/// The kernels of one distribution, version and architecture.
#[derive(Serialize)]
pub(crate) struct Count<'k> {
    pub(crate) distro: &'k str,
    pub(crate) version: &'k str,
    pub(crate) arch: &'k str,
    pub(crate) kernels: usize,
    pub(crate) bytes: u64,
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let filter = self.filter.filter()?;
        let (kernels, left_out) = match &self.archive {
            Some(path) => (archived(path, &filter, console)?, Vec::new()),
            None => in_hubs(&self.hub.folders()?, &filter, console)?,
        };
        if console.json {
            sink::json(&Report {
                kernels: (!self.count).then_some(&kernels),
                counts: self.count.then(|| counts(&kernels)),
                left_out,
            })?;
        } else if self.count {
            sink::text(|out| table(&counts(&kernels)).print(out, |_| Vec::new()))?;
        } else {
            print(&kernels, self.long || console.verbose)?;
        }
        Ok(Exit::Done)
    }
}

fn in_hubs(
    folders: &[PathBuf],
    filter: &KernelFilter,
    console: Console,
) -> Result<(Vec<Listed>, Vec<LeftOut>)> {
    let mut hub = Hub::open(folders)?.filtered(filter)?;
    let mut unusable = Vec::new();
    let mut build_id = |kernel: &HubKernel| {
        let id = kernel.build_id().map_err(|e| unusable.push(e));
        id.ok().flatten().map(|id| id.to_string())
    };
    let kernels: Vec<Listed> = hub
        .kernels()
        .iter()
        .map(|k| Listed {
            kernel: k.id().clone(),
            bytes: k.file_bytes(),
            path: Some(k.path().display().to_string()),
            modules: k.modules_path().map(|path| ListedModules {
                path: path.display().to_string(),
                bytes: k.modules_file_bytes(),
            }),
            link_target: None,
            build_id: console.json.then(|| build_id(k)).flatten(),
        })
        .collect();
    unusable.extend(hub.take_rejected());
    if kernels.is_empty() {
        console.note("there are no kernels");
    }
    console.left_out("file", &unusable);
    Ok((kernels, LeftOut::all(&unusable)))
}

fn archived(path: &Path, filter: &KernelFilter, console: Console) -> Result<Vec<Listed>> {
    let unreadable = || format!("{}: cannot be read", path.display());
    if path.is_dir() {
        let message = format!("{}: is a folder, not an archive", path.display());
        return Err(Advised::new(message, "name a hub with --hub").into());
    }
    let archive = extract::open(path)?;
    let entries = archive.entries().with_context(unreadable)?;
    let ids = entries.iter().map(|e| &e.kernel);
    filter.check(path.display(), ids, &Codenames::default())?;
    let build_ids = archive.build_ids().with_context(unreadable)?;
    let mut build_ids: HashMap<KernelId, BuildId> = build_ids.iter().collect();
    let kernels: Vec<Listed> = entries
        .into_iter()
        .filter(|e| filter.matches(&e.kernel))
        .map(|e| Listed {
            build_id: build_ids.remove(&e.kernel).map(|id| id.to_string()),
            kernel: e.kernel,
            bytes: e.size,
            path: None,
            modules: None,
            link_target: e.link_target.map(|target| target.to_string()),
        })
        .collect();
    if console.verbose
        && let Some(manifest) = archive.manifest().with_context(unreadable)?
    {
        console.say(format_args!(
            "made by {} for {}",
            printable(&manifest.tool),
            count(manifest.objects.len(), "object")
        ));
    }
    Ok(kernels)
}

fn print(kernels: &[Listed], long: bool) -> Result<()> {
    if !long {
        return sink::data(|out| {
            kernels
                .iter()
                .try_for_each(|k| writeln!(out, "{}", k.kernel))
        });
    }
    let mut table = Table::new([
        Column::Text("KERNEL"),
        Column::Number("BYTES"),
        Column::Text("WHERE"),
    ]);
    for listed in kernels {
        let file = listed.path.as_deref().map(printable);
        let link = listed.link_target.as_ref().map(|t| format!("-> {t}"));
        let modules = listed.modules.as_ref();
        let modules = modules.map_or_else(String::new, |modules| {
            format!(" and {} of modules", bytes(modules.bytes))
        });
        table.row([
            listed.kernel.to_string(),
            listed.bytes.to_string(),
            file.or(link).unwrap_or_default() + &modules,
        ]);
    }
    sink::text(|out| table.print(out, |_| Vec::new()))
}

fn counts(kernels: &[Listed]) -> Vec<Count<'_>> {
    let mut counts: BTreeMap<[&str; 3], (usize, u64)> = BTreeMap::new();
    for listed in kernels {
        let id = &listed.kernel;
        let place = [id.distro(), id.version(), id.arch()];
        let (kernels, bytes) = counts.entry(place).or_default();
        *kernels += 1;
        *bytes += listed.bytes;
    }
    let counts = counts.into_iter();
    counts
        .map(|([distro, version, arch], (kernels, bytes))| Count {
            distro,
            version,
            arch,
            kernels,
            bytes,
        })
        .collect()
}

/// A table of counts, with their total.
pub(crate) fn table(counts: &[Count<'_>]) -> Table<5> {
    let mut table = Table::new([
        Column::Text("DISTRIBUTION"),
        Column::Text("VERSION"),
        Column::Text("ARCH"),
        Column::Number("KERNELS"),
        Column::Number("SIZE"),
    ]);
    let total = Count {
        distro: "total",
        version: "",
        arch: "",
        kernels: counts.iter().map(|c| c.kernels).sum(),
        bytes: counts.iter().map(|c| c.bytes).sum(),
    };
    for count in counts.iter().chain([&total]) {
        table.row([
            count.distro.to_owned(),
            count.version.to_owned(),
            count.arch.to_owned(),
            count.kernels.to_string(),
            bytes(count.bytes).to_string(),
        ]);
    }
    table
}
