//! `btfgen needs`: shows what objects need from a kernel.

use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use btfgen::{Need, Needs, Object, Place, Refusal};
use serde::Serialize;

use crate::console::Console;
use crate::exit::Exit;
use crate::explain::printable;
use crate::sink;
use crate::table::{Column, Table};

const EXAMPLES: &str = "\
EXAMPLES
  btfgen needs app.bpf.o
  btfgen needs --verbose *.bpf.o
  btfgen needs --json app.bpf.o | jq -r '.needs[].type' | sort -u
  btfgen needs --json app.bpf.o | jq -e 'all(.needs[]; .refusal == null)'";

/// Show what objects need from a kernel: their distinct CO-RE relocations
///
/// If libbpf refuses a relocation on every kernel, needs prints a warning. The exit code is still 0, because the program with
/// this relocation may never be loaded.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// BPF object files
    #[arg(required = true, value_name = "OBJ")]
    objects: Vec<PathBuf>,
}

#[derive(Serialize)]
struct NeedReport {
    kind: &'static str,
    r#type: String,
    path: String,
    places: Vec<Place>,
    /// Why libbpf refuses to load the object, whatever the kernel.
    refusal: Option<Refusal>,
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
        let reports: Vec<NeedReport> = needs.iter().map(|n| NeedReport::new(&needs, n)).collect();
        let refused = needs.iter().zip(&reports).filter_map(|(need, report)| {
            Some(format!("{}: {}", with_line(&needs, need), report.refusal?))
        });
        let refused: Vec<String> = refused.collect();
        console.warn_all(
            "libbpf refuses to load objects with these relocations on any kernel:",
            refused.into_iter(),
        );
        if console.json {
            sink::json(&serde_json::json!({ "needs": reports }))?;
        } else if !reports.is_empty() {
            print(&reports, console.verbose)?;
        }
        Ok(Exit::Done)
    }
}

/// A relocation that makes libbpf refuse to load the object, in JSON.
#[derive(Serialize)]
pub(crate) struct Refused {
    relocation: String,
    reason: Refusal,
    places: Vec<Place>,
}

impl Refused {
    /// The refusal of a need, for this reason.
    pub(crate) fn new(needs: &Needs, need: &Need, reason: Refusal) -> Self {
        Self {
            relocation: need.to_string(),
            reason,
            places: needs.places(need),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", printable(&self.relocation), self.reason)
    }
}

impl NeedReport {
    fn new(needs: &Needs, need: &Need) -> Self {
        Self {
            kind: need.kind().name(),
            r#type: need.root(),
            path: need.path(),
            places: needs.places(need),
            refusal: need.refusal(),
        }
    }
}

fn print(needs: &[NeedReport], all_places: bool) -> Result<()> {
    let mut table = Table::new([
        Column::Text("KIND"),
        Column::Text("TYPE"),
        Column::Text("FIELD"),
        Column::Number("USES"),
        Column::Text("FIRST USE"),
    ]);
    for need in needs {
        table.row([
            need.kind.to_owned(),
            printable(&need.r#type),
            printable(&need.path),
            need.places.len().to_string(),
            need.places.iter().find_map(source_line).unwrap_or_default(),
        ]);
    }
    let below = |row: usize| {
        let places = needs[row].places.iter();
        places.filter(|_| all_places).map(place).collect()
    };
    sink::text(|out| table.print(out, below))
}

/// The source line of a place, if the object has it.
fn source_line(place: &Place) -> Option<String> {
    let file = printable(place.file.as_deref()?);
    Some(match place.line {
        Some(line) => format!("{file}:{line}"),
        None => file,
    })
}

/// A need and where in the source it is, if an object says so.
pub(crate) fn with_line(needs: &Needs, need: &Need) -> String {
    let name = printable(&need.to_string());
    match needs.places(need).iter().find_map(source_line) {
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
