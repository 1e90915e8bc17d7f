//! Decides whether a lookup reads the environment. Each lookup decides once, and passes the decision to all its steps.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use crate::auxv;
use crate::step::{Rung, Steps};

/// Whether to read the environment: the variables of btfgen, and `TMPDIR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Environment {
    /// Read it: the caller has all privileges of the program.
    Asked,
    /// Do not read it: the program forbids it.
    Forbidden,
    /// Do not read it: the program has privileges that its caller lacks, so the caller must not choose what the program
    /// makes the kernel read.
    Distrusted,
}

/// A variable of the environment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Variable {
    /// The variable is set, and not empty.
    Set(OsString),
    Unset,
    /// The variable is not read; the text is the outcome of a step.
    NotAsked(&'static str),
}

impl Environment {
    /// Decides for this process. `is_allowed` is false if the program forbids its environment.
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
            Self::Forbidden => Variable::NotAsked("ignored (the program forbids it)"),
            Self::Distrusted => {
                Variable::NotAsked("ignored (the program has more privileges than its caller)")
            }
        }
    }

    /// The value of an optional variable. Adds a step only if the variable is not read.
    pub(crate) fn value(self, name: &str, rung: Rung, steps: &mut Steps) -> Option<OsString> {
        match self.variable(name) {
            Variable::Set(value) => Some(value),
            Variable::Unset => None,
            Variable::NotAsked(why) => {
                steps.passed(rung, name, why);
                None
            }
        }
    }

    /// Folders for a file that no process with fewer privileges can replace.
    ///
    /// # Errors
    /// If no folder is safe.
    pub(crate) fn folders(self) -> io::Result<[PathBuf; 4]> {
        let first = match self {
            Self::Asked => std::env::temp_dir(),
            Self::Distrusted if is_owned_by_caller() => {
                let message = "the caller would own the file, and has fewer privileges";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
            }
            // /tmp is sticky: only the owner of a file can remove it.
            Self::Forbidden | Self::Distrusted => "/tmp".into(),
        };
        Ok([first, "/dev/shm".into(), "/run".into(), "/var/tmp".into()])
    }
}

/// Whether this process has privileges that its caller lacks. If the kernel does not say, the process counts as privileged.
fn is_privileged() -> bool {
    auxv::is_secure().unwrap_or(true)
        || rustix::process::getuid() != rustix::process::geteuid()
        || rustix::process::getgid() != rustix::process::getegid()
}

/// Whether the caller owns the files that a privileged process creates: file capabilities and set-group-ID do not change the
/// user. False for root, which a set-user-ID program may have become for good, because nobody has more privileges.
fn is_owned_by_caller() -> bool {
    let user = rustix::process::geteuid();
    user == rustix::process::getuid() && !user.is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check that this process, which has no more privileges than its caller, reads its environment unless that is forbidden.
    #[test]
    fn decision() {
        assert_eq!(Environment::decide(true), Environment::Asked);
        assert_eq!(Environment::decide(false), Environment::Forbidden);
    }

    /// Check that an ignored environment does not reveal which variables are set, and gives no folder.
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
