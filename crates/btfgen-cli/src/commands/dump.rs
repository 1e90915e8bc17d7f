//! `btfgen dump`: writes kernels' types as a C header.

use std::path::{Path, PathBuf};

use anyhow::Result;
use btfgen::{Claims, Hub, PortableHeader, TypeSelection, header};
use serde::Serialize;

use crate::amount::{bytes, count};
use crate::arguments::{FilterArguments, HubArguments, LimitArguments};
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::{Advised, printable};
use crate::interrupt;
use crate::kernel_argument::Kernels;
use crate::report::LeftOut;
use crate::sink::{self, Sink};

const EXAMPLES: &str = "\
EXAMPLES
  btfgen dump /sys/kernel/btf/vmlinux -o vmlinux.h
  btfgen dump ubuntu/20.04/x86_64/5.4.0-26-generic -o vmlinux.h
  btfgen dump 6.1.0-47-cloud-amd64 task_struct 'enum pid_type'
  btfgen dump --all-kernels --distro debian --arch x86_64 task_struct mm_struct -o vmlinux.h";

/// Write the types of a kernel as a C header, vmlinux.h, or one header for many kernels
///
/// Without TYPE, the header has all types; else those that you name, the types that they need, and the integers that
/// bpf_helpers.h needs. libbpf writes the header, so it is what `bpftool btf dump file KERNEL format c` with the same libbpf writes. The attribute
/// preserve_access_index makes every access to a field a CO-RE relocation.
///
/// With --all-kernels, each struct has the fields that any kernel of the hub has, so a program can ask for old and new fields:
/// bpf_core_field_exists(task->__state). A struct that is the same in all kernels has its layout; any other one has the layout
/// of no kernel, so read its fields one by one. A comment names the kernels that have a field, unless all have it. If a field has
/// another type in some kernels, the other type is in a flavour, called after the first kernel with it: struct x___5_10.
#[derive(Debug, clap::Args)]
#[command(
    after_help = EXAMPLES,
    override_usage = "btfgen dump [OPTIONS] KERNEL [TYPE]...\n       btfgen dump [OPTIONS] --all-kernels [TYPE]..."
)]
pub(crate) struct Arguments {
    /// The kernel, and then types; with --all-kernels, only types. The kernel is a file (.btf, .btf.xz, .btf.tar.xz,
    /// /sys/kernel/btf/vmlinux), or one of the hub: ID/VERSION/ARCH/RELEASE, or RELEASE if unambiguous. A type is for instance
    /// task_struct or 'struct task_struct' [default: all types]
    #[arg(value_name = "KERNEL|TYPE")]
    operands: Vec<String>,

    /// Write one header for all kernels of the hub that pass the filters
    #[arg(long)]
    all_kernels: bool,

    /// The header to write; - is stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,

    #[command(flatten)]
    hub: HubArguments,

    #[command(flatten)]
    filter: FilterArguments,

    #[command(flatten)]
    limit: LimitArguments,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    /// The kernel, unless the header is for many.
    #[serde(skip_serializing_if = "Option::is_none")]
    kernel: Option<String>,
    /// How many kernels the header is for.
    kernels: usize,
    path: String,
    bytes: usize,
    /// The types of which kernels have fields with different types, or enumerators with different values.
    conflicts: Vec<String>,
    left_out: Vec<LeftOut>,
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        if self.output == Path::new("-") && console.json {
            return Err(Advised::usage(
                "stdout cannot take both the header and --json",
                "name a file with -o",
            ));
        }
        let (kernel, types) = match (self.all_kernels, &self.operands[..]) {
            (true, types) => (None, types),
            (false, [kernel, types @ ..]) => (Some(kernel), types),
            (false, []) => {
                return Err(Advised::usage(
                    "the kernel is missing",
                    "name a kernel, or give --all-kernels",
                ));
            }
        };
        let mut selection = TypeSelection::new().helpers_integers();
        for text in types {
            if text.contains('.') {
                let message = format!("{text}: dump writes whole types");
                return Err(Advised::usage(message, "leave out the field"));
            }
            selection = selection.named(text)?;
        }
        let selection = (!types.is_empty()).then_some(&selection);
        match kernel {
            Some(kernel) => self.one(kernel, selection, console),
            None => self.all(selection, console),
        }
    }

    fn one(
        &self,
        kernel: &str,
        selection: Option<&TypeSelection>,
        console: Console,
    ) -> Result<Exit> {
        let mut claims = Claims::default();
        let kernels = Kernels::new(&self.hub, self.limit.max_btf_size, console);
        let kernel = kernels.read(kernel, &mut claims)?;
        let file = self.claim(&mut claims, console)?;
        let text = header(&kernel.name, &kernel.btf, selection)?;
        let report = Report {
            kernel: Some(kernel.name.clone()),
            kernels: 1,
            path: self.output.display().to_string(),
            bytes: text.len(),
            conflicts: Vec::new(),
            left_out: Vec::new(),
        };
        write(file, &text, &kernel.name, &report, console)
    }

    fn all(&self, selection: Option<&TypeSelection>, console: Console) -> Result<Exit> {
        let stop = interrupt::flag(console, None);
        let mut claims = Claims::default();
        let folders = self.hub.folders()?;
        let hub = Hub::open_waiting(&folders, || interrupt::check(&stop))?;
        let mut hub = hub.filtered(&self.filter.filter()?)?;
        claims.reads_hub(&hub)?;
        let file = self.claim(&mut claims, console)?;
        let max = self.limit.max_btf_size;
        let go_on = || interrupt::check(&stop);
        let merged = PortableHeader::new(hub.kernels(), selection, max, go_on);
        let mut left_out = hub.take_rejected();
        let merged = merged.inspect_err(|_| console.left_out("file", &left_out))?;
        left_out.extend(merged.left_out);
        console.left_out("file", &left_out);
        let conflicts = merged.conflicts.iter().map(|conflict| printable(conflict));
        console.note_all("kernels differ in these fields and values:", conflicts);
        let report = Report {
            kernel: None,
            kernels: merged.kernels,
            path: self.output.display().to_string(),
            bytes: merged.text.len(),
            conflicts: merged.conflicts,
            left_out: LeftOut::all(&left_out),
        };
        let kernels = count(merged.kernels, "kernel").to_string();
        write(file, &merged.text, &kernels, &report, console)
    }

    /// The file to write; `None` for stdout.
    fn claim(&self, claims: &mut Claims, console: Console) -> Result<Option<Sink>> {
        if self.output == Path::new("-") {
            return Ok(None);
        }
        Ok(Some(Sink::claim(
            &self.output,
            "the header",
            claims,
            console,
        )?))
    }
}

fn write(
    file: Option<Sink>,
    text: &str,
    of: &str,
    report: &Report,
    console: Console,
) -> Result<Exit> {
    let Some(file) = file else {
        sink::data(|out| out.write_all(text.as_bytes()))?;
        return Ok(Exit::Done);
    };
    file.write(text.as_bytes())?;
    let (path, size) = (printable(&report.path), bytes(text.len() as u64));
    console.say(format_args!("{path}: {size} of {}", printable(of)));
    if console.json {
        sink::json(report)?;
    }
    Ok(Exit::Done)
}
