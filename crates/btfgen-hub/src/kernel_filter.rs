//! Selects kernels of a hub, by any of their names.

use std::collections::BTreeSet;
use std::fmt::Display;

use btfgen_archive::KernelId;
use globset::{Glob, GlobMatcher};
use regex_automata::hybrid::dfa::DFA;
use regex_automata::nfa::thompson;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

use crate::arch::{hub_arch, other_ids};
use crate::chunk_file::ChunkPlace;
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

    /// Takes kernels whose `ID/VERSION/ARCH/RELEASE` matches a glob, with any name of the architecture. Several globs are
    /// alternatives. `*` also matches slashes.
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
            self.has_glob_for(kernel) || other_ids(kernel).any(|other| self.has_glob_for(&other)),
        )
    }

    fn has_glob_for(&self, kernel: &KernelId) -> bool {
        self.only.iter().any(|g| g.is_match(kernel.to_string()))
    }

    /// Whether a chunk at this place may have kernels that pass, under their own names or codenames. Only the chunk tells which
    /// releases it has.
    pub fn may_match(&self, place: &ChunkPlace, codenames: &Codenames) -> bool {
        // The release does not matter: architecture and distribution are those of all its kernels.
        let Some(kernel) = place.kernel("release") else {
            return false;
        };
        let by_place = Self {
            only: Vec::new(),
            ..self.clone()
        };
        let others = codenames.of(&kernel).chain(other_ids(&kernel));
        std::iter::once(kernel.clone()).chain(others).any(|kernel| {
            let folder = format!(
                "{}/{}/{}/",
                kernel.distro(),
                kernel.version(),
                kernel.arch()
            );
            let begins = |glob: &GlobMatcher| may_begin_with(glob.glob(), &folder);
            by_place.matches(&kernel) && (self.only.is_empty() || self.only.iter().any(begins))
        })
    }

    /// Fails if no kernel passes, or if one of the filter's values matches no kernel: it is probably misspelt. If there are no
    /// kernels, that is not the filter's fault.
    ///
    /// `subject` names what contains the kernels: a hub, an archive or a repository.
    ///
    /// # Errors
    /// [`ErrorKind::NoKernels`], with the nearest name or the existing ones as help.
    pub fn check<'k>(
        &self,
        subject: impl Display,
        kernels: impl IntoIterator<Item = &'k KernelId>,
        codenames: &Codenames,
    ) -> Result<()> {
        self.check_with_chunks(subject, kernels, &[], codenames)
    }

    /// As [`KernelFilter::check`], if there are also chunks whose kernels are not known.
    ///
    /// # Errors
    /// Those of [`KernelFilter::check`].
    pub fn check_with_chunks<'k>(
        &self,
        subject: impl Display,
        kernels: impl IntoIterator<Item = &'k KernelId>,
        chunks: &[ChunkPlace],
        codenames: &Codenames,
    ) -> Result<()> {
        let known: Vec<&KernelId> = kernels.into_iter().collect();
        let passes = |filter: &Self| {
            let passes = |k: &&KernelId| filter.matches_any_name(k, codenames);
            let may_pass = |place: &ChunkPlace| filter.may_match(place, codenames);
            (known.is_empty() && chunks.is_empty())
                || known.iter().any(passes)
                || chunks.iter().any(may_pass)
        };
        let of_all = match chunks.is_empty() {
            true => format!("none of the {} kernels", known.len()),
            false => "none of the kernels".to_owned(),
        };
        // For the messages, which do not name releases.
        let unknown: Vec<KernelId> = chunks.iter().filter_map(|c| c.kernel("release")).collect();
        let kernels: Vec<&KernelId> = known.iter().copied().chain(&unknown).collect();
        let refuse = |what: String, help: String| {
            let message = format!("{of_all} {what}");
            Err(Error::new(ErrorKind::NoKernels, &subject, message).with_help(help))
        };
        let failed = |what: String, near: Option<String>| {
            refuse(
                what,
                match near {
                    Some(near) => format!("did you mean {near}?"),
                    None => format!("it has {}", contents(&kernels)),
                },
            )
        };
        for arch in &self.arches {
            if !passes(&Self::new().arch(arch)) {
                let near = nearest(arch, kernels.iter().map(|k| k.arch().to_owned()));
                let guess = near.map(|near| format!("did you mean {near}? "));
                let help = guess.unwrap_or_default() + "it has " + &contents(&kernels);
                return refuse(format!("has the architecture {arch}"), help);
            }
        }
        for distro in &self.distros {
            if !passes(&Self::new().distro(distro)) {
                let others = kernels.iter().flat_map(|k| codenames.of(k));
                let names = kernels.iter().map(|&k| k.clone()).chain(others);
                let near = nearest(
                    distro,
                    names.map(|k| match distro.contains('/') {
                        true => format!("{}/{}", k.distro(), k.version()),
                        false => k.distro().to_owned(),
                    }),
                );
                return failed(format!("is of the distribution {distro}"), near);
            }
        }
        for only in &self.only {
            let filter = Self {
                only: vec![only.clone()],
                ..Self::default()
            };
            if !passes(&filter) {
                return failed(format!("matches {}", only.glob()), None);
            }
        }
        if passes(self) {
            return Ok(());
        }
        failed("passes all filters".to_owned(), None)
    }

    /// Whether a kernel passes under its own name or under a codename: `debian/buster` for `debian/10`.
    pub fn matches_any_name(&self, kernel: &KernelId, codenames: &Codenames) -> bool {
        self.matches(kernel) || codenames.of(kernel).any(|other| self.matches(&other))
    }
}

/// Whether a glob matches any text that begins with this.
fn may_begin_with(glob: &Glob, start: &str) -> bool {
    // Globs match bytes, so the expression may match what is not UTF-8.
    let dfa = DFA::builder()
        .syntax(syntax::Config::new().utf8(false).dot_matches_new_line(true))
        .thompson(thompson::Config::new().utf8(false))
        .build(glob.regex());
    let dead = |dfa: &DFA| {
        let mut cache = dfa.create_cache();
        let anchored = Input::new(start).anchored(Anchored::Yes);
        let mut state = dfa.start_state_forward(&mut cache, &anchored).ok()?;
        for &byte in start.as_bytes() {
            state = dfa.next_state(&mut cache, state, byte).ok()?;
        }
        Some(state.is_dead())
    };
    // Without an answer, the chunk is taken.
    dfa.is_ok_and(|dfa| dead(&dfa) != Some(true))
}

/// The name that is most similar to what the user wrote, if any is similar enough.
pub fn nearest(text: &str, names: impl Iterator<Item = String>) -> Option<String> {
    /// Two letters of five may differ.
    const SIMILAR: f64 = 0.6;
    names
        .map(|name| (strsim::normalized_damerau_levenshtein(text, &name), name))
        .filter(|(likeness, _)| *likeness >= SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// The distributions and architectures of kernels, as text for people.
fn contents(kernels: &[&KernelId]) -> String {
    const SHOWN: usize = 12;
    let name = |k: &&KernelId| format!("{}/{}/{}", k.distro(), k.version(), k.arch());
    let all: BTreeSet<String> = kernels.iter().map(name).collect();
    let shown: Vec<&str> = all.iter().take(SHOWN).map(String::as_str).collect();
    let more = match all.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more, of {}", architectures(kernels)),
    };
    shown.join(", ") + &more
}

/// The architectures of kernels, as text for people.
fn architectures(kernels: &[&KernelId]) -> String {
    let all: BTreeSet<&str> = kernels.iter().map(|k| hub_arch(k.arch())).collect();
    let all: Vec<&str> = all.into_iter().collect();
    match &*all {
        [one] => format!("the architecture {one}"),
        _ => format!("the architectures {}", all.join(", ")),
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
                assert!(!passes(&by_name, &of("vax")), "{name}");
                let glob = format!("debian/*/{name}/6.1*");
                let by_glob = KernelFilter::new().only(&glob).expect("a glob");
                assert!(passes(&by_glob, &of(arch.name())), "{name}");
            }
        }
        assert!(passes(&KernelFilter::new().arch("vax"), &of("vax")));
        let other_build = KernelFilter::new().arch("armv7l");
        assert!(!passes(&other_build, &of("armv6l")));
    }

    /// Check that a value that matches no kernel is an error, also beside one that does, with the nearest name or all names.
    #[test]
    fn values_without_kernels() {
        let kernels = [FOCAL, BOOKWORM].map(|k| k.parse().expect("a kernel's id"));
        let mut codenames = Codenames::default();
        codenames.insert("debian", "bookworm", "12");
        let told = |filter: KernelFilter| {
            let error = filter.check("hub", &kernels, &codenames).err()?;
            assert_eq!(error.kind(), ErrorKind::NoKernels);
            Some(format!("{error}; {}", error.help().expect("a help")))
        };
        let new = KernelFilter::new;
        let all = "it has debian/12/aarch64, ubuntu/20.04/x86_64";
        for (filter, why, help) in [
            (
                new().distro("debain"),
                "is of the distribution debain",
                "did you mean debian?",
            ),
            (
                new().distro("debian").distro("ubuntu/20.4"),
                "is of the distribution ubuntu/20.4",
                "did you mean ubuntu/20.04?",
            ),
            (
                new().distro("debian/bokworm"),
                "is of the distribution debian/bokworm",
                "did you mean debian/bookworm?",
            ),
            (new().distro("rhel"), "is of the distribution rhel", all),
            (
                new().arch("x86-64"),
                "has the architecture x86-64",
                "did you mean x86_64? it has debian/12/aarch64, ubuntu/20.04/x86_64",
            ),
            (new().arch("armhf"), "has the architecture arm", all),
            (
                new().only("*-azure").expect("a glob"),
                "matches *-azure",
                all,
            ),
            (
                new().distro("debian").arch("amd64"),
                "passes all filters",
                all,
            ),
        ] {
            let expected = format!("hub: none of the 2 kernels {why}; {help}");
            assert_eq!(told(filter), Some(expected));
        }
        assert_eq!(told(new().distro("debian/bookworm").arch("arm64")), None);
        assert!(new().distro("x").check("hub", [], &codenames).is_ok());
    }

    /// Check that the help names all architectures, also if it does not name all distributions.
    #[test]
    fn all_architectures() {
        let kernels = (0..20).map(|n| {
            let arch = ["arm64", "armhf", "i686"][n / 18 + n / 19];
            KernelId::new("debian", &format!("{n:02}"), arch, "6.1").expect("valid")
        });
        let kernels: Vec<KernelId> = kernels.collect();
        let filter = KernelFilter::new().arch("s390x");
        let error = filter.check("hub", &kernels, &Codenames::default());
        let error = error.expect_err("there is none");
        let help = error.help().expect("a help");
        let end = ", debian/11/arm64 and 8 more, of the architectures arm, arm64, i386";
        assert!(
            help.starts_with("it has debian/00/arm64, ") && help.ends_with(end),
            "{help}"
        );
    }

    /// Check that a chunk is selected if a kernel in it could pass, under any of its names.
    #[test]
    fn chunks_may_match() {
        let place = ChunkPlace::of_path("debian/10/x86_64.btfs").expect("a place");
        let mut codenames = Codenames::default();
        codenames.insert("debian", "buster", "10");
        let new = KernelFilter::new;
        let only = |glob| new().only(glob).expect("a glob");
        for filter in [
            new(),
            new().arch("amd64"),
            new().distro("debian/buster"),
            only("debian/10/x86_64/4.19.0-5-amd64"),
            only("debian/1?/*"),
            only("*-azure"),
            only("{ubuntu,debian}/[0-9]*/x86_64/4*"),
            only("debian/buster/*/4.19*"),
            only("rhel/8*").only("debian/*").expect("a glob"),
            only("debian/10/amd64/*"),
        ] {
            assert!(filter.may_match(&place, &codenames), "{filter:?}");
        }
        for filter in [
            new().arch("arm64"),
            new().distro("debian/11"),
            only("debian/10/aarch64/*"),
            only("debian/1[1-9]/*"),
            only("ubuntu/*"),
            only("debian/10/x86_64"),
            only("debian/10/*").arch("arm64"),
        ] {
            assert!(!filter.may_match(&place, &codenames), "{filter:?}");
        }
        let chunks = [place];
        let check = |filter: KernelFilter| {
            let error = filter
                .check_with_chunks("hub", [], &chunks, &codenames)
                .err()?;
            Some(format!("{error}; {}", error.help().expect("a help")))
        };
        assert_eq!(check(only("debian/10/x86_64/none")), None);
        let told = "hub: none of the kernels is of the distribution debain; did you mean debian?";
        assert_eq!(check(new().distro("debain")).as_deref(), Some(told));
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
