//! The folder to fetch into.

use std::path::{Path, PathBuf};

use btfgen_hub::{Error, ErrorKind, OWN_FOLDER, Result, hub_folder};
use git2::Repository;

/// The absolute path of a hub to fetch into. Refuses unsuitable folders.
pub(crate) fn usable(root: &Path) -> Result<PathBuf> {
    let root = hub_folder(root)?;
    refuse_foreign_repository(&root)?;
    Ok(root)
}

/// Refuses a hub inside a git repository that does not ignore it, because a fetch writes thousands of files.
fn refuse_foreign_repository(root: &Path) -> Result<()> {
    let Some(existing) = root.ancestors().find(|a| a.is_dir()) else {
        return Ok(());
    };
    let Ok(repository) = Repository::discover(existing) else {
        return Ok(());
    };
    let Some(workdir) = repository.workdir() else {
        return Err(
            refused(root, repository.path()).with_help("name a folder outside of it with --hub")
        );
    };
    // Resolve the links in both, because one path is from the user and the other from git.
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let below = root.strip_prefix(existing).unwrap_or(Path::new(""));
    let hub = real(existing).join(below).join(OWN_FOLDER);
    // Git also ignores its own folder `.git`.
    let is_gits = hub.starts_with(real(repository.path()));
    let ignored = hub
        .strip_prefix(real(workdir))
        .is_ok_and(|inside| repository.is_path_ignored(inside).unwrap_or(false));
    if ignored && !is_gits {
        return Ok(());
    }
    Err(refused(root, workdir).with_help(
        "name a folder outside of it with --hub, or list the folder in its .gitignore; a clone of btfhub-archive is already \
         a hub, and `git pull` updates it",
    ))
}

fn refused(path: &Path, repository: &Path) -> Error {
    let message = format!("is inside the git repository {}", repository.display());
    Error::new(ErrorKind::Hub, path.display(), message)
}
