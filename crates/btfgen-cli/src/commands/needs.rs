//! `btfgen needs`: shows what objects need from a kernel.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Result;
use btfgen::{Minimized, Need, Needs, Object, Place, Refusal, parse_kernel, read_kernel_file};
use serde::Serialize;

use crate::arguments::{LimitArguments, ModulesArguments};
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::printable;
use crate::modules;
use crate::sink;
use crate::table::{Column, Table};

const EXAMPLES: &str = "\
EXAMPLES
  btfgen needs app.bpf.o
  btfgen needs --verbose *.bpf.o
  btfgen needs app.bpf.o --kernel /sys/kernel/btf/vmlinux --modules /sys/kernel/btf
  btfgen needs --json app.bpf.o | jq -r '.needs[].type' | sort -u
  btfgen needs --json app.bpf.o | jq -e 'all(.needs[]; .refusal == null)'";

/// Show what objects need from a kernel: their distinct CO-RE relocations
///
/// If libbpf refuses a relocation on every kernel, or on 32-bit kernels, needs prints a warning with the way out. The exit code
/// is still 0, because the program with this relocation may never be loaded.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// BPF object files
    #[arg(required = true, value_name = "OBJ")]
    objects: Vec<PathBuf>,

    /// Also show what is found in this kernel: .btf, .btf.xz, .btf.tar.xz or /sys/kernel/btf/vmlinux; or
    /// HUB/ID/VERSION/ARCH/RELEASE of a kernel in a chunk
    #[arg(long, value_name = "KERNEL", help_heading = "Kernels")]
    kernel: Option<PathBuf>,

    #[command(flatten)]
    modules: ModulesArguments,

    #[command(flatten)]
    limit: LimitArguments,
}

#[derive(Serialize)]
struct NeedReport {
    kind: &'static str,
    r#type: String,
    path: String,
    places: Vec<Place>,
    /// Why libbpf refuses to load the object, whatever the kernel.
    refusal: Option<Refusal>,
    /// Why libbpf refuses the relocation on 32-bit kernels.
    refusal_on_32_bits: Option<Refusal>,
    /// What to do about either.
    help: Option<&'static str>,
    /// With `--kernel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_kernel: Option<OnKernel>,
}

/// What a kernel answers.
#[derive(Serialize)]
struct OnKernel {
    found: bool,
    /// The modules that have the type, if the kernel itself does not.
    modules: Vec<String>,
    refusal: Option<Refusal>,
}

impl OnKernel {
    fn of(need: &Need, index: usize, minimized: &Minimized) -> Self {
        let outcome = &minimized.outcomes[index];
        let mut absent = minimized.absent.iter();
        let absent = absent.find(|ty| ty.needs.contains(&index));
        Self {
            found: outcome.is_found(need.kind()),
            modules: absent.map(|ty| ty.modules.clone()).unwrap_or_default(),
            refusal: need.refusal_with(outcome),
        }
    }

    /// For the table.
    fn cell(&self) -> String {
        match (&self.refusal, self.found, &self.modules[..]) {
            (Some(_), ..) => "refused".to_owned(),
            (None, false, _) => "no".to_owned(),
            (None, true, []) => "yes".to_owned(),
            (None, true, modules) => modules.join(", "),
        }
    }
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let objects = self
            .objects
            .iter()
            .map(Object::open)
            .collect::<Result<Vec<_>, _>>()?;
        for (path, object) in self.objects.iter().zip(&objects) {
            if object.relocations().is_empty() {
                console.note(format_args!(
                    "{}: has no CO-RE relocations, so it needs no BTF",
                    printable(&path.display().to_string())
                ));
            }
        }
        let needs = Needs::new(objects);
        let on_kernel = self
            .kernel
            .as_deref()
            .map(|kernel| self.ask(&needs, kernel));
        let on_kernel = on_kernel.transpose()?;
        let reports = needs.iter().enumerate().map(|(n, need)| NeedReport {
            on_kernel: on_kernel
                .as_ref()
                .map(|(all, _)| OnKernel::of(need, n, all)),
            ..NeedReport::new(&needs, need)
        });
        let reports: Vec<NeedReport> = reports.collect();
        let refused = |reason: fn(&NeedReport) -> Option<Refusal>| -> Vec<(Refusal, String)> {
            let refused = needs.iter().zip(&reports).filter_map(|(need, report)| {
                let reason = reason(report)?;
                let line = with_line_of(&needs, need, reason);
                Some((reason, format!("{line}: {reason}")))
            });
            refused.collect()
        };
        warn_refused(console, "on any kernel", refused(|report| report.refusal));
        let on_32_bits = refused(|report| report.refusal_on_32_bits);
        warn_refused(console, "on 32-bit kernels", on_32_bits);
        let on_this = refused(|report| report.on_kernel.as_ref()?.refusal);
        warn_refused(console, "on this kernel", on_this);
        if let Some((all, with_modules)) = &on_kernel {
            modules::report_absent(console, &all.absent, *with_modules);
        }
        if console.json {
            sink::json(&serde_json::json!({ "needs": reports }))?;
        } else if !reports.is_empty() {
            print(&reports, console.verbose)?;
        }
        Ok(Exit::Done)
    }
}

impl Arguments {
    /// Asks a kernel. The result also tells whether modules were looked at.
    fn ask(&self, needs: &Needs, kernel: &Path) -> Result<(Minimized, bool)> {
        let limit = self.limit.max_btf_size;
        let btf = parse_kernel(kernel, read_kernel_file(kernel, limit)?)?;
        self.modules.minimize(needs, kernel, &btf, limit)
    }
}

/// A relocation that libbpf refuses, in JSON.
#[derive(Serialize)]
pub(crate) struct Refused {
    relocation: String,
    reason: Refusal,
    /// Whether libbpf refuses the object; else it makes instructions invalid, and the verifier refuses a program that reaches one.
    object: bool,
    help: &'static str,
    /// Those that are refused.
    places: Vec<Place>,
    #[serde(skip)]
    line: String,
}

impl Refused {
    /// The refusal of a need, for this reason.
    pub(crate) fn new(needs: &Needs, need: &Need, reason: Refusal) -> Self {
        Self {
            relocation: need.to_string(),
            reason,
            object: reason.is_of_object(),
            help: reason.help(),
            places: refused_places(needs, need, reason),
            line: with_line_of(needs, need, reason),
        }
    }

    /// The reason, and the text for people, which `where_to` ends.
    pub(crate) fn told(&self, where_to: &str) -> (Refusal, String) {
        let Self { reason, line, .. } = self;
        (*reason, format!("{line}: {reason}{where_to}"))
    }
}

/// Prints warnings about relocations that libbpf refuses, and for each reason what to do. `on` says on which kernels.
pub(crate) fn warn_refused(console: Console, on: &str, refused: Vec<(Refusal, String)>) {
    let reasons: BTreeSet<Refusal> = refused.iter().map(|(reason, _)| *reason).collect();
    let (of_objects, of_programs): (Vec<_>, Vec<_>) = refused
        .into_iter()
        .partition(|(reason, _)| reason.is_of_object());
    let on = match on {
        "" => String::new(),
        on => format!(" {on}"),
    };
    console.warn_all(
        format_args!("libbpf refuses to load objects with these relocations{on}:"),
        of_objects.into_iter().map(|(_, line)| line),
    );
    console.warn_all(
        format_args!(
            "libbpf makes these loads and stores invalid{on}, so the verifier refuses a program that can reach one:"
        ),
        of_programs.into_iter().map(|(_, line)| line),
    );
    console.helps(reasons.into_iter().map(Refusal::help));
}

/// The places of a need that are refused: if its size or offset is, only loads and stores.
fn refused_places(needs: &Needs, need: &Need, reason: Refusal) -> Vec<Place> {
    let mut places = needs.places(need);
    if let Refusal::SizeMismatch | Refusal::AccessSize | Refusal::OffsetTooLarge = reason {
        places.retain(|place| place.access_bytes.is_some());
    }
    places
}

fn with_line_of(needs: &Needs, need: &Need, reason: Refusal) -> String {
    named(need, &refused_places(needs, need, reason))
}

impl NeedReport {
    fn new(needs: &Needs, need: &Need) -> Self {
        Self {
            kind: need.kind().name(),
            r#type: need.root(),
            path: need.path(),
            places: needs.places(need),
            refusal: need.refusal(),
            refusal_on_32_bits: need.refusal_on_32_bits(),
            help: need
                .refusal()
                .or(need.refusal_on_32_bits())
                .map(Refusal::help),
            on_kernel: None,
        }
    }
}

fn print(needs: &[NeedReport], all_places: bool) -> Result<()> {
    let columns = [
        Column::Text("KIND"),
        Column::Text("TYPE"),
        Column::Text("FIELD"),
        Column::Number("USES"),
        Column::Text("FIRST USE"),
    ];
    let row = |need: &NeedReport| {
        [
            need.kind.to_owned(),
            printable(&need.r#type),
            printable(&need.path),
            need.places.len().to_string(),
            need.places.iter().find_map(source_line).unwrap_or_default(),
        ]
    };
    let below = |row: usize| {
        let places = needs[row].places.iter();
        places.filter(|_| all_places).map(place).collect()
    };
    let cells = needs
        .iter()
        .map(|need| need.on_kernel.as_ref().map(OnKernel::cell));
    let Some(cells) = cells.collect::<Option<Vec<String>>>() else {
        let mut table = Table::new(columns);
        needs.iter().for_each(|need| table.row(row(need)));
        return sink::text(|out| table.print(out, below));
    };
    let [kind, ty, field, uses, first] = columns;
    let mut table = Table::new([kind, ty, field, Column::Text("FOUND"), uses, first]);
    for (need, cell) in needs.iter().zip(cells) {
        let [kind, ty, field, uses, first] = row(need);
        table.row([kind, ty, field, cell, uses, first]);
    }
    sink::text(|out| table.print(out, below))
}

/// The source line of a place, if the object has it.
pub(crate) fn source_line(place: &Place) -> Option<String> {
    let file = printable(place.file.as_deref()?);
    Some(match place.line {
        Some(line) => format!("{file}:{line}"),
        None => file,
    })
}

/// A need and where in the source it is, if an object says so.
pub(crate) fn with_line(needs: &Needs, need: &Need) -> String {
    named(need, &needs.places(need))
}

fn named(need: &Need, places: &[Place]) -> String {
    let name = printable(&need.to_string());
    match places.iter().find_map(source_line) {
        Some(line) => format!("{name}, {line}"),
        None => name,
    }
}

fn place(place: &Place) -> String {
    let function = place.function.as_deref().unwrap_or("?");
    let code = format!(
        "{}: {} in {function}, instruction {}",
        place.object, place.section, place.instruction
    );
    match source_line(place) {
        Some(line) => format!("{}, {line}", printable(&code)),
        None => printable(&code),
    }
}
