//! What a lookup is asked, and in which order it answers; `ladder` does.

use std::path::{Path, PathBuf};

/// A lookup of the BTF for the running kernel.
///
/// [`find`](Self::find) takes the first match; ambiguous matches are never used:
///
/// 1. the file that [`btf_file`](Self::btf_file) names;
/// 2. the file that the environment names with `BTFGEN_BTF`;
/// 3. the kernel's own BTF, `/sys/kernel/btf/vmlinux`, unless [`require_custom`](Self::require_custom) was called or
///    `BTFGEN_REQUIRE_CUSTOM` is set;
/// 4. the archive's entry `ID/VERSION_ID/MACHINE/RELEASE`, from os-release(5) and uname(2);
/// 5. its entry for the same release under another name of the distribution, its version or the architecture: `arm64` for
///    `aarch64`, `rhel/8` for `rhel/8.4`, then the distributions of `ID_LIKE`;
/// 6. any entry for this architecture and release, if all of them are equal.
///
/// The os-release file is that of [`os_release`](Self::os_release), else that of the variable `BTFGEN_OS_RELEASE`, else
/// the first one of `/proc/1/root/etc/os-release`, `/host/etc/os-release`, `/etc/os-release` and
/// `/usr/lib/os-release`: in a container, the host's counts.
///
/// A file that is named and cannot be used is an error. The kernel's own BTF is passed over where libbpf could not use it: one
/// that is empty, cut off, damaged or without types. The step says why.
///
/// The environment is not asked where the process has more privileges than its caller, as a program with the set-user-ID bit
/// or with file capabilities has, nor where that cannot be told, nor after [`environment(false)`](Self::environment).
/// `TMPDIR` is part of it: the file that takes a memfd's place where there is none is in a fixed folder then.
///
/// ```
/// use btfgen_runtime::{ErrorKind, Lookup};
///
/// // A kernel that nobody has: every step is in the error.
/// let error = Lookup::new().release("0.0.1").arch("x86_64").find().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NoArchive);
/// assert!(error.to_string().contains("/sys/kernel/btf/vmlinux: "));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Lookup<'a> {
    pub(crate) archive: Option<ArchiveSource<'a>>,
    pub(crate) btf_file: Option<PathBuf>,
    pub(crate) os_release: Option<PathBuf>,
    pub(crate) release: Option<String>,
    pub(crate) arch: Option<String>,
    pub(crate) require_custom: bool,
    pub(crate) forbids_environment: bool,
}

/// Where the archive is.
#[derive(Clone, Debug)]
pub(crate) enum ArchiveSource<'a> {
    Bytes(&'a [u8]),
    File(PathBuf),
}

impl<'a> Lookup<'a> {
    /// A lookup for this host, without an archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks in an archive that is in memory, as `include_bytes!` gives it. The last archive counts.
    #[must_use]
    pub fn archive_bytes(mut self, archive: &'a [u8]) -> Self {
        self.archive = Some(ArchiveSource::Bytes(archive));
        self
    }

    /// Looks in the archive in a file, which is only read if the kernel has no BTF of its own. The last archive counts.
    #[must_use]
    pub fn archive_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.archive = Some(ArchiveSource::File(path.into()));
        self
    }

    /// Takes this BTF, or ELF file with BTF, and nothing else.
    #[must_use]
    pub fn btf_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.btf_file = Some(path.into());
        self
    }

    /// Whether to pass over the kernel's own BTF: for tests, and for vendors' kernels whose BTF is broken.
    #[must_use]
    pub fn require_custom(mut self, on: bool) -> Self {
        self.require_custom = on;
        self
    }

    /// Whether the environment may be asked; it may by default. `false` asks no variable at all: neither `BTFGEN_BTF`,
    /// `BTFGEN_OS_RELEASE` and `BTFGEN_REQUIRE_CUSTOM` nor `TMPDIR`. A program calls this if the one who sets its environment
    /// must not choose what it tells the kernel to read.
    ///
    /// ```
    /// use btfgen_runtime::Lookup;
    ///
    /// let lookup = Lookup::new().environment(false).release("0.0.1");
    /// let error = lookup.find().unwrap_err();
    /// assert!(error.to_string().contains("BTFGEN_BTF: not asked, the program forbids it"));
    /// ```
    #[must_use]
    pub fn environment(mut self, on: bool) -> Self {
        self.forbids_environment = !on;
        self
    }

    /// Reads this os-release file rather than looking for the host's.
    #[must_use]
    pub fn os_release(mut self, path: impl AsRef<Path>) -> Self {
        self.os_release = Some(path.as_ref().to_owned());
        self
    }

    /// Asks for another kernel than the running one, by what `uname -r` prints there. This kernel's own BTF and the
    /// environment's are passed over then.
    #[must_use]
    pub fn release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// Asks for another architecture than this machine's, by what `uname -m` prints there. This kernel's own BTF and
    /// the environment's are passed over then.
    #[must_use]
    pub fn arch(mut self, arch: impl Into<String>) -> Self {
        self.arch = Some(arch.into());
        self
    }

    /// Whether this is about another host than the one it runs on.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.release.is_some() || self.arch.is_some()
    }
}
