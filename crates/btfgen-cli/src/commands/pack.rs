//! `btfgen pack`: minimizes all kernels of a hub, and writes them to one archive.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use btfgen::{Claims, Need, Pack, Packed, PackedKernel, TargetArch, Totals};
use btfgen_files::read_regular;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::amount::{bytes, count};
use crate::arguments::{FilterArguments, HubArguments, LimitArguments};
use crate::commands::needs::with_line;
use crate::console::{Advised, Console, caused, chain};
use crate::exit::Exit;
use crate::interrupt;
use crate::progress::Bar;
use crate::sink::{self, Sink, json_text};
use crate::style::STRONG;

/// The largest package.json. Programs embed the archive, so it must stay small.
const MAX_JSON_BYTES: u64 = 16 << 20;

const EXAMPLES: &str = "\
EXAMPLES
  btfgen pack app.bpf.o -o btfs.tar.gz
  btfgen pack *.bpf.o --hub ~/btfhub-archive --arch x86_64 --distro ubuntu -o btfs.tar.gz
  btfgen pack app.bpf.o --only 'rhel/8*/4.18.0-*' --strict -o btfs.tar.gz
  btfgen pack app.bpf.o -o btfs.tar.gz --emit-obj btfs.o --target-arch arm64
  btfgen pack app.bpf.o -o btfs.tar.gz --json-summary - | jq '.left_out[].subject'";

/// Minimize all kernels of a hub for some objects, and pack them into one archive
#[derive(Debug, clap::Args)]
#[command(visible_alias = "btfgen", after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// BPF object files; the archive serves all of them
    #[arg(required = true, value_name = "OBJ")]
    objects: Vec<PathBuf>,

    /// The archive to write
    #[arg(short, long, value_name = "OUT.tar.gz")]
    output: PathBuf,

    /// Also write the archive as an ELF object to link with a C program; the symbols _binary_min_core_btfs_tar_gz_start and
    /// _binary_min_core_btfs_tar_gz_end enclose it
    #[arg(long, value_name = "FILE.o")]
    emit_obj: Option<PathBuf>,

    /// The architecture of the object for --emit-obj; the names of `uname -m` and Debian work too [default: btfgen's own]
    #[arg(long, value_name = "ARCH", requires = "emit_obj", value_parser = target_arch())]
    target_arch: Option<TargetArch>,

    /// Put all entries into this folder of the archive
    #[arg(long, value_name = "DIR", value_parser = prefix)]
    prefix: Option<String>,

    /// Store a copy of the BTF for each kernel, for readers that do not support hard links
    #[arg(long)]
    no_hard_links: bool,

    /// Add this file to the archive as package.json
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Number of threads [default: the number of processors]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,

    /// Write nothing if any kernel cannot be packed, or if libbpf refuses to load an object on it
    #[arg(long)]
    strict: bool,

    /// Leave out kernels that cannot be packed, and name them; this is the default
    #[arg(long, conflicts_with = "strict")]
    keep_going: bool,

    /// Write a summary as JSON to this file; - is stdout
    #[arg(long, value_name = "FILE")]
    json_summary: Option<PathBuf>,

    #[command(flatten)]
    hub: HubArguments,

    #[command(flatten)]
    filter: FilterArguments,

    #[command(flatten)]
    limit: LimitArguments,
}

fn prefix(text: &str) -> Result<String, btfgen::archive::Error> {
    btfgen::archive::Builder::new().prefix(text)?;
    Ok(text.to_owned())
}

fn target_arch() -> impl TypedValueParser<Value = TargetArch> {
    let value = |arch: TargetArch| PossibleValue::new(arch.name()).aliases(arch.aliases());
    PossibleValuesParser::new(TargetArch::all().map(value)).try_map(|name| name.parse())
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let bar = Bar::new(console);
        let cancel = interrupt::flag(console, Some(bar.screen()));
        let mut claims = Claims::default();
        if let Some(json) = &self.json {
            claims.reads("the file for package.json", json)?;
        }
        let summary = match &self.json_summary {
            Some(path) => Some(Sink::for_text(path, "the summary", &mut claims)?),
            None => None,
        };
        let linkable = self.linkable()?;
        let mut pack = self.pack()?.claims(claims).progress(&bar).cancel(&cancel);
        if let Some((path, arch)) = linkable {
            pack = pack.linkable(path, arch);
        }
        let prepared = pack.prepare(&self.output);
        bar.clear();
        let mut prepared = prepared?;
        let text = json_text(&Summary::new(prepared.packed()))?;
        if let Some(Sink::File(output)) = &summary {
            prepared = prepared.with(output.stage(text.as_bytes())?);
        }
        let packed = prepared.commit()?;
        self.print(console, &packed, linkable);
        if let Some(Sink::Stdout) = summary {
            sink::data(|out| out.write_all(text.as_bytes()))?;
        }
        Ok(Exit::Done)
    }

    fn pack<'p>(&self) -> Result<Pack<'p>> {
        if self.output == Path::new("-") {
            return Err(Advised::new(
                "an archive cannot be written to stdout",
                "name a file with -o; for a file called -, write ./-",
            )
            .into());
        }
        let mut pack = Pack::new()
            .filter(self.filter.filter()?)
            .hard_links(!self.no_hard_links)
            .threads(self.jobs.map_or(0, usize::from))
            .strict(self.strict)
            .max_btf_bytes(self.limit.max_btf_size);
        for object in &self.objects {
            pack = pack.object(object);
        }
        for hub in self.hub.folders()? {
            pack = pack.hub(hub);
        }
        if let Some(prefix) = &self.prefix {
            pack = pack.prefix(prefix);
        }
        if let Some(path) = &self.json {
            pack = pack.file("package.json", read_json(path)?);
        }
        Ok(pack)
    }

    /// The object to write, and its architecture.
    fn linkable(&self) -> Result<Option<(&Path, TargetArch)>> {
        let Some(path) = self.emit_obj.as_deref() else {
            return Ok(None);
        };
        if path == Path::new("-") {
            return Err(Advised::new(
                "an object to link cannot be written to stdout",
                "name a file with --emit-obj; for a file called -, write ./-",
            )
            .into());
        }
        let arch = self
            .target_arch
            .or_else(TargetArch::native)
            .ok_or_else(|| {
                Advised::new(
                    "--emit-obj does not support the architecture that btfgen was built for",
                    "name another architecture with --target-arch",
                )
            })?;
        Ok(Some((path, arch)))
    }

    fn print(&self, console: Console, packed: &Packed, linkable: Option<(&Path, TargetArch)>) {
        let Totals {
            kernels,
            distinct_btfs,
            full_bytes,
            minimal_bytes,
            archive_bytes,
            ..
        } = packed.totals;
        console.say(format_args!(
            "{}: {STRONG}{}{STRONG:#} for {} of {}",
            self.output.display(),
            count(kernels, "kernel"),
            count(packed.needs.len(), "relocation"),
            count(packed.needs.objects().len(), "object"),
        ));
        console.say(format_args!(
            "  {} -> {} in {} -> {STRONG}{}{STRONG:#} packed",
            bytes(full_bytes),
            bytes(minimal_bytes),
            count(distinct_btfs, "distinct BTF"),
            bytes(archive_bytes),
        ));
        if let Some((path, arch)) = linkable {
            console.say(format_args!(
                "{}: the archive as an object for {arch}",
                path.display()
            ));
        }
        if packed.needs.is_empty() {
            console.note("the objects have no CO-RE relocations, so they need no BTFs");
        }
        let unresolved: Vec<&Need> = unresolved(packed).collect();
        if !unresolved.is_empty() && !console.quiet {
            console.note(format_args!(
                "{} found nothing in any kernel:",
                count(unresolved.len(), "relocation")
            ));
            let lines = unresolved.into_iter();
            console.details(lines.map(|need| with_line(&packed.needs, need)));
        }
        let refused = packed.matrix.refused();
        if !refused.is_empty() {
            console.warning("libbpf refuses to load objects with these relocations:");
            console.details(refused.into_iter().map(|refused| {
                format!(
                    "{}: {}; on {}, as {}",
                    with_line(&packed.needs, &packed.needs[refused.need]),
                    refused.reason,
                    count(refused.kernels.len(), "kernel"),
                    refused.kernels[0]
                )
            }));
        }
        let without_types = packed.kernels.iter().filter(|k| k.types == 0);
        let without_types: Vec<String> = without_types.map(|k| k.kernel.to_string()).collect();
        if !without_types.is_empty() {
            console
                .warning("the BTFs of these kernels hold no types, so nothing is found in them:");
            console.details(without_types.into_iter());
        }
        if !packed.left_out.is_empty() {
            console.warning(format_args!(
                "{} left out:",
                count(packed.left_out.len(), "kernel")
            ));
            console.details(packed.left_out.iter().map(|e| chain(e)));
        }
    }
}

fn read_json(path: &Path) -> Result<Vec<u8>> {
    let bytes = read_regular(path, MAX_JSON_BYTES)
        .with_context(|| format!("{}: cannot be read", path.display()))?;
    serde_json::from_slice::<IgnoredAny>(&bytes)
        .with_context(|| format!("{}: is not JSON", path.display()))?;
    Ok(bytes)
}

fn unresolved(packed: &Packed) -> impl Iterator<Item = &Need> {
    packed.matrix.unresolved().map(|need| &packed.needs[need])
}

/// What `--json-summary` writes.
#[derive(Serialize)]
struct Summary<'p> {
    #[serde(flatten)]
    totals: Totals,
    /// Number of distinct relocations.
    needs: usize,
    left_out: Vec<LeftOut<'p>>,
    unresolved: Vec<String>,
    /// Relocations that make libbpf refuse to load the object, and the kernels where it does.
    refused: Vec<Refused>,
    packed: &'p [PackedKernel],
}

#[derive(Serialize)]
struct LeftOut<'p> {
    subject: &'p str,
    error: String,
}

#[derive(Serialize)]
struct Refused {
    relocation: String,
    reason: btfgen::Refusal,
    kernels: Vec<String>,
    places: Vec<btfgen::Place>,
}

impl<'p> Summary<'p> {
    fn new(packed: &'p Packed) -> Self {
        Self {
            totals: packed.totals,
            needs: packed.needs.len(),
            left_out: packed
                .left_out
                .iter()
                .map(|e| LeftOut {
                    subject: e.subject(),
                    error: caused(e.message(), e),
                })
                .collect(),
            unresolved: unresolved(packed).map(ToString::to_string).collect(),
            refused: packed
                .matrix
                .refused()
                .into_iter()
                .map(|refused| {
                    let need = &packed.needs[refused.need];
                    Refused {
                        relocation: need.to_string(),
                        reason: refused.reason,
                        kernels: refused.kernels.iter().map(ToString::to_string).collect(),
                        places: packed.needs.places(need),
                    }
                })
                .collect(),
            packed: &packed.kernels,
        }
    }
}
