//! `btfgen hub compact` and `btfgen hub expand`: kernels' files into chunks, and back.

use anyhow::Result;
use btfgen_hub::{ChunkChange, Compact, CompactedChunk, Expand, ExpandedChunk};
use serde::Serialize;

use crate::amount::{bytes, count};
use crate::arguments::{FilterArguments, LimitArguments, TargetHubArguments};
use crate::console::Console;
use crate::exit::Exit;
use crate::interrupt;
use crate::progress::{Bar, WaitNote};
use crate::report::LeftOut;
use crate::sink;
use crate::style::STRONG;

const COMPACT_EXAMPLES: &str = "\
EXAMPLES
  btfgen hub compact
  btfgen hub compact --distro ubuntu --replace
  btfgen hub compact --replace --dry-run --json | jq '.chunks[].file_bytes'
  git clone --depth 1 https://github.com/aquasecurity/btfhub-archive && btfgen hub compact --hub btfhub-archive --replace";

const EXPAND_EXAMPLES: &str = "\
EXAMPLES
  btfgen hub expand --only 'ubuntu/20.04/x86_64/5.4.0-2?-generic'
  btfgen hub expand --replace";

/// Put the kernels of each distribution, version and architecture into one small file
///
/// The files ID/VERSION/ARCH/RELEASE.btf.tar.xz become one chunk ID/VERSION/ARCH.btfs, which has the same BTFs, byte for byte, in
/// a small part of the space. Every command reads chunks like files. Kernels that the chunk does not have yet are added to it. A
/// chunk that has all of them is not written.
///
/// compact reads each chunk back and compares it with the files, byte for byte, before it gets its name. Without --replace the
/// files stay, and the hub becomes larger. With --replace, the files that are in the chunk are removed. If a kernel is both a file
/// and in a chunk, the file wins. Broken files stay, and are named. If compact is stopped or killed, no kernel is lost.
///
/// A later fetch from a repository of files brings only new and changed kernels, as files; the next compact puts them into the
/// chunk. A chunk that a fetch brought and compact changed is your own from then on: fetch no longer updates it. fetch
/// --prune takes no kernel out of a chunk.
#[derive(Debug, clap::Args)]
#[command(after_help = COMPACT_EXAMPLES)]
pub(crate) struct CompactArguments {
    /// Remove the files that are in a chunk
    #[arg(long)]
    replace: bool,

    /// Read the files, print what would be done, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    #[command(flatten)]
    hub: TargetHubArguments,

    #[command(flatten)]
    filter: FilterArguments,

    #[command(flatten)]
    limit: LimitArguments,
}

/// Make a file of each kernel in a chunk: the way back from compact
///
/// Each kernel in a chunk becomes ID/VERSION/ARCH/RELEASE.btf.tar.xz, as in btfhub-archive, with the same BTF. expand reads each
/// file back and compares it with the chunk before it gets its name. Kernels that already have a file keep it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXPAND_EXAMPLES)]
pub(crate) struct ExpandArguments {
    /// Remove each chunk of which every kernel is a sound file now
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    hub: TargetHubArguments,

    #[command(flatten)]
    filter: FilterArguments,

    #[command(flatten)]
    limit: LimitArguments,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'r, C> {
    chunks: &'r [C],
    left_out: Vec<LeftOut>,
}

impl CompactArguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let folder = self.hub.folder()?;
        let bar = Bar::new(console);
        let cancel = interrupt::flag(console, Some(bar.screen()));
        let (note, screen) = (WaitNote::default(), bar.screen());
        let waiting = |for_whom| screen.suspend(|| note.say(console, for_whom));
        let compacted = Compact::hub(&folder)
            .filter(self.filter.filter()?)
            .max_btf_bytes(self.limit.max_btf_size)
            .replace(self.replace)
            .dry_run(self.dry_run)
            .waiting(&waiting)
            .progress(&bar)
            .cancel(&cancel)
            .run();
        bar.clear();
        let compacted = compacted?;
        for chunk in &compacted.chunks {
            console.say(self.told(chunk));
        }
        if compacted.chunks.is_empty() {
            console.note("there are no files to put into a chunk");
        }
        console.left_out("file", &compacted.left_out);
        if console.json {
            sink::json(&Report {
                chunks: &compacted.chunks,
                left_out: LeftOut::all(&compacted.left_out),
            })?;
        }
        Ok(Exit::Done)
    }

    fn told(&self, chunk: &CompactedChunk) -> String {
        let path = chunk.path.display();
        let kernels = count(chunk.kernels, "kernel");
        let change = match chunk.change {
            ChunkChange::New => "new".to_owned(),
            ChunkChange::Unchanged => "unchanged".to_owned(),
            ChunkChange::Updated => format!("{} new, {} updated", chunk.added, chunk.updated),
        };
        let size = match chunk.bytes {
            Some(size) => format!(", {}", bytes(size)),
            None => String::new(),
        };
        let files = count(chunk.files, "file");
        let fate = match (self.dry_run, self.replace) {
            (true, true) => "would be removed".to_owned(),
            (true, false) => "would stay".to_owned(),
            (false, true) if chunk.removed == chunk.files => "removed".to_owned(),
            (false, true) => format!("of which {} removed", chunk.removed),
            (false, false) => "kept".to_owned(),
        };
        let of_files = bytes(chunk.file_bytes);
        let fate = format!("; {files} with {of_files} {fate}");
        format!("{path}: {STRONG}{kernels}{STRONG:#} ({change}){size}{fate}")
    }
}

impl ExpandArguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let folder = self.hub.folder()?;
        let bar = Bar::new(console);
        let cancel = interrupt::flag(console, Some(bar.screen()));
        let (note, screen) = (WaitNote::default(), bar.screen());
        let waiting = |for_whom| screen.suspend(|| note.say(console, for_whom));
        let expanded = Expand::hub(&folder)
            .filter(self.filter.filter()?)
            .max_btf_bytes(self.limit.max_btf_size)
            .replace(self.replace)
            .waiting(&waiting)
            .progress(&bar)
            .cancel(&cancel)
            .run();
        bar.clear();
        let expanded = expanded?;
        for chunk in &expanded.chunks {
            console.say(told(chunk));
        }
        if expanded.chunks.is_empty() {
            console.note("all these kernels are files");
        }
        console.left_out("file", &expanded.left_out);
        if console.json {
            sink::json(&Report {
                chunks: &expanded.chunks,
                left_out: LeftOut::all(&expanded.left_out),
            })?;
        }
        Ok(Exit::Done)
    }
}

fn told(chunk: &ExpandedChunk) -> String {
    let fate = if chunk.removed { "; removed" } else { "" };
    format!(
        "{}: {}, {STRONG}{}{STRONG:#} of {} written{fate}",
        chunk.path.display(),
        count(chunk.kernels, "kernel"),
        count(chunk.written, "file"),
        bytes(chunk.file_bytes)
    )
}
