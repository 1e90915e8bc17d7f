//! Whether the environment is asked. It is decided once for each lookup, and handed to all that would ask.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::auxv;

/// Whether the environment has a say: the variables of btfgen, and `TMPDIR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Environment {
    /// The caller has all privileges of the program, so it may say what the program does.
    Asked,
    /// The program asks nobody.
    Forbidden,
    /// The program has privileges that its caller lacks. The caller must not choose what the program tells the kernel to
    /// read.
    Distrusted,
}

/// A variable of the environment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    /// Its value is not empty.
    Set(OsString),
    Unset,
    /// Why it is not asked, as the outcome of a step.
    NotAsked(&'static str),
}

impl Environment {
    /// The decision for this process, of a program that allows or forbids its environment.
    pub(crate) fn decide(is_allowed: bool) -> Self {
        if is_privileged() {
            Self::Distrusted
        } else if is_allowed {
            Self::Asked
        } else {
            Self::Forbidden
        }
    }

    pub(crate) fn variable(self, name: &str) -> Variable {
        match self {
            Self::Asked => std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map_or(Variable::Unset, Variable::Set),
            Self::Forbidden => Variable::NotAsked("not asked, the program forbids it"),
            Self::Distrusted => {
                Variable::NotAsked("not asked, the program has more privileges than its caller")
            }
        }
    }

    /// Folders for a file that nobody with fewer privileges than this process can exchange.
    ///
    /// # Errors
    /// Where no folder would do.
    pub(crate) fn folders(self) -> io::Result<[PathBuf; 4]> {
        let first = match self {
            Self::Asked => std::env::temp_dir(),
            Self::Distrusted if is_owned_by_caller() => {
                let message = "any file would belong to the caller, who has fewer privileges";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
            }
            // It is sticky: only the owner of a file can remove it.
            Self::Forbidden | Self::Distrusted => "/tmp".into(),
        };
        Ok([first, "/dev/shm".into(), "/run".into(), "/var/tmp".into()])
    }
}

/// Whether this process has privileges that its caller lacks. Where that cannot be told, it counts as privileged.
fn is_privileged() -> bool {
    auxv::is_secure().unwrap_or(true)
        || rustix::process::getuid() != rustix::process::geteuid()
        || rustix::process::getgid() != rustix::process::getegid()
}

/// Whether the files that a privileged process makes belong to its caller: file capabilities and set-group-ID leave the user
/// as it is. Root, which a set-user-ID program may have become for good, has nobody above it.
fn is_owned_by_caller() -> bool {
    let user = rustix::process::geteuid();
    user == rustix::process::getuid() && !user.is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that this process, which has no more privileges than its caller, asks its environment unless that is forbidden.
    #[test]
    fn decision() {
        assert_eq!(Environment::decide(true), Environment::Asked);
        assert_eq!(Environment::decide(false), Environment::Forbidden);
    }

    /// Check that an environment which is not asked does not even tell what is set, and gives no folder.
    #[test]
    fn not_asked() {
        let asked = Environment::Asked;
        assert!(matches!(asked.variable("PATH"), Variable::Set(_)));
        assert_eq!(asked.variable("BTFGEN_SURELY_NOT_SET"), Variable::Unset);
        assert_eq!(asked.folders().unwrap()[0], std::env::temp_dir());
        for (environment, word) in [
            (Environment::Forbidden, "forbids"),
            (Environment::Distrusted, "privileges"),
        ] {
            for name in ["PATH", "BTFGEN_SURELY_NOT_SET"] {
                let Variable::NotAsked(why) = environment.variable(name) else {
                    panic!("{name} is asked");
                };
                assert!(why.contains(word), "{why}");
            }
        }
        let fixed = ["/tmp", "/dev/shm", "/run", "/var/tmp"].map(PathBuf::from);
        assert_eq!(Environment::Forbidden.folders().unwrap(), fixed);
    }
}
