//! `btfgen offsets`: shows facts of all kernels of a hub, and writes them as data or code.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use btfgen::{Fact, Facts, StoreUse, Survey};
use clap::ValueEnum;

use crate::amount::count;
use crate::arguments::{FilterArguments, HubArguments, LimitArguments, threads};
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::{Advised, printable};
use crate::facts;
use crate::interrupt;
use crate::progress::Bar;
use crate::sink;
use crate::style::STRONG;

mod code;
mod data;

const EXAMPLES: &str = "\
EXAMPLES
  btfgen offsets task_struct.pid size:task_struct func:tty_write
  btfgen offsets 'task_struct.__state | task_struct.state' --distro ubuntu
  btfgen offsets --facts facts.yaml --format c > facts.h
  btfgen offsets bpf_map_type::BPF_MAP_TYPE_RINGBUF --format csv
  btfgen offsets task_struct.pid --json | jq '.rows[] | {kernels, answers}'";

const LONG_HELP: &str = "\
FACTS
  TYPE.MEMBER[.MEMBER]...   offset, size and bits of a member; paths go through anonymous structs and typedefs
  size:TYPE[.MEMBER]...     size of a type or member
  [enum:]TYPE::NAME         value of a name of an enum
  func:NAME                 number of a function's parameters
  FACT | FACT               the next fact if the kernel does not have the first

  TYPE may begin with struct, union, enum or typedef. If a kernel has several types of a name and their answers differ, the \
answer is `ambiguous`. Types and functions of modules are not looked at.

  A file of facts is YAML or JSON:

    facts:
      - task_struct.pid
      - name: state
        fact: task_struct.__state
        fallback: task_struct.state

EXAMPLES
  btfgen offsets task_struct.pid size:task_struct func:tty_write
  btfgen offsets 'task_struct.__state | task_struct.state' --distro ubuntu
  btfgen offsets --facts facts.yaml --format c > facts.h
  btfgen offsets bpf_map_type::BPF_MAP_TYPE_RINGBUF --format csv
  btfgen offsets task_struct.pid --json | jq '.rows[] | {kernels, answers}'";

/// Show offsets, sizes, values of enums and functions on all kernels
///
/// The answers are for programs that read kernel memory without CO-RE relocations, or that decide in user space by what a kernel
/// has. Kernels with equal answers are one row. With --format c and rust, the output is code with a lookup by machine and release.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = LONG_HELP)]
pub(crate) struct Arguments {
    /// What to ask, for example task_struct.pid
    #[arg(value_name = "FACT", required_unless_present = "facts")]
    fact: Vec<Fact>,

    /// Also ask the facts in this YAML or JSON file; repeatable
    #[arg(long, value_name = "FILE")]
    facts: Vec<PathBuf>,

    /// The form of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    format: Format,

    /// Number of threads [default: the number of processors]
    #[arg(short, long, value_name = "N", value_parser = threads)]
    jobs: Option<usize>,

    /// Neither read nor write the hub's type store
    #[arg(long)]
    no_store: bool,

    #[command(flatten)]
    hub: HubArguments,

    #[command(flatten)]
    filter: FilterArguments,

    #[command(flatten)]
    limit: LimitArguments,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// One object; the same as --json
    Json,
    /// The same as YAML
    Yaml,
    /// A line for each answer of each fact
    Csv,
    /// A header for C programs
    C,
    /// A module for Rust programs
    Rust,
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let format = match (console.json, self.format) {
            (true, Format::Text | Format::Json) => Format::Json,
            (true, _) => {
                return Err(Advised::usage(
                    "--json and --format do not go together",
                    "leave out one of them",
                ));
            }
            (false, format) => format,
        };
        let facts = facts::all(&self.fact, &self.facts)?;
        let bar = Bar::new(console);
        let cancel = interrupt::flag(console, Some(bar.screen()));
        let mut survey = Survey::new()
            .filter(self.filter.filter()?)
            .threads(self.jobs.unwrap_or(0))
            .max_btf_bytes(self.limit.max_btf_size)
            .store(if self.no_store {
                StoreUse::None
            } else {
                StoreUse::Kept
            })
            .progress(&bar)
            .cancel(&cancel);
        for fact in facts {
            survey = survey.fact(fact);
        }
        for hub in self.hub.folders()? {
            survey = survey.hub(hub);
        }
        let facts = survey.answer();
        bar.clear();
        let facts = facts?;
        match format {
            Format::Text => sink::text(|out| print(out, &facts))?,
            Format::Json => sink::json(&data::Report::new(&facts))?,
            Format::Yaml => {
                let text = serde_norway::to_string(&data::Report::new(&facts))?;
                sink::data(|out| out.write_all(text.as_bytes()))?;
            }
            Format::Csv => sink::data(|out| data::csv(out, &facts))?,
            Format::C => sink::data(|out| code::c(out, &facts))?,
            Format::Rust => sink::data(|out| code::rust(out, &facts))?,
        }
        facts::warn_unknown(console, &facts);
        console.left_out("kernel", &facts.left_out);
        if let Some(e) = &facts.store_failure {
            console.store_not_written(e);
        }
        Ok(Exit::Done)
    }
}

fn print(out: &mut dyn Write, facts: &Facts) -> io::Result<()> {
    for (number, fact) in facts.facts.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        writeln!(out, "{STRONG}{fact}{STRONG:#}")?;
        for (answered, kernels) in facts.answers(number) {
            let by = match (answered.question, fact.questions().get(answered.question)) {
                (1.., Some(question)) => format!(" ({question})"),
                _ => String::new(),
            };
            let answer = printable(&answered.answer.to_string());
            writeln!(out, "  {answer}{by}: {}", count(kernels.len(), "kernel"))?;
            for range in facts.ranges(&kernels) {
                writeln!(out, "    {}", printable(&range.to_string()))?;
            }
        }
    }
    Ok(())
}
