//! `btfgen list`: lists the kernels of a hub or an archive.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use btfgen::{Codenames, Hub, KernelFilter, KernelId};
use serde::Serialize;

use crate::amount::count;
use crate::arguments::{FilterArguments, HubArguments};
use crate::commands::extract;
use crate::console::{Console, chain, printable};
use crate::exit::Exit;
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

    /// Also show sizes, and files or links; the same as --verbose
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
    path: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link_target: Option<String>,
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

#[derive(Serialize)]
struct Count<'k> {
    distro: &'k str,
    version: &'k str,
    arch: &'k str,
    kernels: usize,
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
            print_counts(&counts(&kernels))?;
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
    let hub = Hub::open(folders)?.filtered(filter)?;
    let kernels: Vec<Listed> = hub
        .kernels()
        .iter()
        .map(|k| Listed {
            kernel: k.id().clone(),
            bytes: k.file_bytes(),
            path: Some(k.path().to_owned()),
            link_target: None,
        })
        .collect();
    if kernels.is_empty() {
        console.note("there are no kernels");
    }
    let rejected = hub.rejected();
    if !rejected.is_empty() {
        console.warning(format_args!("{} left out:", count(rejected.len(), "file")));
        console.details(rejected.iter().map(|e| chain(e)));
    }
    Ok((kernels, LeftOut::all(rejected)))
}

fn archived(path: &Path, filter: &KernelFilter, console: Console) -> Result<Vec<Listed>> {
    let unreadable = || format!("{}: cannot be read", path.display());
    let archive = extract::open(path)?;
    let entries = archive.entries().with_context(unreadable)?;
    let ids = entries.iter().map(|e| &e.kernel);
    filter.check(path.display(), ids, &Codenames::default())?;
    let kernels: Vec<Listed> = entries
        .into_iter()
        .filter(|e| filter.matches(&e.kernel))
        .map(|e| Listed {
            kernel: e.kernel,
            bytes: e.size,
            path: None,
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
        let file = listed
            .path
            .as_ref()
            .map(|p| printable(&p.display().to_string()));
        let link = listed.link_target.as_ref().map(|t| format!("-> {t}"));
        table.row([
            listed.kernel.to_string(),
            listed.bytes.to_string(),
            file.or(link).unwrap_or_default(),
        ]);
    }
    sink::text(|out| table.print(out, |_| Vec::new()))
}

fn counts(kernels: &[Listed]) -> Vec<Count<'_>> {
    let mut counts: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
    for Listed { kernel: k, .. } in kernels {
        *counts
            .entry((k.distro(), k.version(), k.arch()))
            .or_default() += 1;
    }
    let counts = counts.into_iter();
    counts
        .map(|((distro, version, arch), kernels)| Count {
            distro,
            version,
            arch,
            kernels,
        })
        .collect()
}

fn print_counts(counts: &[Count<'_>]) -> Result<()> {
    let mut table = Table::new([
        Column::Text("DISTRIBUTION"),
        Column::Text("VERSION"),
        Column::Text("ARCH"),
        Column::Number("KERNELS"),
    ]);
    for count in counts {
        table.row([
            count.distro.to_owned(),
            count.version.to_owned(),
            count.arch.to_owned(),
            count.kernels.to_string(),
        ]);
    }
    let total: usize = counts.iter().map(|c| c.kernels).sum();
    table.row([
        "total".into(),
        String::new(),
        String::new(),
        total.to_string(),
    ]);
    sink::text(|out| table.print(out, |_| Vec::new()))
}
