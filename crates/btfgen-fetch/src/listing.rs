//! The files of a repository at a commit.

use std::collections::BTreeMap;

use btfgen_archive::KernelId;
use btfgen_hub::{
    ChunkPlace, ENDINGS, Error, ErrorKind, Result, has_ending, hub_id, is_chunk, without_ending,
};
use git2::{ObjectType, Oid, Repository, TreeEntry};

use crate::report::LeftOut;

/// More entries than any archive of kernels has.
const MAX_ENTRIES: usize = 2_000_000;

/// The mode of a symbolic link in a tree (gitdatamodel(7)).
const LINK: i32 = 0o120_000;

/// A repository's kernels and links.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) kernels: BTreeMap<KernelId, Listed>,
    pub(crate) chunks: BTreeMap<ChunkPlace, Listed>,
    /// Symbolic links in the place of a version, for example `debian/buster`, with the blob that contains the target.
    pub(crate) links: Vec<Link>,
    /// Files that look like kernels but cannot be used.
    pub(crate) left_out: Vec<LeftOut>,
}

/// A kernel's file, or a chunk, in a repository.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    /// Its path in the hub, which has the hub's name of the architecture.
    pub(crate) path: String,
    /// Its path in the repository.
    named: String,
    pub(crate) blob: Oid,
}

/// A symbolic link for a codename.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) distro: String,
    pub(crate) codename: String,
    pub(crate) blob: Oid,
}

impl Listing {
    /// Lists the files of a commit, without reading them.
    pub(crate) fn of(repository: &Repository, commit: Oid, address: &str) -> Result<Self> {
        let unreadable = |e: git2::Error| {
            Error::new(
                ErrorKind::Repository,
                address,
                "its list of files cannot be read",
            )
            .with_source(e.message())
            .with_help(
                "the hub's copy may be damaged: remove the hub's folder .btfgen/repositories and run the command again",
            )
        };
        let tree = repository
            .find_commit(commit)
            .and_then(|c| c.tree())
            .map_err(unreadable)?;
        let mut listing = Self::default();
        let mut entries = 0;
        // libgit2's own walk fails at the first folder whose name is not UTF-8.
        let mut folders = vec![(Vec::new(), tree)];
        while let Some((folder, tree)) = folders.pop() {
            for entry in &tree {
                entries += 1;
                if entries > MAX_ENTRIES {
                    return Err(Error::new(
                        ErrorKind::Repository,
                        address,
                        format!("has more than {MAX_ENTRIES} files"),
                    ));
                }
                let path = [&*folder, entry.name_bytes()].concat();
                match entry.kind() {
                    Some(ObjectType::Tree) => {
                        let inner = repository.find_tree(entry.id()).map_err(unreadable)?;
                        folders.push(([path, b"/".to_vec()].concat(), inner));
                    }
                    Some(ObjectType::Blob) => listing.take(path, &entry),
                    _ => {}
                }
            }
        }
        listing.left_out.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(listing)
    }

    /// Whether the repository has no kernels.
    pub(crate) fn is_empty(&self) -> bool {
        self.kernels.is_empty() && self.chunks.is_empty()
    }

    fn take(&mut self, path: Vec<u8>, entry: &TreeEntry<'_>) {
        let path = match String::from_utf8(path) {
            Ok(path) => path,
            Err(e) => {
                let path = String::from_utf8_lossy(e.as_bytes()).into_owned();
                if has_ending(path.as_ref()) || is_chunk(path.as_ref()) {
                    let why = "its name is not UTF-8";
                    self.left_out.push(LeftOut::useless(path, why));
                }
                return;
            }
        };
        // Readers of a hub skip hidden folders, and `.btfgen` is one of them.
        if path.split('/').any(|part| part.starts_with('.')) {
            return;
        }
        let is_link = entry.filemode() == LINK;
        if is_chunk(path.as_ref()) {
            return self.take_chunk(path, is_link, entry.id());
        }
        let Some(stem) = without_ending(&path) else {
            if is_link
                && let Some((distro, codename)) = path.split_once('/')
                && !codename.contains('/')
            {
                self.links.push(Link {
                    distro: distro.to_owned(),
                    codename: codename.to_owned(),
                    blob: entry.id(),
                });
            }
            return;
        };
        if is_link {
            return self
                .left_out
                .push(LeftOut::useless(path, "is a symbolic link"));
        }
        let Ok(kernel) = stem.parse::<KernelId>() else {
            let why = "its path is not ID/VERSION/ARCH/RELEASE";
            return self.left_out.push(LeftOut::useless(path, why));
        };
        let kernel = hub_id(kernel);
        let listed = Listed {
            path: format!("{kernel}{}", &path[stem.len()..]),
            named: path,
            blob: entry.id(),
        };
        self.insert(kernel, listed);
    }

    fn take_chunk(&mut self, path: String, is_link: bool, blob: Oid) {
        let why = match ChunkPlace::of_path(&path) {
            Some(_) if is_link => "is a symbolic link",
            Some(place) => return self.insert_chunk(place, path, blob),
            None => "its path is not ID/VERSION/ARCH.btfs",
        };
        self.left_out.push(LeftOut::useless(path, why));
    }

    fn insert_chunk(&mut self, place: ChunkPlace, named: String, blob: Oid) {
        let path = place.to_string();
        let listed = Listed { path, named, blob };
        let Some(other) = self.chunks.get_mut(&place) else {
            self.chunks.insert(place, listed);
            return;
        };
        let second = match listed.is_hubs_path() {
            true => std::mem::replace(other, listed),
            false => listed,
        };
        let why = format!("the chunk of the same architecture is {}", other.named);
        self.left_out.push(LeftOut::useless(second.named, why));
    }

    fn insert(&mut self, kernel: KernelId, listed: Listed) {
        let rank = |listed: &Listed| {
            let ending = ENDINGS.iter().position(|e| listed.path.ends_with(e));
            (!listed.is_hubs_path(), ending)
        };
        let Some(other) = self.kernels.get_mut(&kernel) else {
            self.kernels.insert(kernel, listed);
            return;
        };
        let second = if rank(&listed) < rank(other) {
            std::mem::replace(other, listed)
        } else {
            listed
        };
        let why = format!("the same kernel is in {}", other.named);
        self.left_out.push(LeftOut::useless(second.named, why));
    }
}

impl Listed {
    /// Whether the repository has the hub's name of the architecture.
    fn is_hubs_path(&self) -> bool {
        self.path == self.named
    }
}
