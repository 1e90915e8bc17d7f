//! `btfgen fetch`: brings published BTFs into a hub.

use anyhow::Result;
use btfgen::KernelId;
use btfgen_fetch::{
    BTFHUB_ARCHIVE, Collision, Fetch, Fetched, FetchedChunks, LeftOut, Preview,
    PreviewedRepository, Transport,
};

use crate::amount::{bytes, count};
use crate::arguments::{FilterArguments, TargetHubArguments};
use crate::commands::index;
use crate::console::Console;
use crate::exit::Exit;
use crate::explain::printable;
use crate::interrupt;
use crate::progress::TransferBar;
use crate::sink;
use crate::style::STRONG;

const EXAMPLES: &str = "\
EXAMPLES
  btfgen fetch
  btfgen fetch --distro ubuntu/20.04 --distro debian --arch x86_64
  btfgen fetch --only 'rhel/8*/4.18.0-*' --dry-run
  btfgen fetch --repo git@example.org:kernels/btfs.git --repo https://github.com/aquasecurity/btfhub-archive
  btfgen fetch --hub /srv/btfhub --prune --json | jq .added";

/// Bring published BTFs into a hub, and keep it up to date
///
/// Copies the kernels of btfhub-archive, or of repositories with the same layout, into a hub, which `btfgen pack` reads. It
/// creates a missing hub. A later run brings only new and changed kernels. The hub changes only after everything has arrived:
/// if you stop a fetch or the network fails, the hub stays as it was, and the next run continues. fetch never changes your own
/// files in the hub.
///
/// CHUNKS: A repository may also have chunks of kernels (ID/VERSION/ARCH.btfs), which `btfgen hub compact` makes. A chunk is
/// transferred as a whole if one of its kernels could pass the filters.
///
/// TRANSFER: If a `git` executable (2.29 or newer) exists and the server can send single files (git's partial clone, which
/// GitHub supports), fetch transfers only the selected files, 64 at a time. Otherwise it says so, and the built-in libgit2
/// makes a shallow clone: the last commit with all its files, whatever --only, --arch and --distro select. The clone stays in
/// the hub's folder .btfgen, so that later updates are small. fetch reads a repository in a local folder directly.
///
/// fetch uses git's logins, proxies and certificates: ssh-agent and keys, credential helpers, http.proxy and HTTPS_PROXY,
/// SSL_CERT_FILE.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Repository to fetch from: a git URL or a folder; repeatable, the first repository that has a kernel wins [default:
    /// $BTFHUB_REPO_URL, else $BTFHUB_REPO, each a list separated by commas, else btfhub-archive on GitHub]
    #[arg(long, value_name = "URL")]
    repo: Vec<String>,

    /// Remove fetched kernels that these repositories no longer have
    #[arg(long)]
    prune: bool,

    /// Print how many kernels and bytes a fetch would bring, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Do not add the new kernels to the hub's type store; the next pack does it
    #[arg(long)]
    no_store: bool,

    #[command(flatten)]
    hub: TargetHubArguments,

    #[command(flatten)]
    filter: FilterArguments,
}

impl Arguments {
    pub(crate) fn run(self, console: Console) -> Result<Exit> {
        let hub = self.hub.folder()?;
        let bar = TransferBar::new(console);
        let cancel = interrupt::flag(console, Some(bar.screen()));
        let mut fetch = Fetch::into_hub(&hub)
            .filter(self.filter.filter()?)
            .prune(self.prune)
            .progress(&bar)
            .cancel(&cancel);
        for repository in self.repositories() {
            fetch = fetch.repository(repository);
        }
        if self.dry_run {
            let preview = fetch.preview();
            bar.clear();
            return show_preview(console, &preview?);
        }
        let fetched = fetch.run();
        bar.clear();
        let fetched = fetched?;
        tell(console, &fetched, &hub);
        let has_changed = fetched.written_bytes > 0;
        if has_changed && !self.no_store {
            index::add_new(console, &hub, None, &cancel);
        }
        if console.json {
            sink::json(&fetched)?;
        }
        Ok(Exit::Done)
    }

    fn repositories(&self) -> Vec<String> {
        if !self.repo.is_empty() {
            return self.repo.clone();
        }
        let variable = |name| std::env::var(name).ok();
        let named = ["BTFHUB_REPO_URL", "BTFHUB_REPO"]
            .into_iter()
            .filter_map(variable)
            .map(|list| split(&list))
            .find(|list| !list.is_empty());
        named.unwrap_or_else(|| vec![BTFHUB_ARCHIVE.to_owned()])
    }
}

fn show_preview(console: Console, preview: &Preview) -> Result<Exit> {
    tell_collisions(console, &preview.collisions);
    if console.json {
        sink::json(preview)?;
    } else {
        let mut repositories = preview.repositories.iter();
        sink::text(|out| repositories.try_for_each(|r| writeln!(out, "{}", described(r))))?;
    }
    Ok(Exit::Done)
}

/// The repositories of a list that is separated by commas.
fn split(list: &str) -> Vec<String> {
    let parts = list.split(',').map(str::trim);
    parts.filter(|r| !r.is_empty()).map(str::to_owned).collect()
}

fn described(repository: &PreviewedRepository) -> String {
    let about = |exact| if exact { "" } else { "about " };
    let address = printable(&repository.address);
    let size = format!(
        "{}{}",
        about(repository.bytes_are_exact),
        bytes(repository.bytes)
    );
    if !repository.kernels_are_exact {
        return format!(
            "{address}: about {} in {size}, the whole repository",
            count(repository.kernels, "file")
        );
    }
    let kernels = count(repository.kernels, "kernel").to_string();
    let chunks = format!("{} of kernels", count(repository.chunks, "chunk"));
    let what = match (repository.kernels, repository.chunks) {
        (_, 0) => kernels,
        (0, _) => chunks,
        _ => format!("{kernels} and {chunks}"),
    };
    match repository.transport {
        Transport::Local => format!("{address}: {STRONG}{what}{STRONG:#} to copy, {size}"),
        _ => format!("{address}: {STRONG}{what}{STRONG:#} to transfer, {size}"),
    }
}

fn tell(console: Console, fetched: &Fetched, hub: &std::path::Path) {
    for repository in &fetched.repositories {
        if console.verbose {
            console.say(format_args!(
                "{} at {:.12}: {} transferred",
                printable(&repository.address),
                repository.commit,
                bytes(repository.received_bytes)
            ));
        }
    }
    let parts = [
        (fetched.added.len(), "new"),
        (fetched.updated.len(), "updated"),
        (fetched.pruned.len(), "removed"),
        (fetched.unchanged, "unchanged"),
    ];
    let told: Vec<String> = parts
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, what)| format!("{STRONG}{number}{STRONG:#} {what}"))
        .collect();
    let written = match fetched.written_bytes {
        0 => String::new(),
        written => format!(", {} written", bytes(written)),
    };
    let kernels = if told.is_empty() {
        "no kernels".to_owned()
    } else {
        told.join(", ")
    };
    console.say(format_args!("{}: {kernels}{written}", hub.display()));
    tell_collisions(console, &fetched.collisions);
    tell_kernels(
        console,
        &fetched.gone,
        "no longer in the repositories; kept (--prune removes them):",
    );
    tell_kernels(
        console,
        &fetched.kept,
        "not updated, because the hub has your own file, or has them in a chunk:",
    );
    tell_chunks(console, &fetched.chunks);
    tell_left_out(console, &fetched.left_out);
}

fn tell_kernels(console: Console, kernels: &[KernelId], what: &str) {
    console.note_all(
        format_args!("{} {what}", count(kernels.len(), "kernel")),
        kernels.iter().map(ToString::to_string),
    );
}

fn tell_chunks(console: Console, chunks: &FetchedChunks) {
    for (paths, what) in [
        (
            &chunks.whole,
            "transferred as a whole, also with kernels that the filters exclude:",
        ),
        (
            &chunks.gone,
            "no longer in the repositories; kept (--prune removes them):",
        ),
        (
            &chunks.kept,
            "not updated, because the hub has your own chunk:",
        ),
    ] {
        console.note_all(
            format_args!("{} {what}", count(paths.len(), "chunk")),
            paths.iter().map(|path| printable(path)),
        );
    }
}

fn tell_collisions(console: Console, collisions: &[Collision]) {
    console.note_all(
        format_args!(
            "{} with different contents in several repositories; the first repository wins:",
            count(collisions.len(), "kernel")
        ),
        collisions.iter().map(|c| {
            let (from, not_from) = (printable(&c.taken_from), printable(&c.also_in));
            format!("{}: from {from}, not from {not_from}", c.kernel)
        }),
    );
}

fn tell_left_out(console: Console, left_out: &[LeftOut]) {
    let line = |l: &LeftOut| format!("{}: {}", printable(&l.path), printable(&l.why));
    let (broken, useless): (Vec<&LeftOut>, Vec<&LeftOut>) = left_out.iter().partition(|l| l.broken);
    console.note_all(
        format_args!("skipped {} without a kernel:", count(useless.len(), "file")),
        useless.into_iter().map(line),
    );
    console.warn_all(
        format_args!(
            "left out {} of the repositories:",
            count(broken.len(), "file")
        ),
        broken.into_iter().map(line),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a list of repositories may have spaces and end with a comma.
    #[test]
    fn repositories_of_a_list() {
        assert_eq!(split("a, b,"), ["a", "b"]);
        assert!(split(" , ").is_empty());
    }
}
