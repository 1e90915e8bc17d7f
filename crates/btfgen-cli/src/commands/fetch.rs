//! `btfgen fetch`: published BTFs into a hub.

use anyhow::Result;
use btfgen::KernelId;
use btfgen_hub::{
    BTFHUB_ARCHIVE, Collision, Fetch, Fetched, LeftOut, Preview, PreviewedRepository, Transport,
};

use crate::amount::{bytes, count};
use crate::arguments::{FilterArguments, TargetHubArguments};
use crate::console::{Console, printable};
use crate::exit::Exit;
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
/// The kernels of btfhub-archive, or of repositories laid out like it, come into a folder that `btfgen pack` reads. Run
/// again, it brings what is new or different. The hub changes only when everything has come: stop it, or lose the network,
/// and the hub is as it was; the next run goes on. Your own files in the hub stay as they are.
///
/// HOW FILES COME: with a `git` executable (2.29 or newer) and a server that sends single files (git's partial clone, as
/// GitHub's does), only the files that are asked for are transferred, 64 at a time. Else libgit2, which is built in, takes
/// a shallow clone of depth 1: the last commit with all its files, whatever --only, --arch and --distro say, and it stays
/// in the hub's folder .btfgen so that an update is small. You are told so. A repository in a folder of this machine is
/// read where it is.
///
/// Logins, proxies and certificates are those of git: ssh-agent and keys, credential helpers, http.proxy and HTTPS_PROXY,
/// SSL_CERT_FILE.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Repository to fetch from: a URL that git knows, or a folder; repeatable, the first one that has a kernel counts
    /// [default: $BTFHUB_REPO_URL, else $BTFHUB_REPO, with commas between several, else btfhub-archive on GitHub]
    #[arg(long, value_name = "URL")]
    repo: Vec<String>,

    /// Remove kernels that came from these repositories and are there no more
    #[arg(long)]
    prune: bool,

    /// Say how many kernels and bytes would come, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,

    /// Print JSON: an object with what was fetched, or would be
    #[arg(long)]
    json: bool,

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
            return self.show_preview(console, &preview?);
        }
        let fetched = fetch.run();
        bar.clear();
        let fetched = fetched?;
        if self.json {
            sink::json(&fetched)?;
        }
        tell(console, &fetched, &hub);
        Ok(Exit::left_out(fetched.left_out.iter().any(|l| l.broken)))
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

    fn show_preview(&self, console: Console, preview: &Preview) -> Result<Exit> {
        if self.json {
            sink::json(preview)?;
        } else {
            sink::text(|out| {
                preview
                    .repositories
                    .iter()
                    .try_for_each(|r| writeln!(out, "{}", described(r)))
            })?;
        }
        tell_collisions(console, &preview.collisions);
        Ok(Exit::Done)
    }
}

/// The repositories of a list with commas.
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
    let kernels = count(repository.kernels, "kernel");
    match repository.transport {
        Transport::Local => format!("{address}: {STRONG}{kernels}{STRONG:#} to copy, {size}"),
        _ => format!("{address}: {STRONG}{kernels}{STRONG:#} to transfer, {size}"),
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
        "in the repositories no more; they stay, --prune removes them:",
    );
    tell_kernels(
        console,
        &fetched.kept,
        "of which the hub has a file of yours; it stays:",
    );
    tell_left_out(console, &fetched.left_out);
}

fn tell_kernels(console: Console, kernels: &[KernelId], what: &str) {
    if !kernels.is_empty() && !console.quiet {
        console.note(format_args!("{} {what}", count(kernels.len(), "kernel")));
        console.details(kernels.iter().map(ToString::to_string));
    }
}

fn tell_collisions(console: Console, collisions: &[Collision]) {
    if !collisions.is_empty() && !console.quiet {
        console.note(format_args!(
            "{} in several repositories, with different contents; the first one named counts:",
            count(collisions.len(), "kernel")
        ));
        console.details(collisions.iter().map(|c| {
            format!(
                "{}: from {}, not from {}",
                c.kernel,
                printable(&c.taken_from),
                printable(&c.also_in)
            )
        }));
    }
}

fn tell_left_out(console: Console, left_out: &[LeftOut]) {
    let line = |l: &LeftOut| format!("{}: {}", printable(&l.path), printable(&l.why));
    let (broken, useless): (Vec<&LeftOut>, Vec<&LeftOut>) = left_out.iter().partition(|l| l.broken);
    if !useless.is_empty() && !console.quiet {
        console.note(format_args!(
            "{} of the repositories passed over, no kernel is missing for it:",
            count(useless.len(), "file")
        ));
        console.details(useless.into_iter().map(line));
    }
    if !broken.is_empty() {
        console.warning(format_args!(
            "{} of the repositories left out:",
            count(broken.len(), "file")
        ));
        console.details(broken.into_iter().map(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that a list of repositories may have spaces and an end with a comma.
    #[test]
    fn repositories_of_a_list() {
        assert_eq!(split("a, b,"), ["a", "b"]);
        assert!(split(" , ").is_empty());
    }
}
