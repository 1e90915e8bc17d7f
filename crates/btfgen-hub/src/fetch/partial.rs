//! Partial clone: the list of files by itself, then only the files that are wanted, a batch at a time.
//!
//! git transfers, libgit2 reads. Nothing of a batch is kept once its files are where they belong, so what is interrupted
//! costs at most one batch, and the hub takes no more room than its kernels.

use std::path::{Path, PathBuf};
use std::time::Duration;

use git2::{Oid, Repository};

use super::contents::{Take, read};
use super::git::{Ended, Git, What};
use super::session::Session;
use super::store::{
    HEAD, Head, LIST, SHALLOW, bare, pack_bytes, remove, remove_stale_locks, unready,
};
use super::{store, trouble};
use crate::error::Result;

/// Files of a batch: of btfhub-archive's about 60 MB.
const BATCH: usize = 64;

/// How often another git may be in the way, and how long it is waited for each time.
const ORPHAN_TRIES: u32 = 20;
const ORPHAN_PAUSE: Duration = Duration::from_millis(250);

const NO_SINGLE_FILES: &str = "its server does not send single files";

/// Where files are brought from.
#[derive(Debug)]
pub(super) struct Blobs {
    git: Git,
    pub(super) url: String,
    /// A repository for the time of one batch.
    batch: PathBuf,
}

/// The list of a repository's files, or why it is not to be had without the files.
pub(super) fn open(
    url: &str,
    shown: &str,
    folder: &Path,
    session: &Session<'_>,
) -> Result<Result<(Head, Blobs), String>> {
    let git = match Git::find() {
        Ok(git) => git,
        Err(why) => return Ok(Err(why)),
    };
    let list = folder.join(LIST);
    let repository = promisor(&list)?;
    let before = pack_bytes(&list);
    match fetch_list(git, &list, url, session)? {
        Ended::Done => {}
        Ended::Unfiltered => {
            remove(&list)?;
            return Ok(Err(NO_SINGLE_FILES.to_owned()));
        }
        Ended::Failed(failure) => {
            // Without its helper for this kind of URL, which is a package of its own in places.
            if failure.says("is not a git command") {
                return Ok(Err(failure.message()));
            }
            if failure.says("couldn't find remote ref HEAD") {
                return Err(trouble::empty(shown));
            }
            return Err(trouble::of_git(url, shown, &failure));
        }
    }
    // From a time when single files were not to be had.
    remove(&folder.join(SHALLOW))?;
    let blobs = Blobs {
        git,
        url: url.to_owned(),
        batch: folder.join(store::BATCH),
    };
    let received = pack_bytes(&list).saturating_sub(before);
    Ok(Ok((Head::fetched(repository, shown, received)?, blobs)))
}

/// Fetches the last commit without its files. The git of a fetch that was killed may still be at it: it ends at its next
/// word of progress, for nobody listens.
fn fetch_list(git: Git, list: &Path, url: &str, session: &Session<'_>) -> Result<Ended> {
    let refspec = format!("+HEAD:{HEAD}");
    let mut tries = ORPHAN_TRIES;
    loop {
        remove_stale_locks(list);
        let ended = git.fetch(list, url, What::Head(&refspec), session)?;
        tries -= 1;
        match &ended {
            Ended::Failed(failure) if tries > 0 && failure.is_about_another_git() => {
                std::thread::sleep(ORPHAN_PAUSE);
            }
            _ => return Ok(ended),
        }
    }
}

impl Blobs {
    /// Transfers blobs and hands them over; says how many bytes came, or why single files are not to be had.
    pub(super) fn bring(
        &self,
        wanted: &[Oid],
        shown: &str,
        session: &Session<'_>,
        take: &mut Take<'_>,
    ) -> Result<Result<u64, String>> {
        let mut received = 0;
        for batch in wanted.chunks(BATCH) {
            session.check()?;
            let bytes = match self.bring_batch(batch, shown, session, take)? {
                Ok(bytes) => bytes,
                Err(why) => return Ok(Err(why)),
            };
            session.advance(batch.len(), bytes);
            received += bytes;
        }
        remove(&self.batch)?;
        Ok(Ok(received))
    }

    fn bring_batch(
        &self,
        wanted: &[Oid],
        shown: &str,
        session: &Session<'_>,
        take: &mut Take<'_>,
    ) -> Result<Result<u64, String>> {
        remove(&self.batch)?;
        let repository = promisor(&self.batch)?;
        let ids: String = wanted.iter().map(|id| format!("{id}\n")).collect();
        match self
            .git
            .fetch(&self.batch, &self.url, What::Objects(&ids), session)?
        {
            Ended::Done => {}
            Ended::Unfiltered => return Ok(Err(NO_SINGLE_FILES.to_owned())),
            // What servers say that filter but are older than version 2 of git's protocol.
            Ended::Failed(failure) if failure.says("unadvertised object") => {
                return Ok(Err(NO_SINGLE_FILES.to_owned()));
            }
            Ended::Failed(failure) => return Err(trouble::of_git(&self.url, shown, &failure)),
        }
        let bytes = pack_bytes(&self.batch);
        // Progress was told while they came.
        read(&repository, wanted, shown, &session.quiet(), take)?;
        Ok(Ok(bytes))
    }
}

/// A bare repository that knows that it lacks what the other one has.
fn promisor(path: &Path) -> Result<Repository> {
    let repository = bare(path)?;
    repository
        .config()
        .and_then(|mut config| {
            config.set_bool("remote.origin.promisor", true)?;
            config.set_str("remote.origin.partialclonefilter", "blob:none")
        })
        .map_err(|e| unready(path, &e))?;
    Ok(repository)
}
