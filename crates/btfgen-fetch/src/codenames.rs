//! Symbolic links for versions: `debian/buster` points to `10`.

use std::os::unix::fs::symlink;
use std::path::Path;

use btfgen_hub::{Codenames, Result};
use git2::{ObjectType, Oid};

use crate::session::Session;
use crate::source::Source;

/// The repositories' links for codenames. A link's target is the content of a blob. If the hub has the same link, the target is
/// read from there, without a transfer.
pub(crate) fn read(
    root: &Path,
    sources: &mut [Source],
    session: &Session<'_>,
) -> Result<Codenames> {
    let mut codenames = Codenames::default();
    for source in sources {
        let mut unknown = Vec::new();
        for link in source.listing.links.clone() {
            let here = std::fs::read_link(root.join(&link.distro).join(&link.codename)).ok();
            let target = here.as_deref().and_then(Path::to_str).filter(|target| {
                Oid::hash_object(ObjectType::Blob, target.as_bytes())
                    .is_ok_and(|id| id == link.blob)
            });
            match target {
                Some(target) => codenames.insert(&link.distro, &link.codename, target),
                None => unknown.push(link),
            }
        }
        let mut blobs: Vec<Oid> = unknown.iter().map(|link| link.blob).collect();
        blobs.sort();
        blobs.dedup();
        if blobs.is_empty() {
            continue;
        }
        source.contents(&blobs, &session.quiet(), &mut |blob, content| {
            if let Some(Ok(target)) = content.map(std::str::from_utf8) {
                for link in unknown.iter().filter(|link| link.blob == blob) {
                    codenames.insert(&link.distro, &link.codename, target);
                }
            }
            Ok(())
        })?;
    }
    Ok(codenames)
}

/// Creates the repositories' links if the hub has the version and the name is free. Removes the links of versions that were
/// pruned. The links only help people and other tools, so errors are ignored.
pub(crate) fn link(root: &Path, codenames: &Codenames) {
    for (distro, codename, version) in codenames.links() {
        let folder = root.join(distro);
        let link = folder.join(codename);
        if folder.join(version).is_dir() {
            let _ = symlink(version, link);
        } else if std::fs::read_link(&link).is_ok_and(|target| target == Path::new(version)) {
            let _ = std::fs::remove_file(link);
            // Succeeds only if the folder is empty now.
            let _ = std::fs::remove_dir(folder);
        }
    }
}
