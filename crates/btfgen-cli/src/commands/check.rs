//! `btfgen check`: shows on which kernels objects load, and which source lines break where.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use btfgen::{Baseline, Claims, ObjectSupport, Output, Regression, Requirement, Support, Verdict};
use btfgen_files::read_regular;

use self::report::Report;
use crate::amount::count;
use crate::arguments::WorkArguments;
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::{Advised, chain, printable};
use crate::html;
use crate::interrupt;
use crate::progress::Bar;
use crate::report::Failure;
use crate::sink;

mod report;
mod text;

/// The largest baseline. One of 5,000 kernels and 20 objects has 4 MB.
const MAX_BASELINE_BYTES: u64 = 64 << 20;

const EXAMPLES: &str = "\
EXAMPLES
  btfgen check app.bpf.o
  btfgen check app.bpf.o --hub ~/btfhub-archive --distro ubuntu --verbose
  btfgen check app.bpf.o --require 'ubuntu/20.04/*' --require '>=5.4'
  btfgen check app.bpf.o --write-baseline support.json
  btfgen check app.bpf.o --baseline support.json
  btfgen check *.bpf.o --html support.html
  btfgen check app.bpf.o --json | jq -r '.objects[].findings[].reason'

VERDICTS
  loads     all relocations resolve, or the code shows that what is missing is never reached
  poisoned  an access is missing, and nothing in the code shows that it is never reached: the program
            loads only if the verifier sees more than check does
  fails     each way through the program meets a missing access, so the verifier refuses the program
  refused   libbpf refuses the whole object

An object has the worst verdict of the programs that libbpf loads by default. --require and --baseline
want `loads`.";

/// Show on which kernels objects load, and which source line breaks where
///
/// libbpf's own code resolves every relocation on every kernel of the hub, as pack does. If a kernel does not have what an
/// instruction accesses, libbpf poisons the instruction, and the verifier refuses a program that can reach it. check follows the
/// constants through the program's code to see which accesses a guard such as bpf_core_field_exists() rules out.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Fail if an object does not load on one of these kernels: a glob for ID/VERSION/ARCH/RELEASE, or a version such as '>=5.4'
    /// or '>=5.4,<6.1'; repeatable
    #[arg(long, value_name = "KERNELS", help_heading = "Results", value_parser = requirement)]
    require: Vec<Requirement>,

    /// Fail if an object no longer loads on a kernel on which it loaded when this file was written
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    baseline: Option<PathBuf>,

    /// Write on which kernels the objects load, for --baseline
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    write_baseline: Option<PathBuf>,

    /// Write the result as a page for a browser: a heat map of relocations and kernels, with reasons, layouts and source lines. It
    /// is one file and loads nothing from the network
    #[arg(long, value_name = "FILE", help_heading = "Results")]
    html: Option<PathBuf>,

    #[command(flatten)]
    work: WorkArguments,
}

fn requirement(text: &str) -> Result<Requirement, String> {
    text.parse().map_err(|e: btfgen::Error| match e.help() {
        Some(help) => format!("{}; {help}", chain(&e)),
        None => chain(&e),
    })
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let bar = Bar::new(console);
        let cancel = interrupt::flag(console, Some(bar.screen()));
        let mut claims = Claims::default();
        console.claim_stdout(&mut claims)?;
        let before = self.baseline.as_deref();
        let before = before.map(|path| read_baseline(path, &mut claims));
        let before = before.transpose()?;
        let output = self.write_baseline.as_deref();
        let output = output.map(|path| claim("the baseline", path, &mut claims));
        let output = output.transpose()?;
        let page = self.html.as_deref();
        let page = page.map(|path| claim("the page", path, &mut claims));
        let page = page.transpose()?;
        let pack = self
            .work
            .pack()?
            .claims(claims)
            .progress(&bar)
            .cancel(&cancel);
        let support = pack.check();
        bar.clear();
        let support = support?;
        let broken = self.broken(&support)?;
        let regressions = before.map(|baseline| {
            note_unchecked(console, &baseline, &support);
            baseline.regressions(&support)
        });
        let regressions = regressions.unwrap_or_default();
        if let Some(output) = output {
            let mut text = serde_json::to_vec_pretty(&Baseline::of(&support))?;
            text.push(b'\n');
            output.write(&text)?;
        }
        if let Some(page) = page {
            page.write(&html::page(&support, &text::asks(&support)?)?)?;
        }
        let failure = failure(&support, &broken, &regressions);
        if console.json {
            let failure = failure.clone().map_or_else(Failure::default, Failure::told);
            sink::json(&Report::new(&support, &broken, &regressions, failure))?;
        } else {
            sink::text(|out| text::print(out, &support, console.verbose))?;
        }
        console.left_out("kernel", &support.left_out);
        if let Some(failure) = &failure {
            console.failure(failure);
            console.details(text::breaking(&support, &broken, &regressions).into_iter());
        }
        Ok(failure.is_none().into())
    }

    /// The objects that do not load on required kernels.
    fn broken(&self, support: &Support) -> Result<Vec<Broken>> {
        let mut broken = Vec::new();
        for requirement in &self.require {
            if !support.kernels().any(|kernel| requirement.matches(kernel)) {
                return Err(Advised::new(
                    format!(
                        "--require {}: none of the checked kernels is one of these",
                        printable(requirement.as_str())
                    ),
                    "`btfgen list` shows the kernels of the hub",
                )
                .into());
            }
            for (n, object) in support.objects.iter().enumerate() {
                let kernels = kernels_without(support, object);
                let kernels = kernels.filter(|kernel| requirement.matches(kernel));
                let mut kernels: Vec<_> = kernels.cloned().collect();
                kernels.sort();
                if !kernels.is_empty() {
                    broken.push(Broken {
                        requirement: requirement.as_str().to_owned(),
                        object: n,
                        kernels,
                    });
                }
            }
        }
        Ok(broken)
    }
}

/// An object that does not load on kernels which `--require` names.
struct Broken {
    requirement: String,
    object: usize,
    kernels: Vec<btfgen::KernelId>,
}

/// The kernels on which an object does not load for sure.
fn kernels_without<'s>(
    support: &'s Support,
    object: &'s ObjectSupport,
) -> impl Iterator<Item = &'s btfgen::KernelId> {
    let groups = support.groups.iter().zip(&object.verdicts);
    let groups = groups.filter(|(_, verdict)| **verdict != Verdict::Loads);
    groups.flat_map(|(group, _)| &group.kernels)
}

/// Why the command fails, if it does.
fn failure(support: &Support, broken: &[Broken], regressions: &[Regression]) -> Option<String> {
    let name = |object: usize| printable(&support.objects[object].name);
    let broken = broken.iter().map(|broken| {
        format!(
            "{} does not load on {} that --require {} names",
            name(broken.object),
            count(broken.kernels.len(), "kernel"),
            printable(&broken.requirement)
        )
    });
    let regressions = regressions.iter().map(|regression| {
        format!(
            "{} no longer loads on {} of the baseline",
            name(regression.object),
            count(regression.kernels.len(), "kernel")
        )
    });
    let all: Vec<String> = broken.chain(regressions).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

fn claim(what: &'static str, path: &Path, claims: &mut Claims) -> Result<Output> {
    let output = Output::probe(path)?;
    claims.writes(what, &output)?;
    Ok(output)
}

fn read_baseline(path: &Path, claims: &mut Claims) -> Result<Baseline> {
    claims.reads("the baseline", path)?;
    let bytes = read_regular(path, MAX_BASELINE_BYTES)
        .with_context(|| format!("{}: cannot be read", path.display()))?;
    let baseline: Baseline = serde_json::from_slice(&bytes)
        .with_context(|| format!("{}: is not a baseline", path.display()))?;
    Ok(baseline.checked(&path.display().to_string())?)
}

fn note_unchecked(console: Console, baseline: &Baseline, support: &Support) {
    let (objects, kernels) = baseline.unchecked(support);
    console.note_all(
        "these objects of the baseline were not checked:",
        objects.into_iter().map(printable),
    );
    console.note_all(
        format_args!(
            "{} of the baseline were not checked, because the hub or the selection lacks them:",
            count(kernels.len(), "kernel")
        ),
        kernels.into_iter().map(str::to_owned),
    );
}
