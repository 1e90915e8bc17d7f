//! The options of a lookup, and the order of its steps. The module `ladder` runs the lookup.

use std::path::{Path, PathBuf};

use btfgen_archive::BuildId;

use crate::loader::Loader;

/// A lookup of the BTF for the running kernel.
///
/// [`find`](Self::find) takes the first match; ambiguous matches are never used:
///
/// 1. the file that [`btf_file`](Self::btf_file) names;
/// 2. the file that the variable `BTFGEN_BTF` names;
/// 3. the kernel's own BTF, `/sys/kernel/btf/vmlinux`, if the [`loader`](Self::loader) can read it;
/// 4. a vmlinux of this release below `/boot`, `/lib/modules`, `/usr/lib/modules` or `/usr/lib/debug`, in the same places as
///    libbpf, if the loader can read its BTF;
/// 5. the archive's entry for this architecture and release with the kernel's build id, from `/sys/kernel/notes`;
/// 6. its entry `ID/VERSION_ID/MACHINE/RELEASE`, from os-release(5) and uname(2);
/// 7. its entry for the same release under another name of the distribution, its version or the architecture: `arm64` for
///    `aarch64`, `rhel/8` for `rhel/8.4`, then the distributions of `ID_LIKE`;
/// 8. any entry for this architecture and release, if all of them are equal.
///
/// The lookup fails if it comes to an entry with another build id than the kernel's: the kernel was built again with the same
/// release, and its types may be others. Archives without build ids have no step 5, and are not checked for that.
///
/// [`require_custom`](Self::require_custom) or the variable `BTFGEN_REQUIRE_CUSTOM` makes the lookup skip steps 3 and 4. If the
/// program does not name its loader, and a BTF of these steps is too new for some loader of 2022 or later, then that BTF is the
/// last resort: it is taken if the archive gives none.
///
/// [`os_release`](Self::os_release) names the os-release file, else the variable `BTFGEN_OS_RELEASE`. The default is the first
/// of `/proc/1/root/etc/os-release`, `/host/etc/os-release`, `/etc/os-release` and `/usr/lib/os-release`, so in a container the
/// host's file comes first.
///
/// It is an error if a named file cannot be used. The lookup skips a BTF of the steps 3 and 4 if no
/// loader could use it, because it is empty, cut off, damaged or without types. The step says why.
///
/// The lookup ignores the environment if the process has more privileges than its caller (set-user-ID or file capabilities), if
/// that is unknown, and after [`environment(false)`](Self::environment). It then also ignores `TMPDIR`: if there is no memfd, the
/// file for the BTF is in a fixed folder.
///
/// ```
/// use btfgen_runtime::{ErrorKind, Lookup};
///
/// // No such kernel exists. The error has every step.
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
    pub(crate) build_id: Option<BuildId>,
    pub(crate) loader: Option<Loader>,
    pub(crate) require_custom: bool,
    pub(crate) forbids_environment: bool,
    pub(crate) facts: bool,
}

/// The outcome of a step that is only for this host.
pub(crate) const ELSEWHERE: &str = "skipped (the lookup is for another host)";

/// The place of the archive.
#[derive(Clone, Debug)]
pub(crate) enum ArchiveSource<'a> {
    Bytes(&'a [u8]),
    File(PathBuf),
}

impl<'a> Lookup<'a> {
    /// Creates a lookup for this host, without an archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses an archive in memory, for instance from `include_bytes!`. The last call sets the archive.
    #[must_use]
    pub fn archive_bytes(mut self, archive: &'a [u8]) -> Self {
        self.archive = Some(ArchiveSource::Bytes(archive));
        self
    }

    /// Uses an archive in a file, which is read only if the kernel's own BTF is not taken. The last call sets the archive.
    #[must_use]
    pub fn archive_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.archive = Some(ArchiveSource::File(path.into()));
        self
    }

    /// Uses only this file: BTF, or an ELF file with BTF.
    #[must_use]
    pub fn btf_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.btf_file = Some(path.into());
        self
    }

    /// Names the loader that will read the BTF. Then the kernel's own BTF is taken exactly if this loader can read it.
    ///
    /// Without a name, the kernel's own BTF is taken if all versions of libbpf since 1.0, cilium/ebpf since 0.10 and aya since 0.12
    /// can read it, or if the archive gives none, for any reason. Older versions refuse the BTF of Linux 6.0 and later.
    ///
    /// ```
    /// use btfgen_runtime::{Loader, Lookup};
    ///
    /// let lookup = Lookup::new().loader(Loader::libbpf(1, 2));
    /// ```
    #[must_use]
    pub fn loader(mut self, loader: Loader) -> Self {
        self.loader = Some(loader);
        self
    }

    /// Whether to skip the kernel's own BTF, also of a vmlinux on disk: for tests, and for vendors' kernels with broken BTF.
    #[must_use]
    pub fn require_custom(mut self, on: bool) -> Self {
        self.require_custom = on;
        self
    }

    /// Whether to read the environment; on by default. With `false` the lookup ignores `BTFGEN_BTF`, `BTFGEN_OS_RELEASE`,
    /// `BTFGEN_REQUIRE_CUSTOM` and `TMPDIR`. Call this if the user who sets the program's environment must not choose what the
    /// program makes the kernel read.
    ///
    /// ```
    /// use btfgen_runtime::Lookup;
    ///
    /// let lookup = Lookup::new().environment(false).release("0.0.1");
    /// let error = lookup.find().unwrap_err();
    /// assert!(error.to_string().contains("BTFGEN_BTF: ignored (the program forbids it)"));
    /// ```
    #[must_use]
    pub fn environment(mut self, on: bool) -> Self {
        self.forbids_environment = !on;
        self
    }

    /// Whether to read the archive's facts, too, for [`Found::fact`](crate::Found::fact): what `btfgen pack --fact` asked all kernels.
    /// Off by default. With `true` the lookup also reads the archive if it takes another BTF.
    #[must_use]
    pub fn facts(mut self, on: bool) -> Self {
        self.facts = on;
        self
    }

    /// Reads this os-release file instead of the host's.
    #[must_use]
    pub fn os_release(mut self, path: impl AsRef<Path>) -> Self {
        self.os_release = Some(path.as_ref().to_owned());
        self
    }

    /// Looks up another kernel than the running one, with this output of `uname -r`. The lookup then skips this kernel's own BTF
    /// and `BTFGEN_BTF`.
    #[must_use]
    pub fn release(mut self, release: impl Into<String>) -> Self {
        self.release = Some(release.into());
        self
    }

    /// Looks up another architecture than this machine's, with this output of `uname -m`. The lookup then skips this kernel's own
    /// BTF and `BTFGEN_BTF`.
    #[must_use]
    pub fn arch(mut self, arch: impl Into<String>) -> Self {
        self.arch = Some(arch.into());
        self
    }

    /// Looks up another build of a kernel than the running one, with this build id, as `/sys/kernel/notes` has it on its host. The
    /// lookup then skips this kernel's own BTF and `BTFGEN_BTF`. For another [`release`](Self::release) or [`arch`](Self::arch),
    /// the build is unknown without this call.
    #[must_use]
    pub fn build_id(mut self, id: BuildId) -> Self {
        self.build_id = Some(id);
        self
    }

    /// Whether the lookup is for another host.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.release.is_some() || self.arch.is_some() || self.build_id.is_some()
    }
}
