//! Identifies this host with uname(2) and os-release(5).

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use btfgen_files::is_machine_fault;

use crate::os_release::OsRelease;
use crate::step::{Rung, Steps};

/// The host, as the archive's rungs need it.
#[derive(Debug)]
pub(crate) struct Host {
    /// As `uname -r` prints it.
    pub(crate) release: String,
    /// As `uname -m` prints it.
    pub(crate) machine: String,
    /// `None` if there is no os-release file, as in some containers and hand-made root file systems.
    pub(crate) os: Option<OsRelease>,
}

/// `uname -r` and `uname -m`.
pub(crate) fn uname() -> (String, String) {
    let uname = rustix::system::uname();
    (
        uname.release().to_string_lossy().into_owned(),
        uname.machine().to_string_lossy().into_owned(),
    )
}

/// A root file system, and the path of an os-release file in it.
type Place = (&'static str, &'static str);

/// The places of the os-release file. If the program runs in a container, the host's places come first.
const PLACES: [Place; 4] = [
    // If the container shares the host's process ids, process 1 is the host's.
    ("/proc/1/root", "etc/os-release"),
    // By convention, containers that monitor their host mount its root here.
    ("/host", "etc/os-release"),
    ("/", "etc/os-release"),
    ("/", "usr/lib/os-release"),
];

/// Reads the first usable os-release file. Adds a step for each broken file.
pub(crate) fn find_os_release(steps: &mut Steps) -> Option<OsRelease> {
    PLACES.iter().find_map(|(root, inside)| {
        let named = Path::new(root).join(inside);
        let read = resolve_beneath(Path::new(root), Path::new(inside))
            .and_then(|path| OsRelease::read(&path));
        match read {
            Ok(os) => {
                steps.passed(Rung::Host, named.display(), describe(&os));
                Some(os)
            }
            Err(e) => {
                steps.passed(Rung::Host, named.display(), describe_error(&e));
                None
            }
        }
    })
}

/// A short description of the distribution.
pub(crate) fn describe(os: &OsRelease) -> String {
    match (os.id(), os.version_id()) {
        (Some(id), Some(version)) => format!("{id} {version}"),
        (Some(id), None) => format!("{id}, without VERSION_ID"),
        (None, _) => "without ID".to_owned(),
    }
}

/// A short text for common errors. For a failure of the machine the text says so, because the file may be sound.
pub(crate) fn describe_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "not there".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission to read it".to_owned(),
        _ if is_machine_fault(error) => format!("the machine cannot read it: {error}"),
        _ => error.to_string(),
    }
}

/// The number of symbolic links that the kernel follows, `path_resolution(7)`.
const MAX_LINKS: usize = 40;

/// The path that `inside` leads to for a process whose root is `root`.
///
/// On NixOS `/etc/os-release` is a link to an absolute path. From outside that root, the link would lead to a file of the
/// container. openat2(2) with `RESOLVE_IN_ROOT` needs Linux 5.6, and this crate must run on older kernels.
fn resolve_beneath(root: &Path, inside: &Path) -> io::Result<PathBuf> {
    let mut links = 0;
    let mut resolved = PathBuf::new();
    let mut rest: Vec<OsString> = components(inside);
    while let Some(name) = rest.pop() {
        if name == ".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(&name);
        match std::fs::read_link(root.join(&next)) {
            Ok(target) => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(io::Error::other("too many symbolic links"));
                }
                if target.is_absolute() {
                    resolved = PathBuf::new();
                }
                rest.extend(components(&target));
            }
            // Not a link.
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => resolved = next,
            Err(e) => return Err(e),
        }
    }
    Ok(root.join(resolved))
}

/// The names and `..` of a path, the last one first.
fn components(path: &Path) -> Vec<OsString> {
    let names = path.components().rev().filter_map(|c| match c {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// Check that absolute links and links with `..` stay in their root.
    #[test]
    fn links_stay_in_their_root() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("etc/static")).unwrap();
        fs::create_dir_all(at("store")).unwrap();
        fs::write(at("store/os-release"), "ID=nixos").unwrap();
        symlink("/etc/static/os-release", at("etc/os-release")).unwrap();
        symlink("../../../../store/os-release", at("etc/static/os-release")).unwrap();
        let path = resolve_beneath(root.path(), Path::new("etc/os-release")).unwrap();
        assert_eq!(path, at("store/os-release"));
    }

    /// Check that circular links are an error, and that a dangling link counts as a missing file.
    #[test]
    fn links_that_lead_nowhere() {
        let root = tempfile::tempdir().unwrap();
        symlink("circle", root.path().join("circle")).unwrap();
        symlink("/missing", root.path().join("dangling")).unwrap();
        let circle = resolve_beneath(root.path(), Path::new("circle")).unwrap_err();
        assert_eq!(circle.to_string(), "too many symbolic links");
        let dangling = resolve_beneath(root.path(), Path::new("dangling")).unwrap_err();
        assert_eq!(dangling.kind(), io::ErrorKind::NotFound);
    }

    /// Check that a failure of the machine and an error of the file have different texts.
    #[test]
    fn machine_faults() {
        const EIO: i32 = 5;
        const EISDIR: i32 = 21;
        let told = |errno| describe_error(&io::Error::from_raw_os_error(errno));
        assert!(told(EIO).starts_with("the machine cannot read it: "));
        assert!(!told(EISDIR).contains("machine"));
    }

    /// Check that the results equal those of the command uname.
    #[test]
    fn uname_is_the_kernel() {
        let command = |flag| {
            let out = std::process::Command::new("uname")
                .arg(flag)
                .output()
                .unwrap();
            String::from_utf8(out.stdout).unwrap().trim_end().to_owned()
        };
        assert_eq!(uname(), (command("-r"), command("-m")));
    }
}
