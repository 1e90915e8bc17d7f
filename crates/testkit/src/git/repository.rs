//! Repositories, laid out as btfhub-archive or wrongly.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::isolate;

/// A repository with a checkout. What happens to the checkout is in the repository from the next commit on.
#[derive(Debug)]
pub struct Repository {
    folder: PathBuf,
}

impl Repository {
    /// An empty repository in a new folder, whose servers send single files (`uploadpack.allowFilter`).
    ///
    /// # Panics
    /// Panics if git cannot make it.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let repository = Self {
            folder: folder.into(),
        };
        fs::create_dir_all(&repository.folder).expect("a folder for the repository");
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        for (key, value) in [
            ("user.name", "Test"),
            ("user.email", "test@example.org"),
            // Its files are random: nothing is to be gained.
            ("core.compression", "0"),
            ("gc.auto", "0"),
            ("uploadpack.allowFilter", "true"),
        ] {
            repository.configure(key, value);
        }
        repository
    }

    /// A repository that [`Repository::new`] made, or a copy of one.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Sets a key of the repository's configuration.
    ///
    /// # Panics
    /// Panics if git refuses it.
    pub fn configure(&self, key: &str, value: &str) {
        self.git(&["config", key, value]);
    }

    /// The folder of the checkout.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file of the checkout.
    ///
    /// # Panics
    /// Panics if that fails.
    pub fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.place(path);
        fs::write(path, content).expect("a file of the checkout");
    }

    /// Makes a symbolic link in the checkout.
    ///
    /// # Panics
    /// Panics if that fails.
    pub fn link(&self, path: &str, target: &str) {
        symlink(target, self.place(path)).expect("a link of the checkout");
    }

    /// Removes a file of the checkout.
    ///
    /// # Panics
    /// Panics if there is none.
    pub fn remove(&self, path: &str) {
        fs::remove_file(self.folder.join(path)).expect("a file to remove");
    }

    /// Commits the current checkout.
    ///
    /// # Panics
    /// Panics if git refuses it.
    pub fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=Kernels"]);
    }

    fn place(&self, path: &str) -> PathBuf {
        let path = self.folder.join(path);
        let folder = path.parent().expect("it is in the checkout");
        fs::create_dir_all(folder).expect("a folder of the checkout");
        path
    }

    fn git(&self, arguments: &[&str]) {
        let mut command = Command::new("git");
        isolate(&mut command, &self.folder);
        let output = command
            .current_dir(&self.folder)
            .args(arguments)
            .output()
            .expect("git can be run; scripts/setup installs it");
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Bytes that begin as a kernel's file of btfhub-archive does and are random otherwise; another seed makes others. From
/// 16 KiB on they are not looked into.
#[must_use]
pub fn kernel_file(seed: u64, bytes: usize) -> Vec<u8> {
    let mut content = b"\xfd7zXZ\0".to_vec();
    // xorshift64: of 0 it makes nothing else.
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while content.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend(state.to_le_bytes());
    }
    content.truncate(bytes);
    content
}
