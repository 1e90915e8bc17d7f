//! `btfgen minimize`: minimizes one kernel's BTF, without an archive.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use btfgen::{
    Claims, Minimized, Minimizer, Need, Needs, Object, Outcome, parse_kernel, read_kernel_file,
};
use serde::Serialize;

use crate::amount::{bytes, count};
use crate::arguments::LimitArguments;
use crate::commands::needs::Refused;
use crate::console::{Console, printable};
use crate::exit::Exit;
use crate::interrupt;
use crate::sink::{self, Sink};

const EXAMPLES: &str = "\
EXAMPLES
  btfgen minimize 5.4.0-26-generic.btf.tar.xz app.bpf.o -o 5.4.0-26-generic.btf
  btfgen minimize /sys/kernel/btf/vmlinux app.bpf.o -o - | bpftool btf dump file /dev/stdin";

/// Reduce one kernel's BTF to what objects need
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The kernel's BTF: .btf, .btf.xz, .btf.tar.xz or /sys/kernel/btf/vmlinux
    #[arg(value_name = "KERNEL")]
    kernel: PathBuf,

    /// BPF object files
    #[arg(required = true, value_name = "OBJ")]
    objects: Vec<PathBuf>,

    /// The minimal BTF to write; - is stdout
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

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
}

fn is_unresolved(need: &Need, outcome: &Outcome) -> bool {
    outcome.refusal().is_none() && !outcome.is_found(need.kind())
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let stop = interrupt::flag(console, None);
        let mut claims = Claims::default();
        claims.reads("the kernel", &self.kernel)?;
        for object in &self.objects {
            claims.reads("the BPF object", object)?;
        }
        let sink = Sink::claim(&self.output, "the minimal BTF", &mut claims, console)?;
        let objects = self
            .objects
            .iter()
            .map(Object::open)
            .collect::<Result<_, _>>()?;
        let needs = Needs::new(objects);
        let full = read_kernel_file(&self.kernel, self.limit.max_btf_size)?;
        let named = |what: &str| format!("{}: {what}", self.kernel.display());
        let btf = parse_kernel(&self.kernel, &full)?;
        let minimized = Minimizer::new(&needs)
            .minimize(&btf)
            .with_context(|| named("cannot be minimized"))?;
        interrupt::check(&stop)?;
        sink.write(&minimized.btf)?;
        if btf.type_count() == 1 {
            console.warning(named("holds no types, so nothing is found in it"));
        }
        self.summarize(console, &needs, full.len(), &minimized);
        if console.json {
            let answers = || needs.iter().zip(&minimized.outcomes);
            sink::json(&Report {
                path: &self.output,
                types: btf.type_count() - 1,
                full_bytes: full.len(),
                minimal_bytes: minimized.btf.len(),
                relocations: needs.len(),
                unresolved: answers()
                    .filter(|(need, outcome)| is_unresolved(need, outcome))
                    .map(|(need, _)| need.to_string())
                    .collect(),
                refused: answers()
                    .filter_map(|(need, o)| Some(Refused::new(&needs, need, o.refusal()?)))
                    .collect(),
            })?;
        }
        Ok(Exit::Done)
    }

    fn summarize(&self, console: Console, needs: &Needs, full: usize, minimized: &Minimized) {
        console.say(format_args!(
            "{}: {} -> {} for {}",
            self.kernel.display(),
            bytes(full as u64),
            bytes(minimized.btf.len() as u64),
            count(needs.len(), "relocation"),
        ));
        let answers = || needs.iter().zip(&minimized.outcomes);
        let refused = answers().filter_map(|(need, outcome)| {
            let reason = outcome.refusal()?;
            Some(format!("{}: {reason}", printable(&need.to_string())))
        });
        let refused: Vec<String> = refused.collect();
        if !refused.is_empty() {
            console
                .warning("libbpf refuses to load objects with these relocations on this kernel:");
            console.details(refused.into_iter());
        }
        let missing: Vec<String> = answers()
            .filter(|(need, outcome)| is_unresolved(need, outcome))
            .map(|(need, _)| need.to_string())
            .collect();
        if !missing.is_empty() && !console.quiet {
            console.note(format_args!(
                "{} found nothing in this kernel",
                count(missing.len(), "relocation")
            ));
            if console.verbose {
                console.details(missing.into_iter());
            }
        }
    }
}
