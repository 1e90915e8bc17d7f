//! `btfgen minimize`: minimizes one kernel's BTF, without an archive.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use btfgen::{Claims, Minimized, Minimizer, Needs, Object, parse_kernel, read_kernel_file};

use crate::amount::{bytes, count};
use crate::arguments::LimitArguments;
use crate::console::{Console, printable};
use crate::exit::Exit;
use crate::interrupt;
use crate::sink::Sink;

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

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let stop = interrupt::flag(console, None);
        let mut claims = Claims::default();
        claims.reads("the kernel", &self.kernel)?;
        for object in &self.objects {
            claims.reads("the BPF object", object)?;
        }
        let sink = Sink::for_binary(&self.output, "the minimal BTF", &mut claims)?;
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
            .filter(|(need, outcome)| outcome.refusal().is_none() && !outcome.is_found(need.kind()))
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
