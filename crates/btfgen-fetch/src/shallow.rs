//! Shallow clone with libgit2: transfers the last commit with all its files. It does not need the `git` executable.

use std::cell::Cell;
use std::path::Path;

use auth_git2::GitAuthenticator;
use btfgen_hub::{Error, Result};
use git2::{
    AutotagOption, Config, Direction, FetchOptions, Oid, ProxyOptions, RemoteCallbacks, RemoteHead,
    Repository,
};

use crate::address::Url;
use crate::report::{PreviewedRepository, Transport};
use crate::session::{Session, Transfer};
use crate::store::{HEAD, Head, SHALLOW, bare, remove_stale_locks};
use crate::trouble;

/// The number of bytes to transfer for an estimate: about fifteen files of btfhub-archive.
const SAMPLE_BYTES: usize = 16 << 20;

/// The first bytes, which the estimate ignores: the commit and the folders come first, and are small.
const SKIPPED_BYTES: usize = 4 << 20;

/// Transfers the last commit with all its files. They stay in `store`, so that the next fetch transfers only changes.
pub(crate) fn open(url: &Url, store: &Path, session: &Session<'_>) -> Result<Head> {
    let path = store.join(SHALLOW);
    let repository = bare(&path)?;
    remove_stale_locks(&path);
    let transfer = |progress: git2::Progress<'_>| {
        session.transferred(Transfer {
            files: progress.received_objects(),
            of: Some(progress.total_objects()),
            bytes: progress.received_bytes() as u64,
        });
        !session.cancelled()
    };
    let received = fetch(&repository, url, session, transfer).map_err(|e| {
        if session.cancelled() {
            return Error::cancelled("fetch");
        }
        trouble::of_libgit2(url, &e)
    })?;
    Head::fetched(repository, &url.shown, received)
}

/// The commit of the last fetch, if the server still has the same one; otherwise an estimate of what the server would send.
pub(crate) fn preview(
    url: &Url,
    scratch: &Path,
    kept: &Path,
    session: &Session<'_>,
) -> Result<Result<Head, PreviewedRepository>> {
    let kept = Repository::open_bare(kept.join(SHALLOW)).ok();
    let last = kept.as_ref().and_then(|kept| kept.refname_to_id(HEAD).ok());
    let repository = bare(&scratch.join(SHALLOW))?;
    let head = head(&repository, url, session).map_err(|e| trouble::of_libgit2(url, &e))?;
    if let Some(kept) = kept.filter(|_| last.is_some() && last == head) {
        return Head::fetched(kept, &url.shown, 0).map(Ok);
    }
    let sample = Cell::new(Sample::default());
    let transfer = |progress: git2::Progress<'_>| {
        sample.set(sample.get().grown(&progress));
        progress.received_bytes() < SAMPLE_BYTES && !session.cancelled()
    };
    let result = fetch(&repository, url, session, transfer);
    session.check()?;
    let sample = sample.get();
    if sample.bytes < SAMPLE_BYTES {
        // The transfer was so small that it is complete.
        let received = result.map_err(|e| trouble::of_libgit2(url, &e))?;
        return Head::fetched(repository, &url.shown, received).map(Ok);
    }
    Ok(Err(PreviewedRepository {
        address: url.shown.clone(),
        transport: Transport::Shallow,
        chunks: 0,
        kernels: sample.of,
        bytes: sample.estimate(),
        kernels_are_exact: false,
        bytes_are_exact: false,
    }))
}

/// The beginning of a transfer.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    /// Files and bytes before the estimate begins.
    skipped: (usize, usize),
    files: usize,
    bytes: usize,
    /// Files in all.
    of: usize,
}

impl Sample {
    fn grown(mut self, progress: &git2::Progress<'_>) -> Self {
        self.files = progress.received_objects();
        self.bytes = progress.received_bytes();
        self.of = progress.total_objects();
        if self.bytes <= SKIPPED_BYTES {
            self.skipped = (self.files, self.bytes);
        }
        self
    }

    /// The bytes of all files, if the remaining files have the average size of the counted ones.
    fn estimate(&self) -> u64 {
        let (files, bytes) = self.skipped;
        let each = (self.bytes - bytes) / (self.files - files).max(1);
        let left = self.of.saturating_sub(self.files);
        (self.bytes as u64).saturating_add((each as u64).saturating_mul(left as u64))
    }
}

/// The commit that the server has.
fn head(
    repository: &Repository,
    url: &Url,
    session: &Session<'_>,
) -> Result<Option<Oid>, git2::Error> {
    let config = Config::open_default()?;
    let authenticator = GitAuthenticator::default();
    let mut remote = repository.remote_anonymous(&url.secret)?;
    let connection = remote.connect_auth(
        Direction::Fetch,
        Some(callbacks(&authenticator, &config, session)),
        Some(proxy()),
    )?;
    let heads = connection.list()?.iter();
    Ok(heads
        .filter(|h| h.name() == "HEAD")
        .map(RemoteHead::oid)
        .next())
}

/// Returns the number of bytes that were transferred.
fn fetch(
    repository: &Repository,
    url: &Url,
    session: &Session<'_>,
    transfer: impl FnMut(git2::Progress<'_>) -> bool,
) -> Result<u64, git2::Error> {
    let config = Config::open_default()?;
    let authenticator = GitAuthenticator::default();
    let mut callbacks = callbacks(&authenticator, &config, session);
    callbacks.transfer_progress(transfer);
    let mut options = FetchOptions::new();
    options
        .depth(1)
        .download_tags(AutotagOption::None)
        .update_fetchhead(false)
        .proxy_options(proxy())
        .remote_callbacks(callbacks);
    let mut remote = repository.remote_anonymous(&url.secret)?;
    remote.fetch(&[format!("+HEAD:{HEAD}")], Some(&mut options), None)?;
    Ok(remote.stats().received_bytes() as u64)
}

/// Git's logins: ssh-agent and keys, credential helpers, and a prompt on the terminal.
fn callbacks<'c>(
    authenticator: &'c GitAuthenticator,
    config: &'c Config,
    session: &'c Session<'_>,
) -> RemoteCallbacks<'c> {
    let mut callbacks = RemoteCallbacks::new();
    callbacks.credentials(authenticator.credentials(config));
    callbacks.sideband_progress(|_| !session.cancelled());
    callbacks
}

/// The proxy of git's configuration or the environment.
fn proxy<'p>() -> ProxyOptions<'p> {
    let mut proxy = ProxyOptions::new();
    proxy.auto();
    proxy
}
