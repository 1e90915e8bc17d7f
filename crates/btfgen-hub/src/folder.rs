//! The hub's folder, for commands that write to it: creates it if it is missing, and refuses what cannot be one.

use std::path::{Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// Folders that were created in advance. `drop` removes the ones that are still empty.
#[derive(Debug, Default)]
pub(crate) struct MadeFolders {
    /// Outermost first.
    made: Vec<PathBuf>,
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        for folder in self.made.iter().rev() {
            if std::fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
}

fn refused(path: &Path, message: &str) -> Error {
    Error::new(ErrorKind::Hub, path.display(), message)
}

pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| Error::io(path, "is not a valid path", e))
}

/// The absolute path of a hub's folder, which may be missing.
///
/// # Errors
/// [`ErrorKind::Hub`] if the path or one of its parents is a file, or cannot be looked at.
pub fn hub_folder(root: &Path) -> Result<PathBuf> {
    let root = absolute(root)?;
    missing_folders(&root)?;
    Ok(root)
}

/// A folder and its parents, as far as they do not exist; the innermost first.
fn missing_folders(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    for ancestor in folder.ancestors() {
        match std::fs::metadata(ancestor) {
            Ok(m) if m.is_dir() => break,
            Ok(_) => {
                return Err(refused(ancestor, "is not a folder")
                    .with_help("name a folder with --hub; a missing folder is created"));
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => missing.push(ancestor.to_owned()),
            // One of the parents is a file; a later round finds it.
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => {}
            Err(e) => return Err(refused(ancestor, "cannot be used as a hub").with_source(e)),
        }
    }
    Ok(missing)
}

impl MadeFolders {
    /// Whether this folder was created.
    pub(crate) fn have(&self, folder: &Path) -> bool {
        self.made.iter().any(|made| made == folder)
    }

    /// Creates a folder and its missing parents.
    pub(crate) fn make(folder: &Path) -> Result<Self> {
        let missing = missing_folders(folder)?;
        let mut folders = Self::default();
        for ancestor in missing.into_iter().rev() {
            match std::fs::create_dir(&ancestor) {
                Ok(()) => folders.made.push(ancestor),
                // Another process was faster.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => {
                    return Err(refused(&ancestor, "cannot be created")
                        .with_source(e)
                        .with_help("name a writable folder with --hub"));
                }
            }
        }
        Ok(folders)
    }
}
