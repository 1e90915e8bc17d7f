//! Partial clone: transfers the list of files first, then only the selected files, in batches.
//!
//! git transfers, and libgit2 reads. A batch is deleted after its files are staged. So an interruption costs at most one batch,
//! and the hub needs no more room than its kernels.

use std::path::{Path, PathBuf};
use std::time::Duration;

use btfgen_hub::Result;
use git2::{Oid, Repository};

use crate::address::Url;
use crate::contents::{Take, read};
use crate::git::{Ended, Git, What};
use crate::messages::Said;
use crate::session::Session;
use crate::store::{
    HEAD, Head, LIST, SHALLOW, bare, pack_bytes, remove, remove_stale_locks, unready,
};
use crate::{store, trouble};

/// The number of files of a batch. Those of btfhub-archive have about 60 MB.
const BATCH: usize = 64;

/// How often to wait for another git process on the same repository, and how long each time.
const ORPHAN_TRIES: u32 = 20;
const ORPHAN_PAUSE: Duration = Duration::from_millis(250);

const NO_SINGLE_FILES: &str = "its server does not send single files";

/// A repository whose files can be transferred one by one.
#[derive(Debug)]
pub(crate) struct Blobs {
    git: Git,
    pub(crate) url: Url,
    /// The temporary repository of one batch.
    batch: PathBuf,
}

/// Fetches the list of a repository's files, or returns why the list cannot be fetched without the files.
pub(crate) fn open(
    url: &Url,
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
        Ended::WholeOnly => {
            remove(&list)?;
            return Ok(Err(NO_SINGLE_FILES.to_owned()));
        }
        Ended::Failed(failure) if failure.said() == Some(Said::NoProtocol) => {
            return Ok(Err(failure.message()));
        }
        Ended::Failed(failure) => return Err(trouble::of_git(url, &failure)),
    }
    // An earlier fetch may have made a shallow clone.
    remove(&folder.join(SHALLOW))?;
    let blobs = Blobs {
        git,
        url: url.clone(),
        batch: folder.join(store::BATCH),
    };
    let received = pack_bytes(&list).saturating_sub(before);
    Ok(Ok((
        Head::fetched(repository, &url.shown, received)?,
        blobs,
    )))
}

/// Fetches the last commit without its files. The git process of a killed fetch may still be running. It ends when it next
/// writes progress, because nobody reads it.
fn fetch_list(git: Git, list: &Path, url: &Url, session: &Session<'_>) -> Result<Ended> {
    let refspec = format!("+HEAD:{HEAD}");
    let mut tries = ORPHAN_TRIES;
    loop {
        remove_stale_locks(list);
        let ended = git.fetch(list, url, What::Head(&refspec), session)?;
        tries -= 1;
        match &ended {
            Ended::Failed(failure) if tries > 0 && failure.said() == Some(Said::AnotherGit) => {
                std::thread::sleep(ORPHAN_PAUSE);
            }
            _ => return Ok(ended),
        }
    }
}

impl Blobs {
    /// Transfers blobs and passes them to `take`. Returns the number of bytes, or why single files cannot be transferred.
    pub(crate) fn bring(
        &self,
        wanted: &[Oid],
        session: &Session<'_>,
        take: &mut Take<'_>,
    ) -> Result<Result<u64, String>> {
        let mut received = 0;
        for batch in wanted.chunks(BATCH) {
            session.check()?;
            let bytes = match self.bring_batch(batch, session, take)? {
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
            Ended::WholeOnly => return Ok(Err(NO_SINGLE_FILES.to_owned())),
            Ended::Failed(failure) => return Err(trouble::of_git(&self.url, &failure)),
        }
        let bytes = pack_bytes(&self.batch);
        // The progress was reported during the transfer.
        read(&repository, wanted, &self.url.shown, &session.quiet(), take)?;
        Ok(Ok(bytes))
    }
}

/// A bare repository that is configured as a partial clone.
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
