//! A local or remote repository at a commit: first its list of files, then the contents of selected files.

use std::path::{Path, PathBuf};

use btfgen_hub::{Error, ErrorKind, Result};
use git2::{Oid, Repository};

use crate::address::Address;
use crate::contents::{Take, read};
use crate::listing::Listing;
use crate::partial::{self, Blobs};
use crate::report::{PreviewedRepository, Transport};
use crate::session::Session;
use crate::store::Head;
use crate::{shallow, trouble};

/// An open repository.
pub(crate) struct Source {
    /// The address without a password.
    pub(crate) name: String,
    pub(crate) commit: Oid,
    pub(crate) transport: Transport,
    pub(crate) listing: Listing,
    /// Bytes that were transferred over the network so far.
    pub(crate) received: u64,
    repository: Repository,
    /// Transfers the contents if `repository` does not have them.
    blobs: Option<Blobs>,
    store: PathBuf,
}

impl Source {
    /// Opens a repository. The folder `store` keeps the transferred data for the next fetch.
    pub(crate) fn open(address: &Address, store: &Path, session: &Session<'_>) -> Result<Self> {
        let shown = address.to_string();
        session.progress().connecting(&shown);
        let (head, transport, blobs) = match address {
            Address::Local(path) => (open_local(path, &shown)?, Transport::Local, None),
            Address::Remote(url) => match partial::open(url, store, session)? {
                Ok((head, blobs)) => (head, Transport::Partial, Some(blobs)),
                Err(why) => {
                    session.progress().whole(&shown, &why);
                    let head = shallow::open(url, store, session)?;
                    (head, Transport::Shallow, None)
                }
            },
        };
        Self::list(head, transport, blobs, shown, store)
    }

    /// As [`Source::open`], but never transfers all files. If that would be necessary, it returns an estimate. `kept` is the
    /// `store` of [`Source::open`].
    pub(crate) fn preview(
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
        let (head, transport, blobs) = match partial::open(url, scratch, session)? {
            Ok((head, blobs)) => (head, Transport::Partial, Some(blobs)),
            Err(why) => {
                session.progress().whole(&shown, &why);
                match shallow::preview(url, scratch, kept, session)? {
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

    /// Passes the contents of blobs to `take`, each once, in the order of `wanted`.
    pub(crate) fn contents(
        &mut self,
        wanted: &[Oid],
        session: &Session<'_>,
        take: &mut Take<'_>,
    ) -> Result<()> {
        if let Some(blobs) = &self.blobs {
            match blobs.bring(wanted, session, take)? {
                Ok(received) => {
                    self.received += received;
                    return Ok(());
                }
                Err(why) => {
                    session.progress().whole(&self.name, &why);
                    let head = shallow::open(&blobs.url, &self.store, session)?;
                    self.received += head.received;
                    self.transport = Transport::Shallow;
                    self.repository = head.repository;
                    self.blobs = None;
                }
            }
        }
        read(&self.repository, wanted, &self.name, session, take)
    }

    /// The size of a blob, if it is known without a transfer.
    pub(crate) fn size(&self, blob: Oid) -> Option<u64> {
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
                "if the folder contains kernels, it is already a hub: name it with --hub"
            }
            (git2::ErrorCode::Owner, _) => {
                "it belongs to another user: `git config --global --add safe.directory` allows it"
            }
            _ => "name a URL, or a folder that `git clone` can clone",
        };
        Error::new(ErrorKind::Repository, shown, "is not a git repository")
            .with_source(e.message())
            .with_help(help)
    };
    let repository = Repository::open(path).map_err(none)?;
    let head = repository
        .head()
        .and_then(|head| head.peel_to_commit())
        .map(|commit| commit.id());
    let commit = head.map_err(|e| trouble::empty(shown).with_source(e.message()))?;
    Ok(Head {
        repository,
        commit,
        received: 0,
    })
}
