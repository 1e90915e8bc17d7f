//! The rungs of the kernel's own BTF: /sys/kernel/btf/vmlinux, and a vmlinux on disk.

use std::io;
use std::path::{Path, PathBuf};

use crate::environment::{Environment, Variable};
use crate::error::{Error, ErrorKind, Result};
use crate::features::scan;
use crate::found::{Content, KernelBtf, Origin};
use crate::host;
use crate::inspect::Unusable;
use crate::loader::{Loader, why_unreadable};
use crate::lookup::{ELSEWHERE, Lookup};
use crate::source::Source;
use crate::step::{Rung, Steps};

const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";
const REQUIRE_CUSTOM_VARIABLE: &str = "BTFGEN_REQUIRE_CUSTOM";

/// Where libbpf looks for the vmlinux of the release `{}` if the kernel has no BTF of its own: `btf__load_vmlinux_btf`.
const VMLINUX_PLACES: [&str; 7] = [
    "/boot/vmlinux-{}",
    "/lib/modules/{}/vmlinux-{}",
    "/lib/modules/{}/build/vmlinux",
    "/usr/lib/modules/{}/kernel/vmlinux",
    "/usr/lib/debug/boot/vmlinux-{}",
    "/usr/lib/debug/boot/vmlinux-{}.debug",
    "/usr/lib/debug/lib/modules/{}/vmlinux",
];

/// The folders of these places, for people.
const VMLINUX_FOLDERS: &str = "/boot, /lib/modules, /usr/lib/modules, /usr/lib/debug";

/// What is known of the kernel's own BTF if it was not taken.
#[derive(Debug, Default)]
pub(crate) struct NotTaken {
    /// A BTF that not all loaders can read, if the program does not name its loader. It is taken if there is no other.
    last_resort: Option<LastResort>,
    /// Why the named loader cannot read it.
    unreadable: Option<String>,
    /// The file that the machine failed to read. It may be a sound BTF.
    fault: Option<(PathBuf, io::Error)>,
}

#[derive(Debug)]
struct LastResort {
    rung: Rung,
    path: PathBuf,
    why: String,
}

/// Finds the kernel's own BTF, if the loader can read it.
pub(crate) fn find(
    lookup: &Lookup<'_>,
    environment: Environment,
    steps: &mut Steps,
) -> Result<(Origin, Content), NotTaken> {
    let why_not = if lookup.is_elsewhere() {
        ELSEWHERE.to_owned()
    } else if lookup.require_custom {
        "skipped (require_custom is set)".to_owned()
    } else if environment
        .value(REQUIRE_CUSTOM_VARIABLE, Rung::Kernel, steps)
        .is_some()
    {
        format!("skipped ({REQUIRE_CUSTOM_VARIABLE} is set)")
    } else {
        let (release, _) = host::uname();
        return find_below(Path::new("/"), &release, lookup.loader, steps);
    };
    steps.passed(Rung::Kernel, KERNEL_BTF, why_not);
    Err(NotTaken::default())
}

/// Whether the kernel's own BTF may be used.
pub(crate) fn may_be_used(lookup: &Lookup<'_>, environment: Environment) -> KernelBtf {
    let variable = environment.variable(REQUIRE_CUSTOM_VARIABLE);
    let is_forbidden = lookup.require_custom || matches!(variable, Variable::Set(_));
    match is_forbidden || lookup.is_elsewhere() {
        true => KernelBtf::Forbidden,
        false => KernelBtf::IfReadable(lookup.loader),
    }
}

/// Whether the kernel below this root has a BTF of its own that the loader can read.
///
/// # Errors
/// [`ErrorKind::Io`] if the machine fails to read it.
pub(crate) fn is_usable(root: &Path, loader: Option<Loader>) -> Result<bool> {
    let path = beneath(root, KERNEL_BTF);
    match Source::open(&path).and_then(|source| scan(&source)) {
        Ok(features) => {
            Ok(features.largest_kind > 0 && why_unreadable(&features, loader).is_none())
        }
        Err(Unusable::Unreadable(e)) if btfgen_files::is_machine_fault(&e) => {
            Err(Unusable::Unreadable(e).of_file(&path))
        }
        Err(_) => Ok(false),
    }
}

fn beneath(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn find_below(
    root: &Path,
    release: &str,
    loader: Option<Loader>,
    steps: &mut Steps,
) -> Result<(Origin, Content), NotTaken> {
    let mut not_taken = NotTaken::default();
    let path = beneath(root, KERNEL_BTF);
    if not_taken.takes(Rung::Kernel, &path, loader, steps) {
        return Ok(own(Rung::Kernel, path));
    }
    let mut is_there = false;
    for place in VMLINUX_PLACES {
        let path = beneath(root, &place.replace("{}", release));
        if path.try_exists().is_ok_and(|exists| !exists) {
            continue;
        }
        is_there = true;
        if not_taken.takes(Rung::Vmlinux, &path, loader, steps) {
            return Ok(own(Rung::Vmlinux, path));
        }
    }
    if !is_there {
        steps.passed(
            Rung::Vmlinux,
            format_args!("vmlinux of {release}"),
            format_args!("not there ({VMLINUX_FOLDERS})"),
        );
    }
    Err(not_taken)
}

fn own(rung: Rung, path: PathBuf) -> (Origin, Content) {
    let origin = if rung == Rung::Kernel {
        Origin::Kernel
    } else {
        Origin::File(path.clone())
    };
    (origin, Content::File(path))
}

fn taken(rung: Rung) -> &'static str {
    match rung {
        Rung::Kernel => "the kernel has its own BTF",
        _ => "taken",
    }
}

impl NotTaken {
    /// Whether to take the BTF of a file now. Adds a step.
    fn takes(
        &mut self,
        rung: Rung,
        path: &Path,
        loader: Option<Loader>,
        steps: &mut Steps,
    ) -> bool {
        let outcome = match Source::open(path).and_then(|source| scan(&source)) {
            Ok(features) if features.largest_kind == 0 => "has no types".to_owned(),
            Ok(features) => match why_unreadable(&features, loader) {
                None => {
                    steps.taken(rung, path.display(), taken(rung));
                    return true;
                }
                Some(why) if loader.is_some() => {
                    let outcome = format!("skipped ({why})");
                    self.unreadable.get_or_insert(why);
                    outcome
                }
                Some(why) => {
                    let outcome = format!("only the last resort ({why})");
                    let path = path.to_owned();
                    self.last_resort
                        .get_or_insert(LastResort { rung, path, why });
                    outcome
                }
            },
            Err(unusable) => {
                let outcome = unusable.to_string();
                match unusable {
                    Unusable::Unreadable(e) if btfgen_files::is_machine_fault(&e) => {
                        self.fault.get_or_insert((path.to_owned(), e));
                    }
                    _ => {}
                }
                outcome
            }
        };
        steps.passed(rung, path.display(), outcome);
        false
    }

    /// The result of the lookup if the archive gave only this error.
    pub(crate) fn instead_of(self, error: Error, steps: &mut Steps) -> Result<(Origin, Content)> {
        if let Some(LastResort { rung, path, why }) = self.last_resort {
            // Also for a damaged archive, which the steps name: the program may well run with the kernel's own BTF.
            let outcome = format_args!("{}; there is no other BTF ({why})", taken(rung));
            steps.taken(rung, path.display(), outcome);
            return Ok(own(rung, path));
        }
        if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NoArchive) {
            return Err(error);
        }
        if let Some((path, fault)) = self.fault {
            // Do not claim that there is no BTF.
            let message = format!("{}: the kernel's own BTF cannot be read", path.display());
            return Err(Error::new(ErrorKind::Io, message).with_source(fault));
        }
        if let Some(why) = self.unreadable {
            let message = format!(
                "{}; the kernel's own BTF was skipped: {why}",
                error.message()
            );
            return Err(Error::new(error.kind(), message));
        }
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::forge::{btf, btf_of_kind};
    use crate::step::Step;

    const RELEASE: &str = "5.4.0-1";
    const ENUM64: &str = "it has types of kind 19, ENUM64, which libbpf before 1.0";

    /// A root file system with these files, and no others.
    fn root(files: &[(&str, &[u8])]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, bytes) in files {
            let path = root.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        root
    }

    /// The result below a root, and the steps. `archive` is the error of the archive.
    fn looked_up(
        root: &Path,
        loader: Option<Loader>,
        archive: ErrorKind,
    ) -> (Result<(Origin, Content)>, Vec<Step>) {
        let mut steps = Steps::default();
        let found = find_below(root, RELEASE, loader, &mut steps).or_else(|not_taken| {
            not_taken.instead_of(Error::new(archive, "the archive has none"), &mut steps)
        });
        (found, steps.into_vec())
    }

    /// The outcomes for a kernel's own BTF with these bytes, and whether it is taken.
    fn own(bytes: &[u8], loader: Option<Loader>) -> (bool, Vec<String>) {
        let root = root(&[(KERNEL_BTF, bytes)]);
        let (found, steps) = looked_up(root.path(), loader, ErrorKind::NotFound);
        if let Ok((origin, _)) = &found {
            assert_eq!(origin, &Origin::Kernel);
        }
        let kernel = steps.iter().filter(|step| step.rung == Rung::Kernel);
        (
            found.is_ok(),
            kernel.map(|step| step.outcome.clone()).collect(),
        )
    }

    /// Check that a kernel's own BTF is taken if libbpf can use it, and otherwise skipped with the reason.
    #[test]
    fn own_btf() {
        let sound = btf_of_kind(2);
        let (taken, outcomes) = own(&sound, None);
        assert!(taken);
        assert_eq!(outcomes, ["the kernel has its own BTF"]);
        let promised = format!("is cut off: its header promises {} bytes", sound.len());
        let damaged = btf(&[0, 2 << 24]);
        for (bytes, why) in [
            (&b""[..], "is empty"),
            (&sound[..sound.len() - 1], &promised),
            (&sound[..24], &promised),
            (&btf(&[]), "has no types"),
            (
                &damaged,
                "is damaged: a type runs over the end of its types",
            ),
            (b"\x7fELF", "is a damaged or truncated ELF file"),
            (b"hello", "is neither a BTF nor an ELF file"),
        ] {
            assert_eq!(own(bytes, None), (false, vec![why.to_owned()]));
        }
    }

    /// Check that the kernel's own BTF is usable exactly if the lookup would take it.
    #[test]
    fn usable() {
        let [old, new] = [(0, 8), (1, 0)].map(|(major, minor)| Some(Loader::libbpf(major, minor)));
        let enum64 = btf_of_kind(19);
        for (bytes, loader, expected) in [
            (&*btf_of_kind(2), old, true),
            (&*enum64, old, false),
            (&*enum64, new, true),
            (&*enum64, None, true),
            (&*btf_of_kind(20), None, false),
            (&*btf(&[]), new, false),
            (b"hello", new, false),
        ] {
            let root = root(&[(KERNEL_BTF, bytes)]);
            let usable = is_usable(root.path(), loader).unwrap();
            assert_eq!(usable, expected, "{loader:?}");
        }
        assert!(!is_usable(root(&[]).path(), new).unwrap());
    }

    /// Check that a BTF that not all loaders can read is skipped for a named loader that cannot, and that the error says why.
    #[test]
    fn named_loader() {
        let new = btf_of_kind(19);
        assert!(own(&new, Some(Loader::libbpf(1, 0))).0);
        let old = Some(Loader::libbpf(0, 8));
        let why = format!("{ENUM64} cannot read");
        assert_eq!(own(&new, old), (false, vec![format!("skipped ({why})")]));
        let root = root(&[(KERNEL_BTF, &new)]);
        for kind in [
            ErrorKind::NotFound,
            ErrorKind::NoArchive,
            ErrorKind::Archive,
        ] {
            let error = looked_up(root.path(), old, kind).0.unwrap_err();
            assert_eq!(error.kind(), kind);
            assert_eq!(
                error.message().contains(&why),
                kind != ErrorKind::Archive,
                "{error}"
            );
        }
    }

    /// Check that without a named loader a BTF that only newer loaders can read is the last resort: it is taken if the archive
    /// gives none, for any reason.
    #[test]
    fn last_resort() {
        let (taken, outcomes) = own(&btf_of_kind(20), None);
        assert!(taken);
        let [first, last] = &outcomes[..] else {
            panic!("{outcomes:?}");
        };
        assert!(
            first.starts_with("only the last resort (it has types of kind 20"),
            "{first}"
        );
        assert!(
            last.starts_with(
                "the kernel has its own BTF; there is no other BTF (it has types of kind 20"
            ),
            "{last}"
        );
        let root = root(&[(KERNEL_BTF, &btf_of_kind(20))]);
        for kind in [
            ErrorKind::NoArchive,
            ErrorKind::Archive,
            ErrorKind::InvalidBtf,
        ] {
            let (found, steps) = looked_up(root.path(), None, kind);
            assert_eq!(found.unwrap().0, Origin::Kernel);
            assert!(steps.last().unwrap().taken);
        }
    }

    /// Check that each place of a vmlinux is searched, and that its BTF is taken for this release only.
    #[test]
    fn vmlinux() {
        for place in VMLINUX_PLACES {
            let place = place.replace("{}", RELEASE);
            let root = root(&[(&place, &btf_of_kind(2)), ("/boot/vmlinux-5.4.0-2", b"")]);
            let (found, steps) = looked_up(root.path(), None, ErrorKind::NotFound);
            let path = root.path().join(&place[1..]);
            let (origin, _) = found.unwrap();
            assert_eq!(origin, Origin::File(path.clone()));
            let last = steps.last().unwrap();
            assert_eq!((last.rung, last.taken), (Rung::Vmlinux, true));
            assert_eq!(last.subject, path.to_str().unwrap());
        }
    }

    /// Check that broken files are skipped with the reason, and that missing ones are one step.
    #[test]
    fn no_vmlinux() {
        let broken: [(&str, &[u8]); 3] = [
            ("/boot/vmlinux-5.4.0-1", b"hello"),
            ("/lib/modules/5.4.0-1/build/vmlinux/is-a-folder", b""),
            ("/usr/lib/debug/boot/vmlinux-5.4.0-1", &btf_of_kind(19)),
        ];
        let outcomes = |files| {
            let root = root(files);
            let old = Some(Loader::aya(0, 11));
            let (found, steps) = looked_up(root.path(), old, ErrorKind::NotFound);
            assert_eq!(found.unwrap_err().kind(), ErrorKind::NotFound);
            let steps = steps.into_iter().filter(|step| step.rung == Rung::Vmlinux);
            steps.map(|step| step.outcome).collect::<Vec<_>>()
        };
        let why = "skipped (it has types of kind 19, ENUM64, which aya before 0.12 cannot read)";
        assert_eq!(
            outcomes(&broken),
            ["is neither a BTF nor an ELF file", "is a folder", why]
        );
        let missing = format!("not there ({VMLINUX_FOLDERS})");
        assert_eq!(outcomes(&[]), [missing]);
    }

    /// Check that a failure of the machine is an error if there is no other BTF, and that the step says so.
    #[test]
    fn faulty_machine() {
        let root = root(&[(KERNEL_BTF, b"")]);
        let path = root.path().join(&KERNEL_BTF[1..]);
        fs::remove_file(&path).unwrap();
        // Reading its own memory at 0 is EIO.
        std::os::unix::fs::symlink("/proc/self/mem", &path).unwrap();
        let (found, steps) = looked_up(root.path(), None, ErrorKind::NotFound);
        let error = found.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io);
        assert!(
            error.message().starts_with(path.to_str().unwrap()),
            "{error}"
        );
        let outcome = &steps[0].outcome;
        assert!(
            outcome.starts_with("the machine cannot read it: "),
            "{outcome}"
        );
    }
}
