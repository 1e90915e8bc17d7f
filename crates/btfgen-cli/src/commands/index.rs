//! `btfgen hub index`: fills the type store. `btfgen fetch` and `btfgen add` do the same when they brought kernels.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::Result;
use btfgen::KernelId;
use btfgen_hub::{ErrorKind, Index};
use serde::Serialize;

use crate::amount::{bytes, count};
use crate::arguments::{HubArguments, LimitArguments};
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::chain;
use crate::interrupt;
use crate::progress::Bar;
use crate::report::LeftOut;
use crate::sink;
use crate::style::STRONG;

const EXAMPLES: &str = "\
EXAMPLES
  btfgen hub index
  btfgen hub index --hub ~/btfhub-archive
  btfgen hub index --json | jq .bytes";

/// Add the kernels' types to the hub's type store, so that packs need not read the kernels
///
/// The store is the file .btfgen/types in the hub. A hub that you cannot write, and several hubs together, have it in the cache
/// folder. The first pack of a kernel adds it, too, and so do fetch and add when they bring kernels. The store only saves time: you
/// may delete it at any time.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    hub: HubArguments,

    #[command(flatten)]
    limit: LimitArguments,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'r> {
    path: &'r Path,
    bytes: u64,
    kernels: usize,
    added: usize,
    left_out: Vec<LeftOut>,
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let bar = Bar::new(console);
        let cancel = interrupt::flag(console, Some(bar.screen()));
        let mut index = Index::default()
            .max_btf_bytes(self.limit.max_btf_size)
            .progress(&bar)
            .cancel(&cancel);
        for folder in self.hub.folders()? {
            index = index.and_hub(folder);
        }
        let indexed = index.run();
        bar.clear();
        let indexed = indexed?;
        console.say(format_args!(
            "{}: {STRONG}{}{STRONG:#} ({} new), {}",
            indexed.path.display(),
            count(indexed.kernels, "kernel"),
            indexed.added,
            bytes(indexed.bytes)
        ));
        console.left_out("kernel", &indexed.left_out);
        if console.json {
            sink::json(&Report {
                path: &indexed.path,
                bytes: indexed.bytes,
                kernels: indexed.kernels,
                added: indexed.added,
                left_out: LeftOut::all(&indexed.left_out),
            })?;
        }
        Ok(Exit::Done)
    }
}

/// Adds kernels that were just brought into a hub to its type store: all that it lacks, or only some. The hub is complete
/// without, so a failure is a note.
pub(crate) fn add_new(
    console: Console,
    hub: &Path,
    only: Option<&[KernelId]>,
    cancel: &AtomicBool,
) {
    let bar = Bar::new(console);
    let mut index = Index::hub(hub).progress(&bar).cancel(cancel);
    if let Some(only) = only {
        index = index.only(only);
    }
    let indexed = index.run();
    bar.clear();
    match indexed {
        Ok(indexed) if console.verbose => console.say(format_args!(
            "{}: {} in {}",
            indexed.path.display(),
            count(indexed.kernels, "kernel"),
            bytes(indexed.bytes)
        )),
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::Cancelled => {
            console.note("the type store does not have all kernels; the next pack adds them");
        }
        Err(e) => console.note(format_args!(
            "the type store does not have the new kernels, so packs read them: {}",
            chain(&e)
        )),
    }
}
