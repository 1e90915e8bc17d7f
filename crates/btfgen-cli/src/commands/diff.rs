//! `btfgen diff`: shows how kernels' types differ.

use std::path::PathBuf;

use anyhow::Result;
use btfgen::{
    Claims, History, Hub, KernelId, Needs, Object, Part, PartChange, Series, Shapes, Since,
    TypeDiff, TypeSelection, diff,
};
use serde::Serialize;

use crate::amount::count;
use crate::arguments::{FilterArguments, HubArguments, LimitArguments};
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::{Advised, printable};
use crate::hunk::{self, Detail};
use crate::interrupt;
use crate::kernel_argument::Kernels;
use crate::kernel_name::{KernelName, kernel_name};
use crate::report::{Failure, LeftOut};
use crate::sink;

const EXAMPLES: &str = "\
EXAMPLES
  btfgen diff 5.10.0-30-cloud-amd64 6.1.0-47-cloud-amd64 task_struct
  btfgen diff old.btf /sys/kernel/btf/vmlinux
  btfgen diff old.btf new.btf task_struct.state task_struct.__state tcp_v4_connect
  btfgen diff old.btf new.btf --needs app.bpf.o --exit-code
  btfgen diff --since 5.4 --distro ubuntu --arch x86_64 task_struct.state task_struct.__state
  btfgen diff --since ubuntu/20.04/x86_64/5.4.0-26-generic --needs app.bpf.o

OUTPUT
  As in a unified diff, lines with - are of the first kernel, and lines with + of the second one. The numbers are offset
  and size in bytes, as pahole writes them; the offset of a bitfield is BYTE:BIT. Fields of a struct without a name are
  those of the struct around it.

JSON
  Two kernels: {\"before\": NAME, \"after\": NAME, \"types\": [TYPE]}
  --since: {\"series\": [{\"distro\", \"arch\", \"flavour\", \"kernels\": [ID], \"steps\": [{\"before\": ID, \"after\": ID,
    \"types\": [TYPE]}]}], \"left_out\": [{\"kernel\", \"path\", \"reason\"}]}
  TYPE: {\"kind\": \"struct\" (or union, enum, typedef, function), \"name\", \"change\": \"added\" (or removed, changed),
    \"before\", \"after\": {\"size\", \"declaration\"} or null, \"definitions\": [BEFORE, AFTER], \"fields\": [FIELD]}
  FIELD: {\"path\", \"changes\": [\"added\" (or removed, moved, retyped, resized, revalued)], \"before\", \"after\":
    {\"path\", \"declaration\", \"bit_offset\", \"size\", \"bitfield_size\"} or, for an enumerator, {\"path\",
    \"declaration\", \"value\"}, or null}";

/// Show how types differ between kernels: fields that were added, removed, moved, retyped or resized
///
/// Without TYPE, all structs, unions, enums and typedefs are compared, with --functions also functions. If a kernel has several
/// types of one name, the most similar ones are compared. With --since, each kernel of a distribution, architecture and flavour
/// is compared with the one before it, in the order of their releases.
///
/// The exit code is 0 whether kernels differ or not, unless you give --exit-code.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = "btfgen diff [OPTIONS] KERNEL KERNEL [TYPE]...\n       btfgen diff [OPTIONS] --since KERNEL [TYPE]..."
)]
pub(crate) struct Arguments {
    /// Two kernels, and then types; with --since, only types. A kernel is a file (.btf, .btf.xz, .btf.tar.xz,
    /// /sys/kernel/btf/vmlinux), or one of the hub: ID/VERSION/ARCH/RELEASE, or RELEASE if unambiguous. A type is for instance
    /// task_struct, 'struct task_struct', task_struct.pid for one field, or a function's name
    #[arg(value_name = "KERNEL|TYPE")]
    operands: Vec<String>,

    /// Compare each kernel of the hub with the one before it, from this release on, or from this kernel and only in its
    /// series: the same distribution, architecture and flavour
    #[arg(long, value_name = "KERNEL", value_parser = kernel_name)]
    since: Option<KernelName>,

    /// Compare only the types and fields that this BPF object asks for; repeatable
    #[arg(long, value_name = "OBJ")]
    needs: Vec<PathBuf>,

    /// Also compare functions, if no TYPE is given
    #[arg(long)]
    functions: bool,

    /// Exit with 1 if there are differences, as `git diff` does
    #[arg(long)]
    exit_code: bool,

    #[command(flatten)]
    hub: HubArguments,

    #[command(flatten)]
    filter: FilterArguments,

    #[command(flatten)]
    limit: LimitArguments,
}

/// What `--json` prints of two kernels.
#[derive(Serialize)]
struct Report<'d> {
    before: &'d str,
    after: &'d str,
    types: Vec<TypeReport<'d>>,
    #[serde(flatten)]
    failure: Failure,
}

/// What `--json` prints with `--since`.
#[derive(Serialize)]
struct HistoryReport<'d> {
    series: Vec<SeriesReport<'d>>,
    left_out: Vec<LeftOut>,
    #[serde(flatten)]
    failure: Failure,
}

#[derive(Serialize)]
struct SeriesReport<'d> {
    distro: &'d str,
    arch: &'d str,
    flavour: &'d str,
    kernels: Vec<String>,
    steps: Vec<StepReport<'d>>,
}

#[derive(Serialize)]
struct StepReport<'d> {
    #[serde(serialize_with = "crate::report::text")]
    before: &'d KernelId,
    #[serde(serialize_with = "crate::report::text")]
    after: &'d KernelId,
    types: Vec<TypeReport<'d>>,
}

#[derive(Serialize)]
struct TypeReport<'d> {
    kind: &'static str,
    name: &'d str,
    change: &'static str,
    before: Option<Whole<'d>>,
    after: Option<Whole<'d>>,
    definitions: [usize; 2],
    fields: Vec<FieldReport<'d>>,
}

/// A type without its fields.
#[derive(Serialize)]
struct Whole<'d> {
    size: Option<u32>,
    declaration: Option<&'d str>,
}

#[derive(Serialize)]
struct FieldReport<'d> {
    path: &'d str,
    changes: Vec<PartChange>,
    before: Option<&'d Part>,
    after: Option<&'d Part>,
}

impl<'d> TypeReport<'d> {
    fn all(types: &'d [TypeDiff]) -> Vec<Self> {
        types.iter().map(Self::of).collect()
    }

    fn of(diff: &'d TypeDiff) -> Self {
        let whole = |shape: &'d btfgen::Shape| Whole {
            size: shape.size,
            declaration: shape.declaration.as_deref(),
        };
        Self {
            kind: diff.name.kind.keyword(),
            name: &diff.name.name,
            change: change(diff),
            before: diff.before.as_ref().map(whole),
            after: diff.after.as_ref().map(whole),
            definitions: diff.definitions,
            fields: diff
                .parts
                .iter()
                .map(|part| FieldReport {
                    path: part.path(),
                    changes: part.changes(),
                    before: part.before.as_ref(),
                    after: part.after.as_ref(),
                })
                .collect(),
        }
    }
}

fn change(diff: &TypeDiff) -> &'static str {
    match (&diff.before, &diff.after) {
        (None, _) => "added",
        (_, None) => "removed",
        _ => "changed",
    }
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let (kernels, types) = match (&self.since, &self.operands[..]) {
            (Some(_), types) => (None, types),
            (None, [before, after, types @ ..]) => (Some((before, after)), types),
            (None, _) => {
                return Err(Advised::usage(
                    "two kernels are missing",
                    "name two kernels to compare, or the first kernel with --since",
                ));
            }
        };
        let selection = self.selection(types)?;
        match (kernels, &self.since) {
            (Some((before, after)), _) => self.compare(before, after, &selection, console),
            (None, Some(since)) => self.walk(since, &selection, console),
            (None, None) => unreachable!("two kernels are there without --since"),
        }
    }

    fn selection(&self, types: &[String]) -> Result<TypeSelection> {
        let mut selection = TypeSelection::new();
        for text in types {
            selection = selection.named(text)?;
        }
        if !self.needs.is_empty() {
            let objects = self.needs.iter().map(Object::open);
            let needs = Needs::new(objects.collect::<Result<Vec<_>, _>>()?);
            selection = selection.needs(&needs);
        } else if types.is_empty() && self.since.is_some() {
            return Err(Advised::usage(
                "--since needs to know which types to follow",
                "name a type, or an object with --needs",
            ));
        } else if types.is_empty() {
            selection = selection.all_types();
            if self.functions {
                selection = selection.all_functions();
            }
        }
        Ok(selection)
    }

    /// Whether the user has named what to show.
    fn detail(&self, console: Console) -> Detail {
        let is_selected = self.since.is_some() || self.operands.len() > 2 || !self.needs.is_empty();
        Detail {
            whole_types: is_selected || console.verbose,
            all_moves: console.verbose,
        }
    }

    fn compare(
        &self,
        before: &str,
        after: &str,
        selection: &TypeSelection,
        console: Console,
    ) -> Result<Exit> {
        let kernels = Kernels::new(&self.hub, self.limit.max_btf_size, console);
        let mut claims = Claims::default();
        let before = kernels.read(before, &mut claims)?;
        let after = kernels.read(after, &mut claims)?;
        let old = Shapes::new(&before.btf, selection)?;
        let new = Shapes::new(&after.btf, selection)?;
        let both = format!("{} and {}", before.name, after.name);
        selection.check(&both, &[&old, &new], || Ok(&*after.btf))?;
        let types = diff(&old, &new, selection);
        let (exit, failure) = self.conclude(!types.is_empty(), console);
        if console.json {
            sink::json(&Report {
                before: &before.name,
                after: &after.name,
                types: TypeReport::all(&types),
                failure,
            })?;
            return Ok(exit);
        }
        let detail = self.detail(console);
        sink::text(|out| {
            if !types.is_empty() {
                hunk::print_names(out, &before.name, &after.name)?;
            }
            types.iter().try_for_each(|ty| hunk::print(out, ty, detail))
        })?;
        let number = |what| types.iter().filter(|ty| change(ty) == what).count();
        match types.is_empty() {
            true => console.say("the kernels do not differ in these types"),
            false => console.say(format_args!(
                "{}, {} added, {} removed",
                count(number("changed"), "changed type"),
                number("added"),
                number("removed")
            )),
        }
        Ok(exit)
    }

    fn walk(
        &self,
        since: &KernelName,
        selection: &TypeSelection,
        console: Console,
    ) -> Result<Exit> {
        let stop = interrupt::flag(console, None);
        let since = match since {
            KernelName::Id(id) => Since::Kernel(btfgen::hub_id(id.clone())),
            KernelName::Release(release) => Since::Release(release.clone()),
        };
        let folders = self.hub.folders()?;
        let hub = Hub::open_waiting(&folders, || interrupt::check(&stop))?;
        let mut hub = hub.filtered(&self.filter.filter()?)?;
        let max = self.limit.max_btf_size;
        let go_on = || interrupt::check(&stop);
        let history = History::new(hub.kernels(), &since, selection, max, go_on);
        let mut left_out = hub.take_rejected();
        let history = history.inspect_err(|_| console.left_out("file", &left_out))?;
        left_out.extend(history.left_out);
        console.left_out("file", &left_out);
        let differs = history.series.iter().any(|series| !series.steps.is_empty());
        let (exit, failure) = self.conclude(differs, console);
        if console.json {
            sink::json(&HistoryReport {
                series: history.series.iter().map(SeriesReport::of).collect(),
                left_out: LeftOut::all(&left_out),
                failure,
            })?;
            return Ok(exit);
        }
        let detail = self.detail(console);
        sink::text(|out| {
            for series in &history.series {
                writeln!(out, "{}", head(series))?;
                for step in &series.steps {
                    let [before, after] = [&step.before, &step.after].map(ToString::to_string);
                    hunk::print_names(out, &before, &after)?;
                    step.types
                        .iter()
                        .try_for_each(|ty| hunk::print(out, ty, detail))?;
                }
            }
            Ok(())
        })?;
        Ok(exit)
    }

    /// The exit code, and the error that goes with it.
    fn conclude(&self, differs: bool, console: Console) -> (Exit, Failure) {
        if !self.exit_code || !differs {
            return (Exit::Done, Failure::default());
        }
        let error = "the kernels differ";
        console.failure(error);
        (Exit::Failed, Failure::told(error.to_owned()))
    }
}

impl<'d> SeriesReport<'d> {
    fn of(series: &'d Series) -> Self {
        let steps = series.steps.iter().map(|step| StepReport {
            before: &step.before,
            after: &step.after,
            types: TypeReport::all(&step.types),
        });
        Self {
            distro: &series.distro,
            arch: &series.arch,
            flavour: &series.flavour,
            kernels: series.kernels.iter().map(ToString::to_string).collect(),
            steps: steps.collect(),
        }
    }
}

/// `debian x86_64 cloud-amd64: 4 kernels from 5.10.0-30 to 6.12.0-1, 2 changes`
fn head(series: &Series) -> String {
    let name = format!("{} {} {}", series.distro, series.arch, series.flavour);
    let release = |kernel: Option<&KernelId>| kernel.map_or("?", KernelId::release).to_owned();
    let (first, last) = (
        release(series.kernels.first()),
        release(series.kernels.last()),
    );
    let kernels = match series.kernels.len() {
        1 => format!("only {first}"),
        several => format!("{} from {first} to {last}", count(several, "kernel")),
    };
    let changes = count(series.steps.len(), "change");
    printable(&format!("{}: {kernels}, {changes}", name.trim_end()))
}
