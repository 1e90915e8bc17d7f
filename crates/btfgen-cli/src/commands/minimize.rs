//! `btfgen minimize`: minimizes one kernel's BTF, without an archive.

use std::path::{Path, PathBuf};

use anyhow::Result;
use btfgen::{AbsentType, Claims, Needs, Object, parse_kernel, read_kernel_file};
use serde::Serialize;

use crate::amount::{bytes, count};
use crate::arguments::{LimitArguments, ModulesArguments};
use crate::commands::needs::Refused;
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::printable;
use crate::interrupt;
use crate::modules;
use crate::sink::{self, Sink};

const EXAMPLES: &str = "\
EXAMPLES
  btfgen minimize 5.4.0-26-generic.btf.tar.xz app.bpf.o -o 5.4.0-26-generic.btf
  btfgen minimize /sys/kernel/btf/vmlinux app.bpf.o --modules /sys/kernel/btf -o app.btf
  btfgen minimize /sys/kernel/btf/vmlinux app.bpf.o -o - | bpftool btf dump file /dev/stdin";

/// Reduce one kernel's BTF to what objects need
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The kernel's BTF: .btf, .btf.xz, .btf.tar.xz or /sys/kernel/btf/vmlinux; or HUB/ID/VERSION/ARCH/RELEASE of a kernel in a
    /// chunk
    #[arg(value_name = "KERNEL")]
    kernel: PathBuf,

    /// BPF object files
    #[arg(required = true, value_name = "OBJ")]
    objects: Vec<PathBuf>,

    /// The minimal BTF to write; - is stdout
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    #[command(flatten)]
    modules: ModulesArguments,

    #[command(flatten)]
    limit: LimitArguments,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'r> {
    path: &'r Path,
    /// Number of types in the full BTF.
    types: u32,
    full_bytes: usize,
    minimal_bytes: usize,
    /// Number of distinct relocations.
    relocations: usize,
    /// Relocations that found nothing in the kernel.
    unresolved: Vec<String>,
    refused: Vec<Refused>,
    /// Types that the kernel itself does not have.
    absent: &'r [AbsentType],
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let stop = interrupt::flag(console, None);
        let mut claims = Claims::default();
        claims.reads("the kernel", &btfgen_hub::kernel_source(&self.kernel))?;
        for object in &self.objects {
            claims.reads("the BPF object", object)?;
        }
        let sink = Sink::claim(&self.output, "the minimal BTF", &mut claims, console)?;
        let objects = self.objects.iter().map(Object::open);
        let needs = Needs::new(objects.collect::<Result<_, _>>()?);
        let full = read_kernel_file(&self.kernel, self.limit.max_btf_size)?;
        let btf = parse_kernel(&self.kernel, &full)?;
        let minimized =
            self.modules
                .minimize(&needs, &self.kernel, &btf, self.limit.max_btf_size)?;
        interrupt::check(&stop)?;
        sink.write(&minimized.btf)?;
        let answers = || needs.iter().zip(&minimized.outcomes);
        let report = Report {
            path: &self.output,
            // `void` is not stored.
            types: btf.type_count() - 1,
            full_bytes: full.len(),
            minimal_bytes: minimized.btf.len(),
            relocations: needs.len(),
            unresolved: answers()
                .filter(|(need, o)| o.refusal().is_none() && !o.is_found(need.kind()))
                .map(|(need, _)| need.to_string())
                .collect(),
            refused: answers()
                .filter_map(|(need, o)| Some(Refused::new(&needs, need, o.refusal()?)))
                .collect(),
            absent: &minimized.absent,
        };
        self.summarize(console, &report);
        if console.json {
            sink::json(&report)?;
        }
        Ok(Exit::Done)
    }

    fn summarize(&self, console: Console, report: &Report<'_>) {
        let kernel = self.kernel.display();
        console.say(format_args!(
            "{kernel}: {} -> {} for {}",
            bytes(report.full_bytes as u64),
            bytes(report.minimal_bytes as u64),
            count(report.relocations, "relocation"),
        ));
        if report.types == 0 {
            console.warning(format_args!(
                "{kernel}: holds no types, so nothing is found in it"
            ));
        }
        console.warn_all(
            "libbpf refuses to load objects with these relocations on this kernel:",
            report.refused.iter().map(ToString::to_string),
        );
        let unresolved = count(report.unresolved.len(), "relocation");
        console.note_all(
            format_args!("{unresolved} found nothing in this kernel:"),
            report.unresolved.iter().map(|need| printable(need)),
        );
        modules::report_absent(console, report.absent);
    }
}
