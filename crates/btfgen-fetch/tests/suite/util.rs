//! Repositories, hubs, and what is in them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use btfgen_archive::KernelId;
use btfgen_fetch::{Fetch, FetchProgress, Fetched, Waiting};
use btfgen_testkit::git::{Repository, kernel_file};
use tempfile::TempDir;

/// Kernels' paths in a repository and a hub.
pub(crate) const FOCAL: &str = "ubuntu/20.04/x86_64/5.4.0-26-generic.btf.tar.xz";
pub(crate) const BIONIC: &str = "ubuntu/18.04/arm64/4.15.0-20-generic.btf.tar.xz";
pub(crate) const BUSTER: &str = "debian/10/x86_64/4.19.0-5-amd64.btf.tar.xz";

/// A folder with repositories and a hub.
pub(crate) struct Ground(TempDir);

impl Ground {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn hub(&self) -> PathBuf {
        self.path("hub")
    }

    /// A repository with these kernels, each with its own content.
    pub(crate) fn repository(&self, name: &str, kernels: &[&str]) -> Repository {
        let repository = Repository::new(self.path(name));
        for path in kernels {
            repository.put(path, content(path));
        }
        repository.commit();
        repository
    }

    /// A fetch of repositories into the hub.
    pub(crate) fn fetch(&self, repositories: &[&Repository]) -> Fetch<'_> {
        let fetch = Fetch::into_hub(self.hub());
        repositories.iter().fold(fetch, |fetch, repository| {
            fetch.repository(repository.folder().display().to_string())
        })
    }

    /// Fetches all of a repository.
    #[track_caller]
    pub(crate) fn fetched(&self, repository: &Repository) -> Fetched {
        self.fetch(&[repository]).run().unwrap()
    }

    /// Writes a file of the hub.
    pub(crate) fn place(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.hub().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// The paths of the hub's files and links, sorted. What begins with a dot is left out.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut found = Vec::new();
        collect(&self.hub(), "", &mut found);
        found.sort();
        found
    }

    /// What the hub's files are, so that a change of any shows.
    pub(crate) fn state(&self) -> BTreeMap<String, (u64, i64, i64)> {
        let state = |path: String| {
            let metadata = self.hub().join(&path).symlink_metadata().unwrap();
            let changed = (metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
            (path, changed)
        };
        self.paths().into_iter().map(state).collect()
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.hub().join(path)).unwrap()
    }
}

fn collect(root: &Path, inside: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(root.join(inside)).into_iter().flatten() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.starts_with('.') {
            continue;
        }
        let path = Path::new(inside).join(name).display().to_string();
        if entry.file_type().unwrap().is_dir() {
            collect(root, &path, found);
        } else {
            found.push(path);
        }
    }
}

/// Passes on whom a fetch waits for.
pub(crate) struct Told(Mutex<Sender<Waiting>>);

impl Told {
    pub(crate) fn new() -> (Self, Receiver<Waiting>) {
        let (send, receive) = channel();
        (Self(Mutex::new(send)), receive)
    }
}

impl FetchProgress for Told {
    fn waiting(&self, for_whom: Waiting) {
        let _ = self.0.lock().unwrap().send(for_whom);
    }
}

/// The content that a kernel has at first.
pub(crate) fn content(path: &str) -> Vec<u8> {
    let seed = path.bytes().fold(7, |seed: u64, byte| {
        seed.wrapping_mul(31).wrapping_add(byte.into())
    });
    kernel_file(seed, 20_000)
}

/// Another content.
pub(crate) fn newer() -> Vec<u8> {
    kernel_file(42, 21_000)
}

/// The kernel of a path.
pub(crate) fn id(path: &str) -> KernelId {
    path.strip_suffix(".btf.tar.xz").unwrap().parse().unwrap()
}

/// The paths and reasons of what was left out.
pub(crate) fn left_out(fetched: &Fetched) -> Vec<(&str, &str)> {
    let left_out = fetched.left_out.iter();
    left_out.map(|l| (&*l.path, &*l.why)).collect()
}
