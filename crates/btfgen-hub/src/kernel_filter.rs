//! Selects kernels of a hub, by any of their names.

use btfgen_archive::KernelId;
use globset::{Glob, GlobMatcher};

use crate::arch::hub_arch;
use crate::error::{Error, ErrorKind, Result};

/// Selects kernels of a hub: all kernels, unless a filter is added.
#[derive(Debug, Clone, Default)]
pub struct KernelFilter {
    arches: Vec<String>,
    distros: Vec<String>,
    only: Vec<GlobMatcher>,
}

impl KernelFilter {
    /// Takes every kernel.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes kernels of this architecture. Several architectures are alternatives. All names of an architecture are the same,
    /// in the filter and in the hub: `arm64` and `aarch64`, `x86_64` and `amd64`. The
    /// [table](btfgen_archive::ARCHITECTURES) has them.
    #[must_use]
    pub fn arch(mut self, arch: &str) -> Self {
        self.arches.push(hub_arch(arch).to_owned());
        self
    }

    /// Takes kernels of this distribution (`ubuntu`, or `ubuntu/20.04`). Several distributions are alternatives.
    #[must_use]
    pub fn distro(mut self, distro: &str) -> Self {
        self.distros.push(distro.to_owned());
        self
    }

    /// Takes kernels whose `ID/VERSION/ARCH/RELEASE` matches a glob. Several globs are alternatives. `*` also matches
    /// slashes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`] if the text is not a glob.
    pub fn only(mut self, glob: &str) -> Result<Self> {
        let glob = Glob::new(glob)
            .map_err(|e| Error::new(ErrorKind::InvalidName, glob, "not a glob").with_source(e))?;
        self.only.push(glob.compile_matcher());
        Ok(self)
    }

    /// Whether a kernel passes.
    pub fn matches(&self, kernel: &KernelId) -> bool {
        let any = |empty: bool, found: bool| empty || found;
        any(
            self.arches.is_empty(),
            self.arches.iter().any(|a| a == hub_arch(kernel.arch())),
        ) && any(
            self.distros.is_empty(),
            self.distros.iter().any(|d| match d.split_once('/') {
                None => d == kernel.distro(),
                Some((distro, version)) => distro == kernel.distro() && version == kernel.version(),
            }),
        ) && any(
            self.only.is_empty(),
            self.only.iter().any(|g| g.is_match(kernel.to_string())),
        )
    }

    /// Whether a kernel passes under its own name or under a codename: `debian/buster` for `debian/10`.
    pub fn matches_any_name(&self, kernel: &KernelId, codenames: &Codenames) -> bool {
        self.matches(kernel) || codenames.of(kernel).any(|other| self.matches(&other))
    }
}

/// Other names of versions: btfhub-archive has a symbolic link `debian/buster` that leads to `10`.
#[derive(Debug, Clone, Default)]
pub struct Codenames {
    /// Distribution, codename, version.
    links: Vec<[String; 3]>,
}

impl Codenames {
    /// Adds a link `distro/codename` that leads to `target`. A link is ignored unless `target` is another version in the
    /// same folder.
    pub fn insert(&mut self, distro: &str, codename: &str, target: &str) {
        let target = target.trim_end_matches('/');
        let is_version = |part| KernelId::new(distro, part, "arch", "release").is_ok();
        if is_version(codename) && is_version(target) {
            self.links
                .push([distro, codename, target].map(str::to_owned));
        }
    }

    /// All links: distribution, codename, version.
    pub fn links(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.links
            .iter()
            .map(|[distro, codename, version]| (&**distro, &**codename, &**version))
    }

    /// A kernel's other names.
    fn of(&self, kernel: &KernelId) -> impl Iterator<Item = KernelId> {
        self.links()
            .filter(|(distro, _, version)| {
                (*distro, *version) == (kernel.distro(), kernel.version())
            })
            .filter_map(|(distro, codename, _)| {
                KernelId::new(distro, codename, kernel.arch(), kernel.release()).ok()
            })
    }
}

#[cfg(test)]
mod tests {
    use btfgen_archive::Architecture;

    use super::*;

    fn passes(filter: &KernelFilter, kernel: &str) -> bool {
        filter.matches(&kernel.parse().expect("a kernel's id"))
    }

    const FOCAL: &str = "ubuntu/20.04/x86_64/5.4.0-26-generic";
    const BOOKWORM: &str = "debian/12/aarch64/6.1.0-47-cloud-arm64";

    /// Check that the values of one filter are alternatives, and that a kernel must pass all filters.
    #[test]
    fn filters_combine() {
        let all = KernelFilter::new();
        assert!(passes(&all, FOCAL) && passes(&all, BOOKWORM));
        let distros = KernelFilter::new().distro("ubuntu/20.04").distro("debian");
        assert!(passes(&distros, FOCAL) && passes(&distros, BOOKWORM));
        let both = distros.arch("x86_64");
        assert!(passes(&both, FOCAL) && !passes(&both, BOOKWORM));
        assert!(!passes(&KernelFilter::new().distro("ubuntu/18.04"), FOCAL));
    }

    /// Check that all names of an architecture are the same, in the filter and in the hub, and that an unknown name is taken
    /// literally.
    #[test]
    fn architectures_have_many_names() {
        let of = |arch: &str| format!("debian/12/{arch}/6.1.0-47");
        for arch in Architecture::all() {
            let by_hubs_name = KernelFilter::new().arch(arch.name());
            for name in arch.names() {
                let by_name = KernelFilter::new().arch(name);
                assert!(passes(&by_name, &of(arch.name())), "{name}");
                assert!(passes(&by_hubs_name, &of(name)), "{name}");
                assert!(!passes(&by_name, &of("alpha")), "{name}");
            }
        }
        assert!(passes(&KernelFilter::new().arch("alpha"), &of("alpha")));
        let other_build = KernelFilter::new().arch("armv7l");
        assert!(!passes(&other_build, &of("armv6l")));
    }

    /// Check that a glob must match the whole id, and that a star also matches slashes.
    #[test]
    fn globs_match_whole_ids() {
        let only = |glob| KernelFilter::new().only(glob).expect("a glob");
        assert!(passes(&only("ubuntu/*5.4.0-2?-generic"), FOCAL));
        assert!(!passes(&only("5.4.0-26-generic"), FOCAL));
        let error = KernelFilter::new().only("[").expect_err("not a glob");
        assert_eq!(error.kind(), ErrorKind::InvalidName);
    }
}
