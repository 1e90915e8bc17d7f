//! `btfgen pack`: minimizes all kernels of a hub, and writes them to one archive.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use btfgen::{Claims, Fact, ModuleType, Need, Pack, Packed, PackedKernel, TargetArch, Totals};
use btfgen_files::read_regular;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use serde::Serialize;
use serde::de::IgnoredAny;

use crate::amount::{bytes, count};
use crate::arguments::WorkArguments;
use crate::commands::needs::{Refused, warn_refused, with_line};
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::Advised;
use crate::facts::{self, UnknownFact};
use crate::interrupt;
use crate::modules;
use crate::progress::Bar;
use crate::report::LeftOut;
use crate::sink;
use crate::style::STRONG;

/// The largest package.json. Programs embed the archive, so it must stay small.
const MAX_JSON_BYTES: u64 = 16 << 20;

const EXAMPLES: &str = "\
EXAMPLES
  btfgen pack app.bpf.o -o btfs.tar.gz
  btfgen pack *.bpf.o --hub ~/btfhub-archive --arch x86_64 --distro ubuntu -o btfs.tar.gz
  btfgen pack app.bpf.o --only 'rhel/8*/4.18.0-*' --strict -o btfs.tar.gz
  btfgen pack app.bpf.o -o btfs.tar.gz --emit-obj btfs.o --target-arch arm64
  btfgen pack app.bpf.o --fact task_struct.pid --fact func:tty_write -o btfs.tar.gz
  btfgen pack app.bpf.o -o btfs.tar.gz --json | jq '.left_out[].path'";

/// Minimize all kernels of a hub for some objects, and pack them into one archive
///
/// libbpf loads an object only on kernels of its byte order. So a kernel is packed if one of the objects has its byte order;
/// the others are left out. For kernels of both byte orders, give the objects of both, which `clang -target bpfel` and
/// `-target bpfeb` compile.
#[derive(Debug, clap::Args)]
#[command(visible_alias = "btfgen", after_help = EXAMPLES)]
pub(crate) struct Arguments {
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
    package_json: Option<PathBuf>,

    /// Add each kernel's answer to this fact, for example task_struct.pid: `btfgen offsets --help` has the forms; repeatable
    #[arg(long, value_name = "FACT")]
    fact: Vec<Fact>,

    /// Also add the facts in this YAML or JSON file; repeatable
    #[arg(long, value_name = "FILE")]
    facts: Vec<PathBuf>,

    /// Write nothing if any kernel cannot be packed, or if libbpf refuses to load an object on it
    #[arg(long)]
    strict: bool,

    /// Leave out kernels that cannot be packed, and name them; this is the default
    #[arg(long, conflicts_with = "strict")]
    keep_going: bool,

    #[command(flatten)]
    work: WorkArguments,
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
        // bpf-compatible's script names the file for package.json with --json.
        let is_json = |path: &&PathBuf| path.extension().is_some_and(|e| e == "json");
        if let Some(json) = self.work.objects().iter().find(is_json) {
            return Err(Advised::usage(
                format!("{}: is not a BPF object", json.display()),
                "--package-json FILE adds a file to the archive as package.json",
            ));
        }
        let bar = Bar::new(console);
        let cancel = interrupt::flag(console, Some(bar.screen()));
        let mut claims = Claims::default();
        console.claim_stdout(&mut claims)?;
        if let Some(json) = &self.package_json {
            claims.reads("the file for package.json", json)?;
        }
        for path in &self.facts {
            claims.reads("the file of facts", path)?;
        }
        let linkable = self.linkable()?;
        let mut pack = self.pack()?.claims(claims).progress(&bar).cancel(&cancel);
        if let Some((path, arch)) = linkable {
            pack = pack.linkable(path, arch);
        }
        let packed = pack.write(&self.output);
        bar.clear();
        let packed = packed?;
        self.print(console, &packed, linkable);
        if console.json {
            sink::json(&Report::new(&packed))?;
        }
        Ok(Exit::Done)
    }

    fn pack<'p>(&self) -> Result<Pack<'p>> {
        if self.output == Path::new("-") {
            return Err(Advised::usage(
                "an archive cannot be written to stdout",
                "name a file with -o; for a file called -, write ./-",
            ));
        }
        let mut pack = self.work.pack()?;
        pack = pack.hard_links(!self.no_hard_links).strict(self.strict);
        if let Some(prefix) = &self.prefix {
            pack = pack.prefix(prefix);
        }
        if let Some(path) = &self.package_json {
            pack = pack.file("package.json", read_json(path)?);
        }
        for fact in facts::all(&self.fact, &self.facts)? {
            pack = pack.fact(fact);
        }
        Ok(pack)
    }

    /// The object to write, and its architecture.
    fn linkable(&self) -> Result<Option<(&Path, TargetArch)>> {
        let Some(path) = self.emit_obj.as_deref() else {
            return Ok(None);
        };
        if path == Path::new("-") {
            return Err(Advised::usage(
                "an object to link cannot be written to stdout",
                "name a file with --emit-obj; for a file called -, write ./-",
            ));
        }
        let arch = self
            .target_arch
            .or_else(TargetArch::native)
            .ok_or_else(|| {
                Advised::usage(
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
        let facts = &packed.facts;
        if !facts.facts.is_empty() {
            console.say(format_args!(
                "  {} in {} of answers",
                count(facts.facts.len(), "fact"),
                count(facts.rows.len(), "distinct row"),
            ));
        }
        if let Some((path, arch)) = linkable {
            console.say(format_args!(
                "{}: the archive as an object for {arch}",
                path.display()
            ));
        }
        let store = &packed.store;
        if console.verbose {
            let read = kernels.saturating_sub(store.known);
            console.say(format_args!(
                "  {} by the type store, {read} read",
                count(store.known, "kernel")
            ));
        }
        if let Some(e) = &store.failure {
            console.store_not_written(e);
        }
        if packed.needs.is_empty() {
            console.note("the objects have no CO-RE relocations, so they need no BTFs");
        }
        let unresolved: Vec<usize> = packed.matrix.unresolved().collect();
        console.note_all(
            format_args!(
                "{} found nothing in any kernel:",
                count(unresolved.len(), "relocation")
            ),
            unresolved.into_iter().map(|need| {
                let line = with_line(&packed.needs, &packed.needs[need]);
                line + &modules::perhaps_in_module(packed, need)
            }),
        );
        modules::report(console, packed, &self.work.module);
        let refused = packed.matrix.refused().into_iter().map(|refused| {
            let kernels = count(refused.kernels.len(), "kernel");
            let need = &packed.needs[refused.need];
            let modules = modules::in_modules(packed, &refused);
            Refused::new(&packed.needs, need, refused.reason).told(&format!(
                "{modules}; on {kernels}, as {}",
                refused.kernels[0]
            ))
        });
        warn_refused(console, "", refused.collect());
        let without_types = packed.kernels.iter().filter(|k| k.types == 0);
        let without_types: Vec<String> = without_types.map(|k| k.kernel.to_string()).collect();
        console.warn_all(
            "the BTFs of these kernels hold no types, so nothing is found in them:",
            without_types.into_iter(),
        );
        facts::warn_unknown(console, &packed.facts);
        console.left_out("kernel", &packed.left_out);
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

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'p> {
    totals: Totals,
    /// Number of kernels that were not unpacked, because the type store had their types.
    known: usize,
    /// Number of distinct relocations.
    relocations: usize,
    kernels: &'p [PackedKernel],
    left_out: Vec<LeftOut>,
    /// Relocations that found nothing in any kernel.
    unresolved: Vec<String>,
    refused: Vec<RefusedOn>,
    /// The names of the facts, and those that no kernel has, with names that are near.
    facts: Vec<&'p str>,
    unknown_facts: Vec<UnknownFact<'p>>,
    /// Types that only modules have, or may have.
    module_types: &'p [ModuleType],
}

/// A relocation that makes libbpf refuse to load the object on some kernels.
#[derive(Serialize)]
struct RefusedOn {
    #[serde(flatten)]
    refused: Refused,
    kernels: Vec<String>,
}

impl<'p> Report<'p> {
    fn new(packed: &'p Packed) -> Self {
        let refused = packed.matrix.refused().into_iter();
        Self {
            totals: packed.totals,
            known: packed.store.known,
            relocations: packed.needs.len(),
            kernels: &packed.kernels,
            facts: packed.facts.facts.iter().map(Fact::name).collect(),
            unknown_facts: UnknownFact::all(&packed.facts),
            module_types: &packed.module_types,
            left_out: LeftOut::all(&packed.left_out),
            unresolved: unresolved(packed).map(ToString::to_string).collect(),
            refused: refused
                .map(|refused| RefusedOn {
                    refused: Refused::new(
                        &packed.needs,
                        &packed.needs[refused.need],
                        refused.reason,
                    ),
                    kernels: refused.kernels.iter().map(ToString::to_string).collect(),
                })
                .collect(),
        }
    }
}
