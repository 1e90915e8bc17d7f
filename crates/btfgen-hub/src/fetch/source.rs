//! A repository at a commit, wherever it is: its list of files first, then the contents that are asked for.

use std::path::{Path, PathBuf};

use git2::{Oid, Repository};

use super::address::Address;
use super::contents::{Take, read};
use super::listing::Listing;
use super::partial::{self, Blobs};
use super::session::Session;
use super::store::Head;
use super::{PreviewedRepository, Transport, shallow, trouble};
use crate::error::{Error, ErrorKind, Result};

/// What of an open repository is ours to say.
pub(super) struct Source {
    /// The address as it is shown.
    pub(super) name: String,
    pub(super) commit: Oid,
    pub(super) transport: Transport,
    pub(super) listing: Listing,
    /// Bytes that came over the network so far.
    pub(super) received: u64,
    repository: Repository,
    /// Where the contents come from, if not from the repository.
    blobs: Option<Blobs>,
    store: PathBuf,
}

impl Source {
    /// Opens a repository; `store` is a folder that keeps what is transferred for the next time.
    pub(super) fn open(address: &Address, store: &Path, session: &Session<'_>) -> Result<Self> {
        let shown = address.to_string();
        session.progress().connecting(&shown);
        let (head, transport, blobs) = match address {
            Address::Local(path) => (open_local(path, &shown)?, Transport::Local, None),
            Address::Remote(url) => match partial::open(url, &shown, store, session)? {
                Ok((head, blobs)) => (head, Transport::Partial, Some(blobs)),
                Err(why) => {
                    session.progress().whole(&shown, &why);
                    let head = shallow::open(url, &shown, store, session)?;
                    (head, Transport::Shallow, None)
                }
            },
        };
        Self::list(head, transport, blobs, shown, store)
    }

    /// As [`Source::open`], without a transfer of all files: where that is needed, what would come is estimated. `kept` is
    /// the folder that [`Source::open`] has or would have.
    pub(super) fn preview(
        address: &Address,
        scratch: &Path,
        kept: &Path,
        session: &Session<'_>,
    ) -> Result<Result<Self, PreviewedRepository>> {
        let Address::Remote(url) = address else {
            return Self::open(address, scratch, session).map(Ok);
        };
        let shown = address.to_string();
        session.progress().connecting(&shown);
        let (head, transport, blobs) = match partial::open(url, &shown, scratch, session)? {
            Ok((head, blobs)) => (head, Transport::Partial, Some(blobs)),
            Err(why) => {
                session.progress().whole(&shown, &why);
                match shallow::preview(url, &shown, scratch, kept, session)? {
                    Ok(head) => (head, Transport::Shallow, None),
                    Err(estimate) => return Ok(Err(estimate)),
                }
            }
        };
        Self::list(head, transport, blobs, shown, scratch).map(Ok)
    }

    fn list(
        head: Head,
        transport: Transport,
        blobs: Option<Blobs>,
        name: String,
        store: &Path,
    ) -> Result<Self> {
        let Head {
            repository,
            commit,
            received,
        } = head;
        let listing = Listing::of(&repository, commit, &name)?;
        Ok(Self {
            name,
            commit,
            transport,
            listing,
            received,
            repository,
            blobs,
            store: store.to_owned(),
        })
    }

    /// Hands over the contents of blobs, each once, in the order in which they are named.
    pub(super) fn contents(
        &mut self,
        wanted: &[Oid],
        session: &Session<'_>,
        take: &mut Take<'_>,
    ) -> Result<()> {
        if let Some(blobs) = &self.blobs {
            match blobs.bring(wanted, &self.name, session, take)? {
                Ok(received) => {
                    self.received += received;
                    return Ok(());
                }
                Err(why) => {
                    session.progress().whole(&self.name, &why);
                    let head = shallow::open(&blobs.url, &self.name, &self.store, session)?;
                    self.received += head.received;
                    self.transport = Transport::Shallow;
                    self.repository = head.repository;
                    self.blobs = None;
                }
            }
        }
        read(&self.repository, wanted, &self.name, session, take)
    }

    /// The size of a blob that need not be transferred.
    pub(super) fn size(&self, blob: Oid) -> Option<u64> {
        if self.blobs.is_some() {
            return None;
        }
        let (size, _) = self.repository.odb().ok()?.read_header(blob).ok()?;
        Some(size as u64)
    }
}

fn open_local(path: &Path, shown: &str) -> Result<Head> {
    let none = |e: git2::Error| {
        let help = match (e.code(), path.is_dir()) {
            (git2::ErrorCode::NotFound, true) => {
                "a folder of kernels that is no repository is a hub already: name it with --hub"
            }
            (git2::ErrorCode::Owner, _) => {
                "it belongs to somebody else: `git config --global --add safe.directory` allows it"
            }
            _ => "name a folder that `git clone` would clone, or a URL",
        };
        Error::new(ErrorKind::Repository, shown, "is not a git repository")
            .with_git_source(&e)
            .with_help(help)
    };
    let repository = Repository::open(path).map_err(none)?;
    let head = repository
        .head()
        .and_then(|head| head.peel_to_commit())
        .map(|commit| commit.id());
    let commit = head.map_err(|e| trouble::empty(shown).with_git_source(&e))?;
    Ok(Head {
        repository,
        commit,
        received: 0,
    })
}
